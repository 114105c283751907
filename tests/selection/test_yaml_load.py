"""Bounds and errors of the YAML loader."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import BundlerError, ConfigError, LimitError
from bundler.selection.yaml_load import MAX_DEPTH, SIZE_CAP, load_yaml


@pytest.fixture(params=["libyaml", "pure"])
def load(request, monkeypatch):
    """The loader, with and without libyaml."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML without libyaml")
    return lambda raw: load_yaml(raw, "f.yaml")


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        pytest.param(b"", "f.yaml: is empty", id="empty"),
        pytest.param(b"# nothing\n", "f.yaml: is empty", id="only a comment"),
        pytest.param(b"a: \xff", "f.yaml: not UTF-8 at byte 3", id="not UTF-8"),
        pytest.param("a: b".encode("utf-16"), "f.yaml: not UTF-8", id="UTF-16"),
        pytest.param(b"a: b\n---\nc: d\n", "f.yaml:2: a second document", id="two documents"),
        pytest.param(b"a: b\nc: d: e\n", "f.yaml:2: not YAML: .*mapping values", id="colon in a value"),
        pytest.param(b"a: [b\nc: d\n", "f.yaml:[23]: not YAML", id="open bracket"),
        pytest.param(b"a:\n\t- b\n", "f.yaml:2: not YAML", id="tab"),
        pytest.param(b"a: *nobody\n", "f.yaml:1: not YAML: found undefined alias", id="undefined alias"),
        pytest.param(b"a: &x b\nc: &x d\n", "f.yaml:2: not YAML: found duplicate anchor", id="an anchor given twice"),
        pytest.param(b"a: \x01\n", "f.yaml: not YAML", id="control character"),
    ],
)  # fmt: skip
def test_defects(load, raw, match):
    with pytest.raises(ConfigError, match=match):
        load(raw)


def test_a_byte_order_mark_is_taken_off(load):
    assert load(b"\xef\xbb\xbfa: b").entries()["a"].text() == "b"


def test_size(load):
    with pytest.raises(LimitError, match="more than the 1048576 allowed"):
        load(b"#" * (SIZE_CAP + 1))


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b"{a: ", b"}")])
def test_depth(load, open_, close):
    load(open_ * MAX_DEPTH + b"x" + close * MAX_DEPTH)
    with pytest.raises(LimitError, match=r"f.yaml:1: nested more than 32 deep"):
        load(open_ * (MAX_DEPTH + 1) + b"x" + close * (MAX_DEPTH + 1))


def test_hundreds_of_thousands_of_brackets_are_refused_at_once(load):
    with pytest.raises(LimitError):
        load(b"[" * 500_000)


def test_a_billion_laughs(load):
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    start = time.monotonic()
    with pytest.raises(LimitError, match="more than 100000 values once aliases are expanded"):
        load("\n".join(lines).encode())
    assert time.monotonic() - start < 5


def test_depth_through_aliases(load):
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(LimitError, match="nested more than 32 deep"):
        load("\n".join(lines).encode())


def test_an_anchor_within_itself(load):
    with pytest.raises(BundlerError):
        load(b"a: &a [*a]")


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@`\n \t~<=?0", max_size=60))
def test_never_more_than_our_own_errors(text):
    try:
        value = load_yaml(text.encode(), "f.yaml")
    except BundlerError:
        return
    assert value.line >= 1
