"""Being told to stop, by a signal that can't get lost.

asyncio's own ``add_signal_handler`` shares one small pipe with all threads that wake the loop: when a few hundred clients
go away at once the pipe is full, and a SIGTERM of that moment is dropped. Here signals have a pipe of their own.

    with told_to_stop() as told:
        await told.wait()
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop(signals: Sequence[signal.Signals] = SIGNALS) -> Iterator[asyncio.Event]:
    """An event that is set by the first of ``signals``; in the main thread, with its loop running.

    What was done about signals before is done again after the block.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)

        def look() -> None:
            if any(number in signals for number in ours.recv(4096)):
                told.set()

        loop.add_reader(ours, look)
        pipe = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        before = [(each, signal.signal(each, _noted)) for each in signals]
        try:
            yield told
        finally:
            for each, handler in before:
                signal.signal(each, handler)
            signal.set_wakeup_fd(pipe)
            loop.remove_reader(ours)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The number is in the pipe; Python wants a handler all the same."""
