"""login and logout on the command line, and what they ask on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest

from tests.basic import FrontDoor, front_door
from tests.cli.terminal import ROOT, Terminal
from tests.peers import hidden

PASSWORD = "s3cret pässwört"
OPEN = "--tls-verify=false"


@pytest.fixture
def door() -> Iterator[FrontDoor]:
    with front_door({"ann": PASSWORD}) as made:
        yield made


@pytest.fixture(autouse=True)
def authfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    return tmp_path / "auth.json"


def typed_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Standard input that is a pipe."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))


def test_in_and_out(bundler: Terminal, door: FrontDoor, authfile: Path) -> None:
    said = bundler("login", "-u", "ann", "-p", PASSWORD, OPEN, door.host)
    assert said.out == "Login Succeeded!\n"
    assert "plain HTTP" in said.err
    assert PASSWORD not in said.err
    assert set(json.loads(authfile.read_text())["auths"]) == {door.host}
    assert bundler("login", "--get-login", door.host).out == "ann\n"
    assert bundler("logout", door.host).out == f"Removed login credentials for {door.host}\n"
    for arguments in (("logout", door.host), ("login", "--get-login", door.host)):
        said = bundler(*arguments, expect=3)
        assert said.out == ""
        assert f"not logged into {door.host}" in said.err


def test_where_it_is_kept(bundler: Terminal, door: FrontDoor) -> None:
    said = bundler("login", "-v", "-u", "ann", "-p", PASSWORD, OPEN, "--authfile", "mine.json", door.host)
    assert said.out == "Used:  mine.json\nLogin Succeeded!\n"
    said = bundler("login", "--verbose", "-u", "ann", "-p", PASSWORD, OPEN, "--compat-auth-file", "d.json", door.host)
    assert said.out == "Used:  d.json\nLogin Succeeded!\n"
    assert {path.name for path in bundler.folder.glob("*.json")} == {"mine.json", "d.json"}


def test_all(bundler: Terminal, door: FrontDoor, authfile: Path) -> None:
    for name in (door.host, f"{door.host}/team"):
        bundler("login", "-u", "ann", "-p", PASSWORD, OPEN, name)
    assert bundler("logout", "--all").out == "Removed login credentials for all registries\n"
    assert json.loads(authfile.read_text()) == {"auths": {}}


def test_a_wrong_password(bundler: Terminal, door: FrontDoor, authfile: Path) -> None:
    said = bundler("login", "-u", "ann", "-p", "wr0ng", OPEN, door.host, expect=3)
    assert said.out == ""
    assert "AUTH" in said.err
    assert "wr0ng" not in said.err
    assert not authfile.exists()


@pytest.mark.parametrize(
    "content", [PASSWORD, PASSWORD + "\n", PASSWORD + "\r\n", PASSWORD[:4] + "\n" + PASSWORD[4:] + "\n\n"]
)
def test_a_password_on_standard_input(
    bundler: Terminal, door: FrontDoor, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    typed_in(monkeypatch, content.encode())
    assert bundler("login", "-u", "ann", "--password-stdin", OPEN, door.host).out == "Login Succeeded!\n"
    assert door.shown == [f"ann:{PASSWORD}"]


@pytest.mark.parametrize(("content", "code"), [(b"", 2), (b"\n", 2), (b"\xff", 2), (b"x" * 70_000, 7)])
def test_what_is_no_password(
    bundler: Terminal, door: FrontDoor, monkeypatch: pytest.MonkeyPatch, content: bytes, code: int
) -> None:
    typed_in(monkeypatch, content)
    bundler("login", "-u", "ann", "--password-stdin", OPEN, door.host, expect=code)
    assert door.shown == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("login",),
        ("login", "nginx"),
        ("login", "r.example/app:1"),
        ("login", "r.example"),
        ("login", "-u", "ann", "r.example"),
        ("login", "-p", "x", "r.example"),
        ("login", "--password-stdin", "r.example"),
        ("login", "--password-stdin", "-u", "ann", "-p", "x", "r.example"),
        ("login", "--authfile", "a", "--compat-auth-file", "b", "r.example"),
        ("login", "--compat-auth-file", "b", "-u", "ann", "-p", "x", "r.example/team"),
        ("login", "-u", "a:b", "-p", "x", "r.example/app:1"),
        ("logout",),
        ("logout", "--all", "r.example"),
        ("logout", "nginx"),
        ("logout", "--authfile", "missing", "r.example"),
        ("logout", "--compat-auth-file", "missing", "--all"),
    ],
)
def test_wrong_usage(bundler: Terminal, arguments: tuple[str, ...]) -> None:
    assert bundler(*arguments, expect=2).out == ""
    assert list(bundler.folder.glob("*")) == []


def test_what_is_kept_is_tried_again(bundler: Terminal, door: FrontDoor) -> None:
    bundler("login", "-u", "ann", "-p", PASSWORD, OPEN, f"{door.host}/team")
    assert bundler("login", OPEN, f"{door.host}/team").out == (
        f"Authenticating with existing credentials for {door.host}/team\n"
        f"Existing credentials are valid. Already logged in to {door.host}\n"
    )
    door.users = {"ann": "new"}
    said = bundler("login", OPEN, f"{door.host}/team", expect=2)  # there is no terminal to ask on
    assert said.out.endswith("Existing credentials are invalid, please enter valid username and password\n")


def test_a_token_is_not_replaced(bundler: Terminal, door: FrontDoor, authfile: Path) -> None:
    authfile.write_text(json.dumps({"auths": {door.host: {"identitytoken": "t0ken"}}}))
    said = bundler("login", "-u", "ann", "-p", PASSWORD, OPEN, door.host, expect=2)
    assert "identity token" in said.err
    assert "t0ken" not in said.err
    assert door.shown == []


def test_the_password_of_a_key_is_shown_to_no_registry(
    bundler: Terminal, door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLER_PASSWORD", "a key's")
    bundler("login", "-u", "ann", OPEN, door.host, expect=2)
    assert door.shown == []
    monkeypatch.setenv("BUNDLER_REGISTRY_PASSWORD", PASSWORD)
    bundler("login", "-u", "ann", OPEN, door.host)
    assert door.shown == [f"ann:{PASSWORD}"]


def test_control_characters_in_names_are_not_printed(bundler: Terminal, authfile: Path) -> None:
    pair = "YW5uG1syShtdMDt4Bzp4"  # ann, an escape sequence, a colon and x
    authfile.write_text(json.dumps({"auths": {"r.example": {"auth": pair}}}))
    assert "\x1b" not in bundler("login", "--get-login", "r.example").out


# On a terminal


class Keyboard:
    """bundler on a terminal of its own; ``out`` and ``err`` are pipes or the terminal as the test wants it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if not hidden(name) or "AUTH_FILE" in name}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bundler", *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.screen = ""

    def type(self, after: str, keys: str) -> None:
        """Wait for ``after`` on the screen, and type."""
        end = time.monotonic() + 20
        while after not in self.screen:
            assert time.monotonic() < end, f"{after!r} is not on the screen: {self.screen!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.screen += os.read(self._ours, 4096).decode()
        os.write(self._ours, keys.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()  # nothing to do where it has ended
        self.process.communicate()
        os.close(self._ours)

    def end(self) -> tuple[int, str]:
        """Exit status and standard output."""
        out, _ = self.process.communicate(timeout=20)
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self.screen += os.read(self._ours, 4096).decode()
            except OSError:  # the other side is closed
                break
        return self.process.returncode, out.decode()


def test_what_is_missing_is_asked_for(tmp_path: Path, door: FrontDoor, authfile: Path) -> None:
    with Keyboard(tmp_path, "login", OPEN, door.host) as keyboard:
        keyboard.type("Username", "ann\n")
        keyboard.type("Password", f"{PASSWORD}\n")
        assert keyboard.end() == (0, "Login Succeeded!\n")
    assert PASSWORD not in keyboard.screen
    assert authfile.exists()


def test_who_is_known_is_offered(tmp_path: Path, door: FrontDoor, authfile: Path, bundler: Terminal) -> None:
    bundler("login", "-u", "ann", "-p", PASSWORD, OPEN, door.host)
    door.users = {"ann": "new"}
    with Keyboard(tmp_path, "login", OPEN, door.host) as keyboard:
        keyboard.type("Username (ann)", "\n")
        keyboard.type("Password", "new\n")
        code, out = keyboard.end()
    assert (code, out.splitlines()[-1]) == (0, "Login Succeeded!")
    assert door.shown[-1] == "ann:new"


def test_an_interrupt_while_typing(tmp_path: Path, door: FrontDoor, authfile: Path) -> None:
    with Keyboard(tmp_path, "login", "-u", "ann", OPEN, door.host) as keyboard:
        keyboard.type("Password", "\x04")  # the end of the input
        assert keyboard.end() == (130, "")
    assert not authfile.exists()
    assert door.shown == []
