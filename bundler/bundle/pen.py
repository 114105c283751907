"""Writing and hashing the front of a volume at once, so that its bytes need not be read back.

The member that stands right behind what is hashed is written through a :class:`Pen`. Its worker copies the framed bytes
into one of a few buffers, and whoever hashes the volume takes the full ones in turn, writes each, and hashes it while it
is still in the processor's cache. The worker reads and checks the next piece meanwhile.

    worker: read, check ──▶ put ──▶ │ full │ full │ … │ ──▶ draw: write, hash ──▶ back to be filled

Hashing must go in order, writing need not: a worker that has filled the last buffer before anybody gave one back writes
that one itself, which spreads the work over both threads. If then nobody comes to draw, it draws too. So it is never stuck
with a thread that is elsewhere, or has ended, and a member that fits one buffer is not handed to another thread at all.
What goes wrong while drawing is raised where the member is written.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bundler.content import Buffer

if TYPE_CHECKING:
    from hashlib import _Hash

LENGTH = 512 << 10
"""Bytes in a buffer: large enough to be worth a system call, small enough that a few stay in a cache."""
RING = 4
"""Buffers of a pen: about twice what a worker puts at a time, or else the two would take turns instead of overlapping."""
PENS = 4
"""The most pens that are in use at a time. Members that get none are hashed by reading them back."""
_MOMENT = 0.002  # seconds for another thread to wake up and begin


class Box:
    """The pens of a bundle's volumes, as the buffers that they need: made when first used, and used again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = PENS
        self._sets: list[list[memoryview]] = []

    def take(self) -> list[memoryview] | None:
        """The buffers for one pen; none if all are in use."""
        with self._lock:
            if not self._left:
                return None
            self._left -= 1
            if self._sets:
                return self._sets.pop()
        return [memoryview(bytearray(LENGTH)) for _ in range(RING)]

    def give(self, buffers: list[memoryview]) -> None:
        """Put them back."""
        with self._lock:
            self._left += 1
            self._sets.append(buffers)


class Pen:
    """Writes to ``fd``, and hashes into ``state``, a run of bytes that begins at ``at``.

    One thread gives the bytes (:meth:`put`, then :meth:`drain`, and :meth:`close` in any case), any thread may :meth:`draw`.
    ``full`` is called when there is something to draw.
    """

    def __init__(
        self, fd: int, at: int, state: _Hash, buffers: Sequence[memoryview], *, full: Callable[[], None]
    ) -> None:
        self.at = at
        """The position behind all that is written and hashed."""
        self._fd = fd
        self._state = state
        self._call = full
        self._free = list(buffers)
        self._full: deque[tuple[memoryview, bool]] = deque()  # with whether it is written already
        self._end = at  # the position of the page that is being filled
        self._page = self._free.pop()
        self._filled = 0
        self._drawing = False
        self._failure: BaseException | None = None
        self._turn = threading.Condition(threading.Lock())

    def put(self, parts: Sequence[Buffer]) -> None:
        """Append ``parts``, whose memory may be used again afterwards. Raises what went wrong, maybe with earlier ones."""
        for part in parts:
            used = 0
            while used < len(part):
                if self._filled == len(self._page):
                    self._pass_on()
                    self._call()
                    self._next_page()
                count = min(len(part) - used, len(self._page) - self._filled)
                whole = part if count == len(part) else memoryview(part)[used : used + count]
                self._page[self._filled : self._filled + count] = whole
                self._filled += count
                used += count

    def drain(self) -> None:
        """Return when all is written and hashed; raises what went wrong."""
        if self._filled:
            self._pass_on()
        while True:
            with self._turn:
                self._turn.wait_for(lambda: not self._drawing)
                if not self._full:
                    break
            self.draw()
        self._check()

    def close(self) -> None:
        """Forget what is not written yet. Afterwards nobody uses the file and the buffers."""
        with self._turn:
            self._full.clear()
            self._turn.wait_for(lambda: not self._drawing)

    def waiting(self) -> bool:
        """Whether :meth:`draw` would do something."""
        return bool(self._full) and not self._drawing

    def draw(self) -> bool:
        """Write and hash the oldest full buffer. False, without waiting, if there is none or another thread is drawing."""
        with self._turn:
            if self._drawing or not self._full:
                return False
            self._drawing = True
            page, written = self._full.popleft()
        try:
            if not written:
                write_at(self._fd, [page], self.at)
            self._state.update(page)
            self.at += len(page)
        except BaseException as problem:  # noqa: BLE001 - it is raised again by put or drain
            self._failure = problem
        with self._turn:
            self._drawing = False
            self._free.append(page)
            if self._failure is not None:
                self._full.clear()
            self._turn.notify()
        return True

    def _pass_on(self) -> None:
        self._check()
        page = self._page[: self._filled]
        last = not self._free  # then this thread would only wait
        if last:
            write_at(self._fd, [page], self._end)
        self._end += self._filled
        self._filled = 0
        with self._turn:
            if self._failure is None:  # else it would come behind a hole
                self._full.append((page, last))

    def _next_page(self) -> None:
        while not self._free and self._failure is None:
            with self._turn:
                found = self._turn.wait_for(lambda: self._free, None if self._drawing else _MOMENT)
            if not found:
                self.draw()
        self._check()
        self._page = self._free.pop()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


def write_at(fd: int, buffers: Sequence[Buffer], position: int) -> int:
    """Write all buffers from ``position`` on; the position behind them."""
    end = position + sum(len(buffer) for buffer in buffers)
    position += os.pwritev(fd, buffers, position)
    while position < end:  # the kernel took a part: rare, so the rest may be joined
        rest = b"".join(buffers)[position - end :]
        position += os.pwrite(fd, rest, position)
    return end
