"""Bodies that stand still or are cut off."""

from __future__ import annotations

import asyncio
import time

import pytest

from bundler.oci.digest import digest_of
from bundler.registry import bodies
from bundler.registry.uploads import Upload
from tests.registry.caller import Answer, Caller


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_stalled(registry: Caller, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 0.05)
    location = registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]
    target = location if method == "PATCH" else f"{location}?digest={digest_of(b'')}"
    messages = [{"type": "http.request", "body": b"12345", "more_body": True}]
    sent: list[dict[str, object]] = []

    async def ask() -> None:
        async def receive() -> dict[str, object]:
            if messages:
                return messages.pop()
            await asyncio.sleep(60)
            raise AssertionError

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": query.encode(),
            "headers": [],
        }
        await registry.app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 408
    assert registry.call("GET", location).headers["range"] == "0-4"


def test_the_next_batch_arrives_while_one_is_written(registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing takes place off the event loop, so another request is answered meanwhile."""
    write = Upload.write

    def slow(self: Upload, chunks: list[bytes]) -> None:
        time.sleep(0.3)
        write(self, chunks)

    monkeypatch.setattr(Upload, "write", slow)
    order: list[str] = []

    async def upload() -> Answer:
        location = (await registry.ask("POST", "/v2/app/blobs/uploads/")).headers["location"]
        answer = await registry.ask("PATCH", location, [b"a" * (1 << 20)] * 2)
        order.append("upload")
        return answer

    async def look() -> None:
        await asyncio.sleep(0.1)
        await registry.ask("GET", "/v2/")
        order.append("look")

    async def both() -> Answer:
        return (await asyncio.gather(upload(), look()))[0]

    assert asyncio.run(both()).headers["range"] == f"0-{(2 << 20) - 1}"
    assert order == ["look", "upload"]
