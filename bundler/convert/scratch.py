"""Where converted contents wait until they are carried on."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol

from bundler.content import Buffer
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest


class Scratch(Protocol):
    """Keeps contents whose digests are known only once they are whole. Shared by threads."""

    def keep(self, chunks: Iterable[Buffer]) -> tuple[Digest, int]:
        """Take a content; its SHA-256 digest and its size in bytes."""
        ...

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of what was kept."""
        ...

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether it was kept here."""
        ...
