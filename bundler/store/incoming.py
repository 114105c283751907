"""The one crash-safe write: temp file, write while the content verifies itself, fsync, rename.

A small blob is written under a random name in ``tmp`` and is gone if it breaks. A large one is written under a name made
from its digest in ``partial``, with ``flock`` on the file, and stays there when the transfer breaks or the process is
killed: the next run, in whatever process, goes on from the last byte. A failed fsync is final: what the kernel has
dropped can't be synced by asking again, so the file is thrown away.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Generator
from types import TracebackType
from typing import Self

from bundler.content import Buffer
from bundler.errors import DigestError, DiskError
from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.store.directory import Directory, disk, temporary_name, write_all
from bundler.store.locks import try_lock

PARTIAL_FROM = 1 << 20
"""Blobs of this many bytes and more are worth resuming."""


def partial_name(digest: Digest) -> str:
    """The file name for a blob outside ``blobs/``."""
    return f"{algorithm_of(digest)}-{hex_of(digest)}"


class Incoming:
    """A blob being written. As a context manager it is closed at the end, and thrown away unless committed or worth keeping."""

    __slots__ = ("_directory", "_fd", "_keeps", "_name", "size")

    def __init__(self, directory: Directory, name: str, fd: int, *, size: int = 0, keeps: bool = False) -> None:
        self._directory = directory
        self._name = name
        self._fd = fd
        self._keeps = keeps
        self.size = size
        """How many bytes it has so far."""

    @classmethod
    def new(cls, tmp: Directory) -> Incoming:
        """A file under a random name, locked as long as it is being written, thrown away unless committed."""
        name = temporary_name()
        with disk(f"create {tmp.about(name)}"):
            fd = tmp.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        incoming = cls(tmp, name, fd)
        try:
            try_lock(fd, fcntl.LOCK_EX)
        except BaseException:
            incoming.discard()
            raise
        return incoming

    @classmethod
    def resumable(cls, partial: Directory, digest: Digest) -> Incoming | None:
        """The file kept for ``digest``, emptied; nothing if somebody else is writing it."""
        name = partial_name(digest)
        fd = _opened(partial, name, create=True)
        return None if fd is None else cls(partial, name, fd, keeps=True).cut(0)

    @classmethod
    def resumed(cls, partial: Directory, digest: Digest, length: int) -> Incoming | None:
        """The file kept for ``digest``, cut to ``length`` bytes; nothing if there is less, or somebody else writes it."""
        name = partial_name(digest)
        fd = _opened(partial, name, create=False)
        if fd is None:
            return None
        incoming = cls(partial, name, fd, keeps=True)
        with disk(f"look at {partial.about(name)}"):
            enough = os.fstat(fd).st_size >= length
        if not enough:
            incoming.close()
            return None
        return incoming.cut(length)

    def cut(self, length: int) -> Self:
        """Keep the first ``length`` bytes only and go on from there."""
        try:
            with disk(f"cut {self._about}"):
                os.ftruncate(self._fd, length)
                os.lseek(self._fd, length, os.SEEK_SET)
        except BaseException:
            self.close()
            raise
        self.size = length
        return self

    @property
    def _about(self) -> str:
        return self._directory.about(self._name)

    def write(self, chunk: Buffer) -> None:
        """Take more bytes."""
        with disk(f"write {self._about}"):
            write_all(self._fd, chunk)
        self.size += len(chunk)

    def chunks(self) -> Generator[Buffer, None, None]:
        """What was written so far, from the start."""
        return self._directory.chunks(self._name)

    def commit(self, to: Directory, name: str) -> os.stat_result:
        """Make the bytes durable, then let them appear as ``name`` in ``to``; what the file looks like there."""
        try:
            with disk(f"sync {self._about}"):
                os.fchmod(self._fd, 0o644)
                os.fsync(self._fd)
                found = os.fstat(self._fd)
            self._directory.move(self._name, to, name)
        except BaseException:
            self.discard()
            raise
        self.close()
        return found

    def discard(self) -> None:
        """Throw the bytes away."""
        if self._fd >= 0:
            try:
                self._directory.remove(self._name)
            finally:
                self.close()

    def close(self) -> None:
        """Let go of the file, leaving it where it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Bytes that are wrong, or that the disk may have spoiled, are of no use to the next run.
        useless = isinstance(error, (DigestError, DiskError)) or self.size < PARTIAL_FROM
        if self._keeps and not useless:
            self.close()
        else:
            self.discard()


def is_abandoned(tmp: Directory, name: str) -> bool:
    """Whether nobody is writing the file any more."""
    with disk(f"open {tmp.about(name)}"):
        try:
            fd = tmp.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return True  # a link, which we never make
    try:
        return try_lock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def held(partial: Directory, digest: Digest) -> int:
    """How many bytes are kept for ``digest`` and free to be continued."""
    if partial.stat(partial_name(digest)) is None:
        return 0
    fd = _opened(partial, partial_name(digest), create=False)
    if fd is None:
        return 0
    try:
        with disk(f"look at {partial.about(partial_name(digest))}"):
            return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _opened(partial: Directory, name: str, *, create: bool) -> int | None:
    """The file, opened and locked; nothing if it isn't there or somebody else has it."""
    with disk(f"open {partial.about(name)}"):
        try:
            fd = partial.open(name, os.O_WRONLY | (os.O_CREAT if create else 0))
        except FileNotFoundError:
            return None
    try:
        # Whoever held the lock before may have renamed the file into place: then it is no partial any more.
        if try_lock(fd, fcntl.LOCK_EX) and _is_at(partial, name, fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _is_at(directory: Directory, name: str, fd: int) -> bool:
    found = directory.stat(name)
    with disk(f"look at {directory.about(name)}"):
        return found is not None and os.path.samestat(found, os.fstat(fd))
