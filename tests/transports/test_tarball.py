"""Tar files: members found once and read by offset, whatever the headers claim."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from bundler.convert import compression
from bundler.errors import ArchiveError, BundlerError, ConfigError, DiskError, LimitError, NotFoundError
from bundler.transports import tarball as module
from bundler.transports.tarball import Tarball, new_tarball, normal

Member = tuple[str, bytes | str, bytes]
"""Name, content or link target, and type."""


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if isinstance(content, str):
                info.linkname = content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def file(name: str, content: bytes = b"content") -> Member:
    return (name, content, tarfile.REGTYPE)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, *, raw_size: bytes | None = None) -> bytes:
    """One header of 512 bytes with a right checksum, whatever else is in it."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = raw_size if raw_size is not None else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(**records: str) -> bytes:
    """An extended header with these records."""
    body = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        body += str(length).encode() + rest
    return header("pax", len(body), tarfile.XHDTYPE) + body + bytes(-len(body) % 512)


def opened(path: Path, raw: bytes) -> Tarball:
    path.write_bytes(raw)
    return Tarball.open(str(path), tmp=path.parent)


END = bytes(1024)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_come_back(tmp_path: Path, form: int) -> None:
    contents = {f"blobs/{'long' * n}/{n}": os.urandom(n * 400) for n in range(1, 7)}
    with opened(tmp_path / "a.tar", tar(*(file(name, raw) for name, raw in contents.items()), form=form)) as archive:
        assert sorted(archive.names()) == sorted(contents)
        for name, raw in contents.items():
            assert archive.read(f"./{name}", cap=1 << 20) == raw
            member = archive.find(name)
            assert member is not None
            assert b"".join(bytes(chunk) for chunk in archive.chunks(member, 7)) == raw[7:]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_a_compressed_archive(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    with opened(tmp_path / "a.tar.x", pack(tar(file("a")))) as archive:
        assert archive.read("a", cap=10) == b"content"
        assert [each.name for each in tmp_path.iterdir()] == ["a.tar.x"]


def test_many_threads(tmp_path: Path) -> None:
    contents = {f"f{n}": os.urandom(50_000) for n in range(20)}
    raw = tar(*(file(*each) for each in contents.items()))
    with opened(tmp_path / "a.tar", raw) as archive, ThreadPoolExecutor(6) as executor:
        assert list(executor.map(lambda name: archive.read(name, cap=1 << 20), contents)) == list(contents.values())


class TestLinks:
    @pytest.mark.parametrize(
        ("name", "target", "kind"),
        [
            ("link", "dir/real", tarfile.SYMTYPE),
            ("link", "dir/real", tarfile.LNKTYPE),
            ("other/link", "../dir/real", tarfile.SYMTYPE),
            ("other/link", "dir/real", tarfile.LNKTYPE),
            ("dir/link", "real", tarfile.SYMTYPE),
            ("dir/link", "./../dir/./real", tarfile.SYMTYPE),
        ],
    )
    def test_within_the_archive(self, tmp_path: Path, name: str, target: str, kind: bytes) -> None:
        with opened(tmp_path / "a.tar", tar((name, target, kind), file("dir/real"))) as archive:
            assert archive.read(name, cap=10) == b"content"

    @pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "../outside", "", ".", "/"])
    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    def test_out_of_the_archive_lead_nowhere(self, tmp_path: Path, target: str, kind: bytes) -> None:
        (tmp_path / "outside").write_text("secret")
        with opened(tmp_path / "a.tar", tar(("link", target, kind))) as archive:
            assert archive.find("link") is None
            assert archive.read("link", cap=1 << 20) is None

    def test_in_a_circle(self, tmp_path: Path) -> None:
        members = tar(("a", "b", tarfile.SYMTYPE), ("b", "a", tarfile.SYMTYPE))
        with opened(tmp_path / "a.tar", members) as archive, pytest.raises(ArchiveError, match="leads nowhere"):
            archive.find("a")

    @pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/../x", "..", "."])
    def test_names_outside_are_not_found(self, tmp_path: Path, name: str) -> None:
        with opened(tmp_path / "a.tar", tar(file(name), file("b"))) as archive:
            assert archive.names() == ["b"]

    @pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
    def test_devices_are_no_files(self, tmp_path: Path, kind: bytes) -> None:
        with opened(tmp_path / "a.tar", tar(("device", "", kind))) as archive:
            assert archive.find("device") is None


