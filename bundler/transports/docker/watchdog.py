"""A thread that ends calls which overstay, because a socket's own time-out only bounds the wait for the next packet.

with watchdog.limit(30, response.shutdown):
    data = response.read(65536)              # one byte every ten seconds does not get far
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class OverstayedError(Exception):
    """A call was ended by the watchdog; what it raised or returned then says nothing."""


class Watchdog:
    """Looks every ``tick`` seconds; started when first needed, ended by :meth:`close`."""

    def __init__(self, tick: float) -> None:
        self._tick = tick
        self._watched: dict[object, tuple[float, Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    @contextmanager
    def limit(self, seconds: float, cut: Callable[[], None]) -> Iterator[None]:
        """Call ``cut`` from another thread if the block takes longer; then :class:`OverstayedError` ends the block."""
        self._start()
        mark = object()
        with self._lock:
            self._watched[mark] = (time.monotonic() + seconds, cut)
        overstayed = False
        try:
            yield
        finally:
            with self._lock:
                overstayed = self._watched.pop(mark, None) is None
            if overstayed:
                raise OverstayedError

    def close(self) -> None:
        """End the thread; it starts again if it is needed."""
        with self._lock:
            stop, self._stop = self._stop, None
        if stop is not None:
            stop.set()

    def _start(self) -> None:
        with self._lock:
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._run, args=(self._stop,), name="watchdog", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._tick):
            now = time.monotonic()
            with self._lock:
                late = [(mark, cut) for mark, (until, cut) in self._watched.items() if until <= now]
                for mark, cut in late:
                    with suppress(OSError, ValueError, RuntimeError):  # it ended by itself meanwhile
                        cut()
                    del self._watched[mark]
