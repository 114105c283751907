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
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 64 << 20
MOST_SECONDS = 10.0
QUIET_SECONDS = 2.0
"""Whoever sends nothing for so long has heard the answer."""


class Lingering:
    """The middleware. A body that has more to come than the limits allow ends with the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request, then receive what is left of it (the interface of ASGI)."""
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not _brings_a_body(headers):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        await self._app(scope, body.receive, send)
        if "expect" in headers and not body.asked_for:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(MOST_SECONDS):
                await body.discard()


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

    async def discard(self) -> None:
        left = MOST_BYTES
        while self._more and left > 0:
            async with asyncio.timeout(QUIET_SECONDS):
                left -= len((await self.receive()).get("body", b""))


def _brings_a_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
