"""Whether the registry lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from bundler.errors import StoreError
from bundler.registry.operations import health
from bundler.registry.operations.draining import Draining
from bundler.registry.operations.health import Check, Readiness, going_on, health_routes, readable, writable
from tests.registry.caller import Answer, Caller


def ask(path: str, *checks: Check) -> Answer:
    return Caller(Starlette(routes=health_routes(checks))).call("GET", path)


def test_alive() -> None:
    answer = ask("/healthz", lambda: "all is wrong")
    assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, b"ok\n", "no-store")


def test_ready(tmp_path: Path) -> None:
    draining = Draining(PlainTextResponse("hello"))
    checks = (readable("the store", tmp_path.stat), writable(tmp_path), going_on(draining))
    answer = ask("/readyz", *checks)
    assert (answer.status, answer.json, answer.headers["cache-control"]) == (200, [], "no-store")
    draining.begin()
    assert (ask("/readyz", *checks).status, ask("/readyz", *checks).json) == (503, ["about to stop"])


def damaged() -> None:
    raise StoreError("/srv/secret: damaged")


@pytest.mark.parametrize("look", [damaged, Path("/nowhere/secret").stat])
def test_not_readable(look: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    answer = ask("/readyz", readable("layer 2", look))
    assert (answer.status, answer.json) == (503, ["layer 2 can't be read"])
    assert "secret" in caplog.text


def test_a_bug_in_a_check_is_no_success() -> None:
    with pytest.raises(ZeroDivisionError):
        ask("/readyz", readable("layer", lambda: 1 // 0))


class Disk:
    """What statvfs says."""

    f_flag = 0
    f_bavail = 1 << 20
    f_frsize = 4096
    f_files = 1000
    f_favail = 10


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"f_flag": os.ST_RDONLY}, "the store can't be written"),
        ({"f_bavail": 10}, "the store is almost full"),
        ({"f_favail": 0}, "the store is almost full"),
        ({"f_files": 0, "f_favail": 0}, ""),  # file systems that don't count them
    ],
)
def test_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], expected: str) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: type("Some", (Disk,), changes))
    assert writable(tmp_path)() == expected


def test_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert writable(tmp_path)() == "the store can't be written"


def test_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert writable(tmp_path / "gone", name="the spool")() == "the spool can't be written"
    assert "No such file" in caplog.text


def test_checks_run_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def count() -> str:
        calls.append(1)
        return str(len(calls))

    async def many() -> list[list[str]]:
        readiness = Readiness([count])
        said = await asyncio.gather(*(readiness.problems() for _ in range(20)))
        monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)
        readiness._until = 0.0
        return [*said, await readiness.problems()]

    assert asyncio.run(many()) == [["1"]] * 20 + [["2"]]


def test_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MOST_SECONDS", 0.05)
    may, threads = threading.Event(), []

    def stuck() -> str:
        threads.append(threading.get_ident())
        may.wait(10)
        return ""

    async def asked() -> list[list[str]]:
        readiness = Readiness([stuck])
        said = await asyncio.gather(*(readiness.problems() for _ in range(30)))
        for _ in range(3):  # also when those before have given up
            said += await asyncio.gather(*(readiness.problems() for _ in range(10)))
        may.set()
        monkeypatch.setattr(health, "MOST_SECONDS", 5)
        return [*said, await readiness.problems()]

    *said, last = asyncio.run(asked())
    assert said == [["the checks take longer than 0.05 s"]] * 60
    assert last == []
    assert len(threads) == 1
