"""Tag rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, NotFoundError
from bundler.selection.tags import TagRule, choose, compile_regex

HTTPD = [
    "latest", "2", "2.4", "2.4-alpine", "2.4.9-alpine", "2.4.49-alpine", "2.4.50-alpine", "2.4.58", "2.4.58-alpine",
    "2.4.58-alpine3.19", "2.4.59-rc-alpine", "2.4.59-alpine", "2.4.60-alpine", "3.0.0-alpine", "alpine",
]  # fmt: skip
KUBE = ["v1.29.0", "v1.30.0-rc.1", "v1.30.0", "v1.30.10", "v1.30.9", "v1.31.0-alpha.1", "v1.31.0", "sha256-abc.sig"]


@pytest.mark.parametrize(
    ("rule", "tags", "chosen"),
    [
        pytest.param(TagRule(), ["b", "a", "b"], ["b", "a"], id="no condition takes every tag once"),
        pytest.param(TagRule(regex="1"), ["1", "v1-x", "2"], ["1", "v1-x"], id="a regex matches anywhere"),
        pytest.param(TagRule(regex="^1$"), ["1", "v1", "11"], ["1"], id="unless anchored"),
        pytest.param(TagRule(exclude=("-rc", "^latest$")), [*KUBE[:3], "latest"], ["v1.29.0", "v1.30.0"], id="exclude"),
        pytest.param(TagRule(semver="1.30.x"), KUBE, ["v1.30.0", "v1.30.10", "v1.30.9"], id="semver leaves others out"),
        pytest.param(TagRule(semver=">=1.31.0-0"), KUBE, ["v1.31.0-alpha.1", "v1.31.0"], id="semver with pre-releases"),
        pytest.param(TagRule(semver="*", newest=2), KUBE, ["v1.31.0", "v1.30.10"], id="newest by version, not by text"),
        pytest.param(TagRule(newest=3), ["1.9", "1.10"], ["1.10", "1.9"], id="fewer than newest"),
        pytest.param(TagRule(newest=2), ["1.2.0", "v1.2", "1.1"], ["v1.2", "1.2.0"], id="one version under two tags"),
        pytest.param(TagRule(newest=1), ["1.0.0-rc.1", "1.0.0", "1.0.0-rc.2"], ["1.0.0"], id="a release is newer"),
        pytest.param(
            TagRule(regex=r"^2\.4\.[0-9]+-alpine$", semver=">=2.4.50 <3", newest=3, exclude=("-rc",)),
            HTTPD,
            ["2.4.60-alpine", "2.4.59-alpine", "2.4.58-alpine"],
            id="a suffix that the regex insists on is a flavour",
        ),
        pytest.param(
            TagRule(regex=r"^4\.16\.[0-9]+-x86_64$", semver=">=4.16.2", newest=2),
            ["4.16.9-x86_64", "4.16.10-x86_64", "4.16.1-x86_64", "4.16.3-x86_64", "4.16.11-s390x", "4.16.99"],
            ["4.16.10-x86_64", "4.16.9-x86_64"],
            id="a flavour that no version could have",
        ),
        pytest.param(TagRule(regex=r"^v1\.3", semver=">=1.31"), KUBE, ["v1.31.0"], id="a suffix it allows is not"),
        pytest.param(
            TagRule(regex="-", semver=">=1.30.0-rc.1 <1.31.0-beta"),
            KUBE,
            ["v1.30.0-rc.1", "v1.31.0-alpha.1"],
            id="nor if the constraint speaks of pre-releases",
        ),
        pytest.param(TagRule(regex="rc", semver="1.30"), KUBE, ["v1.30.0-rc.1"], id="pre-releases by regex"),
    ],
)  # fmt: skip
def test_choose(rule, tags, chosen):
    assert choose(rule, tags, what="w") == chosen


def test_nothing_left_is_an_error_unless_optional():
    rule = TagRule(regex="^9", semver="9", newest=1, exclude=("x",))
    with pytest.raises(NotFoundError) as caught:
        choose(rule, KUBE, what="b.yaml:3: quay.io/a")
    assert str(caught.value) == (
        "b.yaml:3: quay.io/a: none of 8 tags is meant by {regex: ^9, semver: 9, newest: 1, exclude: x} "
        "(there are v1.31.0-alpha.1, v1.31.0, sha256-abc.sig)"
    )
    assert "optional: true" in caught.value.hint
    assert choose(rule, KUBE, what="w", optional=True) == []
    with pytest.raises(NotFoundError, match="none of 0 tags"):
        choose(TagRule(), [], what="w")


def test_newest_among_tags_that_are_no_versions_fails():
    with pytest.raises(ConfigError, match=r"w: newest: 1 of 7 tags are no versions, such as 'sha256-abc.sig'"):
        choose(TagRule(newest=1), KUBE[1:], what="w", optional=True)


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        (TagRule(regex="("), r"w: regex: '\(' is not a regular expression: missing \)"),
        (TagRule(regex="(?=x)"), "regular expression: invalid perl operator"),
        (TagRule(exclude=("ok", "[")), r"w: exclude: '\[' is not a regular expression"),
        (TagRule(semver="one"), "w: semver: 'one' is not a version constraint"),
        (TagRule(regex="((a{1000}){1000}){1000}"), "invalid repetition size"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_fails(rule, match, capfd):
    with pytest.raises(ConfigError, match=match):
        choose(rule, ["1"], what="w", optional=True)
    assert capfd.readouterr() == ("", "")  # RE2 itself says nothing on stderr


def test_expressions_are_linear_in_time():
    found = compile_regex("(a*)*b", what="w")
    assert not found("a" * 100_000)


@given(
    st.lists(st.text("0123456789.v-abrc", min_size=1, max_size=9)),
    st.sampled_from([None, "1", "^v?[0-9.]+$", "-rc"]),
    st.sampled_from([None, "*", ">=1", "^1.2", ">0.0.0-0"]),
    st.lists(st.sampled_from(["-rc", "a$"]), max_size=1),
)
def test_every_condition_only_takes_away(tags, regex, semver, exclude):
    plain = choose(TagRule(regex=regex), tags, what="w", optional=True)
    chosen = choose(TagRule(regex, semver, None, tuple(exclude)), tags, what="w", optional=True)
    assert set(chosen) <= set(plain) <= set(tags)
    assert chosen == [tag for tag in plain if tag in chosen]
    if semver:
        newest = choose(TagRule(regex, semver, 2, tuple(exclude)), tags, what="w", optional=True)
        assert len(newest) == min(2, len(chosen))
        assert set(newest) <= set(chosen)
