"""Semantic version constraints with the meaning they have in skopeo's ``images-by-semver``.

That meaning is the one of the Go library Masterminds/semver v3, which differs from npm's: a space or a comma means and,
``||`` means or, versions may be partial and carry a ``v``, and a pre-release matches only if some version of the same and
group has a pre-release part.

    ^1.2 || >=3, <3.5     ~1.2.3     1.2.x     1.2 - 1.4     >=1.0.0-0     !=1.2     *

One thing is stricter: an operator other than ``=``, ``~`` or ``>=`` before ``*`` is refused. There the library's answer
and its own description disagree (``^*`` matches only 0.0.0).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    from semantic_version import Version

MAX_LENGTH = 512
MAX_GROUPS = 32
_MAX_NUMBER = (1 << 64) - 1

_SUFFIXES = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_SUFFIXES}")
_PARTIAL = rf"v?([0-9]+|[xX*])(?:\.([0-9]+|[xX*]))?(?:\.([0-9]+|[xX*]))?{_SUFFIXES}"
_HYPHEN = re.compile(rf"({_PARTIAL})\s+-\s+({_PARTIAL})", re.ASCII)
# The library takes a bar that touches a range for a part of the version, with odd results.
_TOUCHING = re.compile(rf"\|[0-9xX*]\S*\s+-\s|\s-\s+{_PARTIAL}\|\|[0-9xX*]", re.ASCII)
_COMPARATOR = re.compile(rf"(!=|>=|=>|<=|=<|~>|=|>|<|~|\^|)\s*{_PARTIAL}(?=[\s,]|$)", re.ASCII)
_SEPARATOR = re.compile(r"\s*,\s*|\s+", re.ASCII)
_SYNONYMS = {"=>": ">=", "=<": "<=", "~>": "~", "": "="}


def parse_version(text: str) -> Version | None:
    """``text`` as a version, or ``None``: ``1``, ``v1.2`` and ``1.2.3-rc.1+build`` are, ``latest`` and ``1.2.3.4`` not."""
    match = _VERSION.fullmatch(text)
    return _version(match[1], match[2], match[3], match[4]) if match else None


def _version(major: str, minor: str | None, patch: str | None, suffix: str | None) -> Version | None:
    from semantic_version import Version

    numbers = [int(part or 0) for part in (major, minor, patch)]
    parts = (suffix or "").split(".") if suffix else []
    if max(numbers) > _MAX_NUMBER or any(part.isdigit() and part != "0" and part.startswith("0") for part in parts):
        return None
    return Version(major=numbers[0], minor=numbers[1], patch=numbers[2], prerelease=tuple(parts))


@dataclass(frozen=True, slots=True)
class _Comparator:
    """One comparison. ``given`` counts the numbers before the first left out or wildcard one: 0 for ``*``, 3 for 1.2.3."""

    operator: str
    version: Version
    given: int

    def check(self, version: Version) -> bool:
        return _OPERATORS[self.operator](version, self.version, self.given)


def _core(version: Version) -> tuple[int, int, int]:
    return (version.major, version.minor, version.patch)


def _equal(v: Version, c: Version, given: int) -> bool:
    return bool(v == c) if given == 3 else _tilde(v, c, given)


def _unequal(v: Version, c: Version, given: int) -> bool:
    if given == 3:
        return bool(v != c)
    if _core(v)[:given] != _core(c)[:given]:
        return True
    return given == 2 and v.prerelease != c.prerelease


def _greater(v: Version, c: Version, given: int) -> bool:
    return bool(v > c) if given == 3 else _core(v)[:given] > _core(c)[:given]


def _at_most(v: Version, c: Version, given: int) -> bool:
    return bool(v <= c) if given == 3 else _core(v)[:given] <= _core(c)[:given]


def _tilde(v: Version, c: Version, given: int) -> bool:
    if v < c:
        return False
    if given in (0, 3) and _core(c) == (0, 0, 0):
        return True
    return v.major == c.major and (given == 1 or v.minor == c.minor)


def _caret(v: Version, c: Version, given: int) -> bool:
    if v < c or v.major != c.major:
        return False
    if c.major > 0 or given == 1:
        return True
    if c.minor > 0 or given == 2:
        return bool(v.minor == c.minor)
    return _core(v) == _core(c)


_OPERATORS: dict[str, Callable[[Version, Version, int], bool]] = {
    "=": _equal,
    "!=": _unequal,
    ">": _greater,
    "<": lambda v, c, _: bool(v < c),
    ">=": lambda v, c, _: bool(v >= c),
    "<=": _at_most,
    "~": _tilde,
    "^": _caret,
}


@dataclass(frozen=True, slots=True)
class Constraint:
    """Groups joined by or; each is comparators joined by and."""

    groups: tuple[tuple[_Comparator, ...], ...]

    @property
    def wants_prereleases(self) -> bool:
        """Whether some version in it has a pre-release part."""
        return any(comparator.version.prerelease for group in self.groups for comparator in group)

    def check(self, version: Version) -> bool:
        """Whether ``version`` is one of those meant."""
        return any(
            (not version.prerelease or any(comparator.version.prerelease for comparator in group))
            and all(comparator.check(version) for comparator in group)
            for group in self.groups
        )


def parse_constraint(text: str, *, what: str) -> Constraint:
    """A constraint, or :class:`ConfigError` saying which part of it is wrong."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"{what}: a version constraint has at most {MAX_LENGTH} characters, not {len(text)}")
    if _TOUCHING.search(text):
        raise ConfigError(f"{what}: {quoted(text)!r} has || right beside a range", hint="write spaces around it")
    groups = _HYPHEN.sub(lambda m: f">= {m[1]}, <= {m[6]} ", text).split("||")
    if len(groups) > MAX_GROUPS:
        raise ConfigError(f"{what}: a version constraint has at most {MAX_GROUPS} alternatives, not {len(groups)}")
    return Constraint(tuple(_group(group.strip(), text, what) for group in groups))


def _group(group: str, text: str, what: str) -> tuple[_Comparator, ...]:
    comparators = []
    position = 0
    while True:
        match = _COMPARATOR.match(group, position)
        if match is None:
            rest = quoted(group[position:]) or "nothing"
            raise ConfigError(
                f"{what}: {quoted(text)!r} is not a version constraint, from {rest!r} on",
                hint="write it like '>=1.2 <2', '^1.4', '~1.4.2', '1.4.x' or '1.2 - 1.4 || >=2'",
            )
        comparators.append(_comparator(match, what))
        position = match.end()
        if position == len(group):
            return tuple(comparators)
        separator = _SEPARATOR.match(group, position)
        assert separator is not None  # the comparator ends before one
        position = separator.end()


def _comparator(match: re.Match[str], what: str) -> _Comparator:
    operator = _SYNONYMS.get(match[1], match[1])
    numbers = [part if part and part.isdigit() else None for part in match.group(2, 3, 4)]
    given = next((n for n, part in enumerate(numbers) if part is None), 3)
    numbers[given:] = [None] * (3 - given)
    if given == 0 and operator not in ("=", "~", ">="):
        raise ConfigError(f"{what}: {match[0]!r} says nothing", hint="write `*` alone for every released version")
    version = _version(numbers[0] or "0", numbers[1], numbers[2], match[5])
    if version is None:
        raise ConfigError(f"{what}: {quoted(match[0])!r} is not a semantic version")
    return _Comparator(operator, version, given)
