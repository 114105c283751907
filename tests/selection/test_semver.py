"""Version constraints: the table was made with Masterminds/semver v3.5.0, the library that skopeo uses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError
from bundler.selection.semver import parse_constraint, parse_version

# fmt: off
VERSIONS = "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0-alpha 1.2.0 1.2.3-rc.1 1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0-beta 2.0.0 2.4.58-alpine 3.1.4 v11.0.1 latest 1.2.3.4 1.2.3-01"
MEANT = {
    "*": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    "x": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    ">=0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    ">=0.0.0-0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0-alpha 1.2.0 1.2.3-rc.1 1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0-beta 2.0.0 2.4.58-alpine 3.1.4 v11.0.1",
    "1": "1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "1.2": "v1.2 1.2.0 1.2.3 1.2.9",
    "1.2.x": "v1.2 1.2.0 1.2.3 1.2.9",
    "v1.2.3": "1.2.3",
    "=1.2.3": "1.2.3",
    "1.2.3-rc.1": "1.2.3-rc.1",
    "01.2.3": "1.2.3",
    "1.x.3": "1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "!=1": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 2.0.0 3.1.4 v11.0.1",
    "!=1.2": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    "!=1.2, >0.0.0-0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 1.2.0-alpha 1.2.3-rc.1 1.2.3-rc.2 1.2.3-rc.10 01.3 1.4.0 1.10.0 2.0.0-beta 2.0.0 2.4.58-alpine 3.1.4 v11.0.1",
    "!=1.2.3": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    ">1": "2.0.0 3.1.4 v11.0.1",
    ">1.2": "01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    ">1.2.3": "1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    ">1.2.3-rc.1": "1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0-beta 2.0.0 2.4.58-alpine 3.1.4 v11.0.1",
    ">=1.2": "v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    "=>1.2.3": "1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    "<1": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0",
    "<1.2": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1",
    "<1.2.3": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0",
    "<=1": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "<=1.2": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9",
    "=<1.2.3": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3",
    "<2.0.0-0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0-alpha 1.2.0 1.2.3-rc.1 1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "~1": "1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "~1.2": "v1.2 1.2.0 1.2.3 1.2.9",
    "~>1.2.3": "1.2.3 1.2.9",
    "~0.0.0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0 1 v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0 3.1.4 v11.0.1",
    "~1.2.3-rc.2": "1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9",
    "^1.2": "v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "^1.2.3": "1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "^0.2.3": "0.2.3",
    "^0.2": "0.2.3",
    "^0.0.3": "0.0.3",
    "^0.0": "0.0.0 0.0.3 0.0.4",
    "^0": "0.0.0 0.0.3 0.0.4 0.2.3 0.3.0",
    "^1.2.0-0": "v1.2 1.2.0-alpha 1.2.0 1.2.3-rc.1 1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    "1.2 - 1.4": "v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0",
    "1.2.3 - 2": "1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0",
    "1.2.3-rc.2 - 2.0.0": "1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 01.3 1.4.0 1.10.0 2.0.0-beta 2.0.0",
    ">=1.2 <2": "v1.2 1.2.0 1.2.3 1.2.9 01.3 1.4.0 1.10.0",
    ">=1.2, <2, !=1.4.0": "v1.2 1.2.0 1.2.3 1.2.9 01.3 1.10.0",
    "^1.4 || >=3, <4": "1.4.0 1.10.0 3.1.4",
    ">=2.4.50 <3": "",
    ">=1.2.3-rc.2 <1.3 || 11": "1.2.3-rc.2 1.2.3-rc.10 1.2.3 1.2.9 v11.0.1",
}
# fmt: on


@pytest.mark.parametrize("constraint", MEANT)
def test_meaning(constraint):
    parsed = parse_constraint(constraint, what="semver")
    versions = [(text, parse_version(text)) for text in VERSIONS.split()]
    assert [text for text, v in versions if v is not None and parsed.check(v)] == MEANT[constraint].split()


@pytest.mark.parametrize(
    "text", ["latest", "", "1.2.3.4", "1.2.3-01", "v", "V1", "1.", "1.2.3-", "1-a..b", "x", "1_2", str(1 << 64)]
)
def test_no_version(text):
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("text", "version"),
    [("1", "1.0.0"), ("v1.2", "1.2.0"), ("01.02.03", "1.2.3"), ("1.2.3+b.1", "1.2.3"), ("1-rc.1", "1.0.0-rc.1"),
     ("1.2.3-0", "1.2.3-0"), (str((1 << 64) - 1), f"{(1 << 64) - 1}.0.0")],
)  # fmt: skip
def test_loose_version(text, version):
    assert str(parse_version(text)) == version


@pytest.mark.parametrize(
    "constraint",
    ["", " ", "1.2 ||", "|| 1", ">=", ">=1,", "1.2.3.4", ">=1.2<2", "latest", "1.2.3-01", "=1 =", "^^1", "> = 1", "1..2",
     "v", "1,,2", "1;2", str(1 << 64), ">=1 foo", "1.2.3|", "1x", "\u0661"],
)  # fmt: skip
def test_bad_constraint(constraint):
    with pytest.raises(ConfigError, match=r"^f\.yaml:3: semver: "):
        parse_constraint(constraint, what="f.yaml:3: semver")


@pytest.mark.parametrize("constraint", ["^*", "<=*", "!=x", ">X", "<*", "^x.1"])
def test_operator_before_a_wildcard_says_nothing(constraint):
    with pytest.raises(ConfigError, match="says nothing"):
        parse_constraint(constraint, what="semver")


@pytest.mark.parametrize("constraint", ["9||1 - 2", "1 - 2||3"])
def test_bar_beside_a_range(constraint):
    with pytest.raises(ConfigError, match="right beside a range"):
        parse_constraint(constraint, what="semver")
    assert parse_constraint(constraint.replace("||", " || "), what="semver")


@pytest.mark.parametrize("constraint", [" 1.2 ", "\t^1.2\n", ">= 1.2 ,  < 2", "1.2 -  1.4", "1||2", "1 || 2||v3"])
def test_white_space(constraint):
    assert parse_constraint(constraint, what="semver").check(parse_version("1.2.0"))


def test_limits():
    with pytest.raises(ConfigError, match="at most 512 characters, not 513"):
        parse_constraint("1" * 513, what="semver")
    with pytest.raises(ConfigError, match="at most 32 alternatives, not 33"):
        parse_constraint("||".join("1" * 33), what="semver")


@given(st.text(alphabet="0123xX*vV.-+ ,|<>=!~^ab\n\t", max_size=60))
def test_never_more_than_a_config_error(text):
    with contextlib.suppress(ConfigError):
        parse_constraint(text, what="semver").check(parse_version("1.2.3"))


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.lists(st.integers(0, 30), min_size=3, max_size=3))
def test_ranges_agree_with_order(low, version):
    text = ".".join(map(str, low))
    candidate = parse_version(".".join(map(str, version)))
    for operator, expected in (
        (">=", version >= low),
        ("<", version < low),
        (">", version > low),
        ("=", version == low),
    ):
        assert parse_constraint(operator + text, what="semver").check(candidate) is expected
