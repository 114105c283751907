"""Small files: read with a cap, written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bundler.errors import ConfigError, DiskError, LimitError, ReadOnlyError, SpaceError
from bundler.journey.files import check_writable, read_file, write_new, write_over


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_reads_up_to_the_cap(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(b"x" * size)
    assert read_file(tmp_path / "f", what="manifest", cap=100) == b"x" * size


def test_beyond_the_cap(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 101)
    with pytest.raises(LimitError, match=r"manifest: .*f holds more than 100 bytes"):
        read_file(tmp_path / "f", what="manifest", cap=100)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(LimitError):
        read_file(Path("/dev/zero"), what="key", cap=1000)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        pytest.param("absent", ConfigError, "lock: .*absent does not exist", id="absent"),
        pytest.param(".", ConfigError, "lock: .* is a directory", id="a-directory"),
        pytest.param("file/below", DiskError, "read .*file/below", id="below-a-file"),
        pytest.param("x" * 300, DiskError, "read .*xxx", id="a-name-too-long"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, error: type[Exception], said: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error, match=said):
        read_file(tmp_path / name, what="lock")


def test_what_to_do_about_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("absent", "."):
        with pytest.raises(ConfigError) as caught:
            read_file(tmp_path / name, what="key", hint="look elsewhere")
        assert caught.value.hint == "look elsewhere"
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "absent", what="lock")
    assert caught.value.hint


@pytest.mark.parametrize("name", [".", "pipe", "to-pipe", "absent/f", "file/f"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match="--report "):
        check_writable(tmp_path / name, what="--report")
    with pytest.raises((ConfigError, DiskError)):
        write_over(tmp_path / name, b"x")
    assert {path.name: path.lstat().st_mode for path in tmp_path.iterdir()} == before


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new", what="--report")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").write_bytes(b"old")
    check_writable(tmp_path / "old", what="--report")
    assert (tmp_path / "old").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")  # root may read everything

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ReadOnlyError):
        read_file(tmp_path / "f", what="key")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_new(tmp_path / "key", b"secret", mode=0o600)
        write_new(tmp_path / "pub", b"public")
    finally:
        os.umask(before)
    assert mode(tmp_path / "key") == 0o600
    assert mode(tmp_path / "pub") == 0o644 & ~umask
    assert (tmp_path / "key").read_bytes() == b"secret"


@pytest.mark.parametrize("kind", ["file", "link", "dangling-link", "directory"])
def test_a_new_file_replaces_nothing(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "f", tmp_path / "other"
    other.write_bytes(b"old")
    match kind:
        case "file":
            path.write_bytes(b"old")
        case "link":
            path.symlink_to(other)
        case "dangling-link":
            path.symlink_to(tmp_path / "nowhere")
        case _:
            path.mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        write_new(path, b"new")
    assert other.read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("write", [write_new, write_over])
def test_a_directory_that_is_not_there(tmp_path: Path, write: object) -> None:
    with pytest.raises(ConfigError, match="nowhere is not a directory"):
        write(tmp_path / "nowhere" / "f", b"x")  # type: ignore[operator]  # of the table


@pytest.mark.parametrize("write", [write_new, write_over])
def test_a_full_disk(tmp_path: Path, write: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bundler.journey.files.os.fsync", full)
    with pytest.raises(SpaceError, match=r"write .*f: No space left"):
        write(tmp_path / "f", b"x")  # type: ignore[operator]  # of the table


def test_written_over(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_over(path, b"one")
    assert (path.read_bytes(), mode(path)) == (b"one", 0o644)
    path.chmod(0o600)
    write_over(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_written_over_replaces_a_link_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"old")
    (tmp_path / "f").symlink_to(tmp_path / "other")
    write_over(tmp_path / "f", b"new")
    assert (tmp_path / "other").read_bytes() == b"old"
    assert (tmp_path / "f").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_attempt_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(f"bundler.journey.files.os.{call}", fail)
    with pytest.raises((DiskError, KeyboardInterrupt)):
        write_over(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_the_content_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        told.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(old: str, new: Path) -> None:
        told.append("rename")
        replace(old, new)

    monkeypatch.setattr("bundler.journey.files.os.fsync", synced)
    monkeypatch.setattr("bundler.journey.files.os.replace", renamed)
    write_over(tmp_path / "f", b"x")
    assert told == ["file", "rename", "directory"]
