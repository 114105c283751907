"""Request bodies: small ones whole, large ones in batches to a worker thread.

While one batch is written and hashed, the next is received. A body that stands still for a minute is given up, and so is
one that hardly moves or goes beyond its cap. All small bodies together are held in so much memory and no more: beyond that
the largest of them is given up, which is nobody's who sends an ordinary manifest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from bundler.registry.failure import Failure
from bundler.registry.uploads import Upload

STALLED_SECONDS = 60.0
BATCHES = 32 << 20
"""Bytes of large bodies in memory, in all: each has a batch that is coming, and one that is with a worker thread."""
BATCH = (64 << 10, 1 << 20)
"""The least and the largest batch, in bytes; large ones are quicker."""
LEAST_BYTES = 4096
"""What must come within that time, if there is so much to come."""
MOST_HELD = 32 << 20
"""Bytes of bodies that are received whole, in all."""


async def receive(request: Request, *, cap: int) -> bytes:
    """A whole small body; 413 beyond ``cap`` bytes."""
    too_large = Failure(413, "SIZE_INVALID", f"more than the {cap} bytes allowed", headers={"Connection": "close"})
    if int(request.headers.get("content-length", "0")) > cap:
        raise too_large
    body = bytearray()
    mine = asyncio.timeout(None)
    _held.sizes[mine] = 0
    try:
        async with mine:
            async for chunk in _chunks(request):
                body += chunk
                if len(body) > cap:
                    raise too_large
                _held.grow(mine, len(chunk))
    except TimeoutError:
        busy = {"Retry-After": "5", "Connection": "close"}
        raise Failure(503, "TOOMANYREQUESTS", "too many large manifests at once; try again", headers=busy) from None
    finally:
        _held.release(mine)
    return bytes(body)


class _Held:
    """How much there is of each body that is being received whole, and what ends it. Touched by the event loop alone."""

    def __init__(self) -> None:
        self.sizes: dict[asyncio.Timeout, int] = {}
        self.large = 0
        """How many large bodies are coming."""
        self._total = 0

    def batch(self) -> int:
        """How many bytes of one large body to hand over at a time."""
        least, most = BATCH
        return min(most, max(least, BATCHES // (2 * self.large)))

    def grow(self, body: asyncio.Timeout, by: int) -> None:
        """More of one came; if that is too much for all, the largest ends."""
        if body not in self.sizes:
            return
        self.sizes[body] += by
        self._total += by
        if self._total > MOST_HELD:
            largest = max(self.sizes, key=lambda each: self.sizes[each])
            self.release(largest)
            largest.reschedule(0.0)

    def release(self, body: asyncio.Timeout) -> None:
        """One is done."""
        self._total -= self.sizes.pop(body, 0)


_held = _Held()


async def receive_into(upload: Upload, request: Request, *, length: int | None = None) -> None:
    """A body of any size, appended to ``upload``; 400 if it is not the ``length`` bytes that it should be.

    What arrived before a break is appended too.
    """
    writing: asyncio.Future[None] | None = None
    batch: list[bytes] = []
    held = seen = 0
    _held.large += 1
    try:
        async for chunk in _chunks(request):
            seen += len(chunk)
            if length is not None and seen > length:
                break
            batch.append(chunk)
            held += len(chunk)
            if held >= _held.batch():
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(upload.write, batch))
                batch, held = [], 0
    finally:
        try:
            if writing is not None:
                await writing
            if batch:
                await run_in_threadpool(upload.write, batch)
        finally:
            _held.large -= 1
    if length is not None and seen != length:
        raise Failure(400, "SIZE_INVALID", f"the body is not the {length} bytes that Content-Range says")


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    loop = asyncio.get_running_loop()
    until, came = loop.time() + STALLED_SECONDS, 0
    try:
        while True:
            try:
                async with asyncio.timeout_at(until):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                message = f"{'nothing' if not came else f'{came} bytes'} came in {STALLED_SECONDS:.0f} s"
                raise Failure(408, "BLOB_UPLOAD_INVALID", message, headers={"Connection": "close"}) from None
            if chunk:
                yield chunk
            came += len(chunk)
            if came >= LEAST_BYTES:  # counted from now on, as whoever reads may have been busy
                until, came = loop.time() + STALLED_SECONDS, 0
    finally:
        await stream.aclose()
