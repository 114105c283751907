"""Converted contents on the disk for as long as they are needed: one file without a name, in the temporary directory.

    with Spool.open(tmp) as spool:
        digest, size = spool.keep(chunks)

The file is divided into blocks of 1 MiB, and each content has some of them: thousands of contents take one descriptor, and
whatever ends the process gives the room back.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bundler.content import Buffer
from bundler.errors import StoreError, disk_error
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, hasher

BLOCK = 1 << 20
"""Bytes of the file that a content takes at once; those that it does not fill stay a hole."""


@dataclass(frozen=True, slots=True)
class _Kept:
    blocks: tuple[int, ...]
    size: int


class Spool:
    """Contents by digest. Threads may share one."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._kept: dict[Digest, _Kept] = {}
        self._free: list[int] = []
        self._used = 0
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def open(cls, directory: Path | None = None) -> Iterator[Spool]:
        """A spool in ``directory``, the system's temporary one if None; its file is gone when the block ends."""
        spool = cls(directory)
        try:
            yield spool
        finally:
            spool.close()

    def close(self) -> None:
        """Give the room back."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None
            self._kept.clear()

    def keep(self, chunks: Iterable[Buffer]) -> tuple[Digest, int]:
        """Take a content; its SHA-256 digest and its size in bytes. Raises what reading raises, or a disk's error."""
        state, size = hasher("sha256"), 0
        blocks: list[int] = []
        file = self._opened()
        try:
            for chunk in chunks:
                state.update(chunk)
                left = memoryview(chunk)
                while left:
                    if size == len(blocks) * BLOCK:
                        blocks.append(self._block())
                    start = size % BLOCK
                    count = _write(file, left[: BLOCK - start], blocks[-1] * BLOCK + start)
                    size += count
                    left = left[count:]
        except BaseException:
            self._give_back(blocks)
            raise
        digest = Digest(f"sha256:{state.hexdigest()}")
        with self._lock:
            known = digest in self._kept
            if not known:
                self._kept[digest] = _Kept(tuple(blocks), size)
        if known:
            self._give_back(blocks)
        return digest, size

    def _opened(self) -> IO[bytes]:
        with self._lock:
            if self._file is None:
                try:
                    self._file = tempfile.TemporaryFile(dir=self._directory, prefix="bundler-")  # noqa: SIM115  # until close()
                except OSError as problem:
                    where = self._directory or tempfile.gettempdir()
                    raise disk_error(problem, f"make a temporary file in {where}") from None
            return self._file

    def _block(self) -> int:
        with self._lock:
            if self._free:
                return self._free.pop()
            self._used += 1
            return self._used - 1

    def _give_back(self, blocks: list[int]) -> None:
        with self._lock:
            self._free += blocks

    def has(self, digest: Digest) -> bool:
        """Whether it was kept here."""
        return digest in self._kept

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of what was kept."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on."""
        kept = self._kept.get(want.digest)
        if kept is None or self._file is None:
            raise StoreError(f"{want.digest}: is not among the converted contents", hint="run the same command again")
        while offset < kept.size:
            start = offset % BLOCK
            room = min(BLOCK - start, kept.size - offset)
            try:
                chunk = os.pread(self._file.fileno(), room, kept.blocks[offset // BLOCK] * BLOCK + start)
            except OSError as problem:
                raise disk_error(problem, "read a temporary file") from None
            if not chunk:
                raise StoreError("a temporary file was cut short", hint="run the same command again")
            offset += len(chunk)
            yield chunk


def _write(file: IO[bytes], content: memoryview, offset: int) -> int:
    if file.closed:  # its descriptor may be another file's by now
        raise StoreError("a temporary file was closed while it was written", hint="run the same command again")
    try:
        return os.pwrite(file.fileno(), content, offset)
    except OSError as problem:
        raise disk_error(problem, "write a temporary file") from None
