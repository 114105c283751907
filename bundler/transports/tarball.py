"""Tar files of images: foreign ones read in place, and new ones.

Of a foreign file, members are found once by their headers and then read by offset; nothing is extracted.
A compressed file is decompressed once, into a temporary file without a name. Links between members are followed within the
file, as archives of images use them for layers that occur twice.

    with Tarball.open("save.tar", tmp=None) as archive:
        raw = archive.read("manifest.json", cap=MANIFEST_CAP)

A new one appears under its name when it is whole. Its headers have no time and no owner: equal contents, equal files.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from bundler.content import CHUNK, Buffer
from bundler.convert.compression import plain, sniffed
from bundler.errors import ArchiveError, ConfigError, LimitError, NotFoundError, ProtocolError, disk_error, quoted
from bundler.store.directory import Directory, disk, temporary_name
from bundler.transports.spool import spooled

MAX_MEMBERS = 200_000
MAX_HEADER = 1 << 20
"""Bytes of one extended header: names are short, and these are read into memory."""
MAX_NAME = 1024
"""Characters of a member's name, and of where a link leads: far more than a digest has."""
MAX_LINKS = 8
RECORD = 10240
"""Bytes that a tar file's length is a multiple of."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive: where its bytes lie."""

    name: str
    offset: int
    size: int


class _Headers:
    """A file for :mod:`tarfile` that gives out headers, but no more memory than these need."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._taken = 0

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= MAX_HEADER or self._taken > MAX_HEADER:
            raise tarfile.ReadError(f"extended headers of {self._taken + count} bytes")
        self._taken += count
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._taken = 0
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Tarball:
    """An open archive. Safe to share among threads; closed by whoever opened it."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self._members: dict[str, Member] = {}
        self._links: dict[str, str] = {}
        self._index()

    @classmethod
    def open(cls, path: str, *, tmp: Path | None = None) -> Self:
        """The archive at ``path``, decompressed into ``tmp`` (the system's place if None) where it has to be.

        Raises :class:`NotFoundError` if there is none, and :class:`ArchiveError` for what is no tar file.
        """
        if "\0" in path:
            raise ConfigError(f"{quoted(path)}: not a path")
        try:
            file: IO[bytes] = Path(path).open("rb")  # noqa: SIM115  # lives as long as the archive
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{quoted(path)}: no such file", hint="check the path") from None
        except IsADirectoryError:
            raise ConfigError(
                f"{quoted(path)}: a directory, not an archive", hint="for layouts write oci:DIR"
            ) from None
        except OSError as problem:
            raise disk_error(problem, f"open {quoted(path)}") from problem
        try:
            if sniffed(os.pread(file.fileno(), 8, 0)) != "none":
                file = _decompressed(path, file, tmp)
            return cls(path, file)
        except OSError as problem:
            file.close()
            raise disk_error(problem, f"read {quoted(path)}") from problem
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return os.fstat(self._file.fileno()).st_size

    def _index(self) -> None:
        self._file.seek(0)
        last = -1
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", _Headers(self._file)), mode="r:") as archive:
                for found in archive:
                    if found.size < 0 or found.offset <= last:
                        raise self._damaged("a header of it leads backwards")
                    last = found.offset
                    self._take(found)
                    archive.members = []  # type: ignore[attr-defined]  # else it keeps them all
                    archive.pax_headers = {}  # global headers that pile up
        except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as problem:
            raise self._damaged(f"not a whole tar file: {quoted(str(problem))}") from None

    def _take(self, found: tarfile.TarInfo) -> None:
        if len(found.name) > MAX_NAME or len(found.linkname) > MAX_NAME:
            raise self._damaged(f"has a name of more than {MAX_NAME} characters")
        name = normal(found.name)
        if found.isdir() or name is None:
            return
        if len(self._members) + len(self._links) >= MAX_MEMBERS:
            raise LimitError(f"{quoted(self.path)}: more than {MAX_MEMBERS} members")
        if name in self._members or name in self._links:
            raise self._damaged(f"holds {quoted(name)!r} twice")
        if found.issym():
            self._links[name] = posixpath.join(posixpath.dirname(name), found.linkname)
        elif found.islnk():
            self._links[name] = found.linkname
        elif found.isreg() and not found.issparse():
            if found.offset_data + found.size > self.size:
                raise self._damaged(f"ends within {quoted(name)!r}")
            self._members[name] = Member(name, found.offset_data, found.size)

    def _damaged(self, what: str) -> ArchiveError:
        return ArchiveError(f"{quoted(self.path)}: {what}", hint="save the image again, or copy the archive again")

    def names(self) -> list[str]:
        """The names of all files, links included."""
        return [*self._members, *self._links]

    def find(self, name: str) -> Member | None:
        """The file of that name, links followed; nothing if there is none. Raises :class:`ArchiveError` for a loop."""
        wanted = normal(name)
        for _ in range(MAX_LINKS):
            if wanted is None:
                return None
            if wanted in self._members:
                return self._members[wanted]
            target = self._links.get(wanted)
            if target is None:
                return None
            wanted = normal(target)
        raise self._damaged(f"{quoted(name)!r} is a link that leads nowhere")

    def read(self, name: str, *, cap: int) -> bytes | None:
        """A whole small file; nothing if it isn't there, :class:`LimitError` beyond ``cap`` bytes."""
        member = self.find(name)
        if member is None:
            return None
        if member.size > cap:
            raise LimitError(
                f"{quoted(self.path)}: {quoted(name)} has {member.size} bytes, more than the {cap} allowed"
            )
        return b"".join(bytes(chunk) for chunk in self.chunks(member))

    def chunks(self, member: Member, offset: int = 0) -> Generator[Buffer, None, None]:
        """The bytes of a file from ``offset`` on."""
        left = member.size - offset
        position = member.offset + offset
        while left > 0:
            try:
                chunk = os.pread(self._file.fileno(), min(left, CHUNK), position)
            except OSError as problem:
                raise disk_error(problem, f"read {quoted(self.path)}") from problem
            if not chunk:
                raise self._damaged(f"ends within {quoted(member.name)!r}")
            position += len(chunk)
            left -= len(chunk)
            yield chunk

    def compression(self, member: Member) -> str:
        """The compression of a file by its first bytes, or ``none``."""
        return sniffed(os.pread(self._file.fileno(), min(8, member.size), member.offset))


