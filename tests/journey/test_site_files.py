"""The files of a trust directory: what is not a plain file of the site's own is not believed, and nothing waits on it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import BundlerError, DiskError, LimitError, NotFoundError, ReadOnlyError, TrustError
from bundler.journey.site_files import (
    LEFT,
    is_kept,
    locked,
    make_folder,
    move_kept,
    read_kept,
    sweep,
    write_kept,
)


def linked(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(b"x")
    path.symlink_to("elsewhere")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


STRANGE: dict[str, Callable[[Path], object]] = {
    "link": linked,
    "link-to-nothing": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "socket": bound,
    "directory": Path.mkdir,
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_what_is_no_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    make(Path("state.json"))
    assert is_kept(Path("state.json"))
    with pytest.raises(TrustError, match=r"state\.json: is a link or a special file") as caught:
        read_kept(Path("state.json"), cap=10)
    assert caught.value.hint


def test_what_everybody_may_write_to(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"x")
    path.chmod(0o664)
    assert read_kept(path, cap=1) == b"x"
    path.chmod(0o646)
    with pytest.raises(TrustError, match=r"everybody on this machine may write to it: its mode is 0646") as caught:
        read_kept(path, cap=1)
    assert f"chmod o-w {path}" in caught.value.hint
    for mode in (0o777, 0o1777):
        tmp_path.chmod(mode)
        with pytest.raises(TrustError, match=f"its mode is {mode:04o}"), locked(tmp_path):
            pytest.fail("believed")
    tmp_path.chmod(0o775)
    with locked(tmp_path):
        pass


def test_caps(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"x" * 11)
    assert read_kept(path, cap=11) == b"x" * 11
    with pytest.raises(LimitError, match="more than the 10 bytes allowed") as caught:
        read_kept(path, cap=10)
    assert caught.value.hint


def test_no_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path / "pipe"):
        with pytest.raises(NotFoundError, match="is no trust directory"), locked(path):
            pytest.fail("opened")


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [(errno.EACCES, ReadOnlyError, "run it as one who may read"), (errno.EIO, DiskError, "check the medium")],
    ids=["not-permitted", "broken"],
)
def test_what_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[BundlerError], hint: str
) -> None:
    def refused(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(kind, match=r"read .*state\.json") as caught:
        read_kept(tmp_path / "state.json", cap=1)
    assert hint in caught.value.hint
    with pytest.raises(kind, match="open the trust directory") as caught, locked(tmp_path):
        pytest.fail("opened")
    assert hint in caught.value.hint


def test_what_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(ReadOnlyError, match="Read-only file system") as caught:
        write_kept(tmp_path / "state.json", b"x")
    assert f"as one who may write in {tmp_path}" in caught.value.hint
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(ReadOnlyError, match=r"write .*1\.root\.json"):
        move_kept(tmp_path / "1.root.json.part", tmp_path / "1.root.json")


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    linked(tmp_path / "state.json")
    write_kept(tmp_path / "state.json", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"x"
    assert read_kept(tmp_path / "state.json", cap=3) == b"new"


def test_a_folder_that_is_another_thing(tmp_path: Path) -> None:
    make_folder(tmp_path / "accepted")
    make_folder(tmp_path / "accepted")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(TrustError, match="is a link or a file") as caught:
            make_folder(tmp_path / name)
        assert caught.value.hint


def test_sweeping_takes_only_what_was_being_written(tmp_path: Path) -> None:
    swept = [".state.json.ab12_x", ".1.root.json.q", ".12.root.json.part.q"]
    kept = ["state.json", "1.root.json", ".hidden", ".state.json", ".state.json.a.b", "1.root.json.part"]
    for name in (*swept, *kept):
        (tmp_path / name).touch()
    sweep(tmp_path, LEFT.fullmatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    sweep(tmp_path / "absent", LEFT.fullmatch)
