"""A signed bundle as a layer: contents straight from its volumes, nothing extracted and nothing copied.

That the statement was verified is what :class:`bundler.bundle.unpack.Volumes` stands for; which digests there are, and
where, is signed with it. Their bytes are not: so a content is hashed whenever all of it is read. The client gets it in the
same pass, but for its last piece, which waits for the digest; if that is wrong the connection breaks, and from then on the
content is not there. Who asks for a part of a content waits until all of it was read, unless that was done before and the
volumes look as they did then.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator
from contextlib import closing
from io import FileIO

from bundler.bundle.unpack import Volumes
from bundler.content import Buffer, read, verified
from bundler.errors import ArchiveError, BundlerError, DigestError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.push.naming import shipments
from bundler.registry.layers import BLOB, Origin
from bundler.registry.names import Named, Names, names_of, split_name

Look = tuple[tuple[int, int, int, int], ...]
"""Of each volume: inode, size in bytes, and when content and inode were changed, in ns."""

_log = logging.getLogger(__name__)


class BundleLayer:
    """A :class:`bundler.registry.layers.Layer` over the volumes of a bundle that was found worthy of trust.

    Without ``full_names`` its images are found where a push would put them, and nowhere else.
    """

    def __init__(self, volumes: Volumes, origin: Origin, *, full_names: bool = True) -> None:
        self.origin = origin
        self._volumes = volumes
        self._sizes = volumes.sizes
        names = names_of(_named(volumes, full_names=full_names))
        self._names = names if full_names else Names(names.exact, {})
        self._lock = threading.Lock()
        self._volumes_of = {
            digest: frozenset(row.volume for row in rows) for digest, rows in volumes.inventory.contents()
        }
        self._sound: dict[Digest, Look] = {}
        self._damaged: set[Digest] = set()

    @property
    def damaged(self) -> int:
        """How many contents were found damaged."""
        return len(self._damaged)

    def names(self) -> Names:
        """Its repositories: each image under its target, and, if that is wanted, under its full name."""
        return self._names

    def size_of(self, digest: Digest) -> int | None:
        """The size of a content of the inventory, unless it is known to be damaged."""
        with self._lock:
            return None if digest in self._damaged else self._sizes.get(digest)

    def open(self, digest: Digest) -> FileIO | None:  # noqa: ARG002 - the interface
        """Nothing: a content lies in a volume, between frames."""
        return None

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified."""
        return self._volumes.fetch(want)

    def served(self, digest: Digest, offset: int = 0) -> Generator[bytes, None, None]:
        """The bytes from ``offset`` on, the last of them only when all are known to be right."""
        size = self._sizes[digest]
        want = Descriptor(BLOB, digest, size)
        if offset:
            if not self._is_sound(digest):
                for _ in self._verified(want):
                    pass
            with closing(self._volumes.fetch_from(want, offset)) as chunks:
                for chunk in chunks:
                    yield bytes(chunk)
            return
        held = b""
        for chunk in self._verified(want):
            if held:
                yield held
            held = bytes(chunk)
        if held:
            yield held

    def _verified(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """All of ``want``; what it turned out to be is remembered."""
        try:
            look = self._look(want.digest)
            with closing(self._volumes.fetch(want)) as chunks:
                yield from verified(want, chunks)
        except (ArchiveError, DigestError) as error:
            with self._lock:
                self._damaged.add(want.digest)
            _log.error("%s: %s is damaged and is not served: %s", quoted(self.origin.label), want.digest, error)
            raise
        with self._lock:
            self._sound[want.digest] = look

    def _is_sound(self, digest: Digest) -> bool:
        try:
            return self._sound.get(digest) == self._look(digest)
        except ArchiveError:
            return False

    def _look(self, digest: Digest) -> Look:
        """What the volumes of a content look like now."""
        look = []
        for number in sorted(self._volumes_of[digest]):
            with self._volumes.opened(number) as (fd, _):
                found = os.fstat(fd)
                look.append((found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        return tuple(look)


def _named(volumes: Volumes, *, full_names: bool) -> Generator[Named, None, None]:
    """Every image where a push would put it, and with ``full_names`` under that too."""
    for shipment in shipments(volumes.statement.images):
        reference = f":{shipment.tag}" if shipment.tag else f"@{shipment.root.digest}"
        left_out = _left_out(volumes, shipment.root, shipment.chosen)
        yield Named(f"{shipment.repository}{reference}", shipment.root, left_out)
    for image in volumes.statement.images if full_names else ():
        chosen = None if image.children is None else frozenset(image.children)
        yield Named(image.name, image.root, _left_out(volumes, image.root, chosen))
        if split := split_name(image.name):
            for attachment in image.attachments:
                reference = f":{attachment.tag}" if attachment.tag else f"@{attachment.root.digest}"
                yield Named(f"{split[0]}{reference}", attachment.root)


def _left_out(volumes: Volumes, root: Descriptor, chosen: frozenset[Digest] | None) -> frozenset[Digest]:
    """The children that a sparse index is carried without: another layer may have them, but not for this image."""
    if chosen is None:
        return frozenset()
    try:
        listed = parse_manifest(read(volumes, root), root.media_type, what=root.digest).manifests
    except BundlerError:  # damaged: it leads nowhere
        return frozenset()
    return frozenset(child.digest for child in listed) - chosen
