"""The spool: contents come back whole from any offset, many of them at once, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.content import Buffer
from bundler.errors import BundlerError, DiskError, SpaceError, StoreError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.scratch import BLOCK, Spool
from tests.suites import chunks


def want(raw: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", digest_of(raw), len(raw))


def fetched(spool: Spool, raw: bytes, offset: int = 0) -> bytes:
    return b"".join(bytes(chunk) for chunk in spool.fetch_from(want(raw), offset))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
@pytest.mark.parametrize("piece", [4099, 5 * BLOCK])
def test_contents_come_back(tmp_path: Path, size: int, piece: int) -> None:
    raw = random.Random(size).randbytes(size)
    with Spool.open(tmp_path) as spool:
        assert spool.keep(chunks(raw, piece)) == (digest_of(raw), size)
        assert spool.has(digest_of(raw))
        for offset in {0, 1, size // 2, max(0, size - 1), size}:
            assert fetched(spool, raw, offset) == raw[offset:]


def test_nothing_is_seen_in_the_directory(tmp_path: Path) -> None:
    with Spool.open(tmp_path) as spool:
        spool.keep([b"content"])
        assert list(tmp_path.iterdir()) == []


def descriptors(below: Path) -> list[str]:
    """Open files of this process below a directory."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(each.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return [link for link in links if link.startswith(str(below))]


def test_thousands_of_contents_take_one_descriptor(tmp_path: Path) -> None:
    with Spool.open(tmp_path) as spool:
        contents = [b"content %d" % n for n in range(3000)]
        for raw in contents:
            spool.keep([raw])
        assert len(descriptors(tmp_path)) == 1
        assert [fetched(spool, raw) for raw in contents] == contents


def test_many_threads(tmp_path: Path) -> None:
    contents = [random.Random(n).randbytes(BLOCK // 2 * (n % 5) + n) for n in range(20)]
    with Spool.open(tmp_path) as spool, ThreadPoolExecutor(6) as executor:
        kept = list(executor.map(lambda raw: spool.keep(chunks(raw, 100_003)), contents))
        assert kept == [(digest_of(raw), len(raw)) for raw in contents]
        assert list(executor.map(lambda raw: fetched(spool, raw), contents)) == contents


def test_what_breaks_off_is_not_kept_and_its_room_is_used_again(tmp_path: Path) -> None:
    class SourceBrokeError(Exception):
        pass

    def broken() -> Iterator[Buffer]:
        yield bytes(2 * BLOCK)
        raise SourceBrokeError

    with Spool.open(tmp_path) as spool:
        with pytest.raises(SourceBrokeError):
            spool.keep(broken())
        raw = random.Random(1).randbytes(2 * BLOCK)
        spool.keep([raw])
        assert fetched(spool, raw) == raw
        assert spool._used == 2
        spool.keep([raw])  # known already
        spool.keep([b"more"])
        assert spool._used == 4


def test_what_is_not_there(tmp_path: Path) -> None:
    with Spool.open(tmp_path) as spool:
        assert not spool.has(digest_of(b"x"))
        with pytest.raises(StoreError, match="not among the converted contents"):
            fetched(spool, b"x")


def test_closed(tmp_path: Path) -> None:
    with Spool.open(tmp_path) as spool:
        spool.keep([b"x"])
    with pytest.raises(StoreError):
        fetched(spool, b"x")


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with Spool.open(tmp_path / "missing") as spool, pytest.raises(DiskError, match="make a temporary file in"):
        spool.keep([b"x"])


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, SpaceError), (errno.EIO, DiskError)])
def test_a_full_or_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[BundlerError]
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pwrite", full)
    with Spool.open(tmp_path) as spool, pytest.raises(error, match="write a temporary file"):
        spool.keep([b"x"])