def normal(name: str) -> str | None:
    """A member's name without ``./`` and ``..``; None for one that is outside, or names nothing."""
    path = posixpath.normpath(name.lstrip("/")) if name.strip("/") else ""
    return None if path in ("", ".", "..") or path.startswith("../") else path


def _decompressed(path: str, file: IO[bytes], tmp: Path | None) -> IO[bytes]:
    """The archive without its compression, in a file without a name."""

    def chunks() -> Iterator[bytes]:
        while chunk := file.read(CHUNK):
            yield chunk

    try:
        with file, closing(plain(chunks(), what=quoted(path))) as pieces:
            return spooled(pieces, tmp=tmp, what=quoted(path))
    except ProtocolError as problem:
        raise ArchiveError(str(problem), hint="copy the archive again") from None
    except OSError as problem:
        raise disk_error(problem, f"decompress {quoted(path)}") from problem


class NewTarball:
    """A tar file being written, one member after the other whichever thread brings it. ``whole`` says that it is to stay."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writing = threading.Lock()
        self.whole = False

    def append(self, name: str, size: int, content: Iterable[Buffer]) -> None:
        """Add a member; if ``content`` raises, nothing of it stays."""
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o644
        with self._writing:
            start = self._file.tell()
            try:
                self._file.write(header.tobuf(tarfile.GNU_FORMAT))
                for chunk in content:
                    self._file.write(chunk)
                self._file.write(bytes(-size % 512))
            except BaseException:
                self._file.seek(start)
                self._file.truncate()
                raise

    def finish(self) -> None:
        """Write the end of the file, and make it last."""
        end = self._file.tell() + 1024
        self._file.write(bytes(1024 + -end % RECORD))
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def new_tarball(path: Path) -> Iterator[NewTarball]:
    """A new file beside ``path``, which takes its place at the end if it is whole by then, and is gone otherwise."""
    with disk(f"look at {quoted(str(path))}"):
        if path.exists() and not path.is_file():
            raise ConfigError(
                f"{quoted(str(path))}: not a regular file, and archives can be written to such only",
                hint="write to a file, and give that to the next program",
            )
        path = Path(os.path.realpath(path))  # a link stays one
        if path.is_symlink():
            raise ConfigError(f"{quoted(str(path))}: a link that leads nowhere", hint="choose another name")
    beside = path.parent / f".bundler-{temporary_name()}"
    try:
        with beside.open("xb") as file:
            made = NewTarball(file)
            yield made
            if made.whole:
                made.finish()
        if made.whole:
            beside.chmod(0o644)
            os.rename(beside, path)  # noqa: PTH104
            Directory(str(path.parent)).sync()
    except FileNotFoundError:
        raise ConfigError(f"{quoted(str(path.parent))}: no such directory", hint="make it, or choose another") from None
    except OSError as problem:
        raise disk_error(problem, f"write {quoted(str(path))}") from problem
    finally:
        beside.unlink(missing_ok=True)
