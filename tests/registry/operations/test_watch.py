"""Every request measured once."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bundler.registry.operations.watch import REQUEST_ID, VISITOR, Watch
from tests.registry.caller import Caller
from tests.registry.operations.seen import Kept


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


def app(tmp_path: Path) -> Any:
    (tmp_path / "blob").write_bytes(b"x" * 5000)

    async def some(_request: Request) -> Response:
        async def parts() -> Any:
            yield b"ab"
            yield b"cde"

        return StreamingResponse(parts())

    async def named(request: Request) -> Response:
        class Ann:
            name = "ann"

        request.scope[VISITOR] = Ann()
        return PlainTextResponse(request.scope[REQUEST_ID], headers={"X-Request-Id": "the application's"})

    async def broken(_request: Request) -> Response:
        raise KeyError

    return Starlette(
        routes=[
            Route("/v2/app/blobs/uploads/", echo, methods=["POST"]),
            Route("/v2/app/blobs/file", lambda _: FileResponse(tmp_path / "blob")),
            Route("/v2/app/tags/list", some),
            Route("/named", named),
            Route("/broken", broken),
        ]
    )


@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("POST", "/v2/app/blobs/uploads/", [b"abc", b"de"], ("upload", 200, 5, 5)),
        ("POST", "/v2/app/blobs/uploads/", b"", ("upload", 200, 0, 0)),
        ("GET", "/v2/app/blobs/file", b"", ("blob", 200, 0, 5000)),
        ("HEAD", "/v2/app/blobs/file", b"", ("blob", 200, 0, 0)),
        ("GET", "/v2/app/tags/list", b"", ("tags", 200, 0, 5)),
        ("GET", "/v2/nothing", b"", ("other", 404, 0, 9)),
    ],
)
def test_measured(tmp_path: Path, method: str, target: str, body: Any, expected: tuple[Any, ...]) -> None:
    kept = Kept()
    answer = Caller(Watch(app(tmp_path), [kept])).call(method, target, body)
    (request,) = kept.requests
    assert (request.family, request.status, request.received, request.sent) == expected
    assert (request.ended, kept.families) == ("complete", [expected[0]])
    assert answer.headers["x-request-id"] == request.id
    assert 0 <= request.seconds < 5


def test_the_id_is_ours_and_the_name_the_visitors(tmp_path: Path) -> None:
    kept = Kept()
    caller = Caller(Watch(app(tmp_path), [kept]))
    answers = [caller.call("GET", "/named", headers={"X-Request-Id": "mine", "User-Agent": "me"}) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert [answer.body.decode() for answer in answers] == ids
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{24}", each) for each in ids)
    assert [(request.user, request.user_agent) for request in kept.requests] == [("ann", "me")] * 2


def test_an_application_that_raises(tmp_path: Path) -> None:
    kept = Kept()
    with pytest.raises(KeyError):
        Caller(Watch(app(tmp_path), [kept])).call("GET", "/broken")
    assert [(request.status, request.ended) for request in kept.requests] == [(500, "aborted")]


def test_an_application_that_says_nothing() -> None:
    kept = Kept()

    async def silent(_scope: Any, _receive: Any, _send: Any) -> None:
        pass

    with pytest.raises(ValueError, match="unpack"):  # the caller's: no answer
        Caller(Watch(silent, [kept])).call("GET", "/")
    assert [(request.status, request.ended) for request in kept.requests] == [(500, "aborted")]


def test_a_client_that_went_away_in_its_request(tmp_path: Path) -> None:
    kept = Kept()

    async def patient(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    Caller(Watch(patient, [kept])).call("PUT", "/", [b"abc"], cut=True)
    (request,) = kept.requests
    assert (request.ended, request.received, request.status) == ("aborted", 3, 400)


def test_a_request_that_is_cancelled() -> None:
    kept = Kept()

    async def forever(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await asyncio.Event().wait()

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Caller(Watch(forever, [kept])).ask("GET", "/"), 0.05)

    asyncio.run(cancelled())
    (request,) = kept.requests
    assert (request.ended, request.sent, request.status) == ("aborted", 2, 200)
    assert request.seconds >= 0.04


def test_an_observer_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Kept):
        def begun(self, family: str) -> None:
            raise KeyError

        finished = begun  # type: ignore[assignment]

    kept = Kept()
    assert Caller(Watch(app(tmp_path), [Bad(), kept])).call("GET", "/v2/app/tags/list").status == 200
    assert len(kept.requests) == 1
    assert [record.message for record in caplog.records] == ["an observer of requests failed"] * 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"raw_path": b"/v2/%61%0a/tags/list"}, "/v2/%61%0a/tags/list"),
        ({"raw_path": b"/v2/app?secret"}, "/v2/app"),
        ({"raw_path": b"http://ann:secret@host/v2/app"}, "/v2/app"),
        ({"raw_path": b"http://ann:secret@[host/v2/app"}, ""),
        ({"raw_path": None, "path": "/v2/a\u00e9"}, "/v2/a\u00c3\u00a9"),
    ],
)
def test_path(changes: dict[str, Any], expected: str) -> None:
    kept = Kept()

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    watched = Watch(hello, [kept])

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await watched({**scope, **changes}, receive, send)

    Caller(asked).call("GET", "/")
    assert kept.requests[0].path == expected


@pytest.mark.parametrize("client", [None, ("10.1.2.3", 4711), ["::1", "4711"]])
def test_remote(client: Any) -> None:
    kept = Kept()

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        await Watch(PlainTextResponse("hello"), [kept])({**scope, "client": client}, receive, send)

    Caller(asked).call("GET", "/")
    assert kept.requests[0].remote == (client[0] if client else "")


def test_what_is_not_http_is_handed_on() -> None:
    kept, seen = Kept(), []

    async def lifespan(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return {}

    asyncio.run(Watch(lifespan, [kept])({"type": "lifespan"}, nothing, nothing))
    assert (seen, kept.families, kept.requests) == (["lifespan"], [], [])
