"""Frames: exact shapes, strict reading, and zstd itself as the judge."""

from __future__ import annotations

import io
import random
import struct
import subprocess
from collections.abc import Iterable

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from bundler.bundle import frames
from bundler.errors import ArchiveError
from tests.peers import needs

BLOCK = frames.BLOCK
EDGES = [0, 1, 511, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 8 * BLOCK, 8 * BLOCK + 1, 17 * BLOCK - 3]


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def text(size: int) -> bytes:
    return (b"the same words again and again, %d\n" % size * (size // 30 + 1))[:size]


def unzstd(raw: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw), read_across_frames=True).read()


@pytest.mark.parametrize("size", EDGES)
def test_stored_frame_is_a_zstd_frame_of_the_promised_length(size: int) -> None:
    raw = noise(size)
    frame = frames.stored(raw)
    assert len(frame) == frames.stored_length(size) <= frames.bound(size)
    said = zstandard.get_frame_parameters(frame)
    assert (said.content_size, said.window_size, said.has_checksum) == (size, BLOCK, False)
    assert unzstd(frame) == raw


@given(st.integers(0, 3 * BLOCK + 5), st.lists(st.integers(1, BLOCK + 9), max_size=8))
@example(BLOCK, [BLOCK])
@example(2 * BLOCK, [BLOCK - 1, 1, BLOCK])
def test_gather_writes_the_same_frame_however_the_content_is_cut(size: int, cuts: list[int]) -> None:
    raw = noise(size)
    out = bytearray(frames.stored_length(size))
    at = 0
    for cut in [*cuts, size]:
        piece = raw[at : at + cut]
        if not piece and size:
            break
        where, buffers = frames.gather(size, at, piece)
        joined = b"".join(bytes(buffer) for buffer in buffers)
        out[where : where + len(joined)] = joined
        at += len(piece)
    assert bytes(out) == frames.stored(raw)


@given(st.integers(1, 3 * BLOCK + 5), st.data())
def test_scatter_reads_any_part_without_its_framing(size: int, data: st.DataObject) -> None:
    raw = noise(size)
    frame = frames.stored(raw)
    at = data.draw(st.integers(0, size - 1))
    length = data.draw(st.integers(1, size - at))
    body = bytearray(length)
    where, buffers, framing, expected = frames.scatter(size, at, memoryview(body))
    for buffer in buffers:
        memoryview(buffer)[:] = frame[where : where + len(buffer)]
        where += len(buffer)
    assert bytes(body) == raw[at : at + length]
    assert framing == expected


def test_scatter_leaves_no_framing_to_chance() -> None:
    _, _, framing, expected = frames.scatter(10, 0, memoryview(bytearray(10)))
    assert framing != expected


@given(st.integers(1, 3 * BLOCK), st.lists(st.integers(1, 2 * BLOCK), max_size=5))
def test_compressed_frame_depends_on_the_content_alone(size: int, cuts: list[int]) -> None:
    raw = text(size)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(raw[at : at + cut])
        at += cut
    pieces.append(raw[at:])
    frame = b"".join(frames.compressed(pieces, size))
    assert frame == b"".join(frames.compressed([raw], size))
    assert len(frame) <= frames.bound(size)
    assert b"".join(frames.decompressed([frame], size)) == raw


@pytest.mark.parametrize("level", [1, 3, 19, 22])
def test_compressed_frame_declares_size_checksum_and_a_small_window(level: int) -> None:
    frame = b"".join(frames.compressed([text(200_000)], 200_000, level=level))
    said = zstandard.get_frame_parameters(frame)
    assert said.content_size == 200_000
    assert said.has_checksum
    assert said.window_size <= 8 << 20


def test_the_highest_level_keeps_to_the_window() -> None:
    size = 20 << 20
    pieces = list(frames.compressed((b"\0" * (1 << 20) for _ in range(20)), size, level=22))
    assert zstandard.get_frame_parameters(b"".join(pieces)).window_size == 8 << 20


@pytest.mark.parametrize("size", [1, 100, BLOCK, 3 * BLOCK + 1, (2 << 20) + 7])
def test_bound_holds_for_what_does_not_compress(size: int) -> None:
    for level in (1, 3, 19):
        assert len(b"".join(frames.compressed([noise(size)], size, level=level))) <= frames.bound(size)


@pytest.mark.parametrize("size", [99, 101])
def test_a_content_of_another_size_is_not_compressed(size: int) -> None:
    with pytest.raises(ArchiveError, match="cannot compress 100 bytes"):
        list(frames.compressed([bytes(size)], 100))


def test_decompressed_pieces_are_bounded_whatever_the_frame_claims() -> None:
    size = 64 << 20
    bomb = b"".join(frames.compressed((bytes(1 << 20) for _ in range(64)), size))
    assert len(bomb) < 10_000
    assert {len(piece) for piece in frames.decompressed([bomb], size)} == {1 << 20}


def _plain(raw: bytes, **options: int | bool) -> bytes:
    return zstandard.ZstdCompressor(level=3, **options).compress(raw)  # type: ignore[arg-type]  # a table of flags


RAW = text(300_000)
FRAME = b"".join(frames.compressed([RAW], len(RAW)))
WIDE = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters.from_level(
        3, window_log=24, write_checksum=True, write_content_size=True
    )
)


