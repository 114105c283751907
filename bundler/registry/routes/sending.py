"""A content as an answer: whole or a range of it, if it is not known to the client already (RFC 9110, 13 and 14).

A content never changes, so its digest is its entity tag. One range is answered as such; several at once are answered by
the whole, which the RFC allows.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Generator, Iterator, Mapping

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bundler.errors import NotFoundError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry.failure import Failure
from bundler.registry.layers import BLOB, Blob
from bundler.registry.routes.file_body import FileBody

_RANGE = re.compile(r" *(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})) *")
_PIECE = 1 << 16
"""What the server is given at a time: it holds several for a client who takes none."""
SMALL = 1 << 16
"""A manifest that may stay in memory until the client has taken it."""


def send_manifest(request: Request, root: Descriptor, raw: bytes) -> Response:
    """A manifest of at most :data:`SMALL` bytes."""
    headers = about(root.digest)
    if _known(request, root.digest):
        return Response(status_code=304, headers=headers)
    asked = _range(request, root.digest, len(raw))
    status = 200
    if asked is not None:
        headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{len(raw)}"
        raw, status = raw[asked.start : asked.stop], 206
    headers["Content-Length"] = str(len(raw))
    body = raw if request.method == "GET" else b""
    return Response(body, status_code=status, media_type=root.media_type, headers=headers)


def send_blob(request: Request, blob: Blob, *, media_type: str = BLOB) -> Response:
    """A content of any size."""
    headers = about(blob.digest)
    if _known(request, blob.digest):
        return Response(status_code=304, headers=headers)
    asked = _range(request, blob.digest, blob.size)
    part = asked or range(blob.size)
    headers["Content-Length"] = str(len(part))
    if asked is not None:
        headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{blob.size}"
    status = 200 if asked is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, media_type=media_type, headers=headers)
    try:
        file = blob.open()
    except NotFoundError as error:  # collected since it was looked up
        raise Failure(404, "BLOB_UNKNOWN", str(error)) from None
    if file is not None:
        return FileBody(file, part, status, headers, media_type)
    return StreamingResponse(_pieces(_cut(blob.part(part), len(part))), status, headers, media_type)


def about(digest: Digest) -> dict[str, str]:
    """What the headers say about any content."""
    return {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}


def _cut(chunks: Generator[bytes, None, None], length: int) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            yield chunk[:length]
            length -= len(chunk)
            if length <= 0:
                return
    finally:
        chunks.close()


async def _pieces(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in iterate_in_threadpool(chunks):
        for at in range(0, len(chunk), _PIECE):
            yield chunk[at : at + _PIECE]


def _known(request: Request, digest: Digest) -> bool:
    """Whether the client says that it has this content."""
    asked = request.headers.get("if-none-match")
    return asked is not None and matches(asked, digest)


def matches(condition: str, digest: Digest | None) -> bool:
    """Whether a list of entity tags, or ``*`` for any, names ``digest``; ``None`` is nothing that could be named."""
    if digest is None:
        return False
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")]
    return "*" in tags or digest in tags


def _range(request: Request, digest: Digest, size: int) -> range | None:
    """The bytes that were asked for, nothing for all of them; 416 for a range that can't be satisfied."""
    text = request.headers.get("range")
    if text is None or _changed(request.headers, digest):
        return None
    unit, _, parts = text.partition("=")
    matched = [_RANGE.fullmatch(part) for part in parts.split(",")]
    if unit.strip().lower() == "bytes" and len(matched) == 1 and matched[0] is not None:
        first, last, suffix = matched[0].groups()
        start = max(0, size - int(suffix)) if suffix else int(first)
        stop = min(size, int(last) + 1) if last else size
        if start < stop:
            return range(start, stop)
    elif unit.strip().lower() == "bytes" and len(matched) > 1 and all(matched):
        return None
    headers = {"Content-Range": f"bytes */{size}"}
    raise Failure(416, "SIZE_INVALID", f"{quoted(text)!r} is no range of {size} bytes", headers=headers)


def _changed(headers: Mapping[str, str], digest: Digest) -> bool:
    condition = headers.get("if-range")
    return condition is not None and not matches(condition, digest)
