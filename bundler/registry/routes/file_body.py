"""A file as the body of an answer: what the system holds in memory at once, the rest through a worker thread.

Most blobs that are asked for were asked for before, and still are in the page cache. To take them from there costs less
than to hand them from one thread to another, and nobody is held up by it: ``RWF_NOWAIT`` (preadv(2)) has the kernel
refuse what would have to wait for a disk. What it refuses, or a file system that knows no such thing, is read in a worker
thread. A tmpfs knows no such thing because all of it is memory.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Mapping
from io import FileIO
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bundler.errors import DiskError, disk_error

PIECE = (64 << 10, 256 << 10)
"""The least and the largest piece, in bytes; large ones are quicker, but the server holds several for each client."""
PIECES = 8 << 20
"""Bytes of one piece for each client, in all, from which on pieces are smaller."""
TURN = 1 << 20
"""Bytes after which others have a turn, whatever happens."""
MOUNTS = Path("/proc/self/mountinfo")
_log = logging.getLogger(__name__)
_UNKNOWN = (errno.EOPNOTSUPP, errno.ENOSYS)


class _Loop(threading.local):
    """Of the event loop that runs in this thread."""

    def __init__(self) -> None:
        self.under_way = 0
        self.buffer = memoryview(bytearray(PIECE[1]))
        """What is read into it is copied before anybody else has a turn."""

    def piece(self) -> int:
        """How many bytes to send at a time."""
        least, most = PIECE
        return min(most, max(least, PIECES // self.under_way))


_loop = _Loop()


class FileBody(Response):
    """The bytes ``part`` of a file, which it closes. A file that ends before, or can't be read, breaks the answer off."""

    def __init__(self, file: FileIO, part: range, status: int, headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(None, status, headers, media_type)
        self._file = file
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the interface
        """Send it until the client has it or is gone (the interface of ASGI)."""
        gone = asyncio.ensure_future(_gone(receive))
        _loop.under_way += 1
        try:
            at = turn = self._part.start
            stop = self._part.stop
            cached = _Cached(self._file.fileno())
            piece = await self._piece(cached, at, stop)  # before the answer begins: it may be another one
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while not gone.done():
                at += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": at < stop})
                if at == stop:
                    return
                # Neither of the two need wait for anything, above all once the client has left; others have a turn here.
                if at >= turn:
                    turn = at + TURN
                    await asyncio.sleep(0)
                try:
                    piece = await self._piece(cached, at, stop)
                except DiskError as error:  # too late for an answer that says so
                    _log.warning("a blob breaks off after %d bytes: %s", at - self._part.start, error)
                    raise
        finally:
            _loop.under_way -= 1
            gone.cancel()
            # The last close of a file that was removed takes as long as to free it.
            asyncio.get_running_loop().run_in_executor(None, self._file.close)

    async def _piece(self, cached: _Cached, at: int, stop: int) -> bytes:
        if at == stop:
            return b""
        most = min(_loop.piece(), stop - at)
        return cached.read(at, most) or await run_in_threadpool(self._read, at, most)

    def _read(self, at: int, most: int) -> bytes:
        try:
            found = os.pread(self._file.fileno(), most, at)
        except OSError as error:
            raise disk_error(error, "read a blob") from error
        if not found:
            raise DiskError("a blob's file ended before the blob")
        return found


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Cached:
    """What of a file can be had without waiting."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._all = False
        self._any = hasattr(os, "RWF_NOWAIT")

    def read(self, at: int, most: int) -> bytes:
        """At most ``most`` bytes from ``at`` on; none if that would have to wait, or failed."""
        try:
            if self._all:
                return os.pread(self._fd, most, at)
            if self._any:
                return bytes(_loop.buffer[: os.preadv(self._fd, [_loop.buffer[:most]], at, os.RWF_NOWAIT)])
        except OSError as error:  # whatever else it is, the worker thread meets it too and says so
            if error.errno in _UNKNOWN:
                self._any = False
                self._all = _is_tmpfs(os.fstat(self._fd).st_dev)
        return b""


def _is_tmpfs(device: int) -> bool:
    """What kind of file system is mounted from that device, as proc_pid_mountinfo(5) says."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    kinds = (line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == wanted)
    return next(kinds, "") == "tmpfs"
