"""What is left of a body after its answer; real clients are in ``tests/hostile/registry/test_refused_bodies.py``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bundler.registry.operations.lingering import Lingering

COUNTED = [(b"content-length", b"6")]


async def _refuse(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _fail(_scope: Any, receive: Any, _send: Any) -> None:
    await receive()
    raise KeyError("broken")


def left_of(app: Any, headers: list[tuple[bytes, bytes]], *, version: str = "1.1", **options: Any) -> int:
    """How many of three parts of a body nobody took."""
    parts = [b"ab", b"cd", b"ef"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(_message: dict[str, Any]) -> None:
        pass

    scope = {"type": "http", "http_version": version, "headers": headers}
    asyncio.run(Lingering(app, **options)(scope, receive, send))
    return len(parts)


@pytest.mark.parametrize(
    ("headers", "version", "left"),
    [
        (COUNTED, "1.1", 0),
        ([(b"transfer-encoding", b"chunked")], "1.1", 0),
        ([*COUNTED, (b"expect", b"100-Continue")], "1.1", 3),
        ([*COUNTED, (b"expect", b"100-continue")], "1.0", 0),
        ([*COUNTED, (b"expect", b"100-continue")], "1", 0),
        ([*COUNTED, (b"expect", b"banana")], "1.1", 0),
        ([(b"content-length", b"0")], "1.1", 3),
        ([], "1.1", 3),
    ],
    ids=[
        "counted",
        "chunked",
        "asks first",
        "asks in 1.0",
        "asks in 1.0 at granian",
        "asks something else",
        "empty",
        "none",
    ],
)
def test_taken(headers: list[tuple[bytes, bytes]], version: str, left: int) -> None:
    assert left_of(_refuse, headers, version=version) == left


def test_who_was_told_to_send_is_heard() -> None:
    async def taking_some(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await _refuse(scope, receive, send)

    assert left_of(taking_some, [*COUNTED, (b"expect", b"100-continue")]) == 0


def test_a_failure_is_an_answer_too() -> None:
    parts = [b"ab", b"cd", b"ef"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def asking() -> None:
        with pytest.raises(KeyError):
            await Lingering(_fail)({"type": "http", "http_version": "1.1", "headers": COUNTED}, receive, receive)

    asyncio.run(asking())
    assert parts == []


def test_while_stopping_nothing_is_taken() -> None:
    assert left_of(_refuse, COUNTED, stopping=lambda: True) == 3
