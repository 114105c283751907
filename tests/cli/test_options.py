"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from bundler.cli import app as application
from bundler.cli.options import (
    SAID_ONLY,
    Truth,
    access,
    new_password,
    password_from,
    spelled_out,
    store_directory,
    with_environment,
)
from bundler.errors import ConfigError, LimitError
from bundler.transports.docker.credentials import Credentials


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["--tls-verify"], ["--tls-verify=true"], id="alone"),
        pytest.param(["--tls-verify=false"], ["--tls-verify=false"], id="with-a-value"),
        pytest.param(["a", "--src-tls-verify", "b"], ["a", "--src-tls-verify=true", "b"], id="among-others"),
        pytest.param(["--tls-verifyx"], ["--tls-verifyx"], id="another"),
        pytest.param([], [], id="none"),
    ],
)
def test_booleans_as_skopeo_writes_them(given: list[str], expected: list[str]) -> None:
    assert spelled_out(given) == expected


def every_command(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    found = [(path, command)]
    for name, child in children.items():
        found += every_command(child, (*path, name))
    return found


OTHERS = {
    (("verify",), "--policy"): "BUNDLER_TRUST_POLICY",
    (("push",), "--policy"): "BUNDLER_TRUST_POLICY",
    (("serve",), "--policy"): "BUNDLER_TRUST_POLICY",
    (("verify",), "--receipt"): "BUNDLER_VERIFY_RECEIPT",
}


def test_every_option_has_its_variable_the_same_in_every_command() -> None:
    tree = with_environment(typer.main.get_command(application.application()))
    seen: dict[str, str] = {}
    for path, command in every_command(tree):
        for parameter in command.params:
            long = next((name for name in parameter.opts if name.startswith("--")), None)
            if long is None or long in SAID_ONLY:
                assert not parameter.envvar, path
            else:
                if (path[-1:], long) in OTHERS:  # of the same name, and meaning something else
                    assert parameter.envvar == OTHERS[path[-1:], long]
                    continue
                start = "BUNDLER_REGISTRY_" if long in ("--username", "--password") else "BUNDLER_"
                assert parameter.envvar == start + long[2:].upper().replace("-", "_").replace(".", "_"), path
                assert seen.setdefault(long, parameter.envvar) == parameter.envvar
    assert {"--tls-verify", "--store", "--key", "--json", "--progress", "--volume-size"} <= seen.keys()


# Access


def test_access() -> None:
    assert access(None, None, None, None).tls_verify is None
    assert access(None, None, None, Truth.FALSE).tls_verify is False
    found = access(Path("auth"), "ann:pa:ss", Path("certs"), Truth.TRUE)
    assert found.credentials == Credentials("ann", "pa:ss")
    assert (found.authfile, found.cert_dir, found.tls_verify) == (Path("auth"), Path("certs"), True)
    empty = access(None, "ann:", None, None)
    assert empty.credentials == Credentials("ann", "")


def test_credentials_without_a_name() -> None:
    with pytest.raises(ConfigError, match="no user name") as caught:
        access(None, ":s3cret", None, None)
    assert "s3cret" not in str(caught.value)


def test_a_password_is_asked_for_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(ConfigError, match="no terminal"):
        access(None, "ann", None, None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *a, **k: "typed")
    assert access(None, "ann", None, None).credentials == Credentials("ann", "typed")


# Stores


def test_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_directory(tmp_path) == tmp_path
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store_directory(None) == tmp_path / "data" / "bundler" / "store"


# Passwords


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"word", b"word"),
        (b"word\n", b"word"),
        (b"word\r\nsecond\n", b"word"),
        (b" spaced \n", b" spaced "),
        (b"", b""),
        (b"w\xc3\xb6rt\xff\n", b"w\xc3\xb6rt\xff"),
    ],
)
def test_the_first_line_is_the_password(tmp_path: Path, content: bytes, word: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    assert new_password(path, None) == password_from(path, None)() == word
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert new_password(None, descriptor) == word
        os.lseek(descriptor, 0, os.SEEK_SET)
        assert password_from(None, descriptor)() == word
    finally:
        os.close(descriptor)


def test_a_password_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUNDLER_PASSWORD", "said")
    assert new_password(None, None) == b"said"
    monkeypatch.setitem(os.environb, b"BUNDLER_PASSWORD", b"w\xff")
    assert new_password(None, None) == b"w\xff"
    (tmp_path / "password").write_bytes(b"file")
    assert new_password(tmp_path / "password", None) == b"file"


def test_passwords_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    (tmp_path / "huge").write_bytes(b"x" * 5000)
    with pytest.raises(ConfigError, match="exclude each other"):
        new_password(tmp_path, 0)
    with pytest.raises(ConfigError, match=r"--password-file: .*absent does not exist"):
        new_password(tmp_path / "absent", None)
    with pytest.raises(LimitError):
        new_password(tmp_path / "huge", None)
    with pytest.raises(ConfigError, match="--password-fd 987: Bad file descriptor"):
        new_password(None, 987)
    asks: list[Callable[[], bytes]] = [lambda: new_password(None, None), password_from(None, None)]
    for ask in asks:
        with pytest.raises(ConfigError, match="no terminal to ask on") as caught:
            ask()
        assert "BUNDLER_PASSWORD" in caught.value.hint


def test_a_new_password_is_typed_twice_an_old_one_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def prompt(text: str, **more: Any) -> str:
        asked.append(more)
        return "typed"

    monkeypatch.setattr("typer.prompt", prompt)
    assert new_password(None, None) == password_from(None, None)() == b"typed"
    assert [(a["confirmation_prompt"], a["hide_input"], a["err"]) for a in asked] == [
        (True, True, True),
        (False, True, True),
    ]


def test_ctrl_c_at_a_prompt_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def aborted(*arguments: object, **more: object) -> str:
        raise typer.Abort

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", aborted)
    with pytest.raises(KeyboardInterrupt):
        new_password(None, None)


def test_a_signing_key_s_password_is_no_registry_s() -> None:
    tree = with_environment(typer.main.get_command(application.application()))
    readers = {
        (*path, name)
        for path, command in every_command(tree)
        for parameter in command.params
        for name in parameter.opts
        if parameter.envvar == "BUNDLER_PASSWORD"
    }
    assert readers == set()
