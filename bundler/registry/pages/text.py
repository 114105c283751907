r"""Sizes, times and digests for people; and what a stranger wrote, made visible.

Escaping for HTML is not done here. What is: characters that draw nothing, or that change how others are drawn (controls,
bidirectional overrides, towers of combining marks), are written as escapes, so that a name can't pose as another.

>>> visible("safe\u202egnp.exe")
'safe\\u202egnp.exe'
>>> size_text(5_400_000)
'5.1 MiB'
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from bundler.errors import quoted
from bundler.oci.digest import Digest

MOST_CHARACTERS = 1000
"""Of one value on a page."""
MOST_MARKS = 2
"""Combining marks upon one character: more than any language needs, and too few to cover the line above."""
SHORT_HEX = 12

_MARKS = ("Mn", "Me")


def visible(text: str, limit: int = MOST_CHARACTERS) -> str:
    """Outside text as it may stand on a page; if it is cut, how long it was is said."""
    shown = quoted(text, limit)
    if not shown.isascii():
        shown = _flattened(shown)
    return f"{shown} ({len(text):,} characters)" if len(text) > limit else shown


def _flattened(text: str) -> str:
    made: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        made.append(character if marks <= MOST_MARKS else character.encode("unicode_escape").decode("ascii"))
    return "".join(made)


def size_text(size: int) -> str:
    """A size in bytes with at most four digits and a unit."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 999.95:  # rounded, that is the last with three digits before the point
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def short_digest(digest: Digest | str) -> str:
    """The algorithm and the first characters, enough to tell two apart."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}:{value[:SHORT_HEX]}"


def moment(when: datetime) -> str:
    """A time to the minute, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def time_text(text: str) -> str:
    """A time as documents have it (RFC 3339), to the minute; as it stands if it is none. Empty for one never set."""
    if text.startswith(("0001-01-01", "0000-")):
        return ""
    try:
        when = datetime.fromisoformat(text[:64])
        return moment(when) if when.tzinfo is not None else visible(text, 64)
    except (ValueError, OverflowError):
        return visible(text, 64)


def counted(number: int, one: str, many: str = "") -> str:
    """``1 tag``, ``2 tags``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
