"""Is the store sound, and what takes its room: nothing is believed, every blob is hashed again.

bad        bytes that are not what their name says, or a manifest that can't be read
missing    needed by an image and not there
orphans    not needed by any image; gc removes them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from bundler.errors import BundlerError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.store.closure import Need, needs, remembering
from bundler.store.index import Entry
from bundler.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Bad:
    """A blob that isn't what it should be."""

    digest: Digest
    problem: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A content that ``image`` (a name, or a digest where there is none) needs, and that isn't there or is bad."""

    image: str
    want: Descriptor


@dataclass(frozen=True, slots=True)
class Check:
    """What was found. ``size`` is of all blobs, in bytes."""

    blobs: int
    size: int
    images: int
    bad: tuple[Bad, ...]
    unreadable: tuple[Bad, ...]
    missing: tuple[Missing, ...]
    orphans: tuple[tuple[Digest, int], ...]

    @property
    def sound(self) -> bool:
        """Whether every blob is what its name says and every image is complete. Orphans do no harm."""
        return not self.bad and not self.unreadable and not self.missing


@dataclass(frozen=True, slots=True)
class Usage:
    """An image's room in bytes: all that it needs, and what no other image needs. ``missing`` counts what isn't there."""

    name: str
    root: Descriptor
    size: int
    unique: int
    missing: int


def check(layout: Layout, *, executor: Executor | None = None) -> Check:
    """Hash every blob, at once as far as ``executor`` is wide, then walk from every image."""
    found = list(layout.blobs())
    digests = [digest for digest, _ in found]
    damages = executor.map(layout.damage, digests) if executor is not None else map(layout.damage, digests)
    bad = {digest: problem for digest, problem in zip(digests, damages, strict=True) if problem}
    sound = set(digests) - bad.keys()
    missing: list[Missing] = []
    reached: set[Digest] = set()
    entries = layout.index().entries
    unreadable: dict[Digest, str] = {}
    for entry, wanted in _walks(layout, entries, sound, unreadable):
        for need in wanted:
            reached.add(need.want.digest)
            if not need.present:
                missing.append(Missing(entry.label, need.want))
    orphans = tuple((digest, size) for digest, size in found if digest not in reached)
    return Check(
        blobs=len(found),
        size=sum(size for _, size in found),
        images=len(entries),
        bad=tuple(Bad(digest, problem) for digest, problem in bad.items()),
        unreadable=tuple(Bad(digest, problem) for digest, problem in unreadable.items()),
        missing=tuple(missing),
        orphans=orphans,
    )


def usage(layout: Layout) -> list[Usage]:
    """How much room each image takes, and how much of it alone. Nothing is hashed but manifests."""
    sizes = dict(layout.blobs())
    walks = [
        (entry, {need.want.digest for need in found})
        for entry, found in _walks(layout, layout.index().entries, sizes, {})
    ]
    sharing = Counter(digest for _, wanted in walks for digest in wanted)
    return [
        Usage(
            name=entry.name,
            root=entry.root,
            size=sum(sizes.get(digest, 0) for digest in wanted),
            unique=sum(sizes.get(digest, 0) for digest in wanted if sharing[digest] == 1),
            missing=sum(digest not in sizes for digest in wanted),
        )
        for entry, wanted in walks
    ]


def _walks(
    layout: Layout, entries: Iterable[Entry], there: Iterable[Digest], unreadable: dict[Digest, str]
) -> Iterable[tuple[Entry, list[Need]]]:
    """Every entry with what it needs; a manifest that can't be read goes into ``unreadable`` and has no children."""
    read = remembering(layout)
    known = frozenset(there)

    def children(want: Descriptor) -> tuple[Descriptor, ...]:
        try:
            return read(want)
        except BundlerError as error:
            unreadable.setdefault(want.digest, str(error))
            return ()

    for entry in entries:
        yield entry, list(needs(entry, present=lambda want: want.digest in known, children=children))
