"""The operator's small files: read again when they change, and written whole or not at all.

    users = LiveFile(path, parse, what="password file")     # raises what is wrong with it
    users.current()                                         # one stat; the file is read only if it changed

A file that was broken, or is gone, while the registry runs leaves the last good content in force, and one line in the log:
half a file under an editor must not lock the site out. Symbolic links are followed, so a link may be set to another file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from bundler.errors import BundlerError, ConfigError, LimitError, LockedError, disk_error, quoted

FILE_CAP = 1 << 20
"""The most bytes of a file of passwords or rights."""
PATIENCE = 10.0
"""Seconds to wait for another process that changes a file in the same directory."""

_SETTLED_NANOSECONDS = 3_000_000_000
_PAUSE = 0.05
_T = TypeVar("_T")
_Identity = tuple[int, int, int, int, int]
_log = logging.getLogger(__name__)


class LiveFile(Generic[_T]):
    """The content of a file as ``parse`` makes it from the bytes and the file's name. Threads may share one."""

    def __init__(self, path: str | os.PathLike[str], parse: Callable[[bytes, str], _T], *, what: str) -> None:
        self.name = quoted(os.fspath(path))
        self._path = Path(path)
        self._parse = parse
        self._what = what
        self._lock = threading.Lock()
        self._complaint = ""
        self._tried, found = read_file(self._path, what=what)
        self._content = parse(self._tried, self.name)
        self._seen = _settled(found)

    def current(self) -> _T:
        """The content that the file has now, or had when it was last whole."""
        if self._seen is None or self._look() != self._seen:
            with self._lock:
                self._refresh()
        return self._content

    def _look(self) -> _Identity | None:
        try:
            return _identity(self._path.stat())
        except OSError:
            return None

    def _refresh(self) -> None:
        try:
            raw, found = read_file(self._path, what=self._what)
            self._seen = _settled(found)
            if raw != self._tried:
                self._tried = raw
                self._content = self._parse(raw, self.name)
                _log.info("%s %s was read again", self._what, self.name)
            self._complaint = ""
        except BundlerError as problem:
            if str(problem) != self._complaint:
                self._complaint = str(problem)
                _log.error("%s; what it said before stays in force", problem)  # the operator's mistake


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _settled(found: os.stat_result) -> _Identity | None:
    """What tells this state of a file from the next; None while a clock's tick could still hide a second change."""
    return _identity(found) if time.time_ns() - found.st_mtime_ns > _SETTLED_NANOSECONDS else None


def read_file(path: Path, *, what: str, cap: int = FILE_CAP) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file and its state. Raises :class:`ConfigError`, :class:`LimitError` or a disk's error."""
    name = quoted(str(path))
    try:
        # Non-blocking, or a named pipe would hold us until somebody writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{what}: {name} is not a file", hint="give the path of a regular file")
            raw = file.read(cap + 1)
    except FileNotFoundError:
        raise ConfigError(f"{what}: {name} does not exist", hint="check the path, or make the file") from None
    except IsADirectoryError:
        raise ConfigError(f"{what}: {name} is a directory", hint="give the path of a regular file") from None
    except OSError as problem:
        raise disk_error(problem, f"read {name}") from None
    if len(raw) > cap:
        raise LimitError(f"{what}: {name} holds more than the {cap} bytes allowed")
    return raw, found


def write_whole(path: Path, raw: bytes, *, mode: int = 0o600, like: os.stat_result | None = None) -> None:
    """Replace a file, or make it: old or new content is there at any moment. ``like`` gives mode and owner instead."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # of mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                if like is not None:
                    with suppress(PermissionError):  # only root gives files away
                        os.fchown(descriptor, like.st_uid, like.st_gid)
                os.fchmod(descriptor, mode if like is None else stat.S_IMODE(like.st_mode))
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise disk_error(problem, f"write {quoted(str(path))}") from None


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Hold a directory so that no other bundler changes files there at the same time, and sync it at the end.

    Raises :class:`ConfigError` if there is none, :class:`LockedError` after :data:`PATIENCE`.
    """
    name = quoted(str(directory))
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{name} is not a directory", hint="check the path, or make the directory") from None
    except OSError as problem:
        raise disk_error(problem, f"open {name}") from None
    try:
        end = time.monotonic() + PATIENCE
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise LockedError(f"{name}: another process has been changing files there for {PATIENCE:g} s")
            time.sleep(_PAUSE)
        yield
        try:
            os.fsync(descriptor)
        except OSError as problem:
            raise disk_error(problem, f"write {name}") from None
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems lock no directories
        return True
    return True
