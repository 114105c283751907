"""Several layers at once, and none of them after the work is over.

Whoever gave the scratch takes it away when a conversion ends, however it ends. So the first failure stops the others, and
nothing is raised before all of them stand still: a thread that went on would write where nothing of it belongs any more.

    together(lambda layer, running: scratch.keep(running(source.fetch(layer))), layers, executor)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from bundler.content import Buffer, settled

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
Running = Callable[[Iterable[Buffer]], Generator[Buffer, None, None]]
"""Hands a stream through for as long as the work goes on."""


class _StoppedError(Exception):
    """Ends a piece of work because another one failed."""


def together(
    work: Callable[[_Item, Running], _Result], items: Sequence[_Item], executor: Executor
) -> tuple[_Result, ...]:
    """What ``work`` makes of each item, in their order. Raises what the first to fail raised, once all have ended.

    Don't call it from within ``executor``, whose threads it waits for.
    """
    stop = threading.Event()

    def running(chunks: Iterable[Buffer]) -> Generator[Buffer, None, None]:
        for chunk in chunks:
            if stop.is_set():
                raise _StoppedError
            yield chunk

    return tuple(settled([executor.submit(work, item, running) for item in items], stop))
