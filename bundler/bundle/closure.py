"""Whether every image is whole: all that its manifests list is in the bundle, or assumed to be at the far side.

A pure walk from the statement's roots. What a differential bundle assumes is not looked into: the far side was given it,
with everything below it, by the bundle before. Of a sparse index only the children that the statement lists are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bundler.bundle.statement import CarriedImage, Statement
from bundler.errors import ArchiveError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest

Read = Callable[[Descriptor], bytes]
"""Gives the verified bytes of a manifest."""


@dataclass(frozen=True, slots=True)
class Missing:
    """``image`` needs ``want``, which ``parent`` lists (or the statement, if that is None), and it is not there."""

    image: str
    want: Descriptor
    parent: Digest | None

    def __str__(self) -> str:
        whose = "the statement" if self.parent is None else self.parent
        return f"{quoted(self.image)}: {self.want.digest} ({self.want.size} bytes), listed by {whose}, is missing"


def missing(
    statement: Statement, *, sizes: Mapping[Digest, int], read: Read, seen_manifests: set[Digest] | None = None
) -> Iterator[Missing]:
    """Whatever the images need and neither the bundle holds nor the far side is assumed to; nothing if all are whole.

    ``sizes`` gives the length of each content in the bundle: one of another length than listed is not the one listed.
    All manifests that were looked into are added to ``seen_manifests``.
    Raises what ``read`` raises and :class:`bundler.errors.ProtocolError` for a malformed manifest.
    """
    manifests: dict[Descriptor, Manifest] = {}
    assumed = frozenset(statement.assumes)

    def children(want: Descriptor) -> tuple[Descriptor, ...]:
        if want not in manifests:
            manifests[want] = parse_manifest(read(want), want.media_type, what=str(want.digest))
        return manifests[want].children()

    for image in statement.images:
        stack: list[tuple[Descriptor, Digest | None]] = [(image.root, None)]
        stack += [(attachment.root, None) for attachment in image.attachments]
        seen: set[Descriptor] = set()
        while stack:
            want, parent = stack.pop()
            if want in seen or want.digest in assumed:
                continue
            seen.add(want)
            if sizes.get(want.digest) != want.size:
                yield Missing(image.name, want, parent)
            elif want.is_manifest:
                if seen_manifests is not None:
                    seen_manifests.add(want.digest)
                below = children(want)
                if want is image.root:
                    below = _carried(image, below)
                stack += [(child, want.digest) for child in reversed(below)]


def _carried(image: CarriedImage, listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    if image.children is None:
        return listed
    chosen = set(image.children)
    if unknown := chosen - {child.digest for child in listed}:
        raise ArchiveError(f"{quoted(image.name)}: the statement lists child {min(unknown)}, which its index does not")
    return tuple(child for child in listed if child.digest in chosen)
