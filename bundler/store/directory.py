"""A directory held open: everything below a layout is reached from here, one name at a time, no symbolic link followed.

A layout may come from outside, so no path is ever walked: ``blobs``, then ``sha256``, then the hexadecimal name, each
opened relative to the descriptor of the one before. Names are constants of ours or parsed digests. Here is also the rim
where ``OSError`` becomes a :class:`bundler.errors.BundlerError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import FileIO

from bundler.content import CHUNK, Buffer
from bundler.errors import DiskError, LimitError, StoreError, disk_error, quoted

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang the open
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def disk(what: str) -> Iterator[None]:
    """Turn ``OSError`` into the error class for it; ``what`` says what is being done to which path."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreError(f"{what}: a symbolic link, and none is followed inside a layout") from error
        raise disk_error(error, what) from error


class Directory:
    """An open directory. ``path`` is for messages only; the descriptor closes with the object."""

    __slots__ = ("__weakref__", "fd", "path")

    def __init__(self, path: str, *, at: Directory | None = None) -> None:
        """Open ``path``, which the operator named and may be a link; or the member ``path`` of ``at``, which may not."""
        self.fd = -1
        self.path: str = path if at is None else f"{at.path}/{path}"
        with disk(f"open {quoted(self.path)}"):
            if at is None:
                self.fd = os.open(path, _DIRECTORY)
            else:
                self.fd = os.open(path, _DIRECTORY | os.O_NOFOLLOW, dir_fd=at.fd)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    def about(self, name: str) -> str:
        """The member's path, fit to print."""
        return quoted(f"{self.path}/{name}", 500)

    def sub(self, name: str) -> Directory | None:
        """The member directory ``name``, or nothing. A link there, or anything else, is a :class:`StoreError`."""
        found = self.stat(name)
        if found is None:
            return None
        if not stat.S_ISDIR(found.st_mode):
            raise StoreError(f"{self.about(name)}: not a directory", hint="links inside a layout are not followed")
        return Directory(name, at=self)

    def make(self, name: str) -> Directory:
        """The member directory ``name``, created if it isn't there."""
        found = self.sub(name)
        if found is not None:
            return found
        with disk(f"create {self.about(name)}"):
            try:
                os.mkdir(name, 0o755, dir_fd=self.fd)
            except FileExistsError:  # another process was faster
                pass
            else:
                os.fsync(self.fd)
        return Directory(name, at=self)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """A file descriptor for ``name``; :class:`OSError` is the caller's."""
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.fd)

    def stat(self, name: str) -> os.stat_result | None:
        """What ``name`` is, links not followed; nothing if it isn't there."""
        with disk(f"look at {self.about(name)}"):
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def names(self) -> list[str]:
        """The members' names, sorted."""
        with disk(f"list {quoted(self.path)}"), os.scandir(self.fd) as members:
            return sorted(member.name for member in members)

    def move(self, name: str, to: Directory, new: str) -> None:
        """Rename ``name`` to ``new`` in ``to``, replacing what is there."""
        with disk(f"rename {self.about(name)}"):
            os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=to.fd)

    def remove(self, name: str) -> bool:
        """Unlink ``name``; false if it wasn't there."""
        with disk(f"remove {self.about(name)}"):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                return False
        return True

    def sync(self) -> None:
        """Make the names durable."""
        with disk(f"sync {quoted(self.path)}"):
            os.fsync(self.fd)

    def reader(self, name: str) -> FileIO:
        """A regular file, open for reading and not buffered; :class:`AbsentError` if there is none."""
        with disk(f"read {self.about(name)}"):
            try:
                fd = os.open(name, _READ, dir_fd=self.fd)
            except FileNotFoundError:
                raise AbsentError from None
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise StoreError(f"{self.about(name)}: not a regular file")
                return FileIO(fd)
            except BaseException:
                os.close(fd)
                raise

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        """The bytes of a regular file from ``offset`` on, at most ``length``; :class:`AbsentError` if there is none.

        One buffer is filled again and again, so be done with each chunk before asking for the next.
        """
        what = f"read {self.about(name)}"
        with self.reader(name) as file:
            if length is None:
                with disk(what):
                    length = os.fstat(file.fileno()).st_size - offset
            left = length
            buffer = memoryview(bytearray(max(1, min(left, CHUNK))))
            while left > 0:
                with disk(what):
                    count = os.preadv(file.fileno(), [buffer[:left]], offset)
                if count == 0:
                    return
                yield buffer[:count]
                offset += count
                left -= count

    def read(self, name: str, *, cap: int) -> bytes | None:
        """A whole small file; nothing if it isn't there, :class:`LimitError` beyond ``cap`` bytes."""
        found = self.stat(name)
        if found is None:
            return None
        if found.st_size > cap:
            raise LimitError(f"{self.about(name)}: {found.st_size} bytes, more than the {cap} allowed")
        try:
            return b"".join(bytes(chunk) for chunk in self.chunks(name))
        except AbsentError:
            return None

    def write(self, name: str, content: bytes, *, via: Directory) -> os.stat_result:
        """Put ``content`` under ``name``, whole or not at all and durable; the temp file lies in ``via``.

        Gives what the file looked like before it got its name.
        """
        temp = temporary_name()
        what = f"write {self.about(name)}"
        with disk(what):
            fd = via.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with disk(what):
                try:
                    write_all(fd, content)
                    os.fchmod(fd, 0o644)
                    os.fsync(fd)
                    found = os.fstat(fd)
                finally:
                    os.close(fd)
            via.move(temp, self, name)
        except BaseException:
            via.remove(temp)
            raise
        self.sync()
        return found


class AbsentError(Exception):
    """The file that was to be read isn't there; whoever knows what it stood for says so."""


def temporary_name() -> str:
    """A name that no other writer will choose."""
    return f"{os.getpid()}-{os.urandom(8).hex()}"


def write_all(fd: int, content: Buffer) -> None:
    """Write a buffer whole, as the kernel may take less than it is given."""
    count = os.write(fd, content)
    if count == len(content):
        return
    view = memoryview(content)[count:]
    while len(view):
        count = os.write(fd, view)
        if count == 0:
            raise DiskError("write: the kernel takes no more")
        view = view[count:]
