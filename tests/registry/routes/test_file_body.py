"""A file as a body: the same bytes whether they come from memory, from a worker thread, or from both in turn."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import DiskError
from bundler.registry.routes import file_body
from bundler.registry.routes.file_body import PIECE, TURN, FileBody
from tests.registry.caller import Caller

SIZE = 1 << 20
RAW = os.urandom(3 * SIZE + 12_345)
PARTS = [
    range(len(RAW)),
    range(0),
    range(1),
    range(100, 200),
    range(PIECE[1] - 1, 2 * SIZE + 1),
    range(len(RAW) - 1, len(RAW)),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(RAW)
    return path


def body_of(file: FileIO, part: range) -> FileBody:
    return FileBody(file, part, 200, {"Content-Length": str(len(part))}, "application/octet-stream")


def sent(path: Path, part: range = PARTS[0]) -> bytes:
    file = FileIO(path)
    messages: list[dict[str, Any]] = []
    answer = asyncio.run(Caller(body_of(file, part)).ask("GET", "/", messages=messages))
    assert file.closed
    assert [message["more_body"] for message in messages[1:]] == [True] * (len(messages) - 2) + [False]
    assert answer.headers["content-type"] == "application/octet-stream"
    return answer.body


class Kernel:
    """What preadv answers when it must not wait, and how often a worker thread read instead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers: Iterator[int] = iter(())
        self.flags: list[int] = []
        self.waited = 0
        self._preadv, self._pread = os.preadv, os.pread
        monkeypatch.setattr("bundler.registry.routes.file_body.os.preadv", self.preadv)
        monkeypatch.setattr("bundler.registry.routes.file_body.os.pread", self.pread)

    def answers(self, *errors: int) -> None:
        """Errno by errno, 0 for doing it; in turn for ever."""

        def forever() -> Iterator[int]:
            while True:
                yield from errors

        self._answers = forever()

    def preadv(self, fd: int, buffers: Any, at: int, flags: int) -> int:
        self.flags.append(flags)
        failed = next(self._answers)
        if failed:
            raise OSError(failed, os.strerror(failed))
        return self._preadv(fd, buffers, at)

    def pread(self, fd: int, most: int, at: int) -> bytes:
        self.waited += threading.current_thread() is not threading.main_thread()
        return self._pread(fd, most, at)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize(
    "errors", [(0,), (errno.EAGAIN,), (errno.EAGAIN, 0), (errno.EOPNOTSUPP,)], ids=["held", "not", "half", "unable"]
)
def test_the_same_bytes(path: Path, kernel: Kernel, part: range, errors: tuple[int, ...]) -> None:
    kernel.answers(*errors)
    assert sent(path, part) == RAW[part.start : part.stop]
    assert set(kernel.flags) == ({os.RWF_NOWAIT} if part else set())
    assert (kernel.waited == 0) is (errors == (0,) or not part)


def test_nothing_is_asked_twice_of_who_knows_no_such_thing(path: Path, kernel: Kernel, monkeypatch: Any) -> None:
    monkeypatch.setattr(file_body, "MOUNTS", path.parent / "none")
    kernel.answers(errno.EOPNOTSUPP)
    assert sent(path) == RAW
    assert len(kernel.flags) == 1
    assert kernel.waited == -(-len(RAW) // PIECE[1])


@pytest.mark.parametrize(("kind", "waited"), [("tmpfs", 1), ("nfs4", -(-len(RAW) // PIECE[1]))])
def test_tmpfs_is_memory(path: Path, kernel: Kernel, monkeypatch: Any, kind: str, waited: int) -> None:
    device = path.stat().st_dev
    mounts = path.parent / "mountinfo"
    mounts.write_text(
        "22 1 0:21 / /proc rw - proc proc rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / /srv/a\\040-\\040b rw,noatime master:1 - {kind} blobs rw\n"
    )
    monkeypatch.setattr(file_body, "MOUNTS", mounts)
    kernel.answers(errno.EOPNOTSUPP)
    assert sent(path) == RAW
    assert kernel.waited == waited


@pytest.mark.parametrize("failing", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails(path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    def broken(*_args: Any) -> Any:
        raise OSError(failing, os.strerror(failing))

    monkeypatch.setattr("bundler.registry.routes.file_body.os.preadv", broken)
    monkeypatch.setattr("bundler.registry.routes.file_body.os.pread", broken)
    file = FileIO(path)
    messages: list[dict[str, Any]] = []
    with pytest.raises(DiskError, match=os.strerror(failing)):
        asyncio.run(Caller(body_of(file, PARTS[0])).ask("GET", "/", messages=messages))
    assert file.closed
    assert messages == []  # so that the answer can say it


def test_a_file_that_ends_before_the_blob(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages: list[dict[str, Any]] = []
    caller = Caller(body_of(FileIO(path), range(len(RAW) + 1)))
    with pytest.raises(DiskError, match="ended before the blob"):
        asyncio.run(caller.ask("GET", "/", messages=messages))
    assert messages[-1]["more_body"]
    assert caplog.messages == [f"a blob breaks off after {len(RAW)} bytes: a blob's file ended before the blob"]


def test_a_client_that_goes_away(path: Path) -> None:
    """Nothing more is read for it, though the server goes on to take what it is given at once."""
    taken: list[int] = []
    file = FileIO(path)

    async def asking() -> None:
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            taken.append(len(message.get("body", b"")))
            if len(taken) == 3:
                left.set()

        await body_of(file, PARTS[0])({"type": "http"}, receive, send)

    asyncio.run(asking())
    assert file.closed
    assert len(taken) >= 3
    assert sum(taken[3:]) <= TURN + 2 * PIECE[1] < len(RAW) - TURN


@pytest.mark.parametrize(("clients", "size"), [(1, PIECE[1]), (64, PIECE[1] // 2), (200, PIECE[0])])
def test_pieces_become_smaller_with_many_clients(path: Path, kernel: Kernel, clients: int, size: int) -> None:
    kernel.answers(errno.EAGAIN)
    seconds: list[int] = []

    async def asking() -> None:
        all_are_there, all_have_some = asyncio.Barrier(clients), asyncio.Barrier(clients)

        async def receive() -> dict[str, Any]:
            return await asyncio.Future()

        async def ask() -> None:
            taken: list[int] = []

            async def send(message: dict[str, Any]) -> None:
                taken.append(len(message.get("body", b"")))
                if len(taken) == 1:
                    await all_are_there.wait()
                elif len(taken) == 3:  # the first piece was read before all of them were there
                    seconds.append(taken[2])
                    await all_have_some.wait()

            await body_of(FileIO(path), range(SIZE))({"type": "http"}, receive, send)
            assert sum(taken) == SIZE

        await asyncio.gather(*(ask() for _ in range(clients)))

    asyncio.run(asking())
    assert seconds == [size] * clients
