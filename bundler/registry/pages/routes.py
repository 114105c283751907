"""Where the pages are, who may see which, and the headers that fence them in.

    routes = page_routes(contents, access, read_only=True, deletion=False)

A repository that the visitor may not pull is answered like one that is not there: 404, or for a visitor without a password
401 in both cases, at which a browser asks for one. Nothing here changes anything.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from bundler.errors import BundlerError, quoted
from bundler.registry.access import Access, Right, Visitor
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure, failure_of
from bundler.registry.pages.address import Seen, seen_host, split_path
from bundler.registry.pages.image import image_page
from bundler.registry.pages.overview import overview
from bundler.registry.pages.render import Renderer
from bundler.registry.pages.repository import repository_page
from bundler.registry.routes.endpoint import identified

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PRIVATE = {"Cache-Control": "no-store"}
"""Pages show what one visitor may see."""
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""The stylesheet's address changes with it."""
TITLES = {401: "Log in", 403: "Not allowed", 404: "Not here", 429: "Busy"}

_Handler = Callable[[Request, Visitor], Response]
_log = logging.getLogger(__name__)


def page_routes(
    contents: Contents, access: Access, *, read_only: bool, deletion: bool, public: Seen | None = None
) -> list[Route]:
    """The pages over ``contents``; ``read_only`` and ``deletion`` are only told there.

    ``public`` is how the registry is reached, where the request does not say it.
    """
    pages = _Pages(contents, access, public, read_only=read_only, deletion=deletion)
    return [
        Route("/", pages.answering(pages.overview), methods=["GET"]),
        Route("/login", pages.answering(pages.login), methods=["GET"]),
        Route("/style.css", pages.style, methods=["GET"]),
        Route("/images", pages.home, methods=["GET"]),
        Route("/images/", pages.home, methods=["GET"]),
        Route("/images/{path:path}", pages.answering(pages.image), methods=["GET"]),
    ]


class _Pages:
    def __init__(
        self, contents: Contents, access: Access, public: Seen | None, *, read_only: bool, deletion: bool
    ) -> None:
        self._contents = contents
        self._access = access
        self._public = public
        self._renderer = Renderer()
        self._told = {"read_only": read_only, "deletion": deletion, "guarded": not access.open}

    def answering(self, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        """``handler`` in a worker thread, for a visitor who is known; failures become pages too."""

        async def answer(request: Request) -> Response:
            visitor = Visitor()
            try:
                visitor = await identified(self._access, request)
                return await run_in_threadpool(handler, request, visitor)
            except Failure as failure:
                return self._problem(request, visitor, failure)
            except BundlerError as error:
                told = failure_of(error)
                _log.warning("%s %s: %s", request.method, quoted(request.url.path), told)
                return self._problem(request, visitor, told)

        return answer

    def overview(self, request: Request, visitor: Visitor) -> Response:
        """What is here."""
        view = overview(
            self._contents,
            [layer.origin for layer in self._contents.layers],
            may=lambda repository: self._access.may(visitor, Right.PULL, repository),
            query=request.query_params.get("q", ""),
            asked=request.query_params.get("page", ""),
            paths=self._sees_paths(visitor),
        )
        if not view.total and not visitor.name and not self._access.open:
            raise self._access.refusal(visitor, Right.PULL, "")
        return self._page(request, visitor, "overview.html", title="Images", view=view)

    def image(self, request: Request, visitor: Visitor) -> Response:
        """A repository, or one manifest of it."""
        path = request.path_params["path"]
        parts = split_path(path)
        if parts is None:
            raise _absent(f"{quoted(path)!r} is not the name of an image.")
        repository, reference = parts
        if not self._access.may(visitor, Right.PULL, repository):
            if not visitor.name:
                raise self._access.refusal(visitor, Right.PULL, repository)
            raise _no_repository(repository)
        paths, seen = self._sees_paths(visitor), self._seen(request)
        if not reference:
            asked = request.query_params.get("page", "")
            listed = repository_page(self._contents, repository, seen, asked=asked, paths=paths)
            if listed is None:
                raise _no_repository(repository)
            return self._page(request, visitor, "repository.html", title=repository, view=listed)
        view = image_page(self._contents, repository, reference, seen, paths=paths)
        if view is None:
            raise self._no_manifest(repository, reference)
        title = f"{repository}:{reference}" if view.by_tag else f"{repository}@{reference}"
        return self._page(request, visitor, "image.html", title=title, view=view)

    def login(self, _request: Request, visitor: Visitor) -> Response:
        """Make the browser ask for a password."""
        if not visitor.name and not self._access.open:
            raise self._access.refusal(visitor, Right.PULL, "")
        return RedirectResponse("/", 303, headers={**HEADERS, **PRIVATE})

    async def home(self, _request: Request) -> Response:
        """The list of images is the first page."""
        return RedirectResponse("/", 303, headers=dict(HEADERS))

    async def style(self, _request: Request) -> Response:
        """The stylesheet, which tells nothing about what is here."""
        return Response(self._renderer.style, media_type="text/css", headers={**HEADERS, **FOREVER})

    def _no_manifest(self, repository: str, reference: str) -> Failure:
        tags = self._contents.tags(repository)
        if tags is None:
            return _no_repository(repository)
        if reference in tags:
            return _absent(f"The tag {reference} of {repository} is here, but its manifest is missing or damaged.")
        return _absent(f"{repository} has no {quoted(reference)}.")

    def _sees_paths(self, visitor: Visitor) -> bool:
        return self._access.may(visitor, Right.ADMIN, "")

    def _problem(self, request: Request, visitor: Visitor, failure: Failure) -> Response:
        title = TITLES.get(failure.status, "Something went wrong")
        ours = failure.status >= 500 and not self._sees_paths(visitor)
        return self._page(
            request,
            visitor,
            "problem.html",
            status=failure.status,
            headers=failure.headers,
            title=title,
            message="The registry can't read what it holds; its log says why." if ours else str(failure),
        )

    def _page(
        self,
        request: Request,
        visitor: Visitor,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        values |= {**self._told, "seen": self._seen(request), "visitor": visitor.name, "status": status}
        text = self._renderer.page(template, values)
        return HTMLResponse(text, status, headers={**HEADERS, **PRIVATE, **(headers or {})})

    def _seen(self, request: Request) -> Seen:
        if self._public is not None:
            return self._public
        tls = request.url.scheme == "https"
        return Seen(seen_host(request.headers.get("host"), request.scope.get("server"), tls=tls), tls=tls)


def _absent(message: str) -> Failure:
    return Failure(404, "NAME_UNKNOWN", message)


def _no_repository(repository: str) -> Failure:
    return _absent(f"There is no repository {repository} here, or you may not see it.")
