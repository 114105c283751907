"""zstd frames: stored as raw blocks where compression gains nothing, compressed otherwise; and the seek table.

A stored frame has a fixed shape, so the place of every content byte is known before the first one arrives. Nothing is
copied to add or to remove the framing: :func:`gather` and :func:`scatter` give lists for vectored I/O in which pieces of
content alternate with the framing's own bytes ("marks").

    ┌ frame header, 14 bytes ┬ 3 ┬ 128 KiB of content ┬ 3 ┬ 128 KiB of content ┬ … ┬ 3 ┬ the rest ┐

A compressed frame declares its size, carries a checksum, and needs a window of at most 8 MiB. For one version of the zstd
library, the same content gives the same frame. Specifications: RFC 8878; "Zstandard Seekable Format" 0.1.0. The seek
table's fields are 32 bits wide, so a member of ours holds less than 4 GiB: tighter than the 8 GiB of ustar.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Iterator, Sequence

import zstandard

from bundler.content import CHUNK, Buffer
from bundler.errors import ArchiveError

BLOCK = 128 << 10
"""Content bytes per raw block: the most that RFC 8878 allows."""
MAX_MEMBER = (4 << 30) - (64 << 20)
"""The most content bytes of one frame, such that its upper bound fits 32 bits."""
DEFAULT_LEVEL = 3
MAX_WINDOW_LOG = 23

_MAGIC = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR = 0xC0  # an 8-byte content size; no checksum, dictionary or single segment
_WINDOW = 7 << 3  # 128 KiB, which is what raw blocks need
_HEADER = 14
_MARK = 3
_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_TRIAL_GAIN = 16  # a trial must shorten its MiB by at least one part in this many


def stored_length(size: int) -> int:
    """The exact length of a stored frame of ``size`` content bytes."""
    return _HEADER + _MARK * max(1, -(-size // BLOCK)) + size


def bound(size: int) -> int:
    """The most that a frame of ``size`` content bytes can take, stored or compressed."""
    return size + (size >> 8) + _MARK * (size // BLOCK) + 128


def stored(raw: Buffer) -> bytes:
    """Bytes in memory as a stored frame."""
    return b"".join(gather(len(raw), 0, raw)[1])


def marks(size: int, at: int = 0, length: int | None = None) -> Iterator[tuple[bytes, int]]:
    """Pairs of framing bytes and the number of content bytes that follow them.

    They cover ``length`` bytes (to the end unless given) from content offset ``at`` of a stored frame of ``size`` bytes.
    The framing before a piece that starts within a block is empty.
    """
    end = size if length is None else at + length
    while True:
        into = at % BLOCK
        count = min(BLOCK - into, end - at)
        yield b"" if into else _mark(size, at), count
        at += count
        if at >= end:
            return


def place(at: int) -> int:
    """Where in a stored frame the list of :func:`gather` or :func:`scatter` for content offset ``at`` begins."""
    number, into = divmod(at, BLOCK)
    if at == 0:
        return 0
    return _HEADER + number * (_MARK + BLOCK) + (_MARK + into if into else 0)


def gather(size: int, at: int, chunk: Buffer) -> tuple[int, list[Buffer]]:
    """``(place, buffers)`` that put ``chunk`` at content offset ``at`` of a stored frame of ``size`` content bytes.

    An empty content is written by one call with an empty chunk.
    """
    view = memoryview(chunk)
    buffers: list[Buffer] = []
    used = 0
    for mark, count in marks(size, at, len(view)):
        if mark:
            buffers.append(mark)
        buffers.append(view[used : used + count])
        used += count
    return place(at), buffers


def scatter(size: int, at: int, body: memoryview) -> tuple[int, list[Buffer], bytearray, bytes]:
    """``(place, buffers, framing, expected)`` to read ``len(body)`` content bytes at offset ``at`` into ``body``.

    After a full read into ``buffers`` the content lies in ``body`` without a gap, and the frame is sound where
    ``framing == expected``.
    """
    pairs = list(marks(size, at, len(body)))
    expected = b"".join(mark for mark, _ in pairs)
    framing = bytearray(expected)
    framing_view = memoryview(framing)
    framing[:] = bytes(len(framing))
    buffers: list[Buffer] = []
    framed = used = 0
    for mark, count in pairs:
        if mark:
            buffers.append(framing_view[framed : framed + len(mark)])
        buffers.append(body[used : used + count])
        framed, used = framed + len(mark), used + count
    return place(at), buffers, framing, expected


def _mark(size: int, at: int) -> bytes:
    count = min(BLOCK, size - at)
    mark = (count << 3 | (at + count == size)).to_bytes(_MARK, "little")
    if at:
        return mark
    return struct.pack("<4sBBQ", _MAGIC, _DESCRIPTOR, _WINDOW, size) + mark


def compressed(chunks: Iterable[Buffer], size: int, *, level: int = DEFAULT_LEVEL) -> Generator[bytes, None, None]:
    """The pieces of a compressed frame of exactly ``size`` > 0 content bytes.

    However the content is cut into chunks, the compressor sees it in whole MiB, so that the frame depends on nothing else.
    """
    state = zstandard.ZstdCompressor(compression_params=_parameters(size, level)).compressobj(size=size)
    try:
        for chunk in rechunked(chunks):
            yield state.compress(chunk)
        yield state.flush()
    except zstandard.ZstdError as problem:  # the content is not of the size that was promised
        raise ArchiveError(f"cannot compress {size} bytes: {problem}") from None


def gains(head: Buffer, *, level: int = DEFAULT_LEVEL) -> bool:
    """Whether compressing is worth it, judged by a content's first MiB (or all of a shorter one)."""
    if not len(head):
        return False
    length = sum(len(piece) for piece in compressed([head], len(head), level=level))
    return length < len(head) - len(head) // _TRIAL_GAIN


