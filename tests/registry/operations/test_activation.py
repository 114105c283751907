"""A socket from the service manager, and word back to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bundler.errors import ConfigError
from bundler.registry.operations.activation import inherited_socket, notify
from tests.peers import needs

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

# Takes descriptor 0's place to 3 and its own process id, as a service manager does between fork and exec.
HAND_OVER = """
import os, sys
given = int(sys.argv[1])
os.dup2(given, 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="a:b")
os.execv(sys.executable, [sys.executable, "-c", sys.argv[3]])
"""

SAY = """
import os
from bundler.errors import ConfigError
from bundler.registry.operations.activation import inherited_socket
try:
    taken = inherited_socket()
    print(taken and (taken.getsockname(), taken.getblocking(), taken.get_inheritable()), end=" ")
except ConfigError as error:
    print(error, end=" ")
print(sorted(name for name in os.environ if name.startswith("LISTEN")))
"""

SERVE = """
import asyncio
from granian.constants import HTTPModes, Interfaces
from granian.net import SocketHolder
from granian.server.embed import Server
from bundler.registry.operations.activation import inherited_socket, notify
from bundler.registry.operations.stopping import told_to_stop

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

class Given(Server):
    def _init_shared_socket(self):
        self._ssp, self._shd = None, SocketHolder(inherited_socket().detach(), False, 128)
        self._sfd = self._shd.get_fd()

async def main():
    server = Given(app, interface=Interfaces.ASGINL, http=HTTPModes.http1, websockets=False, log_enabled=False)
    with told_to_stop() as told:
        serving = asyncio.ensure_future(server.serve())
        notify("READY=1")
        async with asyncio.timeout(60):
            await told.wait()
        notify("STOPPING=1")
        server.stop()
        await serving

asyncio.run(main())
"""


def handed_over(given: int, code: str, *, count: str = "1", env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HAND_OVER, str(given), count, code],
        pass_fds=(given,),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


def said(given: int, *, count: str = "1") -> str:
    with handed_over(given, SAY, count=count) as process:
        return process.communicate(timeout=30)[0].strip()


def test_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert said(listener.fileno()) == f"({listener.getsockname()!r}, False, False) []"


def test_a_local_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert said(listener.fileno()) == f"({str(tmp_path / 's')!r}, False, False) []"


@pytest.mark.parametrize("count", ["2", "x", "-1", "01"])
def test_several(count: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert said(listener.fileno(), count=count) == f"{count} sockets were handed over, and only one can be used []"


@pytest.mark.parametrize("count", ["", "0"])
def test_none(count: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert said(listener.fileno(), count=count) == "None []"


def test_what_does_not_listen(tmp_path: Path) -> None:
    wrong = "the socket that was handed over does not listen for connections []"
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert (said(idle.fileno()), said(datagrams.fileno())) == (wrong, wrong)
    with (tmp_path / "file").open("w") as file:
        assert said(file.fileno()).startswith("what was handed over is not a socket: ")


@pytest.mark.parametrize("pid", ["", "1", "x", f"0{os.getpid()}"], ids=["empty", "first", "word", "zero-in-front"])
def test_meant_for_another(pid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", pid)
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_socket() is None
    assert not [name for name in VARIABLES if name in os.environ]


def test_nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert inherited_socket() is None


def test_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(ConfigError) as caught:
        inherited_socket()
    assert "ListenStream=" in caught.value.hint


def ask(listener: socket.socket) -> bytes:
    with socket.create_connection(listener.getsockname(), 20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_a_server_on_it_and_word_back(tmp_path: Path) -> None:
    """Twice, as a restart keeps the socket: who comes in between waits."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        for _ in range(2):
            with handed_over(listener.fileno(), SERVE, env=env) as process:
                try:
                    assert ask(listener).endswith(b"hello")
                    assert manager.recv(100) == b"READY=1"
                    process.terminate()
                    assert manager.recv(100) == b"STOPPING=1"
                    assert process.wait(20) == 0
                finally:
                    process.kill()


@needs("systemd-socket-activate")
def test_the_real_hand_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    script = tmp_path / "say.py"
    script.write_text(textwrap.dedent(SAY))
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{address[1]}", sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "Listening on" in process.stderr.readline()
            socket.create_connection(address, 10).close()
            assert process.communicate(timeout=30)[0].strip() == f"({address!r}, False, False) []"
        finally:
            process.kill()


def test_word_to_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0bundler-test-{os.getpid()}")
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@bundler-test-{os.getpid()}")
        assert notify("STATUS=café", "READY=1")
        assert manager.recv(100).decode() == "STATUS=café\nREADY=1"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/notify"])
def test_nobody_to_tell(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert notify("READY=1") is False
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert notify("READY=1") is False
