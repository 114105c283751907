"""Every request is measured once, in one place, and observers are told: the access log and the metrics.

It is an ASGI middleware, and belongs outside all others, so that it sees every answer and whatever the application
raises. An observer that fails does not fail the request.

    app = Watch(application(store), [log, metrics])

What was sent is what the server took; it holds a few pieces more than the client may have got.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bundler.registry.operations.families import family_of

VISITOR = "bundler.visitor"
"""Where in the scope authentication leaves whom it found: an object with ``name``, which is empty for anybody."""
REQUEST_ID = "bundler.request_id"
"""Where in the scope the request's id is, for whoever else wants to log it."""

Ending = Literal["complete", "aborted"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One finished request. Text is as it came: whoever writes it somewhere makes it safe to read.

    ``status`` is 500 if the application began no answer, which is what servers say then, and None if nobody was left to
    tell. ``received`` and ``sent`` are bytes of bodies. ``ended`` is ``aborted`` if the client went away before it had
    its answer, or the application raised.
    """

    id: str
    began: datetime
    seconds: float
    remote: str
    user: str
    user_agent: str
    method: str
    path: str
    query: str
    family: str
    status: int | None
    received: int
    sent: int
    ended: Ending


class Observer(Protocol):
    """Told in the event loop: it must not block."""

    def begun(self, family: str) -> None:
        """A request has come."""
        ...

    def finished(self, request: Request) -> None:
        """It was answered, or not."""
        ...


class Watch:
    """The middleware: it gives each request an id (``X-Request-Id``), measures it, and tells the observers."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer]) -> None:
        self._app = app
        self._observers = tuple(observers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on the request (the interface of ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Measured(scope, receive, send)
        self._tell("begun", request.family)
        try:
            await self._app(scope, request.receive, request.send)
        except BaseException:
            request.raised = True
            raise
        finally:
            self._tell("finished", request.finish())

    def _tell(self, what: Literal["begun", "finished"], about: str | Request) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(about)
            except Exception:  # noqa: BLE001 - whatever it is, the client gets its answer
                _log.exception("an observer of requests failed")


class _Measured:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began = datetime.now(UTC)
        self._clock = time.monotonic()
        self._id = secrets.token_hex(12)
        self._headers = Headers(scope=scope)  # of the request, as whatever comes next may change the scope
        self._path = _path(scope)
        self._status: int | None = None
        self._received = 0
        self._sent = 0
        self._answered = False
        self._left = False
        self.raised = False
        self.family = family_of(scope["path"])
        scope[REQUEST_ID] = self._id

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
        elif message["type"] == "http.disconnect":
            self._left = self._left or not self._answered
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._id
            self._status = message["status"]
        await self._send(message)
        if kind == "http.response.body":
            self._sent += len(message.get("body", b""))
            self._answered = self._answered or not message.get("more_body", False)

    def finish(self) -> Request:
        head = self._scope["method"] == "HEAD"
        visitor: Any = self._scope.get(VISITOR)
        client = self._scope.get("client")
        return Request(
            id=self._id,
            began=self._began,
            seconds=time.monotonic() - self._clock,
            remote=str(client[0]) if client else "",
            user=str(getattr(visitor, "name", "")),
            user_agent=self._headers.get("user-agent", ""),
            method=self._scope["method"],
            path=self._path,
            query=self._scope.get("query_string", b"").decode("latin-1"),
            family=self.family,
            status=500 if self._status is None and not self._left else self._status,
            received=self._received,
            sent=0 if head else self._sent,
            ended="aborted" if self._left or self.raised or not self._answered else "complete",
        )


def _path(scope: Scope) -> str:
    """The path as it came, percent signs and all; a request in absolute form may bring a user and a password along."""
    raw: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    if raw.startswith("/"):
        return raw
    try:
        return urlsplit(raw).path
    except ValueError:
        return ""
