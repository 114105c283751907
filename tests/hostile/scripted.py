"""A registry that does as it is told: an honest one in memory, and a server that lets a test spoil one answer.

    registry = HonestRegistry()
    root = registry.add_image("app", "1", layers=[b"…"])

    def spoiled(request: Request) -> Reply:
        return Reply(404) if request.path.endswith("/manifests/1") else registry(request)

    with Scripted(spoiled) as server:
        ...                              # server.host, server.url, server.seen

A test states one defect: what the server does wrong, and what the client must then do.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.transports.docker.settings import Limits, Settings
from tests.authority import Authority

LIMITS = Limits(connect=3, read=3, answer=6, rate=2000, window=0.4, attempts=3, backoff=0.001, retry_after=1)
"""Patience in proportion to a test's."""

PLAIN = Settings(tls_verify=False, proxies={}, limits=LIMITS)


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. ``length`` is the Content-Length claimed instead of the true one, ``-1`` for none.

    ``cut`` resets the connection after so many bytes of the body; ``pause`` waits so many seconds before each byte.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""
    length: int | None = None
    cut: int | None = None
    pause: float = 0


App = Callable[[Request], Reply]


def reply_json(value: Any, status: int = 200, *headers: tuple[str, str]) -> Reply:
    """A JSON answer."""
    return Reply(status, (("Content-Type", "application/json"), *headers), json.dumps(value).encode())


def reply_error(status: int, code: str, message: str = "", *headers: tuple[str, str]) -> Reply:
    """A registry's error document."""
    return reply_json({"errors": [{"code": code, "message": message}]}, status, *headers)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with fewer, a burst of connections waits for a second
    daemon_threads = True


class Scripted:
    """Serves ``app`` on 127.0.0.1 while its ``with`` block runs; ``seen`` are the requests in their order.

    ``answer_early`` makes it answer 202 to a PATCH after reading a little of it, close, and set the event. ``drip_head``
    waits so many seconds before each header of an answer; to ``/v2/`` it answers at once.
    """

    def __init__(self, app: App, *, tls: ssl.SSLContext | None = None) -> None:
        self.app = app
        self.seen: list[Request] = []
        self.answer_early: threading.Event | None = None
        self.drip_head = 0.0
        self.connections = 0
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"{self.scheme}://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, method: str, pattern: str) -> int:
        """How many requests had this method and a path that ``pattern`` is found in."""
        return sum(request.method == method and bool(re.search(pattern, request.path)) for request in self.seen)


