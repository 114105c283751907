"""The journal: which blobs were verified here, so that none is hashed twice.

One JSON object a line: digest, size in bytes, modification time in ns, inode. A blob counts as verified only while its
file still shows the same three numbers. Lines are appended after the file's own fsync, so a line that survives a power
cut speaks of bytes that did too; a line torn by one is ignored, and costs one more hashing.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Container
from dataclasses import dataclass

from bundler.errors import ReadOnlyError
from bundler.oci.digest import Digest
from bundler.store.directory import AbsentError, Directory, disk, write_all

NAME = "journal"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a verified file looked like: size in bytes, modification time in ns since the epoch, inode."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Mark:
        """The mark of a file as it is now."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class Journal:
    """The file and what it says. Threads and processes append at once; each reads what the others added on a miss."""

    def __init__(self, directory: Directory | None) -> None:
        """``directory`` is the store's private one, or nothing on a medium that can't be written."""
        self._directory = directory
        self._marks: dict[Digest, Mark] = {}
        self._read_to = 0
        self._inode = 0
        self._torn = False
        self._unsynced = False
        self._lock = threading.Lock()

    def knows(self, digest: Digest, found: os.stat_result) -> bool:
        """Whether the file that looks like ``found`` was verified to be ``digest``."""
        mark = Mark.of(found)
        with self._lock:
            if self._marks.get(digest) == mark:
                return True
            self._catch_up()
            return self._marks.get(digest) == mark

    def add(self, digest: Digest, found: os.stat_result) -> None:
        """Note that the file that looks like ``found`` was verified; durable after :meth:`sync`."""
        mark = Mark.of(found)
        with self._lock:
            self._marks[digest] = mark
            if self._directory is None:
                return
            self._catch_up()
            self._append(self._directory, _line(digest, mark))

    def sync(self) -> None:
        """Make what was added durable."""
        with self._lock:
            if self._directory is None or not self._unsynced:
                return
            with disk(f"sync {self._directory.about(NAME)}"):
                fd = self._directory.open(NAME, os.O_WRONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            self._unsynced = False

    def compact(self, keep: Container[Digest], *, via: Directory) -> None:
        """Write the file anew with the lines of ``keep`` only; the caller holds the store alone."""
        with self._lock:
            if self._directory is None:
                raise ReadOnlyError("the journal can't be written")
            self._catch_up()
            self._marks = {digest: mark for digest, mark in self._marks.items() if digest in keep}
            raw = b"".join(_line(digest, mark) for digest, mark in sorted(self._marks.items()))
            self._directory.write(NAME, raw, via=via)
            self._read_to = self._inode = 0
            self._torn = self._unsynced = False

    def _append(self, directory: Directory, line: bytes) -> None:
        what = f"write {directory.about(NAME)}"
        with disk(what):
            fd = directory.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                # A line that a crash tore is ended first, or it would swallow this one.
                write_all(fd, b"\n" + line if self._torn else line)
            finally:
                os.close(fd)
        self._torn = False
        self._unsynced = True

    def _catch_up(self) -> None:
        """Take in the lines since the last look, from the start if the file was compacted."""
        found = None if self._directory is None else self._directory.stat(NAME)
        if self._directory is None or found is None:
            return
        if found.st_ino != self._inode or found.st_size < self._read_to:
            self._inode, self._read_to, self._torn = found.st_ino, 0, False
        if found.st_size == self._read_to:
            return
        try:
            raw = b"".join(bytes(chunk) for chunk in self._directory.chunks(NAME, self._read_to))
        except AbsentError:
            return
        whole = raw.rfind(b"\n") + 1
        self._torn = whole < len(raw)
        self._read_to += whole
        for line in raw[:whole].splitlines():
            parsed = _parsed(line)
            if parsed is not None:
                self._marks[parsed[0]] = parsed[1]


def _line(digest: Digest, mark: Mark) -> bytes:
    value = {"digest": digest, "size": mark.size, "mtime_ns": mark.mtime_ns, "inode": mark.inode}
    return json.dumps(value).encode() + b"\n"


def _parsed(line: bytes) -> tuple[Digest, Mark] | None:
    """A line's meaning; nothing for a torn or foreign one, which only costs a hashing."""
    try:
        value = json.loads(line)
        return Digest(str(value["digest"])), Mark(value["size"], value["mtime_ns"], value["inode"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
