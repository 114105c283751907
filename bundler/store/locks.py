"""Locks: many may pull, pack and push at once; gc, repair and rm need the store for themselves.

``flock`` on ``.bundler/lock``: it belongs to the open file, so it ends with the process however that ends, and it holds
between threads too. Commands don't wait for it: whoever comes second is told who came first, from the lines that each
holder leaves in the file. A server takes it for each of its writes, and is patient: so gc can run beside it. The index
has a lock of its own that is held for milliseconds and is waited for.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bundler.errors import LockedError, quoted
from bundler.store.directory import AbsentError, Directory, disk, write_all

STORE_LOCK = "lock"
INDEX_LOCK = "index.lock"
_MOST = 1 << 16
_PATIENCE = 30.0
_PAUSE = 0.01


@contextmanager
def shared(directory: Directory, command: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the store together with others; :class:`LockedError` names who holds it alone after ``patience`` seconds."""
    with _held(directory, fcntl.LOCK_SH, command, patience):
        yield


@contextmanager
def exclusive(directory: Directory, command: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the store alone; :class:`LockedError` names who else holds it after ``patience`` seconds."""
    with _held(directory, fcntl.LOCK_EX, command, patience):
        yield


@contextmanager
def index_lock(directory: Directory) -> Iterator[None]:
    """Hold ``index.json`` while it is read, changed and replaced; at most 30 s of waiting for others to be done."""
    fd = _opened(directory, INDEX_LOCK)
    try:
        if not _lock_within(fd, fcntl.LOCK_EX, _PATIENCE):
            raise LockedError(f"{directory.about(INDEX_LOCK)}: held by another process for {_PATIENCE:.0f} s")
        yield
    finally:
        os.close(fd)


def try_lock(fd: int, kind: int) -> bool:
    """``flock`` without waiting; false if another open file holds it."""
    with disk("lock a file of the store"):
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _lock_within(fd: int, kind: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while not try_lock(fd, kind):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE)
    return True


@contextmanager
def _held(directory: Directory, kind: int, command: str, patience: float) -> Iterator[None]:
    fd = _opened(directory, STORE_LOCK)
    try:
        if not _lock_within(fd, kind, patience):
            raise LockedError(f"{quoted(directory.path)}: in use by {_holders(directory)}")
        _sign(fd, command)
        yield
    finally:
        os.close(fd)


def _opened(directory: Directory, name: str) -> int:
    with disk(f"open {directory.about(name)}"):
        try:
            return directory.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
            return directory.open(name, os.O_RDONLY)  # enough for flock, on a medium that can't be written


def _sign(fd: int, command: str) -> None:
    """Leave a line about this process; it only serves messages, so a full or read-only disk is no reason to fail."""
    line = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "command": command}) + "\n"
    try:
        size = os.fstat(fd).st_size
        if size > _MOST:
            os.ftruncate(fd, 0)
            size = 0
        os.lseek(fd, size, os.SEEK_SET)
        write_all(fd, line.encode())
    except OSError:
        return


def _holders(directory: Directory) -> str:
    """Who seems to hold the lock: of the signatures, those whose process lives or can't be asked."""
    try:
        raw = b"".join(bytes(chunk) for chunk in directory.chunks(STORE_LOCK))[-_MOST:]
    except AbsentError:
        raw = b""
    found: dict[str, None] = {}
    for line in raw.splitlines():
        try:
            value = json.loads(line)
            pid, host, command = int(value["pid"]), str(value["host"]), str(value["command"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            continue
        if host != socket.gethostname() or _lives(pid):
            found[f"{quoted(command)} (process {pid} on {quoted(host)})"] = None
    return ", ".join(list(found)[-5:]) or "another process"


def _lives(pid: int) -> bool:
    if sys.platform == "win32" or pid <= 0:  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number that large
        return False
    except OSError:
        return True
    return True
