"""The store as a registry sees it: tags by repository, manifests and blobs by digest.

A store is one pool of contents, and a registry over it has no access control; so a digest is looked up in the whole
store, whatever repository it is asked for in. Only tags belong to a repository. A manifest that was pushed by digest
alone has no name: it stays until somebody collects garbage.

A manifest is taken only if all that it needs is here. A manifest says its own media type (one whose own word, or
shape, is not its Content-Type is refused), so asking by digest gives the type that was pushed.
"""

from __future__ import annotations

from pathlib import Path

from bundler.content import read
from bundler.errors import LimitError, ProtocolError, ReadOnlyError, UnsupportedError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, hex_of
from bundler.oci.manifest import Manifest, parse_manifest, sniff_media_type
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.registry.failure import Failure
from bundler.registry.names import Names, names_of
from bundler.registry.uploads import Upload
from bundler.store import Store

BLOB = "application/octet-stream"
MOST_CONTENTS = 100_000


class Contents:
    """What the routes ask for. Every method blocks on the disk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: tuple[object, Names] | None = None

    def names(self) -> Names:
        """The repositories and tags of this moment."""
        index = self._store.index()  # the same object until the file changes
        known = self._names
        if known is None or known[0] is not index:
            known = self._names = (index, names_of((entry.name, entry.root) for entry in index.entries))
        return known[1]

    def path(self, digest: Digest) -> Path:
        """Where a blob lies if it is there."""
        return Path(self._store.path, "blobs", algorithm_of(digest), hex_of(digest))

    def blob(self, digest: Digest) -> Descriptor | None:
        """A content, manifest or not, as a blob of its size; ``None`` if it is not there or is damaged."""
        size = self._store.size_of(digest)
        if size is None:
            return None
        found = Descriptor(BLOB, digest, size)
        try:
            return found if self._store.has(found) else None
        except ReadOnlyError:  # damaged, on a medium where it can't be moved out of the way
            return None

    def commit(self, upload: Upload, digest: Digest) -> None:
        """Make what arrived the blob ``digest``; :class:`bundler.errors.DigestError` if it is something else."""
        upload.check(digest)
        want = Descriptor(BLOB, digest, upload.offset)
        if not self._store.has(want):
            self._store.commit(want, upload.file)

    def tagged(self, repository: str, tag: str) -> tuple[Descriptor, bytes] | None:
        """The manifest that a tag stands for, with its bytes."""
        root = self.names().find(repository, tag)
        return None if root is None else (root, read(self._store, root))

    def manifest(self, digest: Digest) -> tuple[Descriptor, bytes] | None:
        """A manifest by digest, with its bytes; ``None`` also if the digest is a blob's."""
        found = self.blob(digest)
        if found is None or found.size > MANIFEST_CAP:
            return None
        raw = read(self._store, found)
        try:
            media_type = sniff_media_type(raw, what=digest)
            parse_manifest(raw, media_type, what=digest)
        except (ProtocolError, UnsupportedError, LimitError):
            return None
        return Descriptor(media_type, digest, found.size), raw

    def put(self, raw: bytes, media_type: str, *, algorithm: str = "sha256", name: str = "") -> Digest:
        """Store a manifest, and let ``name`` stand for it if given.

        Raises :class:`Failure` 400 for one that can't be taken as ``media_type``, or that needs what is not here.
        """
        what = quoted(name) or "the manifest"
        try:
            said = sniff_media_type(raw, what=what)
            if said != media_type:
                raise ProtocolError(f"{what}: reads as {quoted(said)!r} and came as {quoted(media_type)!r}")
            absent = self._absent(parse_manifest(raw, media_type, what=what))
        except LimitError as error:
            raise Failure(413, "MANIFEST_INVALID", str(error)) from error
        except (ProtocolError, UnsupportedError) as error:
            raise Failure(400, "MANIFEST_INVALID", str(error)) from error
        if absent:
            raise Failure(
                400,
                "MANIFEST_BLOB_UNKNOWN",
                f"{what}: {len(absent)} of the contents it needs are not here, or not of the size it says",
                detail=[{"digest": digest} for digest in absent],
            )
        root = Descriptor(media_type, digest_of(raw, algorithm), len(raw))
        if not self._store.has(root):
            self._store.push(root, [raw])
        if name:
            self._store.tag(name, root)
        self._store.flush()
        return root.digest

    def _absent(self, manifest: Manifest) -> list[Digest]:
        """What a manifest needs, down to the last layer, and is not here."""
        absent: dict[Digest, None] = {}
        seen: set[tuple[bool, Digest]] = set()
        stack = list(reversed(manifest.children()))
        while stack:
            want = stack.pop()
            if want.key in seen:
                continue
            seen.add(want.key)
            if len(seen) > MOST_CONTENTS:
                raise LimitError(f"more than {MOST_CONTENTS} contents in one image")
            if not self._store.has(want):
                absent[want.digest] = None
            elif want.is_manifest:
                stack.extend(reversed(self._store.manifest(want).children()))
        return list(absent)
