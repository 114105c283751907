"""Endpoints of uploads: sessions that grow by one stream or by chunks, uploads in one request, and mounts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bundler.errors import BundlerError, LockedError, quoted
from bundler.oci.digest import HEX_LENGTHS, Digest
from bundler.registry.access import Access, Right
from bundler.registry.bodies import receive_into
from bundler.registry.changes import Changes
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.names import is_repository
from bundler.registry.routes.endpoint import Asked, endpoint, parse
from bundler.registry.routes.sending import about
from bundler.registry.uploads import Upload, Uploads

_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?")


class Uploading:
    """The endpoints."""

    def __init__(self, contents: Contents, changes: Changes, uploads: Uploads, access: Access) -> None:
        self._contents = contents
        self._changes = changes
        self._uploads = uploads
        self._access = access

    def routes(self) -> list[Route]:
        """Where they are."""
        begin = {"POST": (Right.PUSH, self.begin)}
        session = {
            "GET": (Right.PUSH, self.status),
            "PATCH": (Right.PUSH, self.patch),
            "PUT": (Right.PUSH, self.finish),
            "DELETE": (Right.PUSH, self.cancel),
        }
        return [
            endpoint("/v2/{name:path}/blobs/uploads", self._access, begin),
            endpoint("/v2/{name:path}/blobs/uploads/", self._access, begin),
            endpoint("/v2/{name:path}/blobs/uploads/{session}", self._access, session),
        ]

    async def begin(self, asked: Asked) -> Response:
        """Endpoints 4a, 4b and 11: begin an upload, or do all of it at once, or mount what is here already."""
        mount = asked.query_digest("mount")
        if mount is not None and await run_in_threadpool(self._mount, asked, mount):
            return _created(asked.repository, mount)
        whole = asked.query_digest("digest")
        algorithm = asked.request.query_params.get("digest-algorithm", "sha256")
        if algorithm not in HEX_LENGTHS:
            raise Failure(400, "DIGEST_INVALID", f"digest-algorithm={quoted(algorithm)} is not sha256 or sha512")
        upload = await run_in_threadpool(self._uploads.begin, asked.repository, asked.visitor.name, algorithm=algorithm)
        if whole is None:
            return _progress(upload, 202)
        try:
            await receive_into(upload, asked.request)
            return await self._commit(upload, whole)
        except BaseException:
            await run_in_threadpool(self._uploads.drop, upload)
            raise

    def _mount(self, asked: Asked, digest: Digest) -> bool:
        """Mount from the repository that is named, or from any; only where the visitor may pull."""
        query = asked.request.query_params
        if "from" in query and not is_repository(query["from"]):
            raise Failure(400, "NAME_INVALID", f"from={quoted(query['from'])} is not a repository")
        origins: Iterable[str] = [query["from"]] if "from" in query else self._contents.holding(digest)
        return self._changes.mount(
            asked.repository, digest, (origin for origin in origins if asked.may(Right.PULL, origin))
        )

    async def status(self, asked: Asked) -> Response:
        """Endpoint 13: how far an upload came."""
        return _progress(self._session(asked), 204)

    async def patch(self, asked: Asked) -> Response:
        """Endpoint 5: more of an upload, in one stream or in chunks."""
        async with self._turn(asked) as upload:
            await self._append(upload, asked.request)
            return _progress(upload, 202)

    async def finish(self, asked: Asked) -> Response:
        """Endpoint 6: the rest of an upload if there is one, and its digest."""
        digest = parse(asked.request.query_params.get("digest", ""))
        async with self._turn(asked) as upload:
            await self._append(upload, asked.request)
            return await self._commit(upload, digest)

    async def cancel(self, asked: Asked) -> Response:
        """Endpoint 14: forget an upload."""
        async with self._turn(asked) as upload:
            await run_in_threadpool(self._uploads.drop, upload)
            return Response(status_code=204)

    def _session(self, asked: Asked) -> Upload:
        return self._uploads.find(asked.repository, asked.visitor.name, asked.request.path_params["session"])

    @asynccontextmanager
    async def _turn(self, asked: Asked) -> AsyncIterator[Upload]:
        """The session, for this request alone."""
        upload = self._session(asked)
        async with upload.turn:
            yield self._session(asked)  # the one before may have ended it

    async def _append(self, upload: Upload, request: Request) -> None:
        length = _chunk_length(upload, request)
        try:
            await receive_into(upload, request, length=length)
        except BundlerError:  # a full disk or a blob beyond the cap; what is written no longer matches the offset
            await run_in_threadpool(self._uploads.drop, upload)
            raise

    async def _commit(self, upload: Upload, digest: Digest) -> Response:
        try:
            await run_in_threadpool(self._changes.commit, upload, digest)
        except LockedError:  # all of it has arrived, so the same request may be made again
            raise
        except BaseException:
            await run_in_threadpool(self._uploads.drop, upload)
            raise
        await run_in_threadpool(self._uploads.drop, upload)
        return _created(upload.repository, digest)


def _created(repository: str, digest: Digest) -> Response:
    return Response(status_code=201, headers={"Location": f"/v2/{repository}/blobs/{digest}", **about(digest)})


def _progress(upload: Upload, status: int) -> Response:
    return Response(status_code=status, headers=_whereabouts(upload))


def _whereabouts(upload: Upload) -> dict[str, str]:
    """Where to go on, and how far the upload came; ``0-0`` also if it has nothing yet, as all registries say."""
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(0, upload.offset - 1)}",
        "Docker-Upload-UUID": upload.id,
    }


def _chunk_length(upload: Upload, request: Request) -> int | None:
    """How many bytes the request says it brings, where it says from where to where; 416 if it doesn't fit."""
    ranges = request.headers.getlist("content-range")
    if not ranges:
        return None
    said = ", ".join(ranges)
    match = _CONTENT_RANGE.fullmatch(said)
    if match is None or int(match[2]) < int(match[1]):
        raise Failure(400, "BLOB_UPLOAD_INVALID", f"Content-Range {quoted(said)!r} is not start-end")
    start, length = int(match[1]), int(match[2]) - int(match[1]) + 1
    if start != upload.offset:
        message = f"the next byte is {upload.offset}, not {start}"
        raise Failure(416, "BLOB_UPLOAD_INVALID", message, headers=_whereabouts(upload))
    if request.headers.get("content-length", str(length)) != str(length):
        raise Failure(400, "SIZE_INVALID", f"Content-Range {said} and Content-Length contradict each other")
    return length
