"""Layers without their compression, and with another one: whole, or refused by what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Generator, Iterator

import pytest
import zstandard

from bundler.content import CHUNK, Buffer
from bundler.convert import compression as module
from bundler.convert.compression import compressed, plain, recompressed, sniffed, started
from bundler.errors import LimitError, ProtocolError
from bundler.medium import COMPRESSIONS, Compression
from tests.images import layer
from tests.suites import chunks

TAR = layer("plain", 300_000, compression="none").raw
SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"notes"


def zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(raw)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda raw: raw,
    "gzip": lambda raw: gzip.compress(raw, mtime=0),
    "zstd": zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def opened(raw: bytes, size: int = 65_536) -> bytes:
    return b"".join(bytes(chunk) for chunk in plain(chunks(raw, size), what="layer"))


@pytest.mark.parametrize("size", [1, 511, 512, 70_000, 1 << 30])
@pytest.mark.parametrize("name", PACKERS)
def test_each_compression_is_known_by_its_start(name: str, size: int) -> None:
    tar = TAR if size > 1 else TAR[:3000]
    packed = PACKERS[name](tar)
    assert sniffed(packed[:8]) == name
    assert opened(packed, size) == tar


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_several_members_are_one_stream(name: str) -> None:
    pack = PACKERS[name]
    packed = pack(TAR[:1000]) + pack(b"") + pack(TAR[1000:])
    assert opened(packed) == TAR
    assert opened(packed, 7) == TAR


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_truncated(name: str, cut: int) -> None:
    with pytest.raises(ProtocolError, match="layer: can't be decompressed: it ends too early"):
        opened(PACKERS[name](TAR)[:-cut])


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_truncated_in_its_second_member(name: str) -> None:
    pack = PACKERS[name]
    with pytest.raises(ProtocolError, match="ends too early"):
        opened(pack(TAR) + pack(TAR)[:-9])


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
@pytest.mark.parametrize("garbage", [b"garbage after it", bytes(512)], ids=["text", "zeros"])
def test_trailing_garbage(name: str, garbage: bytes) -> None:
    with pytest.raises(ProtocolError, match="can't be decompressed") as caught:
        opened(PACKERS[name](TAR) + garbage)
    assert "damaged where it comes from" in caught.value.hint


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_a_flipped_bit(name: str) -> None:
    packed = bytearray(PACKERS[name](TAR))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(ProtocolError, match="can't be decompressed"):
        opened(bytes(packed))


def test_a_skippable_frame_at_the_end_is_passed_over() -> None:
    assert opened(zstd(TAR) + SKIPPABLE) == TAR
    assert opened(zstd(TAR) + SKIPPABLE, 3) == TAR


def test_a_zstd_frame_that_wants_more_memory_than_allowed() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(ProtocolError, match=r"memory|window|Frame requires too much"):
        opened(packer.compress(TAR) + packer.flush())


def test_nothing_is_nothing() -> None:
    assert opened(b"") == b""
    assert opened(b"\x1f") == b"\x1f"


def bomb(name: str, size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31) if name == "gzip" else None
    if packer is not None:
        return b"".join(packer.compress(bytes(CHUNK)) for _ in range(size // CHUNK)) + packer.flush()
    if name == "zstd":
        frame = zstandard.ZstdCompressor(level=3).compressobj()
        return b"".join(frame.compress(bytes(CHUNK)) for _ in range(size // CHUNK)) + frame.flush()
    return PACKERS[name](bytes(size))


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2", "xz"])
def test_a_bomb_takes_time_and_no_memory(name: str) -> None:
    packed = bomb(name, 96 << 20)
    tracemalloc.start()
    count = sum(len(chunk) for chunk in plain([packed], what="layer"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 96 << 20
    assert peak < 24 << 20


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RATIO_FROM", 8 << 20)
    seen = 0
    with pytest.raises(LimitError, match="no honest image") as caught:
        for chunk in plain([bomb(name, 64 << 20)], what="layer"):
            seen += len(chunk)
    assert seen <= 32 << 20
    assert caught.value.hint


@pytest.mark.parametrize("target", COMPRESSIONS)
@pytest.mark.parametrize("name", PACKERS)
def test_from_each_to_each(name: str, target: Compression) -> None:
    def source() -> Generator[Buffer, None, None]:
        yield from chunks(PACKERS[name](TAR), 10_000)

    made = b"".join(bytes(chunk) for chunk in recompressed(source(), target, None, what="layer"))
    assert sniffed(made[:8]) == target
    assert opened(made) == TAR


@pytest.mark.parametrize("target", ["gzip", "zstd"])
def test_the_same_input_gives_the_same_output(target: Compression) -> None:
    made = [b"".join(bytes(piece) for piece in compressed(chunks(TAR, 65_536), target, None)) for _ in range(2)]
    assert made[0] == made[1]
    if target == "gzip":
        assert made[0][4:8] == bytes(4)  # no time


def test_a_level_counts() -> None:
    text = b"".join(b"line %d of a text that compresses\n" % n for n in range(20_000))
    for target, low, high in (("gzip", 1, 9), ("zstd", 1, 19)):
        sizes = [
            sum(len(piece) for piece in compressed([text], "gzip" if target == "gzip" else "zstd", level))
            for level in (low, high)
        ]
        assert sizes[1] < sizes[0]


def test_the_source_is_closed_when_given_up() -> None:
    closed = []

    def source() -> Generator[Buffer, None, None]:
        try:
            yield from chunks(PACKERS["gzip"](TAR), 1000)
        finally:
            closed.append(True)

    stream = recompressed(source(), "none", None, what="layer")
    next(stream)
    stream.close()
    assert closed == [True]


def test_started_gives_the_whole_stream_again() -> None:
    def source() -> Iterator[Buffer]:
        buffer = bytearray(2)
        for n in range(10):  # one buffer, filled again and again
            buffer[:] = bytes([n, n])
            yield buffer

    head, again = started(source())
    assert head == bytes([0, 0, 1, 1, 2, 2])
    assert b"".join(bytes(chunk) for chunk in again) == bytes(n for n in range(10) for _ in range(2))
