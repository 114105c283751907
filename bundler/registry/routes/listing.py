"""Endpoints that list: base, catalog, tags, referrers; the long ones by pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.registry.access import Access, Right
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.routes.endpoint import Asked, endpoint

PAGE = 1000
REFERRERS_BYTES = 4 << 20
"""A page of referrers is an index, and no client takes a larger one."""


class Listing:
    """The endpoints."""

    def __init__(self, contents: Contents, access: Access) -> None:
        self._contents = contents
        self._access = access

    def routes(self) -> list[Route]:
        """Where they are."""
        paths = {
            "/v2": (None, self.base),
            "/v2/": (None, self.base),
            "/v2/_catalog": (None, self.catalog),
            "/v2/{name:path}/tags/list": (Right.PULL, self.tags),
            "/v2/{name:path}/referrers/{digest}": (Right.PULL, self.referrers),
        }
        return [endpoint(path, self._access, {"GET": asked}) for path, asked in paths.items()]

    def base(self, asked: Asked) -> Response:
        """Endpoint 1: this is a registry. Clients learn here that it wants to know who they are."""
        self._require_login(asked)
        return JSONResponse({})

    def catalog(self, asked: Asked) -> Response:
        """Every repository that the visitor may pull (no part of the specification, and asked for by every client).

        Who has a password is asked for it even where some may be pulled without: clients send it only then, and a list
        of a part would look like the whole.
        """
        self._require_login(asked)
        found = [name for name in self._contents.repositories() if asked.may(Right.PULL, name)]
        return _page(asked, "repositories", found, {})

    def _require_login(self, asked: Asked) -> None:
        if self._access.challenges_base and not asked.visitor.name:
            raise self._access.challenge()

    def tags(self, asked: Asked) -> Response:
        """Endpoints 8a and 8b: the tags of a repository."""
        tags = self._contents.tags(asked.repository)
        if tags is None:
            raise Failure(404, "NAME_UNKNOWN", f"there is no repository {asked.repository}")
        return _page(asked, "tags", tags, {"name": asked.repository})

    def referrers(self, asked: Asked) -> Response:
        """Endpoints 12a and 12b: what refers to a digest, all of it or only of one artifact type."""
        found: Sequence[Descriptor] = self._contents.referrers(asked.repository, asked.digest)
        query = asked.request.query_params
        headers = {}
        if "artifactType" in query:
            found = [each for each in found if each.artifact_type == query["artifactType"]]
            headers["OCI-Filters-Applied"] = "artifactType"
        last = query.get("last", "")
        documents = [each.document() for each in found if each.digest > last]
        page = _fitting(documents)
        if len(page) < len(documents):
            headers.update(_next(asked.request, {**dict(query), "last": page[-1]["digest"]}))
        index = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": page}
        return JSONResponse(index, headers=headers, media_type=mediatype.OCI_INDEX)


def _fitting(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as fit into an index that every client takes; one at the least."""
    left = REFERRERS_BYTES - 256  # for what is around them
    page: list[dict[str, Any]] = []
    for document in documents[:PAGE]:
        left -= len(json.dumps(document, ensure_ascii=False).encode()) + 1
        if page and left < 0:
            break
        page.append(document)
    return page


def _page(asked: Asked, key: str, items: Sequence[str], more: Mapping[str, str]) -> Response:
    """One page of a sorted list: those after ``last``, at most ``n`` and at most :data:`PAGE` of them."""
    count = asked.number("n", most=PAGE)
    last = asked.request.query_params.get("last", "")
    rest = [item for item in items if item > last]
    more_to_come = 0 < count < len(rest)
    headers = _next(asked.request, {"n": count, "last": rest[count - 1]}) if more_to_come else {}
    return JSONResponse({**more, key: rest[:count]}, headers=headers)


def _next(request: Request, query: Mapping[str, Any]) -> dict[str, str]:
    return {"Link": f'<{request.url.path}?{urlencode(query)}>; rel="next"'}
