"""The server in this process: addresses, TLS, and ending in time."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import ConfigError, LockedError, NotFoundError
from bundler.registry import serve as module
from bundler.registry.opening import opened
from bundler.registry.serve import Address, Door, check_exposure, parse_listen
from bundler.store import Store
from tests import images
from tests.authority import Authority

APP = images.image(images.layer("app", 2000))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", Address("127.0.0.1", 5000)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:5000", Address("::1", 5000)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65535)),
    ],
)
def test_parse_listen(text: str, address: Address) -> None:
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", ":5000", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:5000", "a:٣", "a:-1"]
)
def test_parse_listen_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        parse_listen(text)


def serve(
    directory: Path, *, read_only: bool = False, on_ready: Callable[[str], None] | None = None, **door: Any
) -> None:
    with opened(directory, read_only=read_only) as (contents, writable):
        module.serve(contents, writable, Door(**door), on_ready=on_ready)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "registry.test", "127.0.0.1.example.com"])
@pytest.mark.parametrize(
    ("tls", "open_to_all", "lacking"),
    [(False, True, "TLS or access control"), (True, True, "no access control"), (False, False, "no TLS$")],
)
def test_exposure_must_be_said(host: str, tls: bool, open_to_all: bool, lacking: str) -> None:
    with pytest.raises(ConfigError, match=lacking) as caught:
        check_exposure(Address(host, 5000), insecure=False, tls=tls, open_to_all=open_to_all)
    assert "--insecure" in caught.value.hint
    check_exposure(Address(host, 5000), insecure=True, tls=tls, open_to_all=open_to_all)


def test_exposure_with_tls_and_access_control() -> None:
    check_exposure(Address("0.0.0.0", 5000), insecure=False, tls=True, open_to_all=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    check_exposure(Address(host, 5000), insecure=False, tls=False, open_to_all=True)


def stop(_url: str = "") -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Once:
    """An ``on_ready`` that looks once, and ends the server."""

    def __init__(self, path: str = "/v2/", context: ssl.SSLContext | None = None) -> None:
        self.path = path
        self.context = context
        self.url = ""
        self.status = 0

    def __call__(self, url: str) -> None:
        import threading

        self.url = url
        threading.Thread(target=self._look).start()

    def _look(self) -> None:
        try:
            with urllib.request.urlopen(self.url + self.path, timeout=10, context=self.context) as answer:
                self.status = answer.status
        finally:
            stop()


def test_serves_until_told_to_stop(tmp_path: Path) -> None:
    look = Once()
    before = signal.getsignal(signal.SIGTERM)
    serve(tmp_path / "store", listen="127.0.0.1:0", on_ready=look)
    assert look.status == 200
    assert look.url.startswith("http://127.0.0.1:")
    assert int(look.url.rpartition(":")[2]) > 0
    assert signal.getsignal(signal.SIGTERM) is before
    assert Store.open(str(tmp_path / "store")).images() == []


def test_name_of_the_host_is_kept(tmp_path: Path) -> None:
    look = Once()
    serve(tmp_path / "store", listen="localhost:0", on_ready=look)
    assert (look.status, look.url.rpartition(":")[0]) == (200, "http://localhost")


def test_tls(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue(tmp_path)
    look = Once(context=ssl.create_default_context(cafile=str(authority.ca)))
    serve(tmp_path / "store", listen="127.0.0.1:0", tls_cert=certificate, tls_key=key, on_ready=look)
    assert (look.status, look.url.partition(":")[0]) == (200, "https")


def test_tls_needs_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="together"):
        serve(tmp_path / "store", listen="127.0.0.1:0", tls_cert=tmp_path / "x.cert")


@pytest.mark.parametrize("content", [None, "no PEM"], ids=["missing", "damaged"])
def test_tls_with_unusable_files(tmp_path: Path, content: str | None) -> None:
    for name in ("x.cert", "x.key"):
        if content is not None:
            (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=r"x\.cert"):
        serve(tmp_path / "store", listen="127.0.0.1:0", tls_cert=tmp_path / "x.cert", tls_key=tmp_path / "x.key")


@pytest.mark.parametrize("shares", [False, True], ids=["exclusive", "shared-port"])
def test_a_taken_port(tmp_path: Path, shares: bool) -> None:
    """Another of our own servers shares its port; it must not get half of the requests of this one."""
    with socket.socket() as other:
        if shares:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="Address already in use"):
            serve(tmp_path / "store", listen=f"127.0.0.1:{other.getsockname()[1]}", on_ready=stop)


def test_an_unknown_host(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"registry\.invalid:0"):
        serve(tmp_path / "store", listen="registry.invalid:0", insecure=True)


def test_read_only_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        serve(tmp_path / "store", listen="127.0.0.1:0", read_only=True)
    assert not (tmp_path / "store").exists()


def test_a_store_that_somebody_holds_alone(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    with store.exclusive("store gc"), pytest.raises(LockedError, match="store gc"):
        serve(tmp_path / "store", listen="127.0.0.1:0")


def test_gc_runs_meanwhile(tmp_path: Path) -> None:
    found: list[int] = []

    def collect(_url: str) -> None:
        store = Store.open(str(tmp_path / "store"))
        store.push(APP.blobs[0].descriptor, [APP.blobs[0].raw])
        found.append(store.gc().size)
        stop()

    serve(tmp_path / "store", listen="127.0.0.1:0", on_ready=collect)
    assert found == [APP.blobs[0].descriptor.size]


@contextmanager
def server(directory: Path, *, grace: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of its own, and its port."""
    code = (
        "from bundler.registry.opening import opened\n"
        "from bundler.registry.serve import Door, serve\n"
        f"with opened({str(directory)!r}) as (contents, writable):\n"
        f"    serve(contents, writable, Door('127.0.0.1:0', grace={grace}), on_ready=lambda url: print(url, flush=True))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().decode().rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def begun_upload(port: int) -> tuple[socket.socket, str]:
    """A connection on which half of a body was sent."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/app/blobs/uploads/", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        location = answer.headers["Location"]
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode() + b"a" * 50)
    time.sleep(0.2)
    return connection, location


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stalled_upload_does_not_keep_it(tmp_path: Path, sent: signal.Signals) -> None:
    with server(tmp_path / "store", grace=0.3) as (process, port):
        connection, _ = begun_upload(port)
        with connection:
            began = time.monotonic()
            process.send_signal(sent)
            assert process.wait(30) == 0
            assert time.monotonic() - began < 20
    assert not list((tmp_path / "store" / ".bundler" / "tmp").iterdir())


def test_an_upload_under_way_may_end(tmp_path: Path) -> None:
    with server(tmp_path / "store", grace=10) as (process, port):
        connection, _ = begun_upload(port)
        with connection:
            process.terminate()
            time.sleep(0.3)
            connection.sendall(b"b" * 50)
            assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
            assert process.wait(10) == 0
