"""Request bodies: small ones whole, large ones in batches to a worker thread.

While one batch is written and hashed, the next is received. A body that stands still for a minute is given up; so is one
that goes beyond its cap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from bundler.content import CHUNK
from bundler.registry.failure import Failure
from bundler.registry.uploads import Upload

STALLED_SECONDS = 60.0


async def receive(request: Request, *, cap: int) -> bytes:
    """A whole small body; 413 beyond ``cap`` bytes."""
    too_large = Failure(413, "SIZE_INVALID", f"more than the {cap} bytes allowed", headers={"Connection": "close"})
    if int(request.headers.get("content-length", "0")) > cap:
        raise too_large
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > cap:
            raise too_large
    return bytes(body)


async def receive_into(upload: Upload, request: Request, *, length: int | None = None) -> None:
    """A body of any size, appended to ``upload``; 400 if it is not the ``length`` bytes that it should be.

    What arrived before a break is appended too.
    """
    writing: asyncio.Future[None] | None = None
    batch: list[bytes] = []
    held = seen = 0
    try:
        async for chunk in _chunks(request):
            seen += len(chunk)
            if length is not None and seen > length:
                break
            batch.append(chunk)
            held += len(chunk)
            if held >= CHUNK:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(upload.write, batch))
                batch, held = [], 0
    finally:
        if writing is not None:
            await writing
        if batch:
            await run_in_threadpool(upload.write, batch)
    if length is not None and seen != length:
        raise Failure(400, "SIZE_INVALID", f"the body is not the {length} bytes that Content-Range says")


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    try:
        while True:
            try:
                async with asyncio.timeout(STALLED_SECONDS):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Failure(408, "BLOB_UPLOAD_INVALID", f"nothing came for {STALLED_SECONDS:.0f} s") from None
            if chunk:
                yield chunk
    finally:
        await stream.aclose()
