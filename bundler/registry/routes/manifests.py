"""Endpoints of manifests and tags."""

from __future__ import annotations

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from bundler.errors import quoted
from bundler.oci.digest import Digest, algorithm_of, digest_of, is_digest
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.registry.access import Access, Right
from bundler.registry.bodies import receive
from bundler.registry.changes import Changes
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.names import is_tag
from bundler.registry.routes.endpoint import Asked, Handler, endpoint, parse
from bundler.registry.routes.sending import SMALL, about, matches, send_blob, send_manifest

MOST_TAGS = 64
"""With one manifest."""


class Manifests:
    """The endpoints; those that change something only where something can be changed."""

    def __init__(self, contents: Contents, changes: Changes | None, access: Access) -> None:
        self._contents = contents
        self._changes = changes
        self._access = access

    def routes(self, *, deletion: bool) -> list[Route]:
        """Where they are."""
        methods: dict[str, tuple[Right | None, Handler]] = {"GET": (Right.PULL, self.get)}
        if self._changes is not None:
            methods["PUT"] = (Right.PUSH, self.put)
            if deletion:
                methods["DELETE"] = (Right.DELETE, self.delete)
        return [endpoint("/v2/{name:path}/manifests/{reference}", self._access, methods)]

    def get(self, asked: Asked) -> Response:
        """Endpoint 3: a manifest by tag or digest."""
        reference = asked.request.path_params["reference"]
        known = is_digest(reference) or is_tag(reference)
        found = self._contents.manifest(asked.repository, reference) if known else None
        if found is None:
            raise Failure(404, "MANIFEST_UNKNOWN", f"{asked.repository} has no manifest {quoted(reference)}")
        if found.root.size <= SMALL:
            return send_manifest(asked.request, found.root, found.raw)
        blob = self._contents.anywhere(found.root.digest)
        if blob is None:  # damaged or collected since
            raise Failure(404, "MANIFEST_UNKNOWN", f"{found.root.digest} is not there any more")
        return send_blob(asked.request, blob, media_type=found.root.media_type)

    async def put(self, asked: Asked) -> Response:
        """Endpoints 7a and 7b: a manifest by tag, or by digest with any number of tags."""
        assert self._changes is not None
        request, repository = asked.request, asked.repository
        reference = request.path_params["reference"]
        by_digest = is_digest(reference)
        if not by_digest and not is_tag(reference):
            raise Failure(400, "MANIFEST_INVALID", f"{quoted(reference)!r} is neither a tag nor a digest")
        tags = [*([] if by_digest else [reference]), *_tags(request.query_params.getlist("tag"))]
        promised = Digest(reference) if by_digest else asked.query_digest("digest")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        raw = await receive(request, cap=MANIFEST_CAP)
        algorithm = "sha256" if promised is None else algorithm_of(promised)
        if promised is not None and digest_of(raw, algorithm) != promised:
            raise Failure(400, "DIGEST_INVALID", f"what was sent is {digest_of(raw, algorithm)}, not {promised}")
        done = await run_in_threadpool(
            self._changes.put,
            repository,
            raw,
            media_type,
            algorithm=algorithm,
            tags=tags,
            allowed=lambda current: _allowed(
                request.headers.get("if-match"), request.headers.get("if-none-match"), current
            ),
        )
        headers = {"Location": f"/v2/{repository}/manifests/{done.root.digest}", **about(done.root.digest)}
        if done.subject is not None:
            headers["OCI-Subject"] = done.subject
        if tags:
            headers["OCI-Tag"] = ", ".join(dict.fromkeys(tags))
        return Response(status_code=201, headers=headers)

    def delete(self, asked: Asked) -> Response:
        """Endpoint 9: a tag, or a manifest with all its tags."""
        assert self._changes is not None
        reference = asked.request.path_params["reference"]
        require = partial(asked.require, Right.DELETE)
        if is_tag(reference):
            self._changes.delete_tag(asked.repository, reference, require=require)
        else:
            self._changes.delete_manifest(asked.repository, parse(reference), require=require)
        return Response(status_code=202)


def _tags(texts: list[str]) -> list[str]:
    if len(texts) > MOST_TAGS:
        raise Failure(414, "TAG_INVALID", f"more than the {MOST_TAGS} tags that one manifest is given at once")
    for text in texts:
        if not is_tag(text):
            raise Failure(400, "TAG_INVALID", f"{quoted(text)!r} is not a tag")
    return texts


def _allowed(if_match: str | None, if_none_match: str | None, current: Digest | None) -> bool:
    """Whether a tag may be moved from where it stands, by what the client says of that (RFC 9110, 13.1)."""
    if if_match is not None:
        return matches(if_match, current)
    return if_none_match is None or not matches(if_none_match, current)
