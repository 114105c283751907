"""A thousand clients that hardly move, and one that wants to get on with its work."""

from __future__ import annotations

import resource
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.store import Store
from tests import images
from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request

APP = images.image(images.layer("app", 2000))
MANY = 1000
CAP_MIB = 200
QUICK = 1.0


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """Enough for both ends, as the server is a process of its own with the same limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + 500
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY + 500:
        pytest.skip(f"only {hard} descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.open(str(tmp_path / "store"), create=True) as store:
        images.load(store, {"app:1": APP})
    return tmp_path / "store"


def crowd(host: Host, stack: ExitStack, first: bytes) -> list[socket.socket]:
    connections = []
    for _ in range(MANY):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", host.port), timeout=10))
        connection.sendall(first)
        connection.settimeout(0)
        connections.append(connection)
    return connections


def drip(connections: list[socket.socket], drop: bytes) -> None:
    for connection in connections:
        with suppress(OSError):  # it was cut off already
            connection.send(drop)


def still_open(connections: list[socket.socket]) -> int:
    """How many the server has neither answered nor closed."""
    poller = select.poll()
    for connection in connections:
        poller.register(connection, select.POLLIN | select.POLLHUP)
    return len(connections) - len(poller.poll(0))


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


BODIES = {
    "manifests": request(
        "PUT", "/v2/slow/manifests/1", f"Content-Type: {mediatype.OCI_MANIFEST}", "Content-Length: 4000"
    ),
    "chunks": request("POST", f"/v2/slow/blobs/uploads/?digest={digest_of(b'')}", "Transfer-Encoding: chunked"),
    "unread": request("GET", "/v2/app/manifests/1", "Content-Length: 4000"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "first"), BODIES.items(), ids=BODIES.keys())
def test_a_byte_now_and_then(folder: Path, kind: str, first: bytes) -> None:
    """Normal work goes on beside them, and whoever brings next to nothing within the time for it is cut off."""
    values = {"bundler.registry.bodies.STALLED_SECONDS": 3.0}
    with hosting(folder, values=values) as host, ExitStack() as stack, host.client(seconds=10) as client:
        connections = crowd(host, stack, first)
        took: list[float] = []
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            drip(connections, b"1\r\nx\r\n" if kind == "chunks" else b"x")
            took.append(timed(lambda: client.assert_holds("app", "1", APP)))
            if kind != "chunks":  # which have taken all upload sessions, but a manifest needs none
                took.append(timed(lambda: client.put("app", "1", APP.raw, APP.root.media_type)))
            time.sleep(0.3)
        assert statistics.median(took) < QUICK
        until = time.monotonic() + 8
        while kind != "unread" and still_open(connections) and time.monotonic() < until:
            drip(connections, b"1\r\nx\r\n" if kind == "chunks" else b"x")
            time.sleep(0.5)
        if kind != "unread":  # those have their answer, and keep a connection that nothing else needs
            assert still_open(connections) == 0
        assert client.push("other", "1", APP).status == 201
        assert host.peak() < CAP_MIB
    assert list((folder / ".bundler" / "tmp").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", [b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ", b"\r\n"], ids=["header", "nothing"])
def test_half_a_head(folder: Path, first: bytes) -> None:
    with hosting(folder, values={"bundler.registry.serve.HEADER_SECONDS": 2}) as host, ExitStack() as stack:
        connections = crowd(host, stack, first)
        with host.client(seconds=10) as client:
            took: list[float] = []
            until = time.monotonic() + 6
            while time.monotonic() < until and still_open(connections):
                took.append(timed(lambda: client.assert_holds("app", "1", APP)))
                drip(connections, b"a")
                time.sleep(0.4)
            assert statistics.median(took) < QUICK
            assert still_open(connections) == 0
            assert client.push("other", "1", APP).status == 201
            assert host.peak() < CAP_MIB


def test_more_connections_than_descriptors(folder: Path) -> None:
    """Those beyond the limit wait; nobody who is inside notices."""
    with hosting(folder, ulimits={"RLIMIT_NOFILE": 1024}) as host:
        with host.client(seconds=10) as client, ExitStack() as stack:
            client.assert_holds("app", "1", APP)
            connections = crowd(host, stack, b"GET /v2/ HTTP/1.1\r\n")
            assert host.files() < 900
            assert statistics.median(timed(lambda: client.assert_holds("app", "1", APP)) for _ in range(3)) < QUICK
            assert client.push("other", "1", APP).status == 201
            for connection in connections:
                connection.close()
        with host.client(seconds=10) as client:
            client.assert_holds("other", "1", APP)
