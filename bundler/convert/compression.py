"""Layers as streams: what compression they have, without it, and with another one. Memory stays bounded.

What is at the start of a layer decides, as everywhere in this field, not what its media type says. Compressed output is the
same for the same input and library: no names and no times in it.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol, cast

from bundler.content import CHUNK, Buffer
from bundler.errors import LimitError, ProtocolError
from bundler.medium import Compression

_GZIP, _ZSTD, _BZIP2, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
MAX_WINDOW = 32 << 20
"""Bytes of memory that a zstd frame may ask for: four times what the levels up to 19 use, and several layers run at once."""
_XZ_MEMORY = 72 << 20


_ROOM = 1 << 20
"""Bytes that a decompressor gives out at once, whatever it is fed."""
_ZSTD_SLICE = 256
"""Bytes that a zstd decompressor is fed at once: it can't be told how much to give out, and four may become 128 KiB."""
MAX_RATIO, RATIO_FROM = 200, 8 << 30
"""How many times its compressed size a stream may grow to, once it is larger than so many bytes: zeros are no image."""


class _Decompressor(Protocol):
    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What it raises at damaged data."""
        ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes of ``data``, in pieces of bounded length."""
        ...


class _Gzip:
    def __init__(self) -> None:
        from zlib_ng import zlib_ng

        self._state = zlib_ng.decompressobj(wbits=31)
        self.errors: tuple[type[Exception], ...] = (cast("type[Exception]", zlib_ng.error),)

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while True:
            out = self._state.decompress(data, _ROOM)
            yield out
            data = self._state.unconsumed_tail
            if self._state.eof or (not data and len(out) < _ROOM):
                return


class _Limited:
    """Of the standard library's decompressors that keep what they have no room for themselves."""

    def __init__(self, state: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._state = state
        self.errors: tuple[type[Exception], ...] = (OSError, lzma.LZMAError, EOFError)

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._state.decompress(data, _ROOM)
        while not self._state.eof and not self._state.needs_input:
            yield self._state.decompress(b"", _ROOM)


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._state = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        self.errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._state.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            yield self._state.decompress(data[start : start + _ZSTD_SLICE])
            if self._state.eof:
                self.unused_data = self._state.unused_data + data[start + _ZSTD_SLICE :]
                return


def started(chunks: Iterable[Buffer]) -> tuple[bytes, Generator[Buffer, None, None]]:
    """The first bytes of a stream, enough to know it by, and the whole stream again."""
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += bytes(chunk)
        if len(head) >= len(_XZ):
            break

    def again() -> Generator[Buffer, None, None]:
        if head:
            yield head
        yield from source

    return head, again()


def sniffed(head: bytes) -> str:
    """The compression that begins like this: ``gzip``, ``zstd``, ``bzip2``, ``xz``, else ``none``."""
    known = {_GZIP: "gzip", _ZSTD: "zstd", _BZIP2: "bzip2", _XZ: "xz"}
    return next((name for magic, name in known.items() if head.startswith(magic)), "none")


def plain(chunks: Iterable[Buffer], *, what: str) -> Generator[Buffer, None, None]:
    """The stream without its compression, whichever it has.

    Raises :class:`ProtocolError` if it ends too early or has something else behind it.
    """
    head, stream = started(chunks)
    makers: dict[str, Callable[[], _Decompressor]] = {
        "gzip": _Gzip,
        "zstd": _Zstd,
        "bzip2": lambda: _Limited(bz2.BZ2Decompressor()),
        "xz": lambda: _Limited(lzma.LZMADecompressor(memlimit=_XZ_MEMORY)),
    }
    make = makers.get(sniffed(head))
    if make is None:
        yield from stream
        return
    yield from _decompressed(stream, make, what)


def _decompressed(
    stream: Iterable[Buffer], make: Callable[[], _Decompressor], what: str
) -> Generator[Buffer, None, None]:
    """Member after member, as gzip and zstd allow several."""
    decompressor = make()
    came = grown = 0
    for chunk in stream:
        for start in range(0, len(chunk), CHUNK // 16):
            data = bytes(memoryview(chunk)[start : start + CHUNK // 16])
            came += len(data)
            while data:
                if decompressor.eof:
                    decompressor = make()
                for out in _pieces(decompressor, data, what):
                    grown += len(out)
                    _check_growth(came, grown, what)
                    if out:
                        yield out
                data = decompressor.unused_data if decompressor.eof else b""
    if not decompressor.eof:
        raise _damaged(what, "it ends too early")


def _pieces(decompressor: _Decompressor, data: bytes, what: str) -> Iterator[bytes]:
    try:
        yield from decompressor.pieces(data)
    except decompressor.errors as problem:
        raise _damaged(what, str(problem)) from None


def _check_growth(came: int, grown: int, what: str) -> None:
    if grown > RATIO_FROM and grown > came * MAX_RATIO:
        raise LimitError(
            f"{what}: {came} bytes become more than {grown} without their compression, which no honest image does",
            hint="if it is right all the same, decompress it by hand first",
        )


def _damaged(what: str, why: str) -> ProtocolError:
    return ProtocolError(f"{what}: can't be decompressed: {why}", hint="the layer is damaged where it comes from")


def compressed(chunks: Iterable[Buffer], compression: Compression, level: int | None) -> Generator[Buffer, None, None]:
    """The plain stream with a compression."""
    if compression == "none":
        yield from chunks
        return
    if compression == "zstd":
        import zstandard

        packer = zstandard.ZstdCompressor(level=level or 3, write_checksum=True).compressobj()
        for chunk in chunks:
            yield packer.compress(chunk)
        yield packer.flush()
        return
    from zlib_ng import zlib_ng

    # The header that zlib writes has no time and no name, so equal layers stay equal.
    deflate = zlib_ng.compressobj(level or 6, zlib_ng.DEFLATED, 31)
    for chunk in chunks:
        yield deflate.compress(chunk)
    yield deflate.flush()


def recompressed(
    chunks: Generator[Buffer, None, None], compression: Compression, level: int | None, *, what: str
) -> Generator[Buffer, None, None]:
    """A layer of any compression with another one."""
    with closing(chunks):
        yield from compressed(plain(chunks, what=what), compression, level)
