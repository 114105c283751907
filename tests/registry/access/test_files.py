"""Files that are read again when they change."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundler.errors import ConfigError, LimitError, LockedError
from bundler.registry.access import files
from bundler.registry.access.files import LiveFile, changing, read_file


def parse(raw: bytes, name: str) -> str:
    if raw.startswith(b"bad"):
        raise ConfigError(f"{name}: bad")
    return raw.decode()


def age(path: Path, seconds: float = 60) -> None:
    """Make a file look as if it had not been changed lately."""
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_text("one")
    return file


def test_it_is_read_again_when_it_changed(path: Path) -> None:
    live = LiveFile(path, parse, what="file")
    assert live.current() == "one"
    path.write_text("two")
    assert live.current() == "two"


def test_it_is_not_read_while_it_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(path)
    live = LiveFile(path, parse, what="file")
    monkeypatch.setattr(files, "read_file", None)
    assert live.current() == "one"


def test_a_second_change_within_a_tick_of_the_clock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_identity", lambda found: (0, 0, 0, 0, 0))  # nothing tells one from the other
    live = LiveFile(path, parse, what="file")
    path.write_text("two")
    assert live.current() == "two"
    age(path)
    assert live.current() == "two"
    path.write_text("three")
    assert live.current() == "two"  # the clock had gone on


def test_a_change_that_keeps_the_time(path: Path) -> None:
    age(path)
    live = LiveFile(path, parse, what="file")
    stamp = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert live.current() == "two"


def test_a_link_set_to_another_file(path: Path) -> None:
    """As a mounted secret is changed: the link in the middle moves."""
    for name, text in (("v1", "one"), ("v2", "two")):
        (path.parent / name).mkdir()
        (path.parent / name / "file").write_text(text)
        age(path.parent / name / "file")
    data, link = path.parent / "data", path.parent / "link"
    data.symlink_to("v1")
    link.symlink_to("data/file")
    live = LiveFile(link, parse, what="file")
    assert live.current() == "one"
    fresh = path.parent / "fresh"
    fresh.symlink_to("v2")
    fresh.replace(data)
    assert live.current() == "two"


def test_a_broken_file_is_told_once_and_then_mended(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = LiveFile(path, parse, what="file")
    path.write_text("bad")
    assert [live.current() for _ in range(3)] == ["one"] * 3
    assert [record.getMessage() for record in caplog.records] == [f"{path}: bad; what it said before stays in force"]
    path.write_text("one")
    assert live.current() == "one"
    path.write_text("bad")
    live.current()
    assert len(caplog.records) == 2


def test_a_file_that_went_and_came(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = LiveFile(path, parse, what="file")
    path.unlink()
    assert live.current() == "one"
    path.write_text("two")
    assert live.current() == "two"
    assert "does not exist" in caplog.text


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file: .*nowhere does not exist"):
        LiveFile(tmp_path / "nowhere", parse, what="file")


def test_what_is_too_large(path: Path) -> None:
    assert read_file(path, what="file", cap=3)[0] == b"one"
    with pytest.raises(LimitError, match="more than the 2 bytes allowed"):
        read_file(path, what="file", cap=2)


def test_a_pipe_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is not a file"):
        read_file(tmp_path / "pipe", what="file")


def test_control_characters_in_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\\x1bb does not exist"):
        read_file(tmp_path / "a\x1bb", what="file")


def test_another_process_that_changes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    code = (
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(LockedError, match="another process has been changing files"), changing(tmp_path):
            pass
        other.communicate()
    with changing(tmp_path):
        pass
