"""Being told to stop, come what may."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from bundler.registry.operations.stopping import told_to_stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told(number: signal.Signals) -> None:
    async def waiting() -> bool:
        with told_to_stop() as told:
            assert not told.is_set()
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
            async with asyncio.timeout(10):
                return await told.wait()

    before = signal.getsignal(number)
    assert asyncio.run(waiting())
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("wakes", [0, 300, 5000])
def test_told_while_much_goes_on(wakes: int) -> None:
    """As when hundreds of clients go away at once: asyncio's own handlers miss the signal then."""

    async def waiting() -> bool:
        loop = asyncio.get_running_loop()
        with told_to_stop() as told:
            for _ in range(wakes):
                loop.call_soon_threadsafe(int)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                return await told.wait()

    assert asyncio.run(waiting())


def test_other_signals_are_left_alone() -> None:
    seen = []

    async def waiting() -> bool:
        with told_to_stop() as told:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(0.05)
            return told.is_set()

    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        assert not asyncio.run(waiting())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [1]


def test_all_is_as_before() -> None:
    async def failing() -> None:
        with told_to_stop():
            raise KeyError

    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(KeyError):
        asyncio.run(failing())
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert signal.set_wakeup_fd(-1) == -1
