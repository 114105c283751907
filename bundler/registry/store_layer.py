"""A store as a layer: what `pull` fetched is served as it stands.

Nothing is served that was not verified: a blob that nobody vouches for is hashed when it is first asked for, and one that
is not what its name says is put into quarantine and is not there.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from io import FileIO

from bundler.content import Buffer
from bundler.errors import NotFoundError, ReadOnlyError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry.layers import BLOB, Origin
from bundler.registry.names import Named, Names, names_of
from bundler.store import Store


class StoreLayer:
    """A :class:`bundler.registry.layers.Layer` over a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.origin = Origin(store.path)
        self._names: tuple[object, Names] | None = None

    @property
    def damaged(self) -> int:
        """How many blobs are in quarantine."""
        return self.store.quarantined

    def names(self) -> Names:
        """The repositories of this moment."""
        index = self.store.index()  # the same object until the file changes
        known = self._names
        if known is None or known[0] is not index:
            named = (Named(entry.name, entry.root, entry.left_out or frozenset()) for entry in index.entries)
            known = self._names = (index, names_of(named))
        return known[1]

    def named(self, repository: str) -> list[Named]:
        """Every root of a repository."""
        found = self.names().repository(repository)
        return [] if found is None else list(found.named())

    def size_of(self, digest: Digest) -> int | None:
        """The size of a blob that is there and was verified."""
        size = self.store.size_of(digest)
        if size is None:
            return None
        try:
            return size if self.store.has(Descriptor(BLOB, digest, size)) else None
        except ReadOnlyError:  # damaged, on a medium where it can't be moved out of the way
            return None

    def open(self, digest: Digest) -> FileIO:
        """The file of a blob that is there; :class:`NotFoundError` if it no longer is."""
        file = self.store.open_blob(digest)
        if file is None:
            raise NotFoundError(f"{digest} is not there any more")
        return file

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``."""
        return self.store.fetch(want)

    def served(self, digest: Digest, offset: int = 0) -> Generator[bytes, None, None]:
        """The bytes of a blob that is there."""
        with closing(self.store.fetch_from(Descriptor(BLOB, digest, 0), offset)) as chunks:
            for chunk in chunks:
                yield bytes(chunk)