def _sparse_map(size: int) -> bytes:
    """A file whose map of holes, which is read into memory, has no end."""
    body = b"9" * 9 + b"\n" + b"1\n" * (size // 2)
    return (
        pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__name="s", GNU__sparse__realsize="1")
        + header("s", len(body))
        + body
        + bytes(-len(body) % 512)
    )


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a member twice": (lambda: tar(file("a"), file("a", b"other")), "holds 'a' twice"),
    "a member twice, spelled otherwise": (lambda: tar(file("a"), file("./b/../a", b"other")), "holds 'a' twice"),
    "a link in place of a member": (lambda: tar(file("a"), ("a", "b", tarfile.SYMTYPE)), "twice"),
    "a pax header of 1 GiB": (lambda: header("pax", 1 << 30, tarfile.XHDTYPE) + bytes(1 << 20), "extended header"),
    "a long name of 1 GiB": (
        lambda: header("name", 1 << 30, tarfile.GNUTYPE_LONGNAME) + bytes(4096),
        "extended header",
    ),
    "thousands of extended headers": (lambda: pax(comment="x") * 5000 + tar(file("a")), "not a whole tar file"),
    "a map of holes without an end": (lambda: _sparse_map(8 << 20) + END, "extended headers"),
    "truncated in a member": (lambda: tar(file("a", bytes(5000)))[:3000], "ends within 'a'"),
    "larger than the file": (lambda: header("a", 1 << 32) + bytes(1024), "ends within 'a'"),
    "a size below zero": (
        lambda: header("a", 0, raw_size=b"\xff" * 8 + (-1024).to_bytes(4, "big", signed=True)) + END,
        "backwards|not a whole tar file",
    ),
    "a directory with a size below zero": (
        lambda: header("a", 0, b"7", raw_size=b"\xff" * 8 + (-512).to_bytes(4, "big", signed=True)) + END,
        "backwards|not a whole tar file|ends within",
    ),
    "a pax size below zero": (lambda: pax(size="-1024") + header("a", 0) + END, "backwards|not a whole tar file"),
    "empty": (lambda: b"", "not a whole tar file"),
    "no tar at all": (lambda: b"<html>" * 1000, "not a whole tar file"),
    "a truncated gzip": (lambda: gzip.compress(tar(file("a", os.urandom(5000))))[:-50], "ends too early"),
    "garbage behind a gzip": (lambda: gzip.compress(tar(file("a"))) + b"garbage", "can't be decompressed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path: Path, name: str) -> None:
    make, said = HOSTILE[name]
    raw = make()
    (tmp_path / "a.tar").write_bytes(raw)
    tracemalloc.start()
    begun = time.monotonic()
    try:
        with pytest.raises(ArchiveError, match=said) as caught:
            Tarball.open(str(tmp_path / "a.tar"), tmp=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < 60
    assert peak < 48 << 20
    assert str(tmp_path / "a.tar") in str(caught.value)
    assert "again" in caught.value.hint


@pytest.mark.parametrize("name", ["zeros", "old"])
def test_a_sparse_member_is_no_file(tmp_path: Path, name: str) -> None:
    raw = {
        "zeros": lambda: (
            pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__name="s", GNU__sparse__realsize="1")
            + header("s", 512)
            + b"1\n0\n0\n".ljust(512, b"\0")
            + END
        ),
        "old": lambda: header("s", 0, tarfile.GNUTYPE_SPARSE) + END,
    }[name]()
    with opened(tmp_path / "a.tar", raw) as archive:
        assert archive.find("s") is None


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 3)
    with pytest.raises(LimitError, match="more than 3 members"):
        opened(tmp_path / "a.tar", tar(*(file(str(n)) for n in range(4))))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, lzma.compress])
