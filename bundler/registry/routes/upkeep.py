"""Endpoint of garbage collection, for an admin: POST /admin/gc[?dry-run=true][&untagged=true].

It answers with what was removed, or would be: names, blobs, and bytes in all.
"""

from __future__ import annotations

from typing import Protocol

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bundler.errors import BundlerError, quoted
from bundler.registry.access import Access, Right
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.routes.endpoint import Asked, endpoint
from bundler.registry.upkeep import PATH, collect
from bundler.store import Store


class Told(Protocol):
    """Who wants to know of collections."""

    def collected(self, freed: int) -> None:
        """One freed so many bytes."""
        ...

    def collection_failed(self) -> None:
        """One ended with an error."""
        ...


class Upkeep:
    """The endpoint."""

    def __init__(self, contents: Contents, store: Store, access: Access, told: Told | None) -> None:
        self._contents = contents
        self._store = store
        self._access = access
        self._told = told

    def routes(self) -> list[Route]:
        """Where it is."""
        return [endpoint(PATH, self._access, {"POST": (Right.ADMIN, self.gc)})]

    def gc(self, asked: Asked) -> Response:
        """Collect garbage, or say what that would free."""
        dry_run, untagged = _flag(asked, "dry-run"), _flag(asked, "untagged")
        try:
            done = collect(
                self._store,
                self._contents.arrivals,
                dry_run=dry_run,
                untagged=untagged,
                behind=self._contents.layers[1:],
            )
        except BundlerError:
            if self._told is not None:
                self._told.collection_failed()
            raise
        self._contents.changed()
        if self._told is not None and not dry_run:
            self._told.collected(done.size)
        return JSONResponse(done.document())


def _flag(asked: Asked, name: str) -> bool:
    text = asked.request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise Failure(400, "UNSUPPORTED", f"{name}={quoted(text)} is neither true nor false")
    return text == "true"
