"""Guessing passwords: time tells nothing, and whoever guesses keeps nobody else out."""

from __future__ import annotations

import base64
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.registry.access import set_password
from tests.hostile.registry.host import Host, hosting


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """``ann`` and ``bob`` have passwords that cost about 60 ms each, ``cheap`` one that costs less."""
    work = tmp_path_factory.mktemp("passwords")
    set_password(work / "users", "ann", "right", cost=10)
    set_password(work / "users", "bob", "right", cost=10)
    set_password(work / "users", "cheap", "right", cost=7)
    # Without the pause that follows each of them, beside which nothing could be measured.
    values = {"bundler.registry.access.access.REFUSED_SECONDS": 0.0}
    with hosting(work / "store", htpasswd=work / "users", values=values) as host:
        yield host


def test_time_does_not_tell_users(host: Host) -> None:
    kinds = {
        "wrong": basic("ann", "wrong"),
        "cheap": basic("cheap", "wrong"),
        "unknown": basic("nobody", "wrong"),
        "unknown with a right one": basic("nobody", "right"),
        "empty": basic("ann", ""),
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    with host.client() as client:
        for _ in range(9):  # in turns, so that what else the machine does hurts all alike
            for kind, auth in kinds.items():
                began = time.perf_counter()
                assert client.ask("GET", "/v2/", headers={"Authorization": auth}).status == 401
                took[kind].append(time.perf_counter() - began)
    medians = {kind: statistics.median(times) for kind, times in took.items()}
    assert min(medians.values()) > max(medians.values()) / 2, medians
    answers = {host.ask("GET", "/v2/", auth=auth).body for auth in kinds.values()}
    assert len(answers) == 1


@pytest.mark.slow
def test_guessing_keeps_nobody_out(tmp_path: Path) -> None:
    """200 wrong log-ins at once: who is known is let in as ever, and who comes for the first time after a few seconds."""
    for user in ("ann", "bob"):
        set_password(tmp_path / "users", user, "right", cost=10)
    with hosting(tmp_path / "store", htpasswd=tmp_path / "users") as host:
        assert host.ask("GET", "/v2/", auth=basic("bob", "right")).status == 200
        got: list[int] = []

        def guess(number: int) -> None:
            got.append(host.ask("GET", "/v2/", auth=basic("ann", f"guess {number}"), seconds=60).status)

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        assert host.ask("GET", "/v2/", auth=basic("bob", "right")).status == 200
        assert host.ask("GET", "/healthz").status == 200
        assert time.monotonic() - began < 10
        # Who logs in for the first time may be asked to come again, and does: as clients do.
        while (answer := host.ask("GET", "/v2/", auth=basic("ann", "right"), seconds=60)).status != 200:
            assert answer.status == 429
            assert int(answer.headers["retry-after"]) > 0
            assert time.monotonic() - began < 60
        assert time.monotonic() - began < 60
        for thread in threads:
            thread.join()
        assert set(got) == {401, 429}
        assert got.count(401) >= 66
