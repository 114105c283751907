"""Who may be at work together, and what the one who comes second is told."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.errors import DiskError, LockedError
from bundler.store import locks
from bundler.store.directory import Directory


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path))


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (locks.shared, locks.shared, True),
        (locks.shared, locks.exclusive, False),
        (locks.exclusive, locks.shared, False),
        (locks.exclusive, locks.exclusive, False),
    ],
)
def test_who_may_be_in_together(directory: Directory, first: object, second: object, together: bool) -> None:
    assert callable(first)
    assert callable(second)
    with first(directory, "one"):
        if together:
            with second(directory, "two"):
                pass
        else:
            with pytest.raises(LockedError, match=rf"one \(process {os.getpid()} on {socket.gethostname()}\)"):
                second(directory, "two").__enter__()
    with second(directory, "two"):
        pass


HOLD = """
import sys, time
from bundler.store import locks
from bundler.store.directory import Directory
with locks.shared(Directory(sys.argv[1]), "pull"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_named_and_its_death_frees_the_lock(
    directory: Directory, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockedError, match=rf"pull \(process {holder.pid} on"), locks.exclusive(directory, "gc"):
        pass
    holder.kill()
    holder.wait()
    with locks.exclusive(directory, "gc"):
        pass


def test_the_dead_are_not_named(directory: Directory, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lines = [
        json.dumps({"pid": dead.pid, "host": socket.gethostname(), "command": "long-gone"}),
        json.dumps({"pid": 1, "host": "elsewhere", "command": "far\x1b[31m"}),
        "torn",
    ]
    (tmp_path / "lock").write_text("\n".join(lines) + "\n")
    with (
        locks.shared(directory, "pull"),
        pytest.raises(LockedError) as caught,
        locks.exclusive(directory, "gc"),
    ):
        pass
    assert "long-gone" not in str(caught.value)
    assert "far\\x1b[31m (process 1 on elsewhere)" in str(caught.value)


def test_the_file_does_not_grow_for_ever(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"x" * (1 << 17))
    with locks.shared(directory, "pull"):
        assert (tmp_path / "lock").stat().st_size < 1000


def test_a_full_disk_does_not_keep_gc_from_freeing_room(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with locks.exclusive(directory, "gc"), pytest.raises(LockedError, match="another process"):
        locks.shared(directory, "pull").__enter__()


def test_a_read_only_medium_can_be_locked(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").touch()
    original = os.open

    def frozen(path: str, flags: int, *args: int, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return original(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", frozen)
    with locks.shared(directory, "pack"), pytest.raises(LockedError):
        locks.exclusive(directory, "gc").__enter__()


def test_a_failing_disk_is_told(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(DiskError, match="open"):
        locks.shared(directory, "pull").__enter__()


def test_the_index_lock_is_waited_for(directory: Directory) -> None:
    done = threading.Event()

    def other() -> None:
        with locks.index_lock(directory):
            done.set()

    with locks.index_lock(directory):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        assert not done.is_set()
    thread.join(5)
    assert done.is_set()


def test_but_not_for_ever(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    with locks.index_lock(directory), pytest.raises(LockedError, match=r"index\.lock"):
        locks.index_lock(directory).__enter__()


@pytest.mark.parametrize(("error", "alive"), [(ProcessLookupError, False), (PermissionError, True), (None, True)])
def test_a_process_that_may_not_be_asked_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None, alive: bool
) -> None:
    def kill(pid: int, signal: int) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    assert locks._lives(12345) is alive
    assert locks._lives(0)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("[" * 60_000, id="nested-too-deep"),
        pytest.param('{"pid": 1e999, "host": "h", "command": "c"}', id="an-endless-number"),
        pytest.param(
            json.dumps({"pid": 10**30, "host": socket.gethostname(), "command": "c"}), id="a-number-no-process-has"
        ),
    ],
)
def test_a_holder_s_line_that_makes_no_sense_is_ignored(directory: Directory, tmp_path: Path, line: str) -> None:
    (tmp_path / "lock").write_text(line + "\n")
    with (
        locks.shared(directory, "pull"),
        pytest.raises(LockedError, match=rf"in use by pull \(process {os.getpid()} on [^,]*\)$"),
        locks.exclusive(directory, "gc"),
    ):
        pass


@pytest.mark.parametrize("wanted", [locks.shared, locks.exclusive])
def test_the_patient_get_in_when_the_other_is_done(directory: Directory, wanted: object) -> None:
    assert callable(wanted)
    let_in = threading.Event()

    def other() -> None:
        with wanted(directory, "registry serve", patience=10.0):
            let_in.set()

    with locks.exclusive(directory, "store gc"):
        thread = threading.Thread(target=other)
        thread.start()
        assert not let_in.wait(0.1)
    thread.join(5)
    assert let_in.is_set()


@pytest.mark.parametrize("wanted", [locks.shared, locks.exclusive])
def test_patience_ends(directory: Directory, wanted: object) -> None:
    assert callable(wanted)
    with locks.exclusive(directory, "store check --repair"):
        begun = time.monotonic()
        with pytest.raises(LockedError, match="store check --repair"):
            wanted(directory, "registry serve", patience=0.1).__enter__()
        assert 0.1 <= time.monotonic() - begun < 5


def test_without_patience_nobody_waits(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("waited"))
    with locks.exclusive(directory, "store gc"), pytest.raises(LockedError):
        locks.shared(directory, "pull").__enter__()
