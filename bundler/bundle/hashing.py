"""The threads that hash a bundle's volumes while they grow, so that no time is left to wait for at the end.

Any thread may take up any volume that has something to hash; a volume is with one thread at a time. Writers say when there
is more. What all volumes share is here too: the memory for frames that wait for their place, and the pens.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from bundler.bundle.pen import Box
from bundler.bundle.writer import VolumeWriter

MEMORY = 32 << 20
"""The most bytes of finished frames that wait in memory for their place."""


class Hashing:
    """Begun with :meth:`start`, ended with :meth:`stop`; what goes wrong in a thread is raised by :meth:`check`."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._volumes: list[VolumeWriter] = []
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._stopped = False
        self._kept = 0
        self.box = Box()
        """The pens."""

    def start(self, volumes: Sequence[VolumeWriter]) -> None:
        """Begin hashing. At least two threads, so that one may hash while another waits for a sync."""
        self._volumes = list(volumes)
        width = min(len(volumes), max(2, min(4, (os.cpu_count() or 1) // 2)))
        self._threads = [threading.Thread(target=self._work, name="bundler-hash", daemon=True) for _ in range(width)]
        for thread in self._threads:
            thread.start()

    def changed(self) -> None:
        """Say that there may be more to hash."""
        with self._change:
            self._change.notify()

    def keep(self, count: int) -> bool:
        """Whether so many more bytes may be held in memory; a negative count gives them back."""
        with self._change:
            if self._kept + count > MEMORY:
                return False
            self._kept += count
            return True

    def check(self) -> None:
        """Raise what went wrong in a hashing thread."""
        if self._failure is not None:
            raise self._failure

    def wait_for(self, volumes: Sequence[VolumeWriter]) -> None:
        """Return when all are hashed, synced and named."""
        with self._change:
            self._change.notify_all()
            self._change.wait_for(lambda: self._failure is not None or all(volume.sha256 for volume in volumes))
        self.check()

    def stop(self) -> None:
        """End the threads, whatever is left to hash."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (volume := self._next()) is not None:
                try:
                    volume.hash_on()
                finally:
                    with self._change:
                        volume.leave()
                        if volume.sha256:
                            self._volumes.remove(volume)
                            self._change.notify_all()
        except BaseException as problem:  # noqa: BLE001 - it is raised again where the pack is used
            with self._change:
                self._failure = self._failure or problem
                self._change.notify_all()

    def _next(self) -> VolumeWriter | None:
        """A volume with something to hash that nobody else is hashing; None when it is time to stop."""
        with self._change:
            while not self._stopped and self._failure is None:
                for volume in self._volumes:
                    if volume.take_up():
                        return volume
                self._change.wait()
        return None
