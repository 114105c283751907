"""Long lists, by pages of a fixed length; a page that is not there is the nearest that is.

>>> page_of(list("abcde"), "2", length=2)
Page(items=('c', 'd'), number=2, count=3, total=5, first=3)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """``items`` of ``total``, of which the first is number ``first``; this is page ``number`` of ``count``."""

    items: tuple[Item, ...]
    number: int
    count: int
    total: int
    first: int

    @property
    def last(self) -> int:
        """The number of the last item."""
        return self.first + len(self.items) - 1


def page_of(items: Sequence[Item], asked: str, *, length: int) -> Page[Item]:
    """The page that ``asked`` (a number, from a query) means."""
    count = max(1, -(-len(items) // length))
    number = min(max(1, int(asked)), count) if _NUMBER.fullmatch(asked) else 1
    start = (number - 1) * length
    return Page(tuple(items[start : start + length]), number, count, len(items), start + 1)


@dataclass(frozen=True, slots=True)
class First(Generic[Item]):
    """The first of ``total``."""

    items: tuple[Item, ...] = ()
    total: int = 0

    @property
    def more(self) -> int:
        """How many are left out."""
        return self.total - len(self.items)


def first_of(items: Sequence[Item], most: int) -> First[Item]:
    """At most ``most`` of ``items``."""
    return First(tuple(items[:most]), len(items))
