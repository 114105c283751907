"""The first page: the repositories that a visitor may pull, and what this registry serves them from.

overview(contents, origins, may=lambda repository: True, query="web", asked="1")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bundler.registry.layers import Origin
from bundler.registry.names import is_repository
from bundler.registry.pages.address import repository_path
from bundler.registry.pages.paging import Page, page_of
from bundler.registry.pages.reading import Shown
from bundler.registry.pages.text import moment

LENGTH = 100
"""Repositories on one page."""
MOST_QUERY = 64
"""Characters that are searched for: even if each is 12 in an address, no address is cut."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where contents lie, for people. ``label`` is empty if the visitor is not to know the path."""

    kind: str
    name: str
    label: str = ""
    channel: str = ""
    serial: int = 0
    issued: str = ""
    signers: tuple[str, ...] = ()
    signed: bool = False

    @property
    def is_bundle(self) -> bool:
        """Whether it has a serial, a channel and perhaps signers."""
        return self.kind == "bundle"


@dataclass(frozen=True, slots=True)
class Row:
    """One repository."""

    name: str
    href: str
    tags: int


@dataclass(frozen=True, slots=True)
class Overview:
    """``found`` repositories match ``query``, of ``total``."""

    page: Page[Row]
    query: str
    total: int
    places: tuple[Place, ...]


def overview(
    contents: Shown, origins: Sequence[Origin], *, may: Callable[[str], bool], query: str, asked: str, paths: bool
) -> Overview:
    """What ``may`` be pulled and has all words of ``query`` in its name; the page ``asked`` for.

    ``paths`` says whether the visitor is to see where on the server's disks things lie.
    """
    query = query[:MOST_QUERY].strip()
    words = query.casefold().split()
    names = [name for name in contents.repositories() if is_repository(name) and may(name)]
    chosen = [name for name in names if all(word in name for word in words)]
    page = page_of(chosen, asked, length=LENGTH)
    rows = tuple(Row(name, repository_path(name), len(contents.tags(name) or ())) for name in page.items)
    places = tuple(place_of(origin, paths=paths) for origin in origins)
    return Overview(Page(rows, page.number, page.count, page.total, page.first), query, len(names), places)


def place_of(origin: Origin, *, paths: bool) -> Place:
    """An origin for people."""
    label = origin.label if paths else ""
    if not origin.bundle_id:
        return Place("store", "store", label)
    return Place(
        "bundle",
        origin.name,
        label,
        origin.channel,
        origin.serial,
        "" if origin.issued is None else moment(origin.issued),
        origin.signers,
        origin.signed,
    )
