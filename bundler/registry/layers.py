"""What the registry serves from: layers of contents with names, each a store or a bundle.

    Layer ── StoreLayer    store_layer.py    a file per blob, which the server can send as it stands; may be written
         └── BundleLayer   bundle_layer.py   the volumes of a signed bundle, as they came off the truck

Several are served as one: what the first has not is looked for in the next, so that a bundle that builds on another needs
only that one behind it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from typing import Protocol

from bundler.content import Buffer
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry.names import Names

BLOB = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a content lies: the store's path or the bundle's directory, as the operator gave it.

    The rest is empty for a store. ``signers`` are the ids of the keys that were counted; none if not ``signed``.
    """

    label: str
    bundle_id: str = ""
    name: str = ""
    channel: str = ""
    serial: int = 0
    issued: datetime | None = None
    signers: tuple[str, ...] = ()
    signed: bool = False


class Layer(Protocol):
    """One pool of contents. Everything here may block on the disk."""

    @property
    def origin(self) -> Origin:
        """What it is."""
        ...

    @property
    def damaged(self) -> int:
        """How many contents were found not to be what their digests say."""
        ...

    def names(self) -> Names:
        """The repositories of this moment: the same object until they change."""
        ...

    def size_of(self, digest: Digest) -> int | None:
        """The size in bytes of a content that is there and not known to be damaged."""
        ...

    def open(self, digest: Digest) -> FileIO | None:
        """A file that holds exactly this content and was verified, open for reading; nothing if the layer keeps no files.

        Raises :class:`bundler.errors.NotFoundError` for one that has just gone.
        """
        ...

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified (:class:`bundler.content.Source`)."""
        ...

    def served(self, digest: Digest, offset: int = 0) -> Generator[bytes, None, None]:
        """The bytes from ``offset`` on for a client, who never gets the last of them if they are not the right ones.

        Raises :class:`bundler.errors.DigestError` then, and what reading raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class Blob:
    """A content as it can be sent: from its file if it has one, else by :meth:`chunks`."""

    digest: Digest
    size: int
    layer: Layer

    def open(self) -> FileIO | None:
        """A file that holds this content and nothing else, open for reading."""
        return self.layer.open(self.digest)

    def chunks(self, offset: int = 0) -> Generator[bytes, None, None]:
        """The bytes from ``offset`` on, verified at the latest before the last of them."""
        return self.layer.served(self.digest, offset)

    def part(self, wanted: range) -> Generator[bytes, None, None]:
        """The bytes of ``wanted`` and perhaps more, all verified first if what is wanted is not the whole."""
        if wanted.start == 0 and wanted.stop < self.size:  # who goes on from later is made to wait anyhow
            for _ in self.layer.served(self.digest, self.size):
                pass
        yield from self.chunks(wanted.start)
