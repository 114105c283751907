"""The reading half: an OCI image layout, whoever made it, as a source of images.

Image-spec 1.1, image-layout.md. Names are looked up in ``index.json``, contents are opened below ``blobs/`` by parsed
digest; nothing is written, and nothing but regular files is read. A :class:`bundler.store.Store` is a layout that can
also be written.

    layout = Layout.open("build/app")
    root = layout.resolve("docker.io/library/nginx:1.27")
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Self

from bundler import content
from bundler.content import Buffer
from bundler.errors import ConfigError, NotFoundError, StoreError, first_of, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import HEX_LENGTHS, Digest, algorithm_of, hasher, hex_of, is_digest
from bundler.oci.manifest import Manifest, parse_manifest, sniff_media_type
from bundler.oci.strict_json import Fields, loads
from bundler.store.directory import AbsentError, Directory, disk
from bundler.store.index import INDEX_CAP, Index, parse_index

MARKER = "oci-layout"
INDEX = "index.json"
BLOBS = "blobs"
VERSION = "1.0.0"
_TICK = 100_000_000  # ns


class Layout:
    """An OCI layout to read from: a :class:`bundler.content.Source`, ``Ranged`` and ``Tagged``. Safe to share among threads."""

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._algorithms: dict[str, Directory] = {}
        self._index: tuple[tuple[int, int, int], Index] | None = None
        self._reading = threading.Lock()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The layout at ``path``; :class:`NotFoundError` if nothing is there, :class:`StoreError` if it is no layout."""
        root = open_directory(str(path))
        check_marker(root)
        return cls(root)

    @property
    def path(self) -> str:
        """Where it lies, as it was given."""
        return self._root.path

    def index(self) -> Index:
        """What ``index.json`` says now; parsed again only when the file has changed."""
        with self._reading:
            found = self._root.stat(INDEX)
            if found is None:
                raise StoreError(f"{self._root.about(INDEX)}: missing, so this is not a whole OCI layout")
            stamp = _stamp(found)
            if self._index is not None and self._index[0] == stamp:
                return self._index[1]
            index = self._read_index()
            # Two files within one tick of the clock can look alike, so a file that young is read again.
            settled = abs(time.time_ns() - found.st_mtime_ns) > _TICK
            self._index = (stamp, index) if settled else None
            return index

    def _wrote_index(self, found: os.stat_result, index: Index) -> None:
        """Remember what this process itself has written: another file like it can't come within the same tick."""
        with self._reading:
            self._index = (_stamp(found), index)

    def _read_index(self) -> Index:
        raw = self._root.read(INDEX, cap=INDEX_CAP)
        if raw is None:
            raise StoreError(f"{self._root.about(INDEX)}: missing, so this is not a whole OCI layout")
        return parse_index(raw, what=self._root.about(INDEX))

    def images(self) -> list[tuple[str, Descriptor]]:
        """Every root with its name, which is empty if nobody named it; sorted by name."""
        return sorted(((entry.name, entry.root) for entry in self.index().entries), key=lambda each: each[0])

    def tags(self) -> Sequence[str]:
        """Every name, sorted."""
        return sorted({name for name, _ in self.images() if name})

    def resolve(self, name: str = "") -> Descriptor:
        """The root called ``name``; or with that digest, given as ``digest``, ``@digest`` or ``name@digest``.

        Without a name, the only image that there is. Raises :class:`NotFoundError` naming what there is, and
        :class:`ConfigError` where several images fit.
        """
        index = self.index()
        if not name:
            roots = {entry.root.key: entry.root for entry in index.entries}
            return self._one(roots, f"{quoted(self.path)}: holds several images, so one must be named", index)
        named = {entry.root.key: entry.root for entry in index.named.get(name, ()) if entry.name == name}
        if not named:
            named = {entry.root.key: entry.root for entry in index.named.get(name, ())}
        digest = name.rpartition("@")[2]
        if not named and is_digest(digest):
            return self._by_digest(Digest(digest), index)
        return self._one(named, f"{quoted(self.path)}: {quoted(name)!r} is the name of several images", index, name)

    def _one(self, roots: dict[tuple[bool, Digest], Descriptor], many: str, index: Index, name: str = "") -> Descriptor:
        if len(roots) > 1:
            raise ConfigError(
                many, hint=f"give one of {_listed(index) if not name else ', '.join(d for _, d in roots)}"
            )
        for root in roots.values():
            return root
        what = f"no image {quoted(name)!r}" if name else "no image at all"
        raise NotFoundError(
            f"{quoted(self.path)}: {what}", hint=f"there are: {_listed(index)}" if index.entries else None
        )

    def _by_digest(self, digest: Digest, index: Index) -> Descriptor:
        for entry in index.entries:
            if entry.root.digest == digest:
                return entry.root
        size = self.size_of(digest)
        if size is None:
            raise NotFoundError(f"{quoted(self.path)}: no image {digest}", hint=f"there are: {_listed(index)}")
        raw = content.read(self, Descriptor("application/octet-stream", digest, size))
        return Descriptor(sniff_media_type(raw, what=digest), digest, size)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified; :class:`StoreError` if they aren't here."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        directory = self._algorithm(algorithm_of(want.digest))
        try:
            if directory is None:
                raise AbsentError
            with closing(directory.chunks(hex_of(want.digest), offset)) as chunks:
                yield from chunks
        except AbsentError:
            raise StoreError(f"{quoted(self.path)}: {want.digest} is not there") from None

    def open_blob(self, digest: Digest) -> FileIO | None:
        """What lies under that name, unverified and open for reading; nothing if nothing does."""
        directory = self._algorithm(algorithm_of(digest))
        try:
            return None if directory is None else directory.reader(hex_of(digest))
        except AbsentError:
            return None

    def manifest(self, want: Descriptor) -> Manifest:
        """A manifest of this layout, verified and parsed."""
        return parse_manifest(content.read(self, want), want.media_type, what=f"{quoted(self.path)}: {want.digest}")

    def size_of(self, digest: Digest) -> int | None:
        """The size in bytes of what lies under that name, unverified; nothing if nothing does."""
        directory = self._algorithm(algorithm_of(digest))
        found = None if directory is None else directory.stat(hex_of(digest))
        return None if found is None else found.st_size

    def blobs(self) -> Iterator[tuple[Digest, int]]:
        """Every blob with its size in bytes, in order. Files whose names are no digests are no blobs."""
        for algorithm in sorted(HEX_LENGTHS):
            directory = self._algorithm(algorithm)
            for name in directory.names() if directory is not None else ():
                found = directory.stat(name) if directory is not None and is_digest(f"{algorithm}:{name}") else None
                if found is not None:
                    yield Digest(f"{algorithm}:{name}"), found.st_size

    def damage(self, digest: Digest) -> str:
        """What is wrong with a blob that is there, found by hashing it; empty if nothing is."""
        state = hasher(algorithm_of(digest))
        count = 0
        try:
            with closing(self.fetch(Descriptor("application/octet-stream", digest, 0))) as chunks:
                for chunk in chunks:
                    state.update(chunk)
                    count += len(chunk)
        except StoreError as error:
            return str(error)
        return "" if state.hexdigest() == hex_of(digest) else f"its {count} bytes hash to {state.hexdigest()}"

    def _algorithm(self, algorithm: str) -> Directory | None:
        known = self._algorithms.get(algorithm)
        if known is None:
            blobs = self._root.sub(BLOBS)
            known = None if blobs is None else blobs.sub(algorithm)
            if known is not None:
                known = self._algorithms.setdefault(algorithm, known)
        return known


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _listed(index: Index) -> str:
    labels = sorted(entry.label for entry in index.entries)
    return first_of(labels)


def open_directory(path: str) -> Directory:
    """The directory that the operator named."""
    if "\0" in path:
        raise ConfigError(f"{quoted(path)}: not a path")
    with disk(f"look at {quoted(path)}"):
        try:
            is_directory = stat.S_ISDIR(Path(path).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{quoted(path)}: no such directory", hint="check the path") from None
    if not is_directory:
        raise ConfigError(f"{quoted(path)}: not a directory", hint="give the directory of an OCI layout")
    return Directory(path)


def check_marker(root: Directory) -> None:
    """Require the ``oci-layout`` file that makes a directory an OCI layout."""
    raw = root.read(MARKER, cap=4096)
    if raw is None:
        raise StoreError(f"{quoted(root.path)}: not an OCI layout, as it has no {MARKER} file", hint="check the path")
    what = root.about(MARKER)
    fields = Fields(loads(raw, what=what, error=StoreError), what=what, error=StoreError)
    if fields.text("imageLayoutVersion") != VERSION:
        raise fields.fail("imageLayoutVersion", f"must be {VERSION}")
