"""What holds for every answer: caps on headers, read-only mode, and errors as documents of the specification."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bundler.errors import BundlerError, quoted
from bundler.registry.failure import Failure, failure_of

MOST_HEADER_BYTES = 32 << 10
READING = ("GET", "HEAD")
RETRY_SECONDS = "10"
_OURS = {
    500: "the registry failed; its log says why",
    503: "the store is being cleaned or repaired; try again",
    507: "there is no room left in the registry",
}

_log = logging.getLogger(__name__)


class Guard:
    """What holds for every request: headers within their cap, writing only where it is allowed, the version said.

    A browser that is logged in to the pages sends its password with whatever another site makes it send here, so what
    comes by way of a site writes nothing. Nor may a browser take a blob for a page.
    """

    def __init__(self, app: ASGIApp, *, read_only: bool) -> None:
        self._app = app
        self._read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once what is not allowed, and hand on the rest (the interface of ASGI)."""

        async def versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Docker-Distribution-Api-Version"] = "registry/2.0"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        app = self._app
        if scope["type"] == "http":
            if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
                app = _answer(Failure(431, "UNSUPPORTED", f"more than {MOST_HEADER_BYTES} bytes of headers"))
            elif self._read_only and scope["method"] not in READING:
                allow = {"Allow": ", ".join(READING)}
                app = _answer(Failure(405, "UNSUPPORTED", "this registry is read-only", headers=allow))
            elif scope["method"] not in READING and _is_of_a_site(Headers(scope=scope)):
                app = _answer(Failure(403, "DENIED", "a web site can't write to a registry"))
        await app(scope, receive, versioned)


def _is_of_a_site(headers: Headers) -> bool:
    return "origin" in headers or headers.get("sec-fetch-site", "none") != "none"


def _answer(failure: Failure) -> Response:
    return JSONResponse(failure.document(), status_code=failure.status, headers=failure.headers)


async def _on_failure(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Failure)
    return _answer(error)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BundlerError)
    failure = failure_of(error)
    _log.warning("%s %s: %s", request.method, quoted(request.url.path), failure)
    said = _OURS.get(failure.status)
    if said is not None:  # the message is for the operator: it tells of places on this machine
        failure = Failure(failure.status, failure.code, said, headers={"Retry-After": RETRY_SECONDS})
    return _answer(failure)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    """What starlette itself says: no such endpoint, or not with this method."""
    assert isinstance(error, HTTPException)
    return _answer(Failure(error.status_code, "UNSUPPORTED", error.detail, headers=error.headers))


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    """Nobody is listening any more; what arrived is kept."""
    return Response(status_code=400)


async def _on_bug(_request: Request, _error: Exception) -> Response:
    return _answer(Failure(500, "UNKNOWN", "internal error"))


HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    Failure: _on_failure,
    BundlerError: _on_error,
    HTTPException: _on_http_exception,
    ClientDisconnect: _on_disconnect,
    Exception: _on_bug,
}
"""For starlette's ``exception_handlers``."""
