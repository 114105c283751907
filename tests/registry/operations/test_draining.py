"""Ending without cutting off what is under way."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from bundler.registry.operations import draining as module
from bundler.registry.operations.draining import Draining, is_finishing
from tests.registry.caller import Caller

SESSION = "/v2/team/app/blobs/uploads/4f1c"
MANIFEST = "/v2/team/app/manifests/1.0"
BLOB = "/v2/team/app/blobs/sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PATCH", SESSION, True),
        ("PUT", SESSION, True),
        ("GET", SESSION, True),
        ("DELETE", SESSION, True),
        ("POST", SESSION, False),
        ("PUT", MANIFEST, True),
        ("GET", MANIFEST, False),
        ("HEAD", MANIFEST, False),
        ("DELETE", MANIFEST, False),
        ("GET", BLOB, False),
        ("HEAD", BLOB, False),
        ("POST", "/v2/team/app/blobs/uploads/", False),
        ("POST", "/v2/team/app/blobs/uploads", False),
        ("PUT", "/v2/team/app/blobs/uploads/", False),
        ("GET", "/v2/", False),
        ("GET", "/metrics", False),
        ("PUT", "/manifests/1.0", False),
    ],
)
def test_what_is_finished(method: str, path: str, expected: bool) -> None:
    assert is_finishing(method, path) is expected
    draining = Draining(PlainTextResponse("hello"))
    caller = Caller(draining)
    assert caller.call(method, path).status == 200
    draining.begin()
    assert caller.call(method, path).status == (200 if expected else 503)
    assert draining.under_way == 0


def test_refusal() -> None:
    draining = Draining(PlainTextResponse("hello"))
    draining.begin()
    answer = Caller(draining).call("GET", BLOB)
    assert (answer.status, answer.errors) == (503, ["TOOMANYREQUESTS"])
    assert (answer.headers["retry-after"], answer.headers["connection"]) == ("10", "close")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_always_told(path: str) -> None:
    draining = Draining(PlainTextResponse("hello"))
    draining.begin()
    assert draining.draining
    assert Caller(draining).call("GET", path).status == 200


class Slow:
    """An application whose answers wait until they may go."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may.wait()
        if scope["path"] == "/broken":
            raise KeyError
        await PlainTextResponse("hello")(scope, receive, send)


def test_what_is_under_way_is_waited_for() -> None:
    async def stop() -> None:
        slow = Slow()
        draining = Draining(slow)
        asked = [asyncio.ensure_future(Caller(draining).ask("GET", path)) for path in (BLOB, MANIFEST, "/broken")]
        await asyncio.sleep(0)
        draining.begin()
        assert await draining.idle(0.1) == draining.under_way == 3
        waiting = asyncio.ensure_future(draining.idle(10))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        slow.may.set()
        assert await waiting == 0
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [getattr(answer, "status", type(answer)) for answer in answers] == [200, 200, KeyError]

    asyncio.run(stop())


def test_health_is_not_waited_for() -> None:
    async def stop() -> None:
        slow = Slow()
        draining = Draining(slow)
        asked = asyncio.ensure_future(Caller(draining).ask("GET", "/readyz"))
        await asyncio.sleep(0)
        draining.begin()
        assert await draining.idle(10) == 0
        slow.may.set()
        assert (await asked).status == 200

    asyncio.run(stop())


def test_nothing_under_way() -> None:
    draining = Draining(PlainTextResponse("hello"))
    draining.begin()
    began = time.monotonic()
    assert asyncio.run(draining.idle(10)) == 0
    assert time.monotonic() - began < 1


def test_a_session_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.4)
    sessions = [1]

    async def stop() -> float:
        draining = Draining(PlainTextResponse("hello"), open_sessions=lambda: len(sessions))
        draining.begin()
        began = time.monotonic()
        waiting = asyncio.ensure_future(draining.idle(10))
        await asyncio.sleep(0.2)
        assert (await Caller(draining).ask("PATCH", SESSION, b"abc")).status == 200
        await asyncio.sleep(0.3)
        assert not waiting.done()  # as the session was used a moment ago
        sessions.clear()
        assert await waiting == 0
        return time.monotonic() - began

    assert asyncio.run(stop()) < 5


def test_a_session_that_nobody_goes_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.2)
    draining = Draining(PlainTextResponse("hello"), open_sessions=lambda: 1)
    draining.begin()
    began = time.monotonic()
    assert asyncio.run(draining.idle(10)) == 0
    assert 0.15 < time.monotonic() - began < 5


def test_what_is_not_http_is_handed_on() -> None:
    seen = []

    async def lifespan(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return {}

    draining = Draining(lifespan)
    draining.begin()
    asyncio.run(draining({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]
