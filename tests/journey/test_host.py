"""The platform of this machine, and what the operator says in its place."""

from __future__ import annotations

import platform

import pytest

from bundler.errors import ConfigError
from bundler.journey import host
from bundler.journey.host import overridden, running_platform


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux/amd64"),
        ("aarch64", "linux/arm64"),
        ("armv7l", "linux/armv7l"),
        ("", "linux/amd64"),
        ("riscv64", "linux/riscv64"),
    ],
)
def test_running(monkeypatch: pytest.MonkeyPatch, machine: str, expected: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert str(running_platform()) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(("windows", None, None), "windows/amd64", id="another-os"),
        pytest.param((None, "arm64", None), "linux/arm64", id="another-architecture"),
        pytest.param((None, "arm", "v6"), "linux/arm/v6", id="a-variant"),
        pytest.param(("linux", "aarch64", "v8"), "linux/arm64", id="aliases"),
    ],
)
def test_overridden(
    monkeypatch: pytest.MonkeyPatch, said: tuple[str | None, str | None, str | None], expected: str
) -> None:
    monkeypatch.setattr(host.machine, "machine", lambda: "x86_64")
    assert str(overridden(*said)) == expected


def test_nothing_said() -> None:
    assert overridden(None, None, None) is None


@pytest.mark.parametrize(
    "said", [("linux/amd64", None, None), (None, "a b", None), (None, None, "v7/x"), ("\x1b", None, None)]
)
def test_no_platform(said: tuple[str | None, str | None, str | None]) -> None:
    with pytest.raises(ConfigError):
        overridden(*said)
