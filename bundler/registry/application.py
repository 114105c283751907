"""The routes of the registry (distribution-spec 1.1): what is asked, and how it is answered.

Whatever blocks on the disk runs in worker threads: plain methods here are called in one by starlette, coroutines hand
their work to one. Whole blobs are sent by the server itself where it offers that (ASGI's ``http.response.pathsend``).

    app = application(Store.open(directory))      # an ASGI application, for granian or any other server
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bundler.errors import BundlerError, quoted
from bundler.oci.digest import Digest, algorithm_of, digest_of, is_digest
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.registry.answers import HANDLERS, Guard
from bundler.registry.bodies import receive, receive_into
from bundler.registry.contents import BLOB, Contents
from bundler.registry.failure import Failure
from bundler.registry.names import is_repository, is_tag
from bundler.registry.uploads import Upload, Uploads
from bundler.store import Store

PAGE = 1000

_DIGITS = re.compile(r"[0-9]{1,9}")
_RANGE = re.compile(r" *(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})) *")
_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]{1,18})-([0-9]{1,18})(?:/.*)?")


def application(store: Store, *, read_only: bool = False) -> Starlette:
    """The registry over ``store`` as an ASGI application; ``read_only`` refuses every write with status 405.

    ``application(…).state.uploads.close()`` ends the upload sessions; the store stays the caller's to close.
    """
    uploads = Uploads(store)
    routes = _Routes(Contents(store), uploads)
    app = Starlette(
        routes=routes.table(),
        middleware=[Middleware(Guard, read_only=read_only)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.uploads = uploads
    return app


class _Blob(FileResponse):
    """A file in ranges of a megabyte at a time, as each step is a trip to a worker thread."""

    chunk_size = 1 << 20


class _Routes:
    def __init__(self, contents: Contents, uploads: Uploads) -> None:
        self._contents = contents
        self._uploads = uploads

    def table(self) -> list[Route]:
        manifest = "/v2/{name:path}/manifests/{reference}"
        begin = "/v2/{name:path}/blobs/uploads/"
        session = "/v2/{name:path}/blobs/uploads/{session}"
        return [
            Route("/v2", self.base),
            Route("/v2/", self.base),
            Route("/v2/_catalog", self.catalog),
            Route("/v2/{name:path}/tags/list", self.tags),
            Route(manifest, self.get_manifest),
            Route(manifest, self.put_manifest, methods=["PUT"]),
            Route(begin, self.begin, methods=["POST"]),
            Route(begin.rstrip("/"), self.begin, methods=["POST"]),
            Route(session, self.status),
            Route(session, self.patch, methods=["PATCH"]),
            Route(session, self.finish, methods=["PUT"]),
            Route(session, self.cancel, methods=["DELETE"]),
            Route("/v2/{name:path}/blobs/{digest}", self.get_blob),
        ]

    def base(self, _request: Request) -> Response:
        """Endpoint 1: this is a registry."""
        return JSONResponse({})

    def catalog(self, request: Request) -> Response:
        """Every repository, by pages (no part of the specification, and asked for by every client)."""
        return _page(request, "repositories", self._contents.names().repositories())

    def tags(self, request: Request) -> Response:
        """Endpoints 8a and 8b: the tags of a repository, by pages."""
        repository = _repository(request)
        tags = self._contents.names().tags(repository)
        if tags is None:
            raise Failure(404, "NAME_UNKNOWN", f"there is no repository {repository}")
        return _page(request, "tags", tags, name=repository)

    def get_manifest(self, request: Request) -> Response:
        """Endpoint 3: a manifest by tag or digest."""
        repository, reference = _repository(request), request.path_params["reference"]
        found = None
        if is_digest(reference):
            found = self._contents.manifest(Digest(reference))
        elif is_tag(reference):
            found = self._contents.tagged(repository, reference)
        if found is None:
            raise Failure(404, "MANIFEST_UNKNOWN", f"{repository} has no manifest {quoted(reference)}")
        root, raw = found
        headers = {**_about(root.digest), "Content-Length": str(root.size)}
        return Response(raw if request.method == "GET" else b"", media_type=root.media_type, headers=headers)

    async def put_manifest(self, request: Request) -> Response:
        """Endpoint 7: a manifest by tag or digest."""
        repository, reference = _repository(request), request.path_params["reference"]
        by_digest = is_digest(reference)
        if not by_digest and not is_tag(reference):
            raise Failure(400, "MANIFEST_INVALID", f"{quoted(reference)!r} is neither a tag nor a digest")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        raw = await receive(request, cap=MANIFEST_CAP)
        algorithm = algorithm_of(Digest(reference)) if by_digest else "sha256"
        if by_digest and digest_of(raw, algorithm) != reference:
            raise Failure(400, "DIGEST_INVALID", f"what was sent is {digest_of(raw, algorithm)}, not {reference}")
        name = "" if by_digest else f"{repository}:{reference}"
        digest = await run_in_threadpool(self._contents.put, raw, media_type, algorithm=algorithm, name=name)
        return _created(f"/v2/{repository}/manifests/{digest}", digest)

    def get_blob(self, request: Request) -> Response:
        """Endpoint 2: a blob, or a range of it (RFC 9110, section 14)."""
        _repository(request)
        digest = _digest(request.path_params["digest"])
        found = self._contents.blob(digest)
        if found is None:
            raise Failure(404, "BLOB_UNKNOWN", f"{digest} is not here")
        asked = request.headers.get("range")
        if asked is not None and not _satisfiable(asked, found.size):
            headers = {"Content-Range": f"bytes */{found.size}"}
            raise Failure(416, "SIZE_INVALID", f"{quoted(asked)!r} is no range of {found.size} bytes", headers=headers)
        path = self._contents.path(digest)
        return _Blob(path, media_type=BLOB, headers=_about(digest), stat_result=path.lstat())

    async def begin(self, request: Request) -> Response:
        """Endpoints 4a, 4b and 11: begin an upload, or do all of it at once, or mount what is here already."""
        repository = _repository(request)
        query = request.query_params
        if "mount" in query:
            if "from" in query and not is_repository(query["from"]):
                raise Failure(400, "NAME_INVALID", f"from={quoted(query['from'])} is not a repository")
            digest = _digest(query["mount"])
            if await run_in_threadpool(self._contents.blob, digest) is not None:
                return _created(f"/v2/{repository}/blobs/{digest}", digest)
        whole = _digest(query["digest"]) if "digest" in query else None
        upload = await run_in_threadpool(self._uploads.begin, repository)
        if whole is None:
            return _progress(upload, 202)
        try:
            await receive_into(upload, request)
        except BaseException:
            await run_in_threadpool(self._uploads.drop, upload)
            raise
        return await self._commit(upload, whole)

    async def status(self, request: Request) -> Response:
        """Endpoint 13: how far an upload came."""
        return _progress(self._session(request), 204)

    async def patch(self, request: Request) -> Response:
        """Endpoint 5: more of an upload, in one stream or in chunks."""
        async with self._turn(request) as upload:
            await self._append(upload, request)
            return _progress(upload, 202)

    async def finish(self, request: Request) -> Response:
        """Endpoint 6: the rest of an upload if there is one, and its digest."""
        digest = _digest(request.query_params.get("digest", ""))
        async with self._turn(request) as upload:
            await self._append(upload, request)
            return await self._commit(upload, digest)

    async def cancel(self, request: Request) -> Response:
        """Endpoint 14: forget an upload."""
        async with self._turn(request) as upload:
            await run_in_threadpool(self._uploads.drop, upload)
            return Response(status_code=204)

    def _session(self, request: Request) -> Upload:
        return self._uploads.find(_repository(request), request.path_params["session"])

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[Upload]:
        """The session, for this request alone."""
        upload = self._session(request)
        async with upload.turn:
            yield self._session(request)  # the one before may have ended it

    async def _append(self, upload: Upload, request: Request) -> None:
        try:
            await receive_into(upload, request, length=_chunk_length(upload, request))
        except BundlerError:  # a full disk or a blob beyond the cap; what is written no longer matches the offset
            await run_in_threadpool(self._uploads.drop, upload)
            raise

    async def _commit(self, upload: Upload, digest: Digest) -> Response:
        try:
            await run_in_threadpool(self._contents.commit, upload, digest)
        finally:
            await run_in_threadpool(self._uploads.drop, upload)
        return _created(f"/v2/{upload.repository}/blobs/{digest}", digest)


def _repository(request: Request) -> str:
    name: str = request.path_params["name"]
    if not is_repository(name):
        raise Failure(400, "NAME_INVALID", f"{quoted(name)!r} is not a repository name")
    return name


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise Failure(400, "DIGEST_INVALID", f"{quoted(text)!r} is not a sha256 or sha512 digest")
    return Digest(text)


def _satisfiable(asked: str, size: int) -> bool:
    """Whether every part of a Range header is well formed and begins within the blob."""
    unit, _, parts = asked.partition("=")
    matches = [_RANGE.fullmatch(part) for part in parts.split(",")]
    return unit.strip().lower() == "bytes" and all(
        match is not None and (int(match[3]) > 0 and size > 0 if match[3] else int(match[1]) < size and _ordered(match))
        for match in matches
    )


def _ordered(match: re.Match[str]) -> bool:
    return not match[2] or int(match[1]) <= int(match[2])


def _chunk_length(upload: Upload, request: Request) -> int | None:
    """How many bytes the request says it brings, where it says from where to where; 416 if it doesn't fit."""
    said = request.headers.get("content-range")
    if said is None:
        return None
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


def _about(digest: Digest) -> dict[str, str]:
    return {"Docker-Content-Digest": digest, "ETag": f'"{digest}"'}


def _created(location: str, digest: Digest) -> Response:
    return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _progress(upload: Upload, status: int) -> Response:
    return Response(status_code=status, headers=_whereabouts(upload))


def _whereabouts(upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(upload.offset - 1, 0)}",
        "Docker-Upload-UUID": upload.id,
    }


def _page(request: Request, key: str, items: Sequence[str], **more: str) -> Response:
    """One page of a sorted list: those after ``last``, at most ``n`` and at most :data:`PAGE` of them."""
    asked = request.query_params.get("n", str(PAGE))
    if not _DIGITS.fullmatch(asked):
        raise Failure(400, "UNSUPPORTED", f"n={quoted(asked)} is not a number of entries")
    count = min(int(asked), PAGE)
    last = request.query_params.get("last", "")
    rest = [item for item in items if item > last]
    headers = {}
    if 0 < count < len(rest):
        query = urlencode({"n": count, "last": rest[count - 1]})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return JSONResponse({**more, key: rest[:count]}, headers=headers)