def test_a_bomb_is_given_up_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(compression, "RATIO_FROM", 4 << 20)
    with pytest.raises(LimitError, match="no honest image") as caught:
        opened(tmp_path / "a.tar.gz", pack(bytes(64 << 20)))
    assert caught.value.hint
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_member_over_the_cap(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "a.tar", tar(file("a", bytes(100)))) as archive,
        pytest.raises(LimitError, match="100 bytes"),
    ):
        archive.read("a", cap=99)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    with opened(tmp_path / "a.tar", tar(file("a", bytes(5000)))) as archive:
        os.truncate(tmp_path / "a.tar", 600)
        with pytest.raises(ArchiveError, match="ends within 'a'"):
            archive.read("a", cap=1 << 20)


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("missing.tar", NotFoundError, "no such file"),
        (".", ConfigError, "a directory"),
        ("a\0b", ConfigError, "not a path"),
        ("file/a.tar", NotFoundError, "no such file"),
    ],
)
def test_what_can_not_be_opened(tmp_path: Path, path: str, error: type[BundlerError], said: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error, match=said):
        Tarball.open(f"{tmp_path}/{path}")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a", "a"),
        ("./a//b/", "a/b"),
        ("/a", "a"),
        ("a/../b", "b"),
        ("..", None),
        ("../a", None),
        ("", None),
        ("/", None),
    ],
)
def test_normal(name: str, wanted: str | None) -> None:
    assert normal(name) == wanted


class TestNew:
    def test_what_others_read(self, tmp_path: Path) -> None:
        with new_tarball(tmp_path / "a.tar") as made:
            made.append("one", 3, [b"one"])
            made.append("two", 5, [b"t", b"wo!!"])
            made.whole = True
        with tarfile.open(tmp_path / "a.tar") as archive:
            assert [(each.name, each.size, each.mode, each.mtime) for each in archive] == [
                ("one", 3, 0o644, 0),
                ("two", 5, 0o644, 0),
            ]
        assert (tmp_path / "a.tar").stat().st_size % module.RECORD == 0

    def test_what_breaks_off_leaves_the_rest_sound(self, tmp_path: Path) -> None:
        def broken() -> object:
            yield b"x" * 3000
            raise ValueError

        with new_tarball(tmp_path / "a.tar") as made:
            made.append("one", 3, [b"one"])
            with pytest.raises(ValueError):
                made.append("two", 5000, broken())  # type: ignore[arg-type]
            made.append("three", 5, [b"three"])
            made.whole = True
        with Tarball.open(str(tmp_path / "a.tar")) as archive:
            assert archive.names() == ["one", "three"]
            assert archive.read("three", cap=10) == b"three"

    @pytest.mark.parametrize("older", [True, False])
    def test_an_error_leaves_the_older_file(self, tmp_path: Path, older: bool) -> None:
        path = tmp_path / "a.tar"
        if older:
            path.write_bytes(b"older")
        with pytest.raises(RuntimeError), new_tarball(path) as made:
            made.append("one", 3, [b"one"])
            made.whole = True
            raise RuntimeError
        assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"older"] * older

    def test_not_whole_not_written(self, tmp_path: Path) -> None:
        with new_tarball(tmp_path / "a.tar") as made:
            made.append("one", 3, [b"one"])
        assert list(tmp_path.iterdir()) == []

    def test_a_link_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "real.tar").write_bytes(b"older")
        (tmp_path / "a.tar").symlink_to("real.tar")
        with new_tarball(tmp_path / "a.tar") as made:
            made.whole = True
        assert (tmp_path / "a.tar").is_symlink()
        assert (tmp_path / "real.tar").stat().st_size == module.RECORD

    def test_what_is_no_file_stays_what_it_is(self, tmp_path: Path) -> None:
        """/dev/stdout, as some write it: renaming a file over it would be the end of it."""
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "stdout").symlink_to("pipe")
        for name in ("pipe", "stdout"):
            with pytest.raises(ConfigError, match="not a regular file") as caught, new_tarball(tmp_path / name):
                pass
            assert caught.value.hint
        assert (tmp_path / "pipe").is_fifo()
        assert (tmp_path / "stdout").is_symlink()

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no such directory") as caught, new_tarball(tmp_path / "missing/a.tar"):
            pass
        assert caught.value.hint

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="write"), new_tarball(tmp_path / "a.tar") as made:
            made.whole = True
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_a_name_that_is_no_name(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("x" * 5000 if kind == tarfile.REGTYPE else "x")
        member.type, member.linkname = kind, "" if kind == tarfile.REGTYPE else "y" * 5000
        archive.addfile(member)
    with pytest.raises(ArchiveError, match="a name of more than 1024"):
        Tarball.open(str(tmp_path / "a.tar"))


def test_a_link_in_a_circle_is_no_place_for_an_archive(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="leads nowhere"), new_tarball(tmp_path / "loop"):
        pass
    assert (tmp_path / "loop").is_symlink()
