"""Manifests of schema 1 at a registry, which knows them by another digest; and names that are peeked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.content import read
from bundler.errors import BundlerError, DigestError, NotFoundError, ProtocolError, UnsupportedError
from bundler.medium import Peeking
from bundler.oci import mediatype, schema1
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import parse_manifest
from bundler.oci.schema1 import UNKNOWN_SIZE
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.repository import Repository
from tests.hostile.scripted import PLAIN, HonestRegistry, Reply, Request, Scripted
from tests.schema1 import document, payload_of, signed

LAYER = b"a layer"
VALUE = document([digest_of(LAYER)], [{"os": "linux"}])
RAW = signed(VALUE)
KNOWN = digest_of(payload_of(VALUE))


@pytest.fixture
def honest() -> HonestRegistry:
    return HonestRegistry()


@pytest.fixture
def server(honest: HonestRegistry) -> Iterator[Scripted]:
    with Scripted(honest) as server:
        yield server


@pytest.fixture
def repository(server: Scripted) -> Iterator[Repository]:
    with Registry(server.host, PLAIN) as registry:
        yield registry.repository("app")


def old(
    server: Scripted, raw: bytes = RAW, said: str | None = KNOWN, kind: str = mediatype.DOCKER_SCHEMA1_SIGNED
) -> None:
    """Let the registry hold one manifest of schema 1, by its tag and by the digest that it says."""

    def answer(request: Request) -> Reply:
        if not request.path.endswith(("/1", f"/{said}", f"/{KNOWN}")):
            return Reply(404)
        headers = (("Content-Type", kind), *((("Docker-Content-Digest", said),) if said else ()))
        return Reply(200, headers, raw)

    server.app = answer


@pytest.mark.parametrize("kind", [*sorted(mediatype.SCHEMA1), f"{mediatype.DOCKER_SCHEMA1_SIGNED}; charset=utf-8"])
@pytest.mark.parametrize("said", [KNOWN, None], ids=["with its digest", "without"])
@pytest.mark.parametrize("name", ["1", KNOWN])
def test_resolved(server: Scripted, repository: Repository, kind: str, said: str | None, name: str) -> None:
    old(server, said=said, kind=kind)
    root = repository.resolve(name)
    assert root == Descriptor(kind.partition(";")[0], digest_of(RAW), len(RAW))
    assert read(repository, root) == RAW
    assert schema1.digest(read(repository, root)) == KNOWN


@pytest.mark.parametrize(
    ("raw", "said", "name", "error"),
    [
        pytest.param(RAW, digest_of(RAW), "1", DigestError, id="the digest of the bytes"),
        pytest.param(RAW, digest_of(b"other"), "1", DigestError, id="another digest"),
        pytest.param(signed({**VALUE, "tag": "2"}), None, KNOWN, DigestError, id="another image by digest"),
        pytest.param(RAW, "sha256:short", "1", DigestError, id="no digest"),
        pytest.param(signed(VALUE, formatLength=10**9), None, "1", ProtocolError, id="a payload past the end"),
    ],
)
def test_refused(
    server: Scripted, repository: Repository, raw: bytes, said: str | None, name: str, error: type[BundlerError]
) -> None:
    old(server, raw, said)
    with pytest.raises(error):
        repository.resolve(name)


def test_what_cannot_take_it_says_so(server: Scripted, repository: Repository) -> None:
    old(server)
    root = repository.resolve("1")
    with pytest.raises(UnsupportedError, match="schema 1"):
        parse_manifest(read(repository, root), root.media_type, what="app:1")


def test_schema_1_is_asked_for_last(server: Scripted, honest: HonestRegistry, repository: Repository) -> None:
    honest.add_image("app", "1")
    repository.resolve("1")
    accepted = server.seen[-1].headers["accept"].split(", ")
    assert set(accepted[-2:]) == mediatype.SCHEMA1
    assert set(accepted[:-2]) == mediatype.MANIFESTS | mediatype.INDEXES


def test_a_layer_of_unknown_size(honest: HonestRegistry, repository: Repository) -> None:
    want = honest.add_blob("app", LAYER)
    chunks = repository.fetch(Descriptor(want.media_type, want.digest, UNKNOWN_SIZE))
    assert b"".join(bytes(chunk) for chunk in chunks) == LAYER


# Peeking


def test_one_head(server: Scripted, honest: HonestRegistry, repository: Repository) -> None:
    root = honest.add_image("app", "1")
    assert isinstance(repository, Peeking)
    assert repository.peek("1") == root
    assert [request.method for request in server.seen] == ["HEAD"]


@pytest.mark.parametrize(
    "missing", ["docker-content-digest", "content-type", "content-length"], ids=lambda name: f"no {name}"
)
def test_a_head_that_says_too_little(
    server: Scripted, honest: HonestRegistry, repository: Repository, missing: str
) -> None:
    root = honest.add_image("app", "1")

    def answer(request: Request) -> Reply:
        reply = honest(request)
        if request.method != "HEAD":
            return reply
        headers = tuple(pair for pair in reply.headers if pair[0].lower() != missing)
        return Reply(reply.status, headers, reply.body, length=-1 if missing == "content-length" else None)

    server.app = answer
    assert repository.peek("1") == root
    assert server.count("GET", "/manifests/1") == 1


def test_a_registry_without_head(server: Scripted, honest: HonestRegistry, repository: Repository) -> None:
    root = honest.add_image("app", "1")
    server.app = lambda request: Reply(405) if request.method == "HEAD" else honest(request)
    assert repository.peek("1") == root


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Docker-Content-Digest", "sha256:short"),
        ("Docker-Content-Digest", "md5:" + "a" * 32),
        ("Content-Type", "text/html"),
        ("Content-Length", "-1"),
        ("Content-Length", "0"),
        ("Content-Length", "\u00b2"),
        ("Content-Length", "9" * 40),
    ],
)
def test_a_head_that_makes_no_sense(
    server: Scripted, honest: HonestRegistry, repository: Repository, name: str, value: str
) -> None:
    root = honest.add_image("app", "1")

    def answer(request: Request) -> Reply:
        reply = honest(request)
        if request.method != "HEAD":
            return reply
        return Reply(reply.status, (*((k, v) for k, v in reply.headers if k.lower() != name.lower()), (name, value)))

    server.app = answer
    assert repository.peek("1") == root


def test_a_head_about_another_manifest(server: Scripted, honest: HonestRegistry, repository: Repository) -> None:
    root, other = honest.add_image("app", "1"), honest.add_image("app", "2", [b"other"])

    def answer(request: Request) -> Reply:
        if request.method == "HEAD":
            return honest(Request(**{**request_fields(request), "path": f"/v2/app/manifests/{other.digest}"}))
        return honest(request)

    server.app = answer
    assert repository.peek(root.digest) == root


def request_fields(request: Request) -> dict[str, object]:
    """Everything that a request is made of."""
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def test_schema_1_is_asked_for_whole(server: Scripted, repository: Repository) -> None:
    """The digest of its bytes is not what a HEAD tells."""
    old(server)
    assert repository.peek("1") == Descriptor(mediatype.DOCKER_SCHEMA1_SIGNED, digest_of(RAW), len(RAW))


def test_nothing_there(repository: Repository) -> None:
    with pytest.raises(NotFoundError):
        repository.peek("1")
    with pytest.raises(NotFoundError):
        repository.peek(Digest("sha256:" + "0" * 64))
