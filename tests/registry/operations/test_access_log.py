"""A line of JSON for each request, whatever it was."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from bundler.errors import BundlerError, DiskError
from bundler.registry.operations import access_log
from bundler.registry.operations.access_log import AccessLog, harmless, line_of
from bundler.registry.operations.watch import Watch
from tests.registry.caller import Caller
from tests.registry.operations.seen import done


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_line() -> None:
    assert json.loads(line_of(done(query="digest=sha256:00&n=5"))) == {
        "time": "2026-03-01T09:14:07.312Z",
        "id": "5f0c5f0c5f0c5f0c5f0c5f0c",
        "remote": "10.1.2.3",
        "user": "ann",
        "method": "GET",
        "path": "/v2/team/app/manifests/1.0",
        "query": "digest=sha256:00&n=5",
        "status": 200,
        "received": 0,
        "sent": 1187,
        "ms": 2.1,
        "agent": "containers/5.29",
        "ended": "complete",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("n=5&last=a/b", "n=5&last=a/b"),
        ("mount=sha256:00&from=team/app", "mount=sha256:00&from=team/app"),
        ("digest=sha256%3A00", "digest=sha256:00"),
        ("artifactType=a%2Fb%2Bjson", "artifactType=a/b%2Bjson"),
        ("token=secret&n=1", "n=1"),
        ("Digest=secret", ""),
        ("_state=secret&password=secret", ""),
        ("last=a%0Ab", "last=a%0Ab"),
        ("last=%E2%80%AEx", "last=%E2%80%AEx"),
        ("&".join(["n=1"] * 33), ""),
        ("last=" + "a" * 10000, "last=" + "a" * 507 + "…"),
    ],
)
def test_query(query: str, expected: str) -> None:
    assert harmless(query) == expected


HOSTILE = {
    "line feed": "a\nb",
    "carriage return": "a\rb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "escape sequence": "\x1b[31m",
    "right to left": "\u202etxt.exe",
    "quote": '","user":"root',
    "unpaired surrogate": "\ud800",
    "NUL": "\0",
    "without end": "x" * 1_000_000,
    "without end and not printable": "\x1b" * 1_000_000,
}


@pytest.mark.parametrize("field", ["remote", "user", "user_agent", "method", "path", "query"])
@pytest.mark.parametrize("defect", HOSTILE)
def test_one_line_of_ascii(defect: str, field: str) -> None:
    line = line_of(done(**{field: HOSTILE[defect]}))
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 16_000
    assert json.loads(line)["status"] == 200
    assert all(str(value).isprintable() for value in json.loads(line).values())


def test_no_credentials(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log")
    headers = {"Authorization": "Basic YW5uOnNlY3JldA==", "Cookie": "YW5uOnNlY3JldA==", "User-Agent": "me"}
    Caller(Watch(Starlette(), [log])).call("GET", "/v2/?account=YW5uOnNlY3JldA==", headers=headers)
    log.close()
    assert "YW5u" not in (tmp_path / "log").read_text()
    assert [line["agent"] for line in lines(tmp_path / "log")] == ["me"]


def test_appended_and_for_few_eyes(tmp_path: Path) -> None:
    for sent in (1, 2):
        log = AccessLog(tmp_path / "log")
        log.finished(done(sent=sent))
        log.close()
    assert [line["sent"] for line in lines(tmp_path / "log")] == [1, 2]
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) & ~access_log.FILE_MODE == 0


def until(true: Callable[[], bool]) -> None:
    """Wait for the thread that writes."""
    for _ in range(500):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_rotated(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AccessLog(path)
    log.finished(done(sent=1))
    until(lambda: size(path) > 0)
    path.rename(tmp_path / "log.1")
    log.finished(done(sent=2))
    until(lambda: size(path) > 0)
    path.unlink()
    log.finished(done(sent=3))
    log.close()
    assert [line["sent"] for line in lines(tmp_path / "log.1")] == [1]
    assert [line["sent"] for line in lines(path)] == [3]
    assert log.lost == 0


def test_a_directory_that_goes_and_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = AccessLog(folder / "log")
    folder.rename(tmp_path / "gone")
    log.finished(done(sent=1))
    log.finished(done(sent=2))
    until(lambda: log.lost == 2)
    folder.mkdir()
    log.finished(done(sent=3))
    log.close()
    assert [line["sent"] for line in lines(folder / "log")] == [3]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["lines of the access log are lost"]


def test_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog("/dev/full")
    for _ in range(3):
        log.finished(done())
    log.close()
    assert log.lost == 3
    assert len(caplog.records) == 1


def test_a_reader_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_MOST_LINES", 4)
    monkeypatch.setattr(access_log, "_STOP_SECONDS", 0.05)
    may = threading.Event()
    log = AccessLog("/dev/null")
    log._write = lambda _line: may.wait(10) and None  # type: ignore[assignment, func-returns-value]
    for _ in range(10):
        log.finished(done())
    assert log.lost >= 5
    log.close()
    may.set()
    monkeypatch.setattr(access_log, "_STOP_SECONDS", 5)
    log.close()
    assert not log._thread.is_alive()


@pytest.mark.parametrize(("to", "which"), [("", "err"), ("-", "out")])
def test_standard_streams(to: str, which: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog(to)
    log.finished(done(sent=7))
    log.close()
    said = capfd.readouterr()
    assert json.loads(getattr(said, which))["sent"] == 7
    assert said.out + said.err == getattr(said, which)


@pytest.mark.parametrize(("name", "error"), [("nowhere/log", DiskError), ("", DiskError)])
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str, error: type[BundlerError]) -> None:
    with pytest.raises(error, match="open the access log"):
        AccessLog(tmp_path / name)
