"""All of it in a real server: a signal, requests under way, a file under way, and the lines that say so."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SIZE = 48 << 20

SERVE = """
import asyncio, os, socket, sys
from granian.constants import HTTPModes, Interfaces
from granian.net import SocketHolder
from granian.server.embed import Server
from bundler.registry.operations.access_log import AccessLog
from bundler.registry.operations.draining import Draining
from bundler.registry.operations.limits import most_connections
from bundler.registry.operations.stopping import told_to_stop
from bundler.registry.operations.watch import Watch

GRACE, FILE, LOG = float(sys.argv[1]), sys.argv[2], sys.argv[3]

async def app(scope, receive, send):
    seconds, _, kind = scope["path"].rpartition("/")[2].partition("-")
    if seconds.isdigit():
        await asyncio.sleep(int(seconds) / 10)
    file = scope["path"] == "/file"
    length = os.path.getsize(FILE) if file else 5
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]})
    if file:
        with open(FILE, "rb") as body:
            while part := body.read(1 << 18):
                await send({"type": "http.response.body", "body": part, "more_body": body.tell() < length})
    else:
        await send({"type": "http.response.body", "body": b"hello"})

async def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]

    class Given(Server):
        def _init_shared_socket(self):
            self._ssp, self._shd = None, SocketHolder(listener.detach(), False, 1024)
            self._sfd = self._shd.get_fd()

    draining = Draining(app)
    log = AccessLog(LOG)
    server = Given(Watch(draining, [log]), interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False,
                   log_enabled=False, backlog=1024, backpressure=most_connections())
    with told_to_stop() as told:
        serving = asyncio.ensure_future(server.serve())
        print(port, flush=True)
        async with asyncio.timeout(60):
            await told.wait()
        draining.begin()
        print("draining", flush=True)
        end = asyncio.get_running_loop().time() + GRACE
        cut = await draining.idle(GRACE)
        server.stop()
        await asyncio.wait({serving}, timeout=max(end - asyncio.get_running_loop().time(), 0.1))
        serving.cancel()
        await asyncio.wait({serving})
        await asyncio.sleep(0.1)  # granian's own threads end a moment later, and complain if Python is gone by then
        log.close()
        print(cut, flush=True)

asyncio.run(main())
"""


@contextmanager
def server(tmp_path: Path, grace: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running one, and its port."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(SIZE)
    command = [sys.executable, "-c", SERVE, str(grace), str(tmp_path / "file"), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


class Client(threading.Thread):
    """A request in a thread of its own."""

    def __init__(self, port: int, path: str, *, pause: float = 0.0) -> None:
        super().__init__()
        self.status = 0
        self.length = 0
        self.headers: Any = {}
        self._asked = threading.Event()
        self._pause = pause
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._path = path
        self.start()
        self._asked.wait(10)

    def run(self) -> None:
        try:
            self._connection.request("GET", self._path)
            self._asked.set()
            answer = self._connection.getresponse()
            self.status, self.headers = answer.status, answer.headers
            time.sleep(self._pause)
            while part := answer.read(1 << 20):
                self.length += len(part)
        except (OSError, http.client.HTTPException):
            self.status = self.status or -1
        finally:
            self._connection.close()


def lines(tmp_path: Path) -> dict[str, Any]:
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    return {line["path"]: line for line in said}


def test_nothing_is_cut_off(tmp_path: Path) -> None:
    with server(tmp_path, 20) as (process, port):
        assert process.stdout is not None
        file = Client(port, "/file", pause=1.5)
        slow = Client(port, "/slow/10")
        time.sleep(0.2)
        process.terminate()
        assert process.stdout.readline() == "draining\n"
        late = Client(port, "/late")
        for each in (file, slow, late):
            each.join(30)
        assert process.stdout.readline() == "0\n"
        assert process.wait(20) == 0
    assert (file.status, file.length) == (200, SIZE)
    assert (slow.status, slow.length) == (200, 5)
    assert (late.status, late.headers["Retry-After"], late.headers["Connection"]) == (503, "10", "close")
    said = lines(tmp_path)
    assert {path: (line["status"], line["ended"]) for path, line in said.items()} == {
        "/file": (200, "complete"),
        "/slow/10": (200, "complete"),
        "/late": (503, "complete"),
    }
    assert said["/slow/10"]["id"] == slow.headers["X-Request-Id"]
    assert said["/file"]["sent"] == SIZE
    assert 900 < said["/slow/10"]["ms"] < 20_000


@pytest.mark.slow
def test_grace_is_an_end(tmp_path: Path) -> None:
    with server(tmp_path, 0.5) as (process, port):
        assert process.stdout is not None
        slow = Client(port, "/slow/200")
        time.sleep(0.2)
        began = time.monotonic()
        process.terminate()
        assert process.stdout.readline() == "draining\n"
        assert process.stdout.readline() == "1\n"
        assert process.wait(20) == 0
        assert time.monotonic() - began < 10
        slow.join(30)
    assert slow.status in (-1, 500)
