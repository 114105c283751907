"""A terminal, and places to work in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bundler.journey.files import write_new
from bundler.registry.process import running
from bundler.trust.keyfile import write_private_key
from tests.cli.terminal import Terminal
from tests.workshop import KEY_PASSWORD, Workshop, key


@pytest.fixture
def bundler(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """``bundler("verify", "out", expect=6).err``, run in this process in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Terminal(tmp_path, capsys)


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``release.key``, ``release.pub`` and ``stranger.pub``."""
    folder = tmp_path_factory.mktemp("keys")
    write_new(folder / "release.key", write_private_key(key("release"), KEY_PASSWORD), mode=0o600)
    for name in ("release", "stranger"):
        (folder / f"{name}.pub").write_bytes(key(name).public.pem)
    return folder


@pytest.fixture
def place(tmp_path: Path, key_files: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The manifest with its layout, and the keys beside them; the password is in the environment."""
    for path in key_files.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("BUNDLER_PASSWORD", KEY_PASSWORD.decode())
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The host of an embedded registry, one for each name."""
    hosts: dict[str, str] = {}
    with ExitStack() as stack:

        def host(name: str) -> str:
            if name not in hosts:
                url = stack.enter_context(running(tmp_path_factory.mktemp(name)))
                hosts[name] = url.removeprefix("http://")
            return hosts[name]

        yield host
