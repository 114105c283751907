"""The tree of errors: exit codes are an interface, and outside text cannot act on a terminal."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler import errors
from bundler.errors import (
    BundlerError,
    DiskError,
    NotFoundError,
    ReadOnlyError,
    SpaceError,
    disk_error,
    first_of,
    quoted,
)

CODES = {
    "INTERNAL": 1, "CONFIG": 2, "AUTH": 3, "NET": 4, "PROTO": 5, "DIGEST": 6, "LIMIT": 7, "UNSUP": 8, "STORE": 9,
    "LOCK": 10, "SPACE": 11, "IO": 12, "RO": 13, "ARCHIVE": 14, "SIG": 15, "TRUST": 16, "POLICY": 17, "PUSH": 18,
}  # fmt: skip


def tree(root: type[BundlerError]) -> list[type[BundlerError]]:
    return [root, *(below for child in root.__subclasses__() for below in tree(child))]


ALL = [kind for kind in tree(BundlerError) if kind.__module__ == "bundler.errors"]


def test_exit_codes_are_the_documented_ones() -> None:
    assert {kind.label: kind.exit_code for kind in ALL} == CODES


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_docstring_draws_each_class_with_its_code(kind: type[BundlerError]) -> None:
    assert errors.__doc__ is not None
    line = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line.split())
    assert line.split()[line.split().index(kind.__name__) + 1 :][:2] == [str(kind.exit_code), kind.label]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_about_keeps_class_and_hint_and_names_the_side(kind: type[BundlerError]) -> None:
    said = kind("it broke", hint="mend it").about("push to far:5000/app")
    assert type(said) is kind
    assert (str(said), said.hint) == ("push to far:5000/app: it broke", "mend it")


def test_the_hint_is_the_class_s_unless_given() -> None:
    assert NotFoundError("no").hint == NotFoundError.default_hint
    assert NotFoundError("no", hint="").hint == ""


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, SpaceError),
        (errno.EDQUOT, SpaceError),
        (errno.EROFS, ReadOnlyError),
        (errno.EACCES, ReadOnlyError),
        (errno.EPERM, ReadOnlyError),
        (errno.EIO, DiskError),
        (errno.ENOENT, DiskError),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value.__name__,
)
def test_a_failed_system_call_has_its_class(number: int, kind: type[BundlerError]) -> None:
    said = disk_error(OSError(number, os.strerror(number)), "writing /store")
    assert type(said) is kind
    assert str(said) == f"writing /store: {os.strerror(number)}"


def test_a_system_error_without_a_number_keeps_its_words() -> None:
    assert str(disk_error(OSError("odd"), "reading x")) == "reading x: odd"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        pytest.param("plain ä 漢", "plain ä 漢", id="printable-stays"),
        pytest.param("a\x1b[2Jb", "a\\x1b[2Jb", id="escape-sequence"),
        pytest.param("a\nb\rc", "a\\nb\\rc", id="line-breaks"),
        pytest.param("a\u202eb", "a\\u202eb", id="bidi-override"),
        pytest.param("a\u2066b", "a\\u2066b", id="bidi-isolate"),
        pytest.param("a\udc80b", "a\\udc80b", id="lone-surrogate"),
        pytest.param("a\u200bb", "a\\u200bb", id="zero-width"),
        pytest.param("x" * 300, "x" * 200 + "…", id="long"),
    ],
)
def test_quoted(text: str, safe: str) -> None:
    assert quoted(text) == safe


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "0"), (3, "0; 1; 2"), (4, "0; 1; 2 and 1 more"), (9, "0; 1; 2 and 6 more")]
)
def test_first_of(count: int, expected: str) -> None:
    assert first_of([str(n) for n in range(count)], joined="; ", most=3) == expected


@given(st.text())
def test_quoted_is_always_printable_and_bounded(text: str) -> None:
    safe = quoted(text, 20)
    assert safe.isprintable()
    safe.encode()
    assert len(safe) <= 21 * len("\\U00000000")
