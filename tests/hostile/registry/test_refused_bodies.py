"""Bodies of requests that are refused before they were received: the answer arrives, and the connection stays in step."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile.registry.host import Host, hosting
from tests.hostile.registry.wire import request, statuses, talk

GONE = "/v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000"
NEXT = request("GET", "/v2/", "Connection: close")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("refused") / "store") as served:
        yield served


def late(port: int, head: bytes, body: bytes) -> tuple[list[int], bytes]:
    """The answers to a request whose body comes well after the first of them, and to another behind it; and all that came."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head)
        said = connection.recv(65536)
        time.sleep(0.2)
        connection.sendall(body)
        connection.sendall(NEXT)
        while more := connection.recv(65536):
            said += more
    return statuses(said), said


@pytest.mark.parametrize("size", [1, 300_000, 20 << 20])
@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PATCH", GONE, 404),
        ("PUT", f"{GONE}?digest=sha256:{'0' * 64}", 404),
        ("PUT", "/v2/APP/manifests/1", 400),
        ("POST", "/v2/app/blobs/uploads/?digest=md5:1", 400),
        ("PUT", "/v2/app/tags/list", 405),
        ("GET", "/v2/app/manifests/1", 404),
        ("GET", "/v2/", 200),
    ],
)
def test_a_body_that_comes_after_its_answer(host: Host, method: str, target: str, status: int, size: int) -> None:
    head = request(method, target, f"Content-Length: {size}")
    assert late(host.port, head, bytes(size))[0] == [status, 200]


def test_a_chunked_body_that_comes_after_its_answer(host: Host) -> None:
    body = b"100000\r\n" + bytes(1 << 20) + b"\r\n0\r\n\r\n"
    assert late(host.port, request("PATCH", GONE, "Transfer-Encoding: chunked"), body)[0] == [404, 200]


def test_who_sends_all_of_it_before_listening_has_his_answer(host: Host) -> None:
    head = request("PATCH", GONE, f"Content-Length: {50 << 20}")
    with socket.create_connection(("127.0.0.1", host.port), timeout=30) as connection:
        connection.sendall(head + bytes(50 << 20))
        assert statuses(connection.recv(65536)) == [404]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_is_no_question_is_no_reason_to_close(host: Host, version: str) -> None:
    """An expectation that nobody knows, and one of HTTP/1.0, which a server ignores (RFC 9110, section 10.1.1)."""
    expected = "100-continue" if version == "1.0" else "banana"
    head = request("PATCH", GONE, f"Content-Length: {20 << 20}", f"Expect: {expected}", "Connection: keep-alive")
    head = head.replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    with socket.create_connection(("127.0.0.1", host.port), timeout=30) as connection:
        connection.sendall(head + bytes(20 << 20))
        said = connection.recv(65536).replace(b"HTTP/1.0", b"HTTP/1.1")
        assert statuses(said) == [404]


def test_a_registry_that_is_about_to_stop_waits_for_nobody(tmp_path: Path) -> None:
    with (
        hosting(tmp_path / "store") as host,
        socket.create_connection(("127.0.0.1", host.port), timeout=30) as connection,
    ):
        connection.sendall(request("PATCH", GONE, "Content-Length: 50000"))
        assert statuses(connection.recv(65536)) == [404]
        began = time.monotonic()
        host.process.terminate()
        with suppress(OSError):
            while host.process.poll() is None and time.monotonic() - began < 20:
                connection.sendall(b"x")
                time.sleep(0.2)
        host.process.wait(20)
        assert time.monotonic() - began < 8  # where it would be 10


def test_who_asks_first_is_told_not_to_send(host: Host) -> None:
    said = talk(host.port, request("PATCH", GONE, "Content-Length: 5000", "Expect: 100-continue"))
    assert statuses(said) == [404]


def test_a_manifest_beyond_the_cap(host: Host) -> None:
    size = 20 << 20
    head = request("PUT", "/v2/app/manifests/1", f"Content-Length: {size}")
    with socket.create_connection(("127.0.0.1", host.port), timeout=30) as connection:
        connection.sendall(head + bytes(size))
        said = connection.recv(65536)
        assert statuses(said) == [413]
        assert b"connection: close" in said.lower()


@pytest.mark.parametrize(
    "values",
    [
        {"bundler.registry.operations.lingering.MOST_SECONDS": 0.5},
        {"bundler.registry.operations.lingering.MOST_BYTES": 1 << 20},
    ],
    ids=["time", "bytes"],
)
def test_nobody_lingers_for_ever(tmp_path: Path, values: dict[str, float]) -> None:
    with (
        hosting(tmp_path / "store", values=values) as host,
        socket.create_connection(("127.0.0.1", host.port), timeout=30) as connection,
    ):
        connection.sendall(request("PATCH", GONE, f"Content-Length: {1 << 40}"))
        assert statuses(connection.recv(65536)) == [404]
        with pytest.raises(OSError):
            while True:
                connection.sendall(bytes(65536))
                time.sleep(0.01)


def test_a_client_that_stops_sending_is_not_waited_for(tmp_path: Path) -> None:
    values = {"bundler.registry.operations.lingering.QUIET_SECONDS": 0.5}
    with (
        hosting(tmp_path / "store", values=values) as host,
        socket.create_connection(("127.0.0.1", host.port), timeout=8) as connection,
    ):
        connection.sendall(request("PATCH", GONE, "Content-Length: 5000") + b"some")
        assert statuses(connection.recv(65536)) == [404]
        assert connection.recv(65536) == b""
