"""Several layers at once: all of them, or none that still runs when the first failure is raised."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundler.content import Buffer
from bundler.convert import Recipe, convert
from bundler.convert.together import Running, together
from bundler.errors import NetworkError, StoreError
from bundler.medium import EVERYTHING
from bundler.oci.descriptor import Descriptor
from bundler.scratch import Spool
from tests.images import Part, image, layer, load
from tests.memory import Memory


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_results_in_the_order_of_the_items(executor: ThreadPoolExecutor) -> None:
    def work(item: int, running: Running) -> bytes:
        time.sleep(0.01 * (3 - item))
        return b"".join(bytes(chunk) for chunk in running([bytes([item])] * 2))

    assert together(work, [0, 1, 2], executor) == (b"\0\0", b"\1\1", b"\2\2")


def test_nothing_to_do(executor: ThreadPoolExecutor) -> None:
    assert together(lambda item, running: item, [], executor) == ()


def test_a_failure_stops_the_others_and_waits_for_them(executor: ThreadPoolExecutor) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        while True:
            begun.set()
            yield b"x"

    def work(item: str, running: Running) -> None:
        if item == "endless":
            try:
                for _ in running(endless()):
                    pass
            finally:
                time.sleep(0.05)
                ended.set()
        assert begun.wait(10)
        raise NetworkError("reset")

    with pytest.raises(NetworkError, match="reset"):
        together(work, ["endless", "fails"], executor)
    assert ended.is_set()


def test_what_has_not_begun_never_does() -> None:
    begun: list[int] = []

    def forever() -> Iterator[bytes]:
        while True:
            time.sleep(0.001)
            yield b"x"

    def work(item: int, running: Running) -> None:
        begun.append(item)
        if item == 0:
            raise NetworkError("reset")
        for _ in running(forever()):  # until it is stopped
            pass

    with ThreadPoolExecutor(1) as executor, pytest.raises(NetworkError):
        together(work, list(range(1000)), executor)
    assert len(begun) < 1000


class _Slow(Memory):
    """A layer that comes slowly, and another that fails once the first one is on its way."""

    def __init__(self, slow: Part, bad: Part) -> None:
        super().__init__(chunk=256 << 10)
        self.slow, self.bad = slow.descriptor.digest, bad.descriptor.digest
        self.on_its_way = threading.Event()
        load(self, {"1": image(bad, slow)})

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        for chunk in super().fetch_from(want, offset):
            if want.digest == self.bad:
                assert self.on_its_way.wait(10)
                raise NetworkError("reset")
            yield chunk
            if want.digest == self.slow:
                self.on_its_way.set()
                time.sleep(0.02)


def test_no_layer_is_written_after_the_scratch_is_gone(executor: ThreadPoolExecutor, tmp_path: Path) -> None:
    """Its descriptor may be another file's by then."""
    held = _Slow(layer("slow", 4_000_000), layer("bad", 3000))
    with pytest.raises(NetworkError, match="reset"), Spool.open(tmp_path) as scratch:
        convert(held, held.resolve("1"), Recipe(compression="zstd"), EVERYTHING, scratch=scratch, executor=executor)
    with ExitStack() as stack:
        for number in range(100):
            stack.enter_context((tmp_path / str(number)).open("wb"))
        executor.shutdown()
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {0}


def test_a_closed_scratch_takes_no_more(tmp_path: Path) -> None:
    def closing_itself() -> Generator[Buffer, None, None]:
        yield b"x"
        scratch.close()
        yield b"y"

    with Spool.open(tmp_path) as scratch, pytest.raises(StoreError, match="closed while it was written"):
        scratch.keep(closing_itself())