def _wide() -> bytes:
    state = WIDE.compressobj(size=1 << 25)
    return b"".join([*(state.compress(bytes(1 << 20)) for _ in range(32)), state.flush()])


BAD_FRAMES = {
    "nothing": b"",
    "magic-only": FRAME[:4],
    "no-magic": b"\0" + FRAME[1:],
    "skippable-frame": struct.pack("<II", 0x184D2A50, 4) + b"skip" + FRAME,
    "header-cut": FRAME[:6],
    "block-header-cut": FRAME[:11],
    "checksum-missing": FRAME[:-4],
    "checksum-cut": FRAME[:-1],
    "checksum-flipped": FRAME[:-1] + bytes([FRAME[-1] ^ 1]),
    "trailing-byte": FRAME + b"\0",
    "trailing-frame": FRAME + FRAME,
    "no-checksum": _plain(RAW, write_checksum=False),
    "no-size": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(RAW),
    "another-size": b"".join(frames.compressed([RAW[1:]], len(RAW) - 1)),
    "reserved-block": FRAME[:10] + bytes([FRAME[10] | 6]) + FRAME[11:],
    "reserved-bit": FRAME[:4] + bytes([FRAME[4] | 8]) + FRAME[5:],
    "half-zeroed": FRAME[:40] + bytes(len(FRAME) - 40),
    "stored-frame": frames.stored(RAW),
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
@pytest.mark.parametrize("cut", [1, 1 << 20], ids=["byte-by-byte", "at-once"])
def test_bad_frames_are_refused(frame: bytes, cut: int) -> None:
    pieces: Iterable[bytes] = [frame[at : at + cut] for at in range(0, len(frame), cut)]
    with pytest.raises(ArchiveError):
        list(frames.decompressed(pieces, len(RAW)))


def test_a_wide_window_is_refused() -> None:
    with pytest.raises(ArchiveError, match="window of at most 8 MiB"):
        list(frames.decompressed([_wide()], 1 << 25))


@given(st.integers(0, len(FRAME) - 1), st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(at: int, bit: int) -> None:
    spoilt = bytearray(FRAME)
    spoilt[at] ^= 1 << bit
    try:
        got = b"".join(frames.decompressed([spoilt], len(RAW)))
    except ArchiveError:
        return
    assert got == RAW  # a bit without meaning; the volume's digest covers it


def test_gains_is_judged_by_the_head() -> None:
    assert frames.gains(text(5_000))
    assert not frames.gains(noise(5_000))
    assert not frames.gains(b"")


@given(st.lists(st.integers(0, 50), max_size=9), st.integers(1, 40))
def test_rechunked_gives_whole_pieces(sizes: list[int], length: int) -> None:
    raws = [noise(size, seed) for seed, size in enumerate(sizes)]
    pieces = [bytes(piece) for piece in frames.rechunked(raws, length)]
    assert b"".join(pieces) == b"".join(raws)
    assert all(len(piece) == length for piece in pieces[:-1])
    assert all(pieces)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=40))
def test_seek_table_follows_the_seekable_format(entries: list[tuple[int, int]]) -> None:
    raw = frames.seek_table(entries)
    assert len(raw) == frames.seek_table_length(len(entries))
    magic, length = struct.unpack_from("<II", raw)
    assert (magic, length) == (0x184D2A5E, len(raw) - 8)
    assert struct.unpack_from("<IBI", raw, len(raw) - 9) == (len(entries), 0, 0x8F92EAB1)
    assert [struct.unpack_from("<II", raw, 8 + 8 * n) for n in range(len(entries))] == entries
    assert unzstd(frames.stored(b"before") + raw) == b"before"


def test_the_largest_member_fits_the_seek_table() -> None:
    assert frames.bound(frames.MAX_MEMBER) < 1 << 32
    assert frames.stored_length(frames.MAX_MEMBER) < 1 << 32


@needs("zstd")
def test_zstd_reads_stored_and_compressed_frames_in_a_row() -> None:
    first, second = noise(3 * BLOCK + 1), text(500_000)
    parts = [frames.stored(first), b"".join(frames.compressed([second], len(second))), frames.stored(b"")]
    table = frames.seek_table([(len(parts[0]), len(first)), (len(parts[1]), len(second)), (len(parts[2]), 0)])
    got = subprocess.run(["zstd", "-dc"], input=b"".join([*parts, table]), capture_output=True, check=True).stdout
    assert got == first + second
