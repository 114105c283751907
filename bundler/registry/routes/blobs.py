"""Endpoints of blobs."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from bundler.registry.access import Access, Right
from bundler.registry.changes import Changes
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.routes.endpoint import Asked, Handler, endpoint
from bundler.registry.routes.sending import send_blob


class Blobs:
    """The endpoints; deletion only where something can be changed."""

    def __init__(self, contents: Contents, changes: Changes | None, access: Access) -> None:
        self._contents = contents
        self._changes = changes
        self._access = access

    def routes(self, *, deletion: bool) -> list[Route]:
        """Where they are."""
        methods: dict[str, tuple[Right | None, Handler]] = {"GET": (Right.PULL, self.get)}
        if deletion and self._changes is not None:
            methods["DELETE"] = (Right.DELETE, self.delete)
        return [endpoint("/v2/{name:path}/blobs/{digest}", self._access, methods)]

    def get(self, asked: Asked) -> Response:
        """Endpoint 2: a blob, or a range of it."""
        digest = asked.digest
        # Who asks for the head of a blob and may push is about to leave out its upload.
        if asked.request.method == "HEAD" and self._changes is not None and asked.may(Right.PUSH, asked.repository):
            blob = self._changes.keep(asked.repository, digest)
        else:
            blob = self._contents.blob(asked.repository, digest)
        if blob is None:
            raise Failure(404, "BLOB_UNKNOWN", f"{digest} is not in {asked.repository}")
        return send_blob(asked.request, blob)

    def delete(self, asked: Asked) -> Response:
        """Endpoint 10: a blob."""
        assert self._changes is not None
        self._changes.delete_blob(asked.repository, asked.digest)
        return Response(status_code=202)
