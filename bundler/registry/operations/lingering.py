"""What is left of a request's body once its answer is out is received and thrown away, for a while.

A request that is refused early is answered while its body is still coming. To end the connection there would make the
client's kernel drop the answer along with the bytes that nobody took (RFC 9112, section 9.6), and whoever sends the next
request on that connection would find it closed. So the answer goes out at once, and the connection ends, or goes on with
the next request, after the body.

    app = Lingering(application(…))

It belongs outside all other middleware: what is thrown away is nobody's to measure. A client that asked whether to send
the body at all (``Expect: 100-continue``) has its answer and need not send it, so nothing is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 << 20
MOST_SECONDS = 10.0
QUIET_SECONDS = 2.0
"""Whoever sends nothing for so long has heard the answer."""
_HTTP_1_0 = ("1.0", "1")  # as ASGI and as granian call it


class Lingering:
    """The middleware. A body that has more to come than the limits allow ends with the connection.

    While ``stopping`` says so, nobody is waited for who goes on sending.
    """

    def __init__(self, app: ASGIApp, *, stopping: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request, then receive what is left of it (the interface of ASGI)."""
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not _brings_a_body(headers):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        failed: Exception | None = None
        try:
            await self._app(scope, body.receive, send)
        except Exception as error:  # noqa: BLE001 - there is an answer for it, too
            failed = error
        if body.asked_for or not _asks_first(scope, headers):
            with suppress(TimeoutError):
                async with asyncio.timeout(MOST_SECONDS):
                    await body.discard(self._stopping)
        if failed is not None:
            raise failed


class _Body:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True
        self.asked_for = False

    async def receive(self) -> Message:
        self.asked_for = True
        message = await self._receive()
        self._more = message["type"] == "http.request" and message.get("more_body", False)
        return message

    async def discard(self, stopping: Callable[[], bool]) -> None:
        left = MOST_BYTES
        while self._more and left > 0 and not stopping():
            async with asyncio.timeout(QUIET_SECONDS):
                left -= len((await self.receive()).get("body", b""))


def _brings_a_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _asks_first(scope: Scope, headers: Headers) -> bool:
    """Whether the client waits to be told to send, which none of HTTP/1.0 does (RFC 9110, section 10.1.1)."""
    return headers.get("expect", "").lower() == "100-continue" and scope["http_version"] not in _HTTP_1_0
