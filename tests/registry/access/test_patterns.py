"""Patterns of repositories."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.registry.access.patterns import compile_patterns, is_pattern

MATCHES = {
    "**": ("a", "a/b", "a/b/c"),
    "*": ("a", "a-b.c"),
    "team/**": ("team", "team/app", "team/app/tools"),
    "library/*": ("library/nginx",),
    "**/cache": ("cache", "a/cache", "a/b/cache"),
    "a/**/z": ("a/z", "a/b/z", "a/b/c/z"),
    "**/x/**": ("x", "a/x", "x/a", "a/x/b"),
    "team/app-*": ("team/app-", "team/app-1"),
    "*-app": ("my-app", "-app"),
    "a*b*c": ("abc", "axbyc", "abbcc"),
    "a.b": ("a.b",),
    "**/**": ("a", "a/b"),
}
MISSES = {
    "*": ("a/b", "", "/"),
    "team/**": ("teams", "teams/app", "x/team/app", "team/", "team//app"),
    "library/*": ("library", "library/nginx/old", "library/"),
    "**/cache": ("cache/x", "a/cachet", "mycache"),
    "a/**/z": ("a", "z", "az", "a/bz"),
    "team/app-*": ("team/app", "team/app-1/x"),
    "a.b": ("axb", "a.b\n", "A.b"),
    "a+": (),
    "**": ("ü", "a\ud800"),
}


@pytest.mark.parametrize(("pattern", "name"), [(p, name) for p, names in MATCHES.items() for name in names])
def test_matches(pattern: str, name: str) -> None:
    assert is_pattern(pattern)
    assert compile_patterns([pattern])(name)


@pytest.mark.parametrize(("pattern", "name"), [(p, name) for p, names in MISSES.items() for name in names])
def test_misses(pattern: str, name: str) -> None:
    assert not compile_patterns([pattern])(name)


def test_any_of_several() -> None:
    matches = compile_patterns(["a", "b/*"])
    assert [matches(name) for name in ("a", "b/c", "a/b", "b", "ab/c")] == [True, True, False, False, False]


REFUSED = ["", "/", "a/", "/a", "a//b", "a**", "**a", "a/b**", "***", "A", "a b", "a:1", "a@b", "a?", "[a]", "(a)", "a\\", "ü", "a\n", "a" * 256]  # fmt: skip


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_is_no_pattern(pattern: str) -> None:
    assert not is_pattern(pattern)


components = st.text("ab.", min_size=1, max_size=4)


@given(st.lists(st.text("ab.*", min_size=1, max_size=4).filter(lambda s: "**" not in s), min_size=1, max_size=3), st.lists(components, min_size=1, max_size=3))  # fmt: skip
def test_stars_within_components_are_those_of_a_shell(pattern: list[str], name: list[str]) -> None:
    expected = len(pattern) == len(name) and all(map(fnmatch.fnmatchcase, name, pattern))
    assert compile_patterns(["/".join(pattern)])("/".join(name)) is expected


def test_time_is_linear() -> None:
    matches = compile_patterns(["a*" * 100 + "b", "/".join(["**", "a"] * 50)])
    start = time.process_time()
    assert not matches("a" * 255)
    assert not matches("/".join("a" * 127) + "c")
    assert time.process_time() - start < 2
