"""One volume being written: contents arrive in any order and from several threads, the bytes come out the same.

A volume is a head (its documents) and one segment per member: the gap before it and its frame. Where a segment begins
follows from the lengths before it. Stored members come first and have known lengths, so they are written in parallel at
their places. A member whose compressed length is not known yet blocks the place of those behind it; these are kept aside,
in memory or in a spool file, and moved when their place is known. Nobody waits for a turn, so nothing can deadlock.

Hashing follows the finished prefix. A stored member right behind what is hashed is written and hashed at once, through a
:class:`bundler.bundle.pen.Pen`; others are read back, usually from the page cache. Either way the hash may have run into a
member that then fails: it falls back to where that member began.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle import frames
from bundler.bundle.inventory import Method, Row
from bundler.bundle.layout import VolumeLayout
from bundler.bundle.pen import Box, Pen, write_at
from bundler.bundle.volume import Document, gap
from bundler.content import CHUNK, Buffer
from bundler.errors import DiskError, disk_error

if TYPE_CHECKING:
    from hashlib import _Hash

SMALL = 4 << 20
"""Contents up to this many bytes are compressed in memory."""
_TURN = 16 * CHUNK
_READ = 256 << 10  # small enough to stay in a cache of the processor between reading and hashing
_SLICE = 8 * CHUNK  # far below what one vectored write may take
_LAG = 4 * CHUNK  # so much may be left to hash before a member for it to be written with a pen


@dataclass(frozen=True, slots=True)
class Written:
    """A member that is on disk or held, and not yet vouched for. ``held`` is what still has to be put in its place."""

    length: int
    method: Method
    held: bytes | Path | None = None


class VolumeWriter:
    """Writes ``path``, under the name ``path`` + ``.part`` until :meth:`hash_on` has seen its last byte.

    ``changed`` is called, from any thread, when there is more to hash. ``keep`` is asked whether so many bytes may be held
    in memory, and told by a negative number when they are let go. ``box`` has the pens.
    """

    def __init__(
        self,
        path: Path,
        layout: VolumeLayout,
        documents: tuple[Document, ...],
        *,
        mtime: int,
        level: int,
        changed: Callable[[], None],
        keep: Callable[[int], bool],
        box: Box,
    ) -> None:
        self.layout = layout
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._level = level
        self._changed = changed
        self._keep = keep
        self._box = box
        self._lock = threading.Condition(threading.Lock())
        self._head, self._table = _head(documents, mtime)
        members = layout.members
        sizes = [len(documents[-1].raw), *(member.size for member in members)]
        self._gaps = [
            frames.stored(gap(size, (member.name, member.size), mtime=mtime))
            for size, member in zip(sizes, members, strict=False)
        ]
        last = gap(sizes[-1], None, mtime=mtime)
        self._tail_gap, self._tail_size = frames.stored(last), len(last)
        self._lengths = [frames.stored_length(member.size) if member.stored else None for member in members]
        self._methods: list[Method] = ["stored"] * len(members)
        self._starts: list[int | None] = [None] * (len(members) + 1)
        self._starts[0] = len(self._head)
        self._known = 0
        self._progress = [0] * len(members)
        self._done = [False] * len(members)
        self._held: dict[int, bytes | Path] = {}
        self._left = len(members)
        self._made = False
        self._size: int | None = None
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._firm = 0  # the first segment that the hash has not left behind
        self._mark: tuple[int, _Hash] = (0, self._hash.copy())
        self._doubt = False
        self._buffer = memoryview(b"")
        self._hashing = False
        self._pen: Pen | None = None
        self.sha256 = ""
        self._settle()

    @property
    def size(self) -> int:
        """The file's length; known when all is written."""
        assert self._size is not None
        return self._size

    def create(self) -> None:
        """Make the file, unless that is done, with its documents."""
        with self._lock:
            if self._made:
                return
            with _opened(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
                write_at(fd, [self._head], 0)
            self._made = True
        if not self.layout.members:
            self._finish()

    def is_done(self, n: int) -> bool:
        """Whether member ``n`` is written and vouched for."""
        return self._done[n]

    def rows(self) -> Iterator[Row]:
        """The inventory of the finished volume."""
        for n, member in enumerate(self.layout.members):
            start, length = self._starts[n], self._lengths[n]
            assert start is not None
            assert length is not None
            yield Row(
                member.want.digest,
                member.size,
                self.layout.number,
                start + len(self._gaps[n]),
                length,
                self._methods[n],
                member.part,
            )

    # Writing

    def write(self, n: int, chunks: Iterator[Buffer]) -> Written:
        """Put the content of member ``n`` at its place if that is known, else aside. Counts only after :meth:`commit`."""
        self.create()
        member = self.layout.members[n]
        if not member.stored and member.size <= SMALL:
            return self._compress_small(n, b"".join(bytes(chunk) for chunk in chunks))
        method: Method = "stored"
        if not member.stored:
            chunks = frames.rechunked(chunks)
            head = bytes(next(chunks))
            method = "zstd" if frames.gains(head, level=self._level) else "stored"
            chunks = _after(head, chunks)
        start = self._starts[n]
        spool = None if start is not None else self._spool(n)
        flags = os.O_WRONLY if spool is None else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with _opened(spool or self._part, flags) as fd:
            if method == "stored" and start is not None and (buffers := self._box.take()) is not None:
                try:
                    pen = self._claim(fd, n, buffers)
                    if pen is not None:
                        return Written(self._write_with(pen, n, chunks), method)
                finally:
                    self._box.give(buffers)
            put = self._write_stored if method == "stored" else self._write_compressed
            return Written(put(fd, n, chunks, start), method, spool)

    def commit(self, n: int, written: Written) -> None:
        """The content of member ``n`` was right: count it in, and place what waited for its length."""
        with self._lock:
            self._lengths[n] = written.length
            self._methods[n] = written.method
            if written.held is None:
                self._done[n] = True
                self._left -= 1
            else:
                self._held[n] = written.held
            self._settle()
            ready = [(m, self._held.pop(m)) for m in sorted(self._held) if self._starts[m] is not None]
            last = self._left == 0
        for m, held in ready:
            self._move(m, held)
            with self._lock:
                self._done[m] = True
                self._left -= 1
                last = self._left == 0
        if last:
            self._finish()
        self._changed()

    def fail(self, n: int, written: Written | None) -> None:
        """The content of member ``n`` was wrong, or never came to its end: as if it had not been written."""
        with self._lock:
            self._progress[n] = 0
            self._doubt = self._doubt or self._pen is None  # while a pen is in use, only its member is being hashed
        if written is not None:
            self._let_go(written.held)
        self._spool(n).unlink(missing_ok=True)

    def _spool(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n:06}.spool.part")

    def _write_stored(self, fd: int, n: int, chunks: Iterator[Buffer], start: int | None) -> int:
        """A frame behind its gap if ``start`` is its segment's place, else at the beginning of a spool file; its length."""
        size = self.layout.members[n].size
        lead = b"" if start is None else self._gaps[n]
        base = 0 if start is None else start + len(lead)
        at = 0
        for chunk in chunks if size else (b"",):
            for piece in _slices(chunk):
                where, buffers = frames.gather(size, at, piece)
                if at == 0 and lead:
                    buffers.insert(0, lead)
                    where -= len(lead)
                end = write_at(fd, buffers, base + where)
                at += len(piece)
                if start is not None:
                    self._progress[n] = end
                    self._changed()
        return frames.stored_length(size)

    def _claim(self, fd: int, n: int, buffers: list[memoryview]) -> Pen | None:
        """A pen for member ``n``, if all before it is vouched for, and hashed but for a little that is made up for here."""
        with self._lock:
            self._lock.wait_for(lambda: not self._hashing or self._lag(n) > _LAG)
            if self._hashing or self._lag(n) > _LAG:
                return None
            self._hashing = True
        try:
            while self._doubt or self._lag(n) > 0:
                self.hash_on()
            with self._lock:
                if not self._doubt:
                    self._mark = (self._hashed, self._hash.copy())
                    self._pen = Pen(fd, self._hashed, self._hash, buffers, full=self._changed)
                return self._pen
        finally:
            self.leave()

    def _lag(self, n: int) -> int:
        """How much is left to hash before member ``n``; too much if not all of it is vouched for."""
        firm, _ = self._reach()
        if self._firm != n:
            return _LAG + 1
        return firm - (self._mark[0] if self._doubt else self._hashed)

    def _write_with(self, pen: Pen, n: int, chunks: Iterator[Buffer]) -> int:
        size = self.layout.members[n].size
        at = 0
        try:
            pen.put([self._gaps[n]])
            for chunk in chunks if size else (b"",):
                if len(chunk) or not size:  # no block of the framing may come twice
                    pen.put(frames.gather(size, at, chunk)[1])
                    at += len(chunk)
            pen.drain()
        finally:
            pen.close()
            with self._lock:
                self._progress[n] = self._hashed = pen.at
                self._pen = None
        return frames.stored_length(size)

    def _write_compressed(self, fd: int, n: int, chunks: Iterator[Buffer], start: int | None) -> int:
        lead = b"" if start is None else self._gaps[n]
        end = write_at(fd, [lead], start or 0)
        for piece in frames.compressed(chunks, self.layout.members[n].size, level=self._level):
            end = write_at(fd, [piece], end)
            if start is not None:
                self._progress[n] = end
                self._changed()
        return end - (start or 0) - len(lead)

    def _compress_small(self, n: int, raw: bytes) -> Written:
        if frames.gains(raw[:CHUNK], level=self._level):
            method: Method = "zstd"
            frame = b"".join(frames.compressed([raw], len(raw), level=self._level))
        else:
            method, frame = "stored", frames.stored(raw)
        if self._keep(len(frame)):
            return Written(len(frame), method, frame)
        spool = self._spool(n)
        with _opened(spool, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            write_at(fd, [frame], 0)
        return Written(len(frame), method, spool)

    def _settle(self) -> None:
        """Find the places of all members whose predecessors have known lengths. The lock is held, or not needed yet."""
        while self._known < len(self.layout.members):
            start, length = self._starts[self._known], self._lengths[self._known]
            if start is None or length is None:
                return
            self._starts[self._known + 1] = start + len(self._gaps[self._known]) + length
            self._known += 1

    def _move(self, n: int, held: bytes | Path) -> None:
        start = self._starts[n]
        assert start is not None
        with _opened(self._part, os.O_WRONLY) as fd:
            if isinstance(held, bytes):
                write_at(fd, [self._gaps[n], held], start)
            else:
                end = write_at(fd, [self._gaps[n]], start)
                with _opened(held, os.O_RDONLY) as spool:
                    buffer, at = bytearray(CHUNK), 0
                    while count := os.preadv(spool, [buffer], at):
                        end = write_at(fd, [memoryview(buffer)[:count]], end)
                        at += count
        self._let_go(held)

    def _let_go(self, held: bytes | Path | None) -> None:
        if isinstance(held, bytes):
            self._keep(-len(held))
        elif held is not None:
            held.unlink(missing_ok=True)

    def _finish(self) -> None:
        """End of the archive, and the seek table."""
        table = list(self._table)
        for frame, member, length in zip(self._gaps, self.layout.members, self._lengths, strict=True):
            assert length is not None
            table += [(len(frame), _gap_size(frame)), (length, member.size)]
        table.append((len(self._tail_gap), self._tail_size))
        start = self._starts[-1]
        assert start is not None
        with _opened(self._part, os.O_WRONLY) as fd:
            self._size = write_at(fd, [self._tail_gap, frames.seek_table(table)], start)

    # Hashing: by one thread at a time, between a :meth:`take_up` that was granted and :meth:`leave`

    def take_up(self) -> bool:
        """Whether :meth:`hash_on` would do something, and nobody else is at it; then the caller is, until :meth:`leave`."""
        with self._lock:
            if self._hashing or not self._pending():
                return False
            self._hashing = True
            return True

    def leave(self) -> None:
        """Let others hash."""
        with self._lock:
            self._hashing = False
            self._lock.notify_all()

    def _pending(self) -> bool:
        if self._pen is not None:
            return self._pen.waiting()
        return self._made and not self.sha256 and (self._doubt or self._reach()[1] > self._hashed)

    def hash_on(self) -> None:
        """Hash some more of the finished prefix; at its end, sync the file and give it its name."""
        pen = self._pen
        if pen is not None:
            while pen.draw():
                pass
            return
        with self._lock:
            if self._doubt:
                self._hashed, state = self._mark
                self._hash = state.copy()
                self._firm = 0
                self._doubt = False
            firm, end = self._reach()
        if self._hashed >= firm:
            if self._mark[0] != firm and self._hashed == firm:
                self._mark = (firm, self._hash.copy())
        else:
            end = firm
        end = min(end, self._hashed + _TURN)
        if not self._buffer:
            self._buffer = memoryview(bytearray(_READ))
        with _opened(self._part, os.O_RDONLY) as fd:
            while self._hashed < end:
                count = os.preadv(fd, [self._buffer[: end - self._hashed]], self._hashed)
                if not count:
                    raise DiskError(
                        f"read back {self._part}: ends at {self._hashed}; it was changed while being written"
                    )
                self._hash.update(self._buffer[:count])
                self._hashed += count
            if self._hashed == self._size and not self._doubt:
                os.fsync(fd)
                self._part.rename(self._path)
                self._buffer = memoryview(b"")
                self.sha256 = self._hash.hexdigest()

    def _reach(self) -> tuple[int, int]:
        """``(firm, end)``: how far everything is vouched for, and how far it is at least written."""
        if self._size is not None:
            return self._size, self._size
        n = self._firm
        while n < len(self._done) and self._done[n]:
            n += 1
        self._firm = n
        firm = self._starts[n] or 0
        return firm, max(firm, self._progress[n] if n < len(self._progress) else 0)


def _head(documents: tuple[Document, ...], mtime: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The frames of the documents and of what stands before them, and their entries for the seek table."""
    head: list[bytes] = []
    table: list[tuple[int, int]] = []
    before: int | None = None
    for document in documents:
        for raw in (gap(before, (document.name, len(document.raw)), mtime=mtime), document.raw):
            head.append(frames.stored(raw))
            table.append((len(head[-1]), len(raw)))
        before = len(document.raw)
    return b"".join(head), table


def _gap_size(frame: bytes) -> int:
    return len(frame) - frames.stored_length(0)


def _after(head: bytes, pieces: Iterator[Buffer]) -> Generator[Buffer, None, None]:
    yield head
    yield from pieces


def _slices(chunk: Buffer) -> Iterator[Buffer]:
    if len(chunk) <= _SLICE:
        yield chunk
    else:
        view = memoryview(chunk)
        for at in range(0, len(view), _SLICE):
            yield view[at : at + _SLICE]


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as problem:
        raise disk_error(problem, f"write {path}") from problem
