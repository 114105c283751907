"""``oci-archive:path[:name]``: an OCI image layout in a tar file, which is neither extracted nor written twice.

Image-spec 1.1, image-layout.md. A layout's archive holds ``oci-layout``, ``index.json`` and the blobs, in any order.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bundler.content import Buffer
from bundler.errors import ArchiveError, ConfigError, LimitError, NotFoundError, StoreError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import HEX_LENGTHS, Digest, algorithm_of, hex_of, is_digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.oci.strict_json import MANIFEST_CAP, canonical
from bundler.store.directory import disk
from bundler.store.index import INDEX_CAP, Index, entry, parse_index, unnamed
from bundler.store.layout import BLOBS, INDEX, MARKER, VERSION, Layout
from bundler.transports import oci
from bundler.transports.tarball import NewTarball, Tarball, new_tarball

_AGAIN = "the archive is incomplete: save the image again, or copy the archive again"


def split(rest: str) -> tuple[str, str]:
    """``(path, name)``, divided as after ``oci:``."""
    return oci.split(rest)


class ArchivedLayout(Layout):
    """A layout that is read from an archive."""

    def __init__(self, tarball: Tarball) -> None:
        self._tarball = tarball
        raw = tarball.read(INDEX, cap=INDEX_CAP)
        if raw is None or tarball.find(MARKER) is None:
            missing = INDEX if raw is None else MARKER
            raise ArchiveError(
                f"{quoted(tarball.path)}: has no {missing}, so it is not the archive of an OCI layout",
                hint="for what `docker save` writes, give docker-archive:",
            )
        self._parsed = parse_index(raw, what=f"{quoted(tarball.path)}: {INDEX}")

    @property
    def path(self) -> str:
        """Where the archive lies."""
        return self._tarball.path

    def index(self) -> Index:
        """What its ``index.json`` says."""
        return self._parsed

    def close(self) -> None:
        """Let go of the file."""
        self._tarball.close()

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on; :class:`StoreError` if they aren't here."""
        member = self._tarball.find(_name(want.digest))
        if member is None:
            raise StoreError(f"{quoted(self.path)}: {want.digest} is not there", hint=_AGAIN)
        yield from self._tarball.chunks(member, offset)

    def size_of(self, digest: Digest) -> int | None:
        """The size in bytes of what lies under that name, unverified; nothing if nothing does."""
        member = self._tarball.find(_name(digest))
        return None if member is None else member.size

    def blobs(self) -> Iterator[tuple[Digest, int]]:
        """Every blob with its size in bytes, in order."""
        for name in sorted(self._tarball.names()):
            start, _, hexadecimal = name.rpartition("/")
            digest = f"{start.removeprefix(f'{BLOBS}/')}:{hexadecimal}"
            if start in {f"{BLOBS}/{algorithm}" for algorithm in HEX_LENGTHS} and is_digest(digest):
                size = self.size_of(Digest(digest))
                if size is not None:
                    yield Digest(digest), size


def _name(digest: Digest) -> str:
    return f"{BLOBS}/{algorithm_of(digest)}/{hex_of(digest)}"


def open_source(place: str, *, tmp: Path | None = None) -> ArchivedLayout:
    """The archive at a path. Raises :class:`NotFoundError` and :class:`ArchiveError`."""
    tarball = Tarball.open(place, tmp=tmp)
    try:
        return ArchivedLayout(tarball)
    except BaseException:
        tarball.close()
        raise


class NewLayoutArchive:
    """An archive being written: blobs as they come, ``index.json`` at the end. Safe to share among threads."""

    def __init__(self, file: NewTarball) -> None:
        self._file = file
        self._sizes: dict[Digest, int] = {}
        self._listed: dict[Digest, frozenset[Digest]] = {}
        self._index = Index.new()
        self._writing = threading.RLock()

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` was written already."""
        return self._sizes.get(want.digest) == want.size

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Append ``want``."""
        if is_index(want.media_type):
            if want.size > MANIFEST_CAP:
                raise LimitError(f"{want.digest}: {want.size} bytes, more than an index may have")
            raw = b"".join(bytes(chunk) for chunk in content)
            children = parse_manifest(raw, want.media_type, what=want.digest).manifests
            self._listed[want.digest] = frozenset(child.digest for child in children)
            content = [raw]
        with self._writing:
            if self.has(want):
                for _ in content:
                    pass  # it is verified all the same
                return
            self._file.append(_name(want.digest), want.size, content)
            self._sizes[want.digest] = want.size

    def images(self) -> list[tuple[str, Descriptor]]:
        """What was named so far."""
        return [(each.name, each.root) for each in self._index.entries]

    def resolve(self, name: str) -> Descriptor:
        """What was named so far."""
        for known, root in self.images():
            if known == name:
                return root
        raise NotFoundError(f"{quoted(name)}: not in the archive that is being written")

    def tag(self, name: str, root: Descriptor) -> None:
        """Let ``name`` stand for ``root``; an image may go without."""
        if root.digest not in self._sizes:
            raise StoreError(f"{root.digest}: was not written", hint="")
        left_out = self._listed.get(root.digest, frozenset()) - self._sizes.keys()
        with self._writing:
            self._index = self._index.tagged([entry(name, root, left_out) if name else unnamed(root, left_out)])

    def finish(self) -> bool:
        """Write the index; false if there is no image."""
        if not self._index.entries:
            return False
        marker = canonical({"imageLayoutVersion": VERSION})
        for name, raw in ((INDEX, self._index.serialised()), (MARKER, marker)):
            self._file.append(name, len(raw), [raw])
        return True


@contextmanager
def open_target(place: str, *, tmp: Path | None = None) -> Iterator[NewLayoutArchive]:  # noqa: ARG001  # written in its place
    """A new archive, which replaces a file of that name when it is whole."""
    path = Path(place)
    with disk(f"look at {quoted(place)}"):
        is_directory = "\0" not in place and path.is_dir()
    if "\0" in place or is_directory:
        raise ConfigError(f"oci-archive:{quoted(place)}: not the name of a file", hint="for a layout write oci:DIR")
    with new_tarball(path) as file:
        archive = NewLayoutArchive(file)
        yield archive
        file.whole = archive.finish()
