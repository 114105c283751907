"""What a registry may do wrong, one defect per test, and what the client then does."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.content import CHUNK, Job, Moved, Note, Planned, copy, read, verified
from bundler.errors import (
    AuthError,
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    PushError,
    UnsupportedError,
    UploadLostError,
)
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.manifest import parse_manifest
from bundler.push import Shipment, deliver
from bundler.transports.docker import pages
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.repository import Repository
from bundler.transports.docker.settings import Settings
from tests.authority import Authority
from tests.hostile.scripted import (
    LIMITS,
    PLAIN,
    App,
    HonestRegistry,
    Reply,
    Request,
    Scripted,
    image_of,
    pattern,
    reply_error,
    reply_json,
    server_tls,
)
from tests.memory import Memory

ANN = Credentials("ann", "hunter2")
LAYER = pattern(600_000)
IMPATIENT = replace(PLAIN, limits=replace(LIMITS, rate=200_000, attempts=2))
Spoil = Callable[[Request], Reply | None]


class Bench:
    """An honest registry with one image ``app:1``, and a client for it; ``spoil`` may answer instead."""

    def __init__(self) -> None:
        self.honest = HonestRegistry()
        self.root = self.honest.add_image("app", "1", [LAYER])
        self.layer = Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(LAYER), len(LAYER))
        self.spoil: Spoil = lambda request: None
        self.notes: list[str] = []
        self.server = Scripted(self._answer)
        self.registry = Registry(self.server.host, PLAIN, self.observe)
        self.repository = self.registry.repository("app")

    def _answer(self, request: Request) -> Reply:
        reply = self.spoil(request)
        return self.honest(request) if reply is None else reply

    def observe(self, event: object) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)

    def on(self, method: str, part: str, *replies: Reply) -> None:
        """Answer requests whose path holds ``part`` with ``replies`` in turn, and honestly after the last."""
        rest = list(replies)

        def spoil(request: Request) -> Reply | None:
            return rest.pop(0) if rest and request.method == method and part in request.path else None

        self.spoil = spoil

    def always(self, method: str, part: str, reply: Reply) -> None:
        """Answer all requests whose path holds ``part`` with ``reply``."""
        self.spoil = lambda request: reply if request.method == method and part in request.path else None

    def with_credentials(self, credentials: Credentials = ANN) -> Repository:
        return self.registry.repository("app", credentials)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.server, bench.registry:
        yield bench


@pytest.fixture
def elsewhere() -> Iterator[Scripted]:
    """Another origin that answers 200 to everything and keeps what it was sent."""
    with Scripted(lambda request: Reply(200, (), LAYER)) as server:
        yield server


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the retries would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    return slept


class TestStatuses:
    def test_404_manifest(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError, match=r"^pull from 127.0.0.1:\d+/app: MANIFEST_UNKNOWN: manifest unknown"):
            bench.repository.resolve("missing")
        assert bench.server.count("GET", "manifests") == 1

    def test_404_blob(self, bench: Bench) -> None:
        with pytest.raises(NotFoundError, match="BLOB_UNKNOWN"):
            read(bench.repository, Descriptor("x", digest_of(b"absent"), 6))

    def test_404_without_a_document(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(404, (), b"<html>\x1b[31mgone</html>"))
        with pytest.raises(NotFoundError, match="Not Found") as caught:
            bench.repository.resolve("1")
        assert "\x1b" not in str(caught.value)

    def test_403(self, bench: Bench) -> None:
        bench.always("GET", "manifests", reply_error(403, "DENIED", "no\x1b[2Jway"))
        with pytest.raises(AuthError, match="DENIED: no") as caught:
            bench.repository.resolve("1")
        assert "\x1b" not in str(caught.value)
        assert bench.server.count("GET", "manifests") == 1

    def test_405_on_delete(self, bench: Bench) -> None:
        bench.always("DELETE", "manifests", reply_error(405, "UNSUPPORTED"))
        with pytest.raises(UnsupportedError, match="UNSUPPORTED"):
            bench.repository.delete(bench.root.digest)

    @pytest.mark.parametrize("status", [400, 405, 406, 415])
    def test_4xx_on_pull_is_not_retried(self, bench: Bench, status: int) -> None:
        bench.always("GET", "manifests", Reply(status))
        with pytest.raises(ProtocolError):
            bench.repository.resolve("1")
        assert bench.server.count("GET", "manifests") == 1

    def test_an_error_document_without_end(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(404, (), itertools.repeat(b"x" * 65536)))
        with pytest.raises(NotFoundError):
            bench.repository.resolve("1")

    def test_an_error_document_cut_short(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(404, (), b"{}", length=100))
        with pytest.raises(NotFoundError):
            bench.repository.resolve("1")

    @pytest.mark.parametrize(
        "body",
        [b'{"errors": []}', b'{"errors": [{"code": 5}]}', b'{"errors": {"code": "X"}}', b"[]", b'{"errors": [{}]}'],
    )
    def test_error_documents_of_another_shape(self, bench: Bench, body: bytes) -> None:
        bench.always("GET", "manifests", Reply(404, (), body))
        with pytest.raises(NotFoundError, match=r"Not Found \(404\)"):
            bench.repository.resolve("1")


class TestLogin:
    def test_401_loop_of_basic(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),)))
        with pytest.raises(AuthError) as caught:
            bench.with_credentials().resolve("1")
        assert "hunter2" not in str(caught.value)
        assert bench.server.count("GET", "manifests") == 2

    def test_401_loop_of_bearer(self, bench: Bench) -> None:
        realm = f'Bearer realm="{bench.server.url}/token",service="s"'

        def spoil(request: Request) -> Reply | None:
            if request.path == "/token":
                return reply_json({"token": "worthless"})
            return Reply(401, (("WWW-Authenticate", realm),))

        bench.spoil = spoil
        with pytest.raises(AuthError, match="repository:app:pull"):
            bench.with_credentials().resolve("1")
        assert bench.server.count("GET", "/token") == 1
        assert bench.server.count("GET", "manifests") == 2

    def test_401_without_a_challenge(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(401))
        with pytest.raises(AuthError):
            bench.with_credentials().resolve("1")
        assert all("authorization" not in request.headers for request in bench.server.seen)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            pytest.param(reply_json({}), ProtocolError, id="token-without-token-field"),
            pytest.param(Reply(200, (), b'{"token":"a","TOKEN":"b"}'), ProtocolError, id="token-with-case-folded-keys"),
            pytest.param(Reply(200, (), b'{"token":"' + b"a" * (1 << 20) + b'"}'), LimitError, id="oversize-token"),
            pytest.param(Reply(200, (), itertools.repeat(b"a" * 65536)), LimitError, id="endless-token"),
            pytest.param(reply_json({}, 401), AuthError, id="token-refused"),
            pytest.param(reply_json({}, 503), NetworkError, id="token-host-down"),
            pytest.param(Reply(302, (("Location", "/elsewhere"),)), NotFoundError, id="token-host-redirects"),
        ],
    )
    def test_token_answers(self, bench: Bench, answer: Reply, error: type[BundlerError]) -> None:
        def spoil(request: Request) -> Reply | None:
            if request.path == "/token":
                return answer
            realm = f'Bearer realm="{bench.server.url}/token"'
            return Reply(401, (("WWW-Authenticate", realm),)) if "manifests" in request.path else None

        bench.spoil = spoil
        error = AuthError if error is NotFoundError else error  # a token host that has no such page
        with pytest.raises(error):
            bench.with_credentials().resolve("1")

    def test_token_realm_on_a_foreign_host(self, bench: Bench) -> None:
        realm = 'Bearer realm="https://tokens.example.org/token"'
        bench.always("GET", "manifests", Reply(401, (("WWW-Authenticate", realm),)))
        with pytest.raises(AuthError, match=r"tokens\.example\.org") as caught:
            bench.with_credentials().resolve("1")
        assert "hunter2" not in str(caught.value)

    def test_token_that_expires_during_an_upload(self, bench: Bench) -> None:
        tokens = iter(["first", "second"])
        good: set[str] = {"first"}

        def spoil(request: Request) -> Reply | None:
            if request.path == "/token":
                return reply_json({"token": next(tokens)})
            if request.method == "PATCH" and request.headers.get("authorization") == "Bearer first":
                good.clear()
                good.add("second")
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in good:
                return Reply(401, (("WWW-Authenticate", f'Bearer realm="{bench.server.url}/token"'),))
            return None

        bench.spoil = spoil
        memory = Memory()
        want = memory.put(pattern(400_000, 7), mediatype.OCI_LAYER_GZIP)
        copy(Job(memory, bench.with_credentials(), want))
        assert ("app", want.digest) in bench.honest.blobs
        assert bench.server.count("PATCH", "") == 2


class TestRetries:
    def test_429_waits_as_told(self, bench: Bench, no_sleep: list[float]) -> None:
        bench.on("GET", "manifests", reply_error(429, "TOOMANYREQUESTS", "", ("Retry-After", "1")))
        assert bench.repository.resolve("1") == bench.root
        assert no_sleep == [1]
        assert "TOOMANYREQUESTS" in bench.notes[0]

    @pytest.mark.parametrize("asked", ["99999999", "Fri, 31 Dec 2100 23:59:59 GMT"])
    def test_429_with_an_absurd_retry_after(self, bench: Bench, no_sleep: list[float], asked: str) -> None:
        bench.always("GET", "manifests", Reply(429, (("Retry-After", asked),)))
        with pytest.raises(NetworkError, match="asks to wait"):
            bench.repository.resolve("1")
        assert no_sleep == [LIMITS.retry_after] * (LIMITS.attempts - 1)

    @pytest.mark.parametrize("asked", ["soon", "-5", "1.5.2", "9" * 5000])
    def test_429_with_a_senseless_retry_after(self, bench: Bench, no_sleep: list[float], asked: str) -> None:
        bench.on("GET", "manifests", Reply(429, (("Retry-After", asked),)))
        assert bench.repository.resolve("1") == bench.root
        assert sum(no_sleep) <= LIMITS.retry_after

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_5xx_flaps(self, bench: Bench, status: int) -> None:
        bench.on("GET", "manifests", Reply(status), Reply(status))
        assert bench.repository.resolve("1") == bench.root
        assert len(bench.notes) == 2

    def test_5xx_for_ever(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(500))
        with pytest.raises(NetworkError, match="500"):
            bench.repository.resolve("1")
        assert bench.server.count("GET", "manifests") == LIMITS.attempts

    def test_5xx_flaps_on_a_small_push(self, bench: Bench) -> None:
        bench.on("PUT", "manifests", Reply(502))
        bench.repository.tag("2", bench.repository.resolve("1"))
        assert ("app", "2") in bench.honest.manifests

    def test_a_reset_before_the_answer_ends(self, bench: Bench) -> None:
        bench.on("GET", "manifests", Reply(200, (("Content-Type", mediatype.OCI_MANIFEST),), b"{" * 500, cut=100))
        assert bench.repository.resolve("1") == bench.root

    def test_nobody_listens(self) -> None:
        with Scripted(HonestRegistry()) as server:
            host = server.host
        with Registry(host, replace(PLAIN, limits=LIMITS)) as registry, pytest.raises(NetworkError, match="neither"):
            registry.repository("app").resolve("1")

    def test_nobody_listens_where_tls_is_a_must(self) -> None:
        with Scripted(HonestRegistry()) as server:
            host = server.host
        settings = Settings(limits=LIMITS, proxies={})
        with Registry(host, settings) as registry, pytest.raises(NetworkError, match="refused"):
            registry.repository("app").resolve("1")


class TestBodies:
    def test_reset_in_mid_body_goes_on_by_range(self, bench: Bench) -> None:
        bench.on("GET", "blobs", Reply(200, (), LAYER, cut=250_000))
        assert read_blob(bench) == LAYER
        (resumed,) = [request.headers["range"] for request in bench.server.seen if "range" in request.headers]
        assert 250_000 - (64 << 10) <= int(resumed.removeprefix("bytes=").removesuffix("-")) <= 250_000
        assert "going on from byte" in bench.notes[0]

    def test_range_ignored_starts_from_zero_and_yields_nothing_twice(self, bench: Bench) -> None:
        bench.on("GET", "blobs", Reply(200, (), LAYER, cut=250_000), Reply(200, (), LAYER))
        assert read_blob(bench) == LAYER

    def test_resets_for_ever(self, bench: Bench) -> None:
        bench.always("GET", "blobs", Reply(200, (), LAYER, cut=1000))
        with pytest.raises(NetworkError):
            read_blob(bench)
        assert bench.server.count("GET", "blobs") == LIMITS.attempts

    def test_resets_after_no_progress_at_all(self, bench: Bench) -> None:
        bench.always("GET", "blobs", Reply(206, (("Content-Range", f"bytes 0-{len(LAYER) - 1}/*"),), LAYER, cut=0))
        with pytest.raises(NetworkError):
            read_blob(bench)

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param("bytes 0-599999/600000", id="from-the-start"),
            pytest.param("bytes 262143-599999/600000", id="one-too-early"),
            pytest.param("bytes 262145-599999/600000", id="one-too-late"),
            pytest.param("items 262144-599999/600000", id="another-unit"),
            pytest.param("", id="empty"),
        ],
    )
    def test_wrong_content_range(self, bench: Bench, said: str) -> None:
        bench.on(
            "GET",
            "blobs",
            Reply(206, (("Content-Range", said),), LAYER[262_144:]),
        )
        with (
            pytest.raises(ProtocolError, match="bytes from 262144"),
            closing(bench.repository.fetch_from(bench.layer, 262_144)) as chunks,
        ):
            next(chunks)

    def test_416_in_the_middle(self, bench: Bench) -> None:
        bench.on("GET", "blobs", Reply(200, (), LAYER, cut=250_000), Reply(416))
        with pytest.raises(DigestError, match="no byte"):
            read_blob(bench)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply(200, (), LAYER[:-1]), id="short-and-says-so"),
            pytest.param(Reply(200, (), b""), id="empty"),
            pytest.param(Reply(200, (), LAYER + b"x"), id="one-byte-long"),
            pytest.param(Reply(200, (), bytes(len(LAYER))), id="other-bytes"),
            pytest.param(Reply(200, (), LAYER[:-1] + b"x"), id="last-byte-wrong"),
        ],
    )
    def test_wrong_bodies(self, bench: Bench, reply: Reply) -> None:
        bench.always("GET", "blobs", reply)
        with pytest.raises(DigestError):
            read_blob(bench)

    def test_short_body_under_the_right_length(self, bench: Bench) -> None:
        bench.on("GET", "blobs", Reply(200, (), LAYER[:1000], length=len(LAYER)))
        assert read_blob(bench) == LAYER

    def test_short_body_without_a_length(self, bench: Bench) -> None:
        bench.on("GET", "blobs", Reply(200, (), LAYER[:1000], length=-1))
        assert read_blob(bench) == LAYER

    def test_endless_body_is_cut_off(self, bench: Bench) -> None:
        bench.always("GET", "blobs", Reply(200, (), itertools.repeat(b"x" * 65536)))
        with closing(bench.repository.fetch(bench.layer)) as chunks:
            assert sum(len(chunk) for chunk in chunks) == len(LAYER) + 1

    def test_a_range_that_comes_in_pieces(self, bench: Bench) -> None:
        pieces = [
            Reply(206, (("Content-Range", f"bytes {n}-{n + 99_999}/600000"),), LAYER[n : n + 100_000])
            for n in (400_000, 500_000)
        ]
        bench.on("GET", "blobs", *pieces)
        with closing(bench.repository.fetch_from(bench.layer, 400_000)) as chunks:
            assert b"".join(bytes(chunk) for chunk in chunks) == LAYER[400_000:]

    def test_slow_drip(self, bench: Bench) -> None:
        bench.always("GET", "blobs", Reply(200, (), LAYER, pause=0.02))
        registry = Registry(bench.server.host, IMPATIENT)
        with registry, pytest.raises(NetworkError, match="bytes per second"):
            read(registry.repository("app"), bench.layer)
        assert bench.server.count("GET", "blobs") == 2

    def test_slow_drip_of_a_small_answer(self, bench: Bench) -> None:
        bench.always("GET", "tags", Reply(200, (), b'{"tags": []}' + b" " * 1000, pause=0.05))
        registry = Registry(bench.server.host, IMPATIENT)
        with registry, pytest.raises(NetworkError, match="bytes per second"):
            registry.repository("app").tags()

    def test_slow_drip_of_the_head(self, bench: Bench) -> None:
        bench.server.drip_head = 0.1
        limits = replace(IMPATIENT.limits, answer=0.5)
        with Registry(bench.server.host, replace(IMPATIENT, limits=limits)) as registry:
            registry.check()
            with pytest.raises(NetworkError, match="no answer in time"):
                registry.repository("app").tags()

    def test_no_answer(self, bench: Bench) -> None:
        gate = threading.Event()
        bench.spoil = lambda request: Reply(503) if "tags" in request.path and gate.wait(3) else None
        registry = Registry(bench.server.host, replace(IMPATIENT, limits=replace(IMPATIENT.limits, read=0.3)))
        with registry, pytest.raises(NetworkError, match="no answer in time"):
            registry.repository("app").tags()
        gate.set()
        assert bench.server.count("GET", "tags") == 2

    @pytest.mark.parametrize("part", ["manifests", "blobs"])
    def test_gzip_content_encoding(self, bench: Bench, part: str) -> None:
        bench.always("GET", part, Reply(200, (("Content-Encoding", "gzip"),), b"\x1f\x8b"))
        with pytest.raises(ProtocolError, match="gzip"):
            read_blob(bench) if part == "blobs" else bench.repository.resolve("1")

    def test_every_request_asks_for_identity(self, bench: Bench) -> None:
        bench.repository.resolve("1")
        read_blob(bench)
        assert {request.headers["accept-encoding"] for request in bench.server.seen} == {"identity"}
        assert all(request.headers["user-agent"].startswith("bundler/") for request in bench.server.seen)


def read_blob(bench: Bench) -> bytes:
    with closing(bench.repository.fetch(bench.layer)) as chunks:
        return b"".join(bytes(chunk) for chunk in verified(bench.layer, chunks))


class TestManifests:
    def serve(self, bench: Bench, raw: bytes, media_type: str = mediatype.OCI_MANIFEST, *more: tuple[str, str]) -> None:
        bench.always("GET", "manifests", Reply(200, (("Content-Type", media_type), *more), raw))

    def good(self) -> dict[str, object]:
        blob = {"mediaType": "x", "digest": str(digest_of(b"")), "size": 0}
        return {"schemaVersion": 2, "mediaType": mediatype.OCI_MANIFEST, "config": blob, "layers": []}

    def test_the_good_one(self, bench: Bench) -> None:
        raw = json.dumps(self.good()).encode()
        self.serve(bench, raw, f"{mediatype.OCI_MANIFEST}; charset=utf-8")
        assert bench.repository.resolve("1").digest == digest_of(raw)

    def test_no_content_type(self, bench: Bench) -> None:
        raw = json.dumps(self.good()).encode()
        bench.always("GET", "manifests", Reply(200, (), raw))
        assert bench.repository.resolve("1").media_type == mediatype.OCI_MANIFEST

    def test_wrong_digest_header(self, bench: Bench) -> None:
        claimed = str(digest_of(b"another"))
        self.serve(bench, json.dumps(self.good()).encode(), mediatype.OCI_MANIFEST, ("Docker-Content-Digest", claimed))
        with pytest.raises(DigestError, match=claimed):
            bench.repository.resolve("1")

    def test_malformed_digest_header(self, bench: Bench) -> None:
        self.serve(bench, json.dumps(self.good()).encode(), mediatype.OCI_MANIFEST, ("Docker-Content-Digest", "md5:0"))
        with pytest.raises(ProtocolError, match="Docker-Content-Digest"):
            bench.repository.resolve("1")

    def test_wrong_content_for_a_digest(self, bench: Bench) -> None:
        self.serve(bench, json.dumps(self.good()).encode())
        with pytest.raises(DigestError):
            bench.repository.resolve(digest_of(b"another"))

    def test_wrong_content_when_fetched(self, bench: Bench) -> None:
        self.serve(bench, bytes(bench.root.size))
        with pytest.raises(DigestError):
            read(bench.repository, bench.root)

    @pytest.mark.parametrize(
        "size", [pytest.param((4 << 20) + 1, id="one-too-many"), pytest.param(64 << 20, id="oversize")]
    )
    def test_oversize(self, bench: Bench, size: int) -> None:
        self.serve(bench, b" " * size)
        with pytest.raises(LimitError):
            bench.repository.resolve("1")

    def test_endless(self, bench: Bench) -> None:
        kind = (("Content-Type", mediatype.OCI_MANIFEST),)
        bench.always("GET", "manifests", Reply(200, kind, itertools.repeat(b" " * 65536)))
        with pytest.raises(LimitError):
            bench.repository.resolve("1")

    def test_layers_and_manifests(self, bench: Bench) -> None:
        self.serve(bench, json.dumps({**self.good(), "manifests": []}).encode())
        with pytest.raises(ProtocolError, match="both"):
            bench.repository.resolve("1")

    def test_content_type_mismatch(self, bench: Bench) -> None:
        self.serve(bench, json.dumps(self.good()).encode(), mediatype.DOCKER_MANIFEST)
        with pytest.raises(ProtocolError, match="mediaType"):
            bench.repository.resolve("1")

    def test_schema_1(self, bench: Bench) -> None:
        self.serve(bench, b"{}", mediatype.DOCKER_SCHEMA1_SIGNED)
        root = bench.repository.resolve("1")
        with pytest.raises(UnsupportedError, match="schema 1"):
            parse_manifest(read(bench.repository, root), root.media_type, what="app:1")

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b'{"schemaVersion":2,"config":{},"Config":{}}', id="case-folded-keys"),
            pytest.param('{"schemaVersion":2,"layers":[],"layer\u017f":[]}'.encode(), id="long-s-folds-to-s"),
            pytest.param(b'{"schemaVersion":2,"layers":[],"layers":[]}', id="duplicate-keys"),
            pytest.param(b'{"schemaVersion":2} x', id="trailing-data"),
            pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
            pytest.param(b"<html>", id="html"),
        ],
    )
    def test_ambiguous_json(self, bench: Bench, raw: bytes) -> None:
        self.serve(bench, raw)
        with pytest.raises(ProtocolError):
            bench.repository.resolve("1")


class TestRedirects:
    def redirect(self, location: str, status: int = 307) -> Reply:
        return Reply(status, (("Location", location),))

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_to_another_origin_goes_without_credentials(self, bench: Bench, elsewhere: Scripted, status: int) -> None:
        def spoil(request: Request) -> Reply | None:
            if "authorization" not in request.headers:
                return Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
            return self.redirect(f"{elsewhere.url}/store?signed=1", status) if "blobs" in request.path else None

        bench.spoil = spoil
        assert read(bench.with_credentials(), bench.layer) == LAYER
        (request,) = elsewhere.seen
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers

    def test_back_to_the_registry_goes_without_credentials_too(self, bench: Bench, elsewhere: Scripted) -> None:
        elsewhere.app = lambda request: self.redirect(f"{bench.server.url}/v2/app/back")

        def spoil(request: Request) -> Reply | None:
            if request.path.endswith("/back"):
                return Reply(200, (), LAYER)
            if "authorization" not in request.headers:
                return Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
            return self.redirect(f"{elsewhere.url}/x") if "blobs" in request.path else None

        bench.spoil = spoil
        assert read(bench.with_credentials(), bench.layer) == LAYER
        assert "authorization" not in bench.server.seen[-1].headers

    def test_within_the_registry_keeps_credentials(self, bench: Bench) -> None:
        def spoil(request: Request) -> Reply | None:
            if "authorization" not in request.headers:
                return Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
            if "/elsewhere/" in request.path:
                return Reply(200, (), LAYER)
            return self.redirect("/elsewhere/blob") if "blobs" in request.path else None

        bench.spoil = spoil
        assert read(bench.with_credentials(), bench.layer) == LAYER

    def test_loop(self, bench: Bench) -> None:
        bench.spoil = lambda request: self.redirect(request.path)
        with pytest.raises(ProtocolError, match="more than 5 redirects"):
            bench.repository.resolve("1")
        assert len(bench.server.seen) == 6

    @pytest.mark.parametrize(
        "location",
        [
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "gopher://127.0.0.1/x",
            "https://u:p@127.0.0.1/",
            "http://[::1",
            "\\\\host\\x",
        ],
    )
    def test_to_what_is_no_web_page(self, bench: Bench, location: str) -> None:
        bench.always("GET", "manifests", self.redirect(location))
        with pytest.raises(ProtocolError):
            bench.repository.resolve("1")

    def test_without_location(self, bench: Bench) -> None:
        bench.always("GET", "manifests", Reply(307))
        with pytest.raises(ProtocolError, match="without a Location"):
            bench.repository.resolve("1")

    @pytest.mark.parametrize(("method", "part"), [("POST", "uploads"), ("PUT", "manifests"), ("DELETE", "manifests")])
    def test_of_writes_is_refused(self, bench: Bench, elsewhere: Scripted, method: str, part: str) -> None:
        root = bench.repository.resolve("1")
        bench.always(method, part, self.redirect(f"{elsewhere.url}/x"))
        with pytest.raises(ProtocolError, match="is redirected"):
            if method == "POST":
                bench.repository.push(bench.layer, iter([LAYER]))
            elif method == "PUT":
                bench.repository.tag("2", root)
            else:
                bench.repository.delete(root.digest)
        assert not elsewhere.seen

    def test_http_downgrade(self, tmp_path: Path, elsewhere: Scripted) -> None:
        authority = Authority.create(tmp_path / "ca")
        app: App = lambda request: self.redirect(f"{elsewhere.url}/x")  # noqa: E731 - a one-line app
        settings = Settings(ca=authority.ca, limits=LIMITS, proxies={}, home=tmp_path)
        with (
            Scripted(app, tls=server_tls(authority, tmp_path)) as server,
            Registry(server.host, settings) as registry,
            pytest.raises(ProtocolError, match="from https to http"),
        ):
            registry.repository("app").resolve("1")
        assert not elsewhere.seen

    def test_from_a_public_registry_into_the_site(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        from bundler.transports.docker import connections

        with Scripted(lambda request: Reply(200, (), b"metadata")) as inside:
            bench.always("GET", "manifests", self.redirect(f"http://localhost:{inside.host.partition(':')[2]}/latest"))
            with monkeypatch.context() as patch:
                patch.setattr(connections.Connections, "_see_registry", lambda self, address: None)
                with pytest.raises(ProtocolError, match="loopback address; refused"):
                    bench.repository.resolve("1")
            assert not inside.seen


class TestTLS:
    def test_plain_http_is_never_tried_unasked(self) -> None:
        with (
            Scripted(HonestRegistry()) as server,
            Registry(server.host, Settings(limits=LIMITS, proxies={})) as registry,
        ):
            with pytest.raises(NetworkError, match="TLS") as caught:
                registry.repository("app").resolve("1")
            assert "--tls-verify=false" in caught.value.hint
            assert not server.seen

    def test_untrusted_certificate_is_not_retried(self, tmp_path: Path) -> None:
        authority = Authority.create(tmp_path / "ca")
        settings = Settings(limits=LIMITS, proxies={}, home=tmp_path)
        notes: list[object] = []
        with (
            Scripted(HonestRegistry(), tls=server_tls(authority, tmp_path)) as server,
            Registry(server.host, settings, notes.append) as registry,
        ):
            with pytest.raises(ConfigError, match="TLS") as caught:
                registry.repository("app").resolve("1")
            assert "--cert-dir" in caught.value.hint
        assert not notes

    def test_certificate_of_another_host(self, tmp_path: Path) -> None:
        authority = Authority.create(tmp_path / "ca")
        settings = Settings(ca=authority.ca, limits=LIMITS, proxies={}, home=tmp_path)
        tls = server_tls(authority, tmp_path, hosts=("registry.example.com",))
        with (
            Scripted(HonestRegistry(), tls=tls) as server,
            Registry(server.host, settings) as registry,
            pytest.raises(ConfigError, match="TLS"),
        ):
            registry.repository("app").resolve("1")

    def test_unverified_where_asked(self, tmp_path: Path) -> None:
        honest = HonestRegistry()
        root = honest.add_image("app", "1")
        tls = server_tls(Authority.create(tmp_path / "ca"), tmp_path)
        with Scripted(honest, tls=tls) as server, Registry(server.host, PLAIN) as registry:
            assert registry.repository("app").resolve("1") == root

    def test_verified_with_the_site_ca(self, tmp_path: Path) -> None:
        honest, authority = HonestRegistry(), Authority.create(tmp_path / "ca")
        root = honest.add_image("app", "1", [LAYER])
        settings = Settings(cert_dir=authority.cert_dir, limits=LIMITS, proxies={}, home=tmp_path)
        with (
            Scripted(honest, tls=server_tls(authority, tmp_path)) as server,
            Registry(server.host, settings) as registry,
        ):
            repository = registry.repository("app")
            assert repository.resolve("1") == root
            assert read(repository, Descriptor("x", digest_of(LAYER), len(LAYER))) == LAYER

    def test_reset_over_tls_goes_on_by_range(self, tmp_path: Path) -> None:
        honest, authority = HonestRegistry(), Authority.create(tmp_path / "ca")
        want = honest.add_blob("app", LAYER)
        cuts = [Reply(200, (), LAYER, cut=250_000)]
        app: App = lambda request: cuts.pop() if cuts and "blobs" in request.path else honest(request)  # noqa: E731
        settings = Settings(cert_dir=authority.cert_dir, limits=LIMITS, proxies={}, home=tmp_path)
        with (
            Scripted(app, tls=server_tls(authority, tmp_path)) as server,
            Registry(server.host, settings) as registry,
        ):
            assert read(registry.repository("app"), want) == LAYER


class TestLists:
    def test_endless_tag_pagination(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bundler.transports.docker.pages.MAX_PAGES", 20)
        numbers = itertools.count()
        bench.spoil = lambda request: reply_json(
            {"tags": [f"t{next(numbers)}"]}, 200, ("Link", f'</v2/app/tags/list?n={next(numbers)}>; rel="next"')
        )
        with pytest.raises(LimitError, match="20 pages"):
            bench.repository.tags()
        assert len(bench.server.seen) == 20

    def test_tag_pages_in_a_circle(self, bench: Bench) -> None:
        bench.spoil = lambda request: reply_json({"tags": []}, 200, ("Link", '</v2/app/tags/list?n=1>; rel="next"'))
        with pytest.raises(ProtocolError, match="circle"):
            bench.repository.tags()
        assert len(bench.server.seen) == 2

    def test_link_to_another_origin(self, bench: Bench, elsewhere: Scripted) -> None:
        link = ("Link", f'<{elsewhere.url}/v2/app/tags/list?last=1>; rel="next"')
        bench.spoil = lambda request: reply_json({"tags": ["1"]}, 200, link)
        with pytest.raises(ProtocolError, match="another origin"):
            bench.repository.tags()
        assert not elsewhere.seen

    @pytest.mark.parametrize("tags", [["../../etc/passwd"], ["a b"], ["\u202etxt"], [""], [5], "latest", ["x" * 129]])
    def test_tags_outside_the_grammar(self, bench: Bench, tags: object) -> None:
        bench.spoil = lambda request: reply_json({"tags": tags})
        with pytest.raises(ProtocolError):
            bench.repository.tags()

    def test_tags_with_case_folded_keys(self, bench: Bench) -> None:
        bench.spoil = lambda request: reply_json({"tags": ["1"], "Tags": ["2"]})
        with pytest.raises(ProtocolError, match="Tags"):
            bench.repository.tags()

    def test_oversize_tag_list(self, bench: Bench) -> None:
        bench.spoil = lambda request: Reply(200, (), b'{"tags": [' + b" " * (4 << 20) + b"]}")
        with pytest.raises(LimitError):
            bench.repository.tags()

    def test_referrers_that_are_no_index(self, bench: Bench) -> None:
        bench.spoil = lambda request: reply_json({"schemaVersion": 2, "layers": []})
        with pytest.raises(ProtocolError):
            bench.repository.referrers(bench.root.digest)

    def test_referrers_tag_that_is_an_image(self, bench: Bench) -> None:
        bench.honest.referrers_api = False
        bench.honest.add_image("app", bench.root.digest.replace(":", "-"))
        with pytest.raises(ProtocolError, match="no OCI index"):
            bench.repository.referrers(bench.root.digest)


class TestUploads:
    WANT = Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(pattern(400_000, 3)), 400_000)

    def memory(self) -> Memory:
        memory = Memory()
        memory.put(pattern(400_000, 3), mediatype.OCI_LAYER_GZIP)
        return memory

    @pytest.mark.parametrize("size", [pytest.param(100, id="small"), pytest.param(400_000, id="streamed")])
    def test_location_on_another_origin(self, bench: Bench, elsewhere: Scripted, size: int) -> None:
        bench.always("POST", "uploads", Reply(202, (("Location", f"{elsewhere.url}/upload"),)))
        raw = pattern(size)
        with pytest.raises(ProtocolError, match="another origin"):
            bench.repository.push(Descriptor("x", digest_of(raw), size), iter([raw]))
        assert not elsewhere.seen

    def test_location_on_another_origin_after_patch(self, bench: Bench, elsewhere: Scripted) -> None:
        bench.always("PATCH", "uploads", Reply(202, (("Location", f"{elsewhere.url}/upload"),)))
        with pytest.raises(ProtocolError, match="another origin"):
            copy(Job(self.memory(), bench.repository, self.WANT))
        assert not elsewhere.seen

    def test_no_location(self, bench: Bench) -> None:
        bench.always("POST", "uploads", Reply(202))
        with pytest.raises(ProtocolError, match="Location"):
            copy(Job(self.memory(), bench.repository, self.WANT))

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(reply_error(404, "BLOB_UPLOAD_UNKNOWN"), id="404"),
            pytest.param(reply_error(400, "BLOB_UPLOAD_INVALID"), id="400-upload-invalid"),
            pytest.param(Reply(416), id="416"),
            pytest.param(Reply(410), id="410"),
            pytest.param(Reply(502), id="502"),
            pytest.param(Reply(201, (), b"x" * 50, cut=10), id="reset"),
        ],
    )
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_lost_session_starts_over(self, bench: Bench, reply: Reply, method: str) -> None:
        bench.on(method, "uploads", reply)
        copy(Job(self.memory(), bench.repository, self.WANT), observer=bench.observe)
        assert bench.honest.blobs["app", self.WANT.digest] == pattern(400_000, 3)

    def test_lost_session_for_ever(self, bench: Bench) -> None:
        bench.always("PATCH", "uploads", reply_error(404, "BLOB_UPLOAD_UNKNOWN"))
        with pytest.raises(UploadLostError, match="BLOB_UPLOAD_UNKNOWN"):
            copy(Job(self.memory(), bench.repository, self.WANT))
        assert bench.server.count("PATCH", "uploads") == 4

    def test_lost_session_of_a_small_blob(self, bench: Bench) -> None:
        bench.on("PUT", "uploads", reply_error(404, "BLOB_UPLOAD_UNKNOWN"))
        memory = Memory()
        want = memory.put(b"small", mediatype.OCI_LAYER_GZIP)
        copy(Job(memory, bench.repository, want))
        assert ("app", want.digest) in bench.honest.blobs
        assert bench.server.count("POST", "uploads") == 2

    def test_busy_in_the_middle_waits_as_told(self, bench: Bench, no_sleep: list[float]) -> None:
        bench.on("PATCH", "uploads", Reply(503, (("Retry-After", "1"),)))
        copy(Job(self.memory(), bench.repository, self.WANT))
        assert no_sleep == [1]

    @pytest.mark.parametrize(
        ("reply", "hint"),
        [
            pytest.param(reply_error(400, "DIGEST_INVALID"), "log", id="digest-invalid"),
            pytest.param(Reply(413), "limits the size", id="too-large-for-a-proxy"),
            pytest.param(reply_error(405, "UNSUPPORTED"), "read-only", id="read-only"),
        ],
    )
    def test_refused_blobs(self, bench: Bench, reply: Reply, hint: str) -> None:
        bench.always("PATCH", "uploads", reply)
        with pytest.raises(PushError) as caught:
            copy(Job(self.memory(), bench.repository, self.WANT))
        assert hint in caught.value.hint
        assert bench.server.count("PATCH", "uploads") == 1

    def test_a_registry_that_stops_reading_gets_no_commit(self, bench: Bench) -> None:
        """It answers before it has everything: what verifies the content was not heard yet."""
        raw = pattern(12 * CHUNK, 5)
        want = Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(raw), len(raw))
        gate = threading.Event()

        def content() -> Iterator[bytes]:
            yield raw[:CHUNK]
            gate.wait(2)
            for start in range(CHUNK, len(raw), CHUNK):
                yield raw[start : start + CHUNK]

        with Scripted(bench.honest) as server, Registry(server.host, PLAIN) as registry:
            server.answer_early = gate
            with pytest.raises(UploadLostError):
                registry.repository("app").push(want, content())
            assert server.count("PUT", "uploads") == 0

    def test_a_session_is_given_up_if_the_content_is_wrong(self, bench: Bench) -> None:
        memory = self.memory()
        memory.contents[self.WANT.digest] = bytes(400_000)
        with pytest.raises(DigestError):
            copy(Job(memory, bench.repository, self.WANT))
        assert bench.server.count("PUT", "") == 0
        assert bench.server.count("DELETE", "uploads") == 1

    def test_mount_declined_uses_the_opened_session(self, bench: Bench) -> None:
        copy(Job(self.memory(), bench.repository, self.WANT, origin="elsewhere"))
        assert bench.server.count("POST", "uploads") == 1
        assert ("app", self.WANT.digest) in bench.honest.blobs

    @pytest.mark.parametrize("status", [400, 403, 404, 405])
    def test_mount_refused_is_a_mount_declined(self, bench: Bench, status: int) -> None:
        bench.on("POST", "uploads", Reply(status))
        copy(Job(self.memory(), bench.repository, self.WANT, origin="elsewhere"))
        assert ("app", self.WANT.digest) in bench.honest.blobs

    def test_mount_from_a_repository_that_may_not_be_read(self, bench: Bench) -> None:
        bench.on("POST", "uploads", Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),)))
        copy(Job(self.memory(), bench.repository, self.WANT, origin="elsewhere"))
        assert ("app", self.WANT.digest) in bench.honest.blobs

    def test_manifest_stored_as_another(self, bench: Bench) -> None:
        said = ("Docker-Content-Digest", str(digest_of(b"another")))
        bench.always("PUT", "manifests", Reply(201, (said,)))
        with pytest.raises(ProtocolError, match="another manifest"):
            bench.repository.tag("2", bench.repository.resolve("1"))

    @pytest.mark.parametrize("code", ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN"])
    def test_sparse_index_refused(self, bench: Bench, code: str) -> None:
        bench.always("PUT", "manifests", reply_error(400, code))
        root = bench.repository.resolve("1")
        with pytest.raises(PushError, match=rf"^push to 127.0.0.1:\d+/app: {code}") as caught:
            bench.repository.push(root, bench.repository.fetch(root))
        assert "`index: keep`" in caught.value.hint

    def test_oversize_manifest_is_not_even_read(self, bench: Bench) -> None:
        with pytest.raises(LimitError):
            bench.repository.push(Descriptor(mediatype.OCI_INDEX, digest_of(b""), 5 << 20), iter([b""]))

    def test_has_says_no_to_another_size(self, bench: Bench) -> None:
        assert bench.repository.has(bench.layer)
        assert not bench.repository.has(replace(bench.layer, size=5))

    def test_has_that_is_forbidden(self, bench: Bench) -> None:
        bench.always("HEAD", "blobs", Reply(403))
        with pytest.raises(AuthError):
            bench.repository.has(bench.layer)

    def test_has_redirected_to_a_store_that_forbids_head(self, bench: Bench, elsewhere: Scripted) -> None:
        elsewhere.app = lambda request: Reply(403)
        bench.always("HEAD", "blobs", Reply(307, (("Location", f"{elsewhere.url}/x"),)))
        assert not bench.repository.has(bench.layer)


def test_secrets_are_in_no_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    bench.always("GET", "manifests", Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),)))
    with pytest.raises(AuthError):
        bench.with_credentials().resolve("1")
    assert "hunter2" not in caplog.text
    assert "YW5uOmh1bnRlcjI" not in caplog.text


def test_events_other_than_notes_are_not_sent(bench: Bench) -> None:
    seen: list[object] = []
    with Registry(bench.server.host, PLAIN, seen.append) as registry:
        read(registry.repository("app"), bench.layer)
    assert not any(isinstance(event, Moved | Planned) for event in seen)


ENDLESS = ("tags", "referrers", "catalog")


def ask_for(bench: Bench, kind: str) -> object:
    if kind == "catalog":
        return bench.registry.catalog()
    return bench.repository.tags() if kind == "tags" else bench.repository.referrers(bench.root.digest)


def page_of(kind: str, start: int, count: int) -> object:
    if kind == "referrers":
        numbers = range(start, start + count)
        listed = [{"mediaType": mediatype.OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in numbers]
        return {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": listed}
    return {"tags" if kind == "tags" else "repositories": [f"n{n}" for n in range(start, start + count)]}


@pytest.mark.parametrize("kind", ENDLESS)
class TestListsWithoutAnEnd:
    @pytest.fixture
    def endless(self, bench: Bench, kind: str) -> Callable[[int, int], None]:
        def start(count: int, padding: int) -> None:
            numbers = itertools.count()

            def spoil(request: Request) -> Reply:
                n = next(numbers)
                following = ("Link", f'<{request.path}?last={n}>; rel="next"')
                return Reply(200, (following,), json.dumps(page_of(kind, n * count, count)).encode() + b" " * padding)

            bench.spoil = spoil

        return start

    def test_of_entries(
        self, bench: Bench, kind: str, endless: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "MAX_ENTRIES", 1000)
        endless(300, 0)
        with pytest.raises(LimitError, match=rf"{bench.server.host}.*: a list of more than 1000 entries"):
            ask_for(bench, kind)
        assert len(bench.server.seen) == 4

    def test_of_bytes(self, bench: Bench, kind: str, endless: Callable[[int, int], None]) -> None:
        endless(1, 4_000_000)
        with pytest.raises(LimitError, match=rf"{bench.server.host}.*: a list of more than 16 MiB"):
            ask_for(bench, kind)
        assert len(bench.server.seen) == 5


def test_20000_tags_are_taken(bench: Bench) -> None:
    names = [f"{'v' * 100}{n:028}"[-128:] for n in range(20_000)]
    bench.always("GET", "tags", reply_json({"tags": names}))
    assert bench.repository.tags() == names


@pytest.mark.parametrize(
    ("length", "told"),
    [
        pytest.param("-5", "a chunk of impossible length", id="below-zero"),
        pytest.param("f" * 20, "the connection broke", id="beyond-counting"),
        pytest.param("x", "the connection broke", id="no-number"),
    ],
)
def test_a_chunk_of_impossible_length(length: str, told: str) -> None:
    """Whatever the number says, it is a broken answer and no fault of ours."""
    bad = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length}\r\nxxxxx\r\n0\r\n\r\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve() -> None:
            server.settimeout(0.05)
            while not ended.is_set():
                with suppress(OSError), server.accept()[0] as peer:
                    peer.settimeout(1)
                    if peer.recv(1, socket.MSG_PEEK) != b"\x16":  # TLS is not spoken here
                        peer.recv(65536)
                        peer.sendall(bad)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            host = f"127.0.0.1:{server.getsockname()[1]}"
            with (
                Registry(host, PLAIN) as registry,
                pytest.raises(NetworkError, match=told),
            ):
                registry.repository("app").resolve("1")
        finally:
            ended.set()
            thread.join()


class TestCredentialsInTheOpen:
    TEXT = "over plain HTTP, readable by anyone on the way"

    def test_are_told_once_per_registry(self, bench: Bench) -> None:
        basic = Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
        bench.spoil = lambda request: None if "authorization" in request.headers else basic
        for path in ("app", "other"):
            with suppress(NotFoundError):
                bench.registry.repository(path, ANN).resolve("1")
        assert bench.notes == [f"credentials go to {bench.server.host} {self.TEXT}"]

    def test_a_token_host_is_told_too(self, bench: Bench) -> None:
        with Scripted(lambda request: reply_json({"token": "t"})) as tokens:
            bearer = Reply(401, (("WWW-Authenticate", f'Bearer realm="{tokens.url}/token",service="s"'),))
            bench.spoil = lambda request: None if "authorization" in request.headers else bearer
            bench.with_credentials().resolve("1")
        assert bench.notes == [f"credentials go to {tokens.host} {self.TEXT}"]

    def test_without_credentials_nothing_is_told(self, bench: Bench) -> None:
        with Scripted(lambda request: reply_json({"token": "t"})) as tokens:
            bearer = Reply(401, (("WWW-Authenticate", f'Bearer realm="{tokens.url}/token",service="s"'),))
            bench.spoil = lambda request: None if "authorization" in request.headers else bearer
            bench.repository.resolve("1")
        assert bench.notes == []

    def test_over_tls_nothing_is_told(self, tmp_path: Path, authority: Authority) -> None:
        honest = HonestRegistry()
        honest.add_image("app", "1")
        basic = Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
        notes: list[object] = []

        def app(request: Request) -> Reply:
            return honest(request) if "authorization" in request.headers else basic

        with (
            Scripted(app, tls=server_tls(authority, tmp_path)) as server,
            Registry(server.host, replace(PLAIN, credentials=ANN), notes.append) as registry,
        ):
            registry.repository("app").resolve("1")
        assert notes == []


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(
            Reply(200, (("Content-Type", "application/vnd.docker.distribution.manifest.v1+json"),), b"{}"),
            id="schema-1",
        ),
        pytest.param(Reply(200, (("Content-Type", mediatype.OCI_MANIFEST),), b'{"schemaVersion":2}'), id="no-config"),
        pytest.param(
            Reply(200, (("Docker-Content-Digest", "sha256:" + "0" * 64),), b'{"schemaVersion":2,"config":{}}'),
            id="wrong-digest",
        ),
        pytest.param(Reply(200, (), b" " * ((4 << 20) + 1)), id="too-large"),
    ],
)
def test_a_bad_manifest_under_a_tag_does_not_keep_a_push_out(bench: Bench, spoilt: Reply) -> None:
    bench.always("GET", "/v2/app/manifests/1", spoilt)
    memory = Memory()
    config = memory.put(b"{}", mediatype.OCI_CONFIG)
    root = memory.put(json.dumps(image_of(config, [])).encode(), mediatype.OCI_MANIFEST)
    with ThreadPoolExecutor(1) as executor:
        done = deliver(
            lambda _: memory,
            [Shipment("near/app:1", root, "app", "1")],
            bench.registry.repository,
            order={},
            check=lambda: None,
            executor=executor,
        )
    assert len(done.delivered) == 1
    assert bench.honest.manifests["app", "1"][1] == memory.contents[root.digest]
