"""Ending without cutting off what is under way: new work is refused while the old is finished.

    app = draining = Draining(application(store), open_sessions=uploads.count)
    ...
    draining.begin()
    cut = await draining.idle(timeout=20)       # the requests that were still running then
    server.stop()

While draining, these are still done: requests that came before; whatever belongs to an upload session that exists
(PATCH, PUT, and the GET and DELETE of it), as a session is known to this process alone and its bytes would have to be sent
again; and the PUT of a manifest, the last step of a push whose blobs are all here. Everything else gets 503 with
``Retry-After`` and the connection is closed: pulls too, since a client that pulls blob by blob would never be done, loses
nothing by it, and finds the next server by trying again. ``/healthz`` and ``/readyz`` go on to answer.

The last pieces of an answer may still be with the server when the request is done: the server's own stop must wait for them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bundler.registry.failure import Failure
from bundler.registry.operations.families import family_of, is_session

RETRY_SECONDS = 10
SETTLE_SECONDS = 1.0
"""How long to wait for the next request of an upload session that is open."""

_ALWAYS = ("/healthz", "/readyz")
_LOOK_SECONDS = 0.05


class Draining:
    """A middleware that counts the requests under way, and refuses new ones once it was told to.

    ``open_sessions`` says how many upload sessions there are.
    """

    def __init__(self, app: ASGIApp, *, open_sessions: Callable[[], int] = lambda: 0) -> None:
        self._app = app
        self._open_sessions = open_sessions
        self._under_way = 0
        self._last = time.monotonic()
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether new requests are refused."""
        return self._draining

    @property
    def under_way(self) -> int:
        """The requests that came and are not answered yet."""
        return self._under_way

    def begin(self) -> None:
        """Refuse new work from now on."""
        self._draining = True
        self._last = time.monotonic()

    async def idle(self, timeout: float) -> int:  # noqa: ASYNC109 - it answers how many are left instead of raising
        """Wait until nothing is under way, for ``timeout`` seconds at most; how many requests still are.

        With upload sessions open it waits for a moment in which none of them was used.
        """
        end = time.monotonic() + timeout
        # Requests and sessions come to an end in several places, and a stop may take its twentieth of a second.
        while time.monotonic() < end and (self._under_way or not self._settled()):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        return self._under_way

    def _settled(self) -> bool:
        return time.monotonic() >= self._last + SETTLE_SECONDS or not self._open_sessions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse to (the interface of ASGI)."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
        elif self._draining and not is_finishing(scope["method"], scope["path"]):
            await _REFUSED(scope, receive, send)
        else:
            self._under_way += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._under_way -= 1
                self._last = time.monotonic()


def is_finishing(method: str, path: str) -> bool:
    """Whether a request finishes what was begun before."""
    if is_session(path):
        return method in ("PATCH", "PUT", "GET", "DELETE")
    return method == "PUT" and family_of(path) == "manifest"


_FAILURE = Failure(503, "TOOMANYREQUESTS", "the registry is about to stop; try again in a moment")
_REFUSED = JSONResponse(
    _FAILURE.document(),
    status_code=_FAILURE.status,
    headers={"Retry-After": str(RETRY_SECONDS), "Connection": "close"},
)
