"""What an image needs: the walk from a root to its blobs, and what of it isn't there.

An index may be carried sparsely. Which of its children were left out is settled when it is tagged: those that aren't
wholly there then. Later such a child is no part of the image, and any other that is gone is missing. For an index that
another tool entered nothing is known, so there an absent child counts as left out. A config or a layer of a manifest
that is there is never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from bundler.errors import LimitError, StoreError, quoted
from bundler.graph import weight
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.store.index import Entry
from bundler.store.layout import Layout

DEEPEST = 8
"""How many indexes may be nested in one another."""

REMEMBERED = 48 << 20
"""Bytes of memory for the children of manifests that were read; others are read again when they are asked for again."""

Present = Callable[[Descriptor], bool]
Children = Callable[[Descriptor], tuple[Descriptor, ...]]


@dataclass(frozen=True, slots=True)
class Need:
    """One content that an image needs. ``parent`` is the manifest that lists it, nothing for the root."""

    want: Descriptor
    present: bool
    parent: Digest | None


def left_out(root: Descriptor, *, present: Present, children: Children) -> frozenset[Digest]:
    """The children of indexes that aren't wholly there; :class:`StoreError` if ``root`` itself isn't."""
    left: set[Digest] = set()
    # Remembered, as nested indexes that list one child many times would be walked for days.
    known: dict[tuple[bool, Digest], Descriptor | None] = {}

    def lacking(want: Descriptor, depth: int) -> Descriptor | None:
        if want.key not in known:
            known[want.key] = looked(want, depth)
        return known[want.key]

    def looked(want: Descriptor, depth: int) -> Descriptor | None:
        if depth > DEEPEST:
            raise LimitError(f"{want.digest}: indexes nested more than {DEEPEST} deep")
        if not present(want):
            return want
        if not want.is_manifest:
            return None
        for child in children(want):
            if is_index(want):
                if lacking(child, depth + 1) is not None:
                    left.add(child.digest)
            elif not present(child):
                return child
        return None

    missing = lacking(root, 0)
    if missing is not None:
        raise StoreError(
            f"{root.digest} can't be named, as its {quoted(missing.media_type)} {missing.digest} is not in the store",
            hint="pull the image again",
        )
    return frozenset(left)


def needs(entry: Entry, *, present: Present, children: Children) -> Generator[Need, None, None]:
    """Everything that ``entry`` needs, each once, parents first."""
    stack: list[tuple[Descriptor, Digest | None, bool]] = [(entry.root, None, False)]
    seen = set()
    while stack:
        want, parent, optional = stack.pop()
        if want.key in seen or (optional and entry.left_out is not None and want.digest in entry.left_out):
            continue
        there = present(want)
        if not there and optional and entry.left_out is None:
            continue
        seen.add(want.key)
        yield Need(want, there, parent)
        if there and want.is_manifest:
            stack.extend((child, want.digest, is_index(want)) for child in reversed(children(want)))


def is_index(want: Descriptor) -> bool:
    """Whether the children of ``want`` may be left out."""
    from bundler.oci import mediatype

    return mediatype.is_index(want.media_type)


def remembering(layout: Layout) -> Children:
    """The children of manifests in ``layout``, each read once as long as there is room to remember them."""
    room = REMEMBERED
    known: dict[tuple[str, Digest], tuple[Descriptor, ...]] = {}

    def children(want: Descriptor) -> tuple[Descriptor, ...]:
        nonlocal room
        key = (want.media_type, want.digest)
        found = known.get(key)
        if found is None:
            manifest = layout.manifest(want)
            found = manifest.children()
            size = weight(b"", manifest)
            if size <= room:
                room -= size
                known[key] = found
        return found

    return children