def _handler(scripted: Scripted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            url = urlsplit(self.path)
            if self.command == "PATCH" and scripted.answer_early is not None:
                self.rfile.read(1000)
                self.answer(Reply(202, (("Location", self.path), ("Connection", "close"))))
                self.connection.shutdown(socket.SHUT_RD)
                self.close_connection = True
                scripted.answer_early.set()
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, url.path, parse_qs(url.query), headers, body)
            if url.path != "/v2/":  # the client's look whether TLS is spoken is no test's business
                scripted.seen.append(request)
            self.answer(scripted.app(request))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server finds them so

        def answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            if scripted.drip_head and self.path != "/v2/":
                for n in range(50):
                    time.sleep(scripted.drip_head)
                    self.send_header(f"X-Drip-{n}", "x")
                    self.flush_headers()
            for name, value in reply.headers:
                self.send_header(name, value)
            true_length = len(reply.body) if isinstance(reply.body, bytes) else -1
            length = true_length if reply.length is None else reply.length
            if length >= 0 and not any(name.lower() == "content-length" for name, _ in reply.headers):
                self.send_header("Content-Length", str(length))
            self.close_connection = length < 0 or length != true_length
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            if self.command == "HEAD":
                return
            try:
                self.send_body(reply)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def send_body(self, reply: Reply) -> None:
            if reply.cut is not None:
                assert isinstance(reply.body, bytes)
                self.wfile.write(reply.body[: reply.cut])
                self.wfile.flush()
                time.sleep(0.05)  # a reset overtakes what is still on its way
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif reply.pause:
                assert isinstance(reply.body, bytes)
                for n in range(len(reply.body)):
                    time.sleep(reply.pause)
                    self.wfile.write(reply.body[n : n + 1])
                    self.wfile.flush()
            else:
                for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                    self.wfile.write(piece)
                self.wfile.flush()

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return  # the connection was reset on purpose

        def handle(self) -> None:
            try:
                if scripted.scheme == "http" and self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
                    return  # a TLS handshake: the client finds out that none is spoken here
                scripted.connections += 1
                super().handle()
            except (OSError, ValueError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name for it
            """Say nothing; ``seen`` tells."""

    return Handler


@dataclass(slots=True)
class HonestRegistry:
    """A small registry in memory that keeps to the specification. Every repository sees every blob it was given."""

    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    page: int = 1000
    referrers_api: bool = True
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def add_blob(self, repository: str, content: bytes, media_type: str = mediatype.OCI_LAYER_GZIP) -> Descriptor:
        """Put a blob in."""
        digest = digest_of(content)
        self.blobs[repository, digest] = content
        return Descriptor(media_type, digest, len(content))

    def add_manifest(
        self, repository: str, value: Any, tag: str = "", media_type: str = mediatype.OCI_MANIFEST
    ) -> Descriptor:
        """Put a manifest in, given as JSON values or bytes."""
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        digest = digest_of(raw)
        for name in (digest, tag) if tag else (digest,):
            self.manifests[repository, name] = (media_type, raw)
        return Descriptor(media_type, digest, len(raw))

    def add_image(self, repository: str, tag: str, layers: Iterable[bytes] = (b"layer",)) -> Descriptor:
        """Put an image in: config, layers and manifest."""
        config = self.add_blob(repository, b"{}", mediatype.OCI_CONFIG)
        listed = [self.add_blob(repository, layer) for layer in layers]
        return self.add_manifest(repository, image_of(config, listed), tag)

    def __call__(self, request: Request) -> Reply:
        if request.path == "/v2/":
            return reply_json({})
        if request.path == "/v2/_catalog":
            return self._paged(request, "repositories", sorted({name for name, _ in self.manifests}))
        match = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags|referrers)/(.*)", request.path)
        if match is None:
            return reply_error(404, "NAME_UNKNOWN")
        repository, kind, rest = match.groups()
        if kind == "tags":
            tags = [name for place, name in self.manifests if place == repository and ":" not in name]
            return self._paged(request, "tags", tags)
        if kind == "referrers":
            return self._referrers(repository, rest)
        if kind == "manifests":
            return self._manifest(request, repository, rest)
        if rest.startswith("uploads/"):
            return self._upload(request, repository, rest.removeprefix("uploads/"))
        return self._blob(request, repository, rest)

    def _paged(self, request: Request, key: str, names: list[str]) -> Reply:
        last = request.query.get("last", [""])[0]
        start = names.index(last) + 1 if last else 0
        page = names[start : start + self.page]
        link: tuple[tuple[str, str], ...] = ()
        if start + self.page < len(names):
            link = (("Link", f'<{request.path}?last={page[-1]}&n={self.page}>; rel="next"'),)
        return reply_json({key: page}, 200, *link)

    def _referrers(self, repository: str, subject: str) -> Reply:
        if not self.referrers_api:
            return Reply(404, (("Content-Type", "text/plain"),), b"404 page not found\n")
        found = [
            {"mediaType": kind, "digest": name, "size": len(raw)}
            for (place, name), (kind, raw) in self.manifests.items()
            if place == repository and ":" in name and json.loads(raw).get("subject", {}).get("digest") == subject
        ]
        index = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": found}
        return Reply(200, (("Content-Type", mediatype.OCI_INDEX),), json.dumps(index).encode())

    def _manifest(self, request: Request, repository: str, name: str) -> Reply:
        if request.method == "PUT":
            media_type = request.headers["content-type"]
            for child in _listed(json.loads(request.body)):
                if (repository, child) not in self.blobs and (repository, child) not in self.manifests:
                    return reply_error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
            digest = digest_of(request.body)
            self.manifests[repository, digest] = self.manifests[repository, name] = (media_type, request.body)
            return Reply(201, (("Docker-Content-Digest", digest),))
        if (repository, name) not in self.manifests:
            return reply_error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, raw = self.manifests[repository, name]
        if request.method == "DELETE":
            gone = [key for key, kept in self.manifests.items() if key[0] == repository and kept[1] == raw]
            for key in gone:
                del self.manifests[key]
            return Reply(202)
        return Reply(200, (("Content-Type", media_type), ("Docker-Content-Digest", digest_of(raw))), raw)

    def _blob(self, request: Request, repository: str, digest: str) -> Reply:
        content = self.blobs.get((repository, digest))
        if content is None:
            return reply_error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if match is None:
            return Reply(200, (), content)
        start = int(match[1])
        if start >= len(content):
            return Reply(416)
        return Reply(206, (("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"),), content[start:])

    def _upload(self, request: Request, repository: str, session: str) -> Reply:
        location = f"/v2/{repository}/blobs/uploads/"
        if request.method == "POST":
            digest, origin = (request.query.get(key, [""])[0] for key in ("mount", "from"))
            if (origin, digest) in self.blobs:
                self.blobs[repository, digest] = self.blobs[origin, digest]
                return Reply(201)
            session = f"session-{next(self._numbers)}"
            self.uploads[session] = bytearray()
            return Reply(202, (("Location", f"{location}{session}?state=0"),))
        if session not in self.uploads:
            return reply_error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown")
        self.uploads[session] += request.body
        if request.method == "PATCH":
            return Reply(202, (("Location", f"{location}{session}?state=1"),))
        content = bytes(self.uploads.pop(session))
        if request.method == "DELETE":
            return Reply(204)
        digest = request.query["digest"][0]
        if digest_of(content, digest.partition(":")[0]) != digest:
            return reply_error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[repository, digest] = content
        return Reply(201, (("Docker-Content-Digest", digest),))


def _listed(value: dict[str, Any]) -> list[str]:
    """The digests that a manifest needs."""
    children = [
        *value.get("manifests", []),
        *value.get("layers", []),
        *([value["config"]] if "config" in value else []),
    ]
    return [child["digest"] for child in children]


def image_of(config: Descriptor, layers: Iterable[Descriptor], **more: Any) -> dict[str, Any]:
    """An OCI image manifest as JSON values."""
    return {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": config.document(),
        "layers": [layer.document() for layer in layers],
        **more,
    }


def pattern(size: int, seed: int = 1) -> bytes:
    """``size`` bytes in which no stretch repeats soon."""
    return b"".join(struct.pack("<I", seed * 2654435761 + n & 0xFFFFFFFF) for n in range(size // 4 + 1))[:size]


def missing(size: int = 5) -> Descriptor:
    """A descriptor of something that nobody has."""
    return Descriptor(mediatype.OCI_LAYER_GZIP, Digest("sha256:" + "0" * 64), size)


def server_tls(
    authority: Authority, folder: Path, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
) -> ssl.SSLContext:
    """A server's context with a certificate of the authority, its files in ``folder``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, hosts=hosts))
    return context
