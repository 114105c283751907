"""Asking an ASGI application without a server.

    with serving(store) as registry:
        answer = registry.call("PUT", "/v2/app/manifests/1", raw, {"Content-Type": media_type})
        assert answer.status == 201, answer.errors

``body`` may be bytes, or a list of chunks; ``cut=True`` ends it by a broken connection. The path is decoded once, as
servers do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

from bundler.oci.digest import Digest
from bundler.registry.access import Access
from bundler.registry.application import application
from bundler.registry.arrivals import Arrivals
from bundler.registry.contents import Contents
from bundler.registry.layers import Layer
from bundler.registry.store_layer import StoreLayer
from bundler.registry.uploads import Uploads
from bundler.store import Store
from tests.images import Image


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON values."""
        return json.loads(self.body)

    @property
    def errors(self) -> list[str]:
        """The codes of the error document; empty if there is none."""
        return [error["code"] for error in self.json["errors"]] if self.status >= 400 and self.body else []


class Caller:
    """An application, and requests to it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    @property
    def arrivals(self) -> Arrivals:
        """The notes of the registry."""
        found: Arrivals = self.app.state.arrivals
        return found

    def call(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        cut: bool = False,
    ) -> Answer:
        """One request and its answer."""
        return asyncio.run(self.ask(method, target, body, headers, cut=cut))

    def broken(self, target: str, headers: Mapping[str, str] | None = None) -> bytes:
        """What comes of a body that breaks off: never as much as was announced."""
        messages: list[dict[str, Any]] = []
        asked = self.ask("GET", target, headers=headers, messages=messages)
        with pytest.raises(RuntimeError, match="response already started"):  # at which a server cuts the connection
            asyncio.run(asked)
        start, *rest = messages
        body = b"".join(message.get("body", b"") for message in rest)
        assert not rest or rest[-1]["more_body"]
        assert len(body) < int(dict(start["headers"])[b"content-length"])
        return body

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        cut: bool = False,
        messages: list[dict[str, Any]] | None = None,
    ) -> Answer:
        """The same inside a loop, for several requests at once. ``messages`` takes what the application sends."""
        path, _, query = target.partition("?")
        chunks = [body] if isinstance(body, bytes) else list(body)
        sent = {"host": "registry.test", **(headers or {})}
        if isinstance(body, bytes) and body and not cut:
            sent.setdefault("content-length", str(len(body)))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
        messages = [] if messages is None else messages

        async def receive() -> dict[str, Any]:
            if chunks:
                return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks) or cut}
            if not cut:
                await asyncio.Event().wait()  # the client stays for its answer
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        start, *rest = messages
        assert start["type"] == "http.response.start"
        raw = b"".join(message.get("body", b"") for message in rest)
        got = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        assert method == "HEAD" or got.get("content-length", str(len(raw))) == str(len(raw))
        return Answer(start["status"], got, raw)

    def upload(self, repository: str, raw: bytes, digest: Digest) -> Answer:
        """A blob as most clients send one: POST, PATCH, PUT."""
        location = self.call("POST", f"/v2/{repository}/blobs/uploads/").headers["location"]
        assert self.call("PATCH", location, raw).status == 202
        return self.call("PUT", f"{location}?digest={digest}")

    def push(self, repository: str, tag: str, image: Image) -> None:
        """A whole image, children first."""
        for part in image.blobs:
            assert self.upload(repository, part.raw, part.descriptor.digest).status == 201
        for part in image.manifests:
            reference = tag if part is image.parts[-1] else part.descriptor.digest
            answer = self.put(repository, reference, part.raw, part.descriptor.media_type)
            assert answer.status == 201, answer.body

    def put(self, repository: str, reference: str, raw: bytes, media_type: str) -> Answer:
        """A manifest."""
        return self.call("PUT", f"/v2/{repository}/manifests/{reference}", raw, {"Content-Type": media_type})


@contextmanager
def serving(
    store: Store | None = None,
    *more: Layer,
    read_only: bool = False,
    allow_delete: bool = True,
    access: Access | None = None,
) -> Iterator[Caller]:
    """The registry over a store, if one is given, with ``more`` layers behind it."""
    layer = None if store is None else StoreLayer(store)
    writable = None if read_only else layer
    arrivals = Arrivals(None if writable is None else writable.store.private)
    contents = Contents([*([] if layer is None else [layer]), *more], arrivals)
    uploads = None if writable is None else Uploads(writable.store)
    app = application(contents, writable, uploads, access=access or Access.everyone(), allow_delete=allow_delete)
    app.state.uploads = uploads
    app.state.arrivals = arrivals
    try:
        yield Caller(app)
    finally:
        if uploads is not None:
            uploads.close()
        arrivals.close()