def rechunked(chunks: Iterable[Buffer], length: int = CHUNK) -> Generator[Buffer, None, None]:
    """The same bytes in pieces of exactly ``length``, the last one shorter."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            if not held and len(view) >= length:
                yield view[:length]
                view = view[length:]
                continue
            count = min(length - len(held), len(view))
            held += view[:count]
            view = view[count:]
            if len(held) == length:
                yield held
                held = bytearray()
    if held:
        yield held


def _parameters(size: int, level: int) -> zstandard.ZstdCompressionParameters:
    chosen = zstandard.ZstdCompressionParameters.from_level(level, source_size=size)
    return zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=size,
        window_log=min(chosen.window_log, MAX_WINDOW_LOG),
        write_checksum=1,
        write_content_size=1,
        write_dict_id=0,
    )


def decompressed(chunks: Iterable[Buffer], size: int) -> Generator[bytes, None, None]:
    """The content of exactly one compressed frame, in pieces of at most 1 MiB.

    Blocks are walked one by one and given to the decompressor a few at a time, so its output is bounded whatever the
    frame claims, and a frame that is cut, continued, of another size, or without a checksum is an :class:`ArchiveError`.
    """
    feed = _Feed(chunks)
    state = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG).decompressobj()
    batch = [_frame_header(feed, size)]
    seen, last = 0, False
    try:
        while not last:
            for _ in range(CHUNK // BLOCK):
                mark = feed.take(_MARK)
                last, kind, count = bool(mark[0] & 1), mark[0] >> 1 & 3, int.from_bytes(mark, "little") >> 3
                if kind == 3 or count > BLOCK:
                    raise ArchiveError("damaged block in a compressed frame")
                batch += (mark, feed.take(1 if kind == 1 else count))
                if last:
                    batch.append(feed.take(4))
                    break
            piece = state.decompress(b"".join(batch))
            batch = []
            seen += len(piece)
            if seen > size:
                raise ArchiveError(f"compressed frame holds more than its {size} bytes")
            if piece:
                yield piece
    except zstandard.ZstdError as problem:
        raise ArchiveError(f"damaged compressed frame: {problem}") from None
    if not state.eof or state.unused_data or seen != size:
        raise ArchiveError(f"compressed frame holds {seen} of {size} bytes")
    feed.end()


def _frame_header(feed: _Feed, size: int) -> bytes:
    head = feed.take(5)
    if head[:4] != _MAGIC:
        raise ArchiveError("no compressed frame where one should begin")
    try:
        head += feed.take(zstandard.frame_header_size(head) - len(head))
        said = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError as problem:
        raise ArchiveError(f"damaged frame header: {problem}") from None
    if said.content_size != size or not said.has_checksum or said.dict_id or said.window_size > 1 << MAX_WINDOW_LOG:
        raise ArchiveError(f"frame header does not declare {size} bytes with a checksum and a window of at most 8 MiB")
    return head


class _Feed:
    """A stream of buffers to take exact counts from."""

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._chunks = iter(chunks)
        self._held = memoryview(b"")

    def take(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            if not len(self._held):
                self._held = memoryview(self._next())
                continue
            part = bytes(self._held[:count])
            self._held = self._held[len(part) :]
            count -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self) -> Buffer:
        for chunk in self._chunks:
            return chunk
        raise ArchiveError("compressed frame is cut short")

    def end(self) -> None:
        if len(self._held) or any(len(chunk) for chunk in self._chunks):
            raise ArchiveError("bytes behind the end of a compressed frame")


def seek_table(frames: Sequence[tuple[int, int]]) -> bytes:
    """The skippable frame at a volume's end, from ``(length, content size)`` of every frame before it."""
    entries = b"".join(struct.pack("<II", length, size) for length, size in frames)
    body = entries + struct.pack("<IBI", len(frames), 0, _SEEKABLE)
    return struct.pack("<II", _SKIPPABLE, len(body)) + body


def seek_table_length(count: int) -> int:
    """The length of a seek table over ``count`` frames."""
    return 8 + 8 * count + 9
