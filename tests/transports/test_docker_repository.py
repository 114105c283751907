"""A repository at an honest registry: the suites of every Source and Target, and what is its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bundler.content import CHUNK, Job, Mounter, Outcome, Ranged, Referred, Source, Tagged, copy, copy_all, read
from bundler.errors import ConfigError, NotFoundError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.transports.docker import recent as module
from bundler.transports.docker import upload
from bundler.transports.docker.rate_limit import RateLimit
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.repository import Repository
from tests.hostile.scripted import PLAIN, HonestRegistry, Reply, Request, Scripted, pattern
from tests.images import Image, parts_of
from tests.memory import Memory
from tests.suites import OpenSource, SourceSuite, TargetSuite


@pytest.fixture
def honest() -> HonestRegistry:
    return HonestRegistry()


@pytest.fixture
def server(honest: HonestRegistry) -> Iterator[Scripted]:
    with Scripted(honest) as server:
        yield server


@pytest.fixture
def registry(server: Scripted) -> Iterator[Registry]:
    with Registry(server.host, PLAIN) as registry:
        yield registry


def fill(honest: HonestRegistry, images: Mapping[str, Image]) -> None:
    """Put images in behind the client's back."""
    for held in parts_of(images):
        if held.descriptor.is_manifest:
            honest.manifests["app", held.descriptor.digest] = (held.descriptor.media_type, held.raw)
        else:
            honest.blobs["app", held.descriptor.digest] = held.raw
    for name, image in images.items():
        honest.manifests["app", name] = (image.root.media_type, image.raw)


class TestIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, honest: HonestRegistry, registry: Registry) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Source:
            fill(honest, images)
            return registry.repository("app")

        return opened


class TestIsATarget(TargetSuite):
    """Its contents are small, and so are sent with the PUT."""

    @pytest.fixture
    def target(self, registry: Registry) -> Repository:
        return registry.repository("app")


class TestIsAStreamingTarget(TargetSuite):
    """The same by POST, PATCH and PUT."""

    @pytest.fixture
    def target(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Repository:
        monkeypatch.setattr(upload, "SMALL", -1)
        return registry.repository("app")


def test_powers(registry: Registry) -> None:
    repository = registry.repository("app")
    for power in (Ranged, Mounter, Tagged, Referred):
        assert isinstance(repository, power)


def test_one_get_per_image(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    honest.add_image("app", "1")
    repository = registry.repository("app")
    root = repository.resolve("1")
    assert read(repository, root) == honest.manifests["app", "1"][1]
    assert [(request.method, request.path) for request in server.seen] == [("GET", "/v2/app/manifests/1")]


def test_kept_manifests_are_bounded(
    server: Scripted, honest: HonestRegistry, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 1000)
    roots = [honest.add_image("app", str(n), [bytes([n])]) for n in range(5)]
    repository = registry.repository("app")
    assert [repository.resolve(str(n)) for n in range(5)] == roots
    before = len(server.seen)
    read(repository, roots[4])
    assert len(server.seen) == before
    read(repository, roots[0])
    assert len(server.seen) == before + 1


def test_a_blob_costs_one_get(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    want = honest.add_blob("app", pattern(3 * CHUNK))
    read(registry.repository("app"), want)
    assert [(request.method, request.path) for request in server.seen] == [("GET", f"/v2/app/blobs/{want.digest}")]


def test_a_large_blob_is_pushed_by_post_patch_put(server: Scripted, registry: Registry) -> None:
    memory = Memory()
    want = memory.put(pattern(3 * CHUNK), mediatype.OCI_LAYER_GZIP)
    copy(Job(memory, registry.repository("app"), want))
    assert [request.method for request in server.seen] == ["HEAD", "POST", "PATCH", "PUT"]
    patch = server.seen[2]
    assert patch.headers["content-length"] == str(want.size)
    assert "transfer-encoding" not in patch.headers
    assert patch.query == {"state": ["0"]}
    assert server.seen[3].query == {"state": ["1"], "digest": [want.digest]}


def test_a_small_blob_is_pushed_by_post_put(server: Scripted, registry: Registry) -> None:
    memory = Memory()
    want = memory.put(b"small", mediatype.OCI_LAYER_GZIP)
    copy(Job(memory, registry.repository("app"), want))
    assert [request.method for request in server.seen] == ["HEAD", "POST", "PUT"]


def test_mount(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    want = honest.add_blob("near", pattern(1000))
    outcome = copy(Job(Memory(), registry.repository("far"), want, origin="near"))
    assert outcome is Outcome.MOUNTED
    assert [request.method for request in server.seen] == ["HEAD", "POST"]


def test_tag_without_the_bytes_at_hand(honest: HonestRegistry, registry: Registry) -> None:
    root = honest.add_image("app", "1")
    registry.repository("app").tag("2", root)
    assert honest.manifests["app", "2"] == honest.manifests["app", "1"]


def test_delete(honest: HonestRegistry, registry: Registry) -> None:
    root = honest.add_image("app", "1")
    repository = registry.repository("app")
    repository.delete(root.digest)
    with pytest.raises(NotFoundError):
        repository.resolve("1")


def test_tags_come_in_pages(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    honest.page = 3
    names = [f"v{n}" for n in range(8)]
    for name in names:
        honest.add_image("app", name)
    assert registry.repository("app").tags() == names
    assert len(server.seen) == 3


def test_no_tags(honest: HonestRegistry, server: Scripted, registry: Registry) -> None:
    server.app = lambda request: Reply(200, (), b'{"name": "app", "tags": null}')
    assert registry.repository("app").tags() == []


@pytest.mark.parametrize("api", [True, False])
def test_referrers(honest: HonestRegistry, registry: Registry, api: bool) -> None:
    root = honest.add_image("app", "1")
    about = {"schemaVersion": 2, "config": root.document(), "subject": root.document()}
    referrer = honest.add_manifest("app", about)
    repository = registry.repository("app")
    honest.referrers_api = api
    if not api:
        assert repository.referrers(root.digest) == ()
        index = {"schemaVersion": 2, "manifests": [{**referrer.document(), "artifactType": "application/x"}]}
        honest.add_manifest("app", index, root.digest.replace(":", "-"), mediatype.OCI_INDEX)
    assert [found.digest for found in repository.referrers(root.digest)] == [referrer.digest]


def test_the_referrers_tag_of_a_long_digest(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    honest.referrers_api = False
    assert registry.repository("app").referrers(Digest("sha512:" + "a" * 128)) == ()
    assert server.seen[-1].path == f"/v2/app/manifests/sha512-{'a' * 64}"


def test_rate_limit(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    honest.add_image("app", "1")
    honest.add_image("web", "1")
    left = iter(["50;w=21600", "49;w=21600"])

    def limited(request: Request) -> Reply:
        reply = honest(request)
        said = (("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", next(left)))
        return Reply(reply.status, (*reply.headers, *said), reply.body)

    assert registry.rate_limit is None
    server.app = lambda request: limited(request) if "manifests" in request.path else honest(request)
    registry.repository("app").resolve("1")
    registry.repository("web").resolve("1")
    assert registry.rate_limit == RateLimit(100, 49, 21600)


@pytest.mark.parametrize("name", ["", "../../x", "a b", "sha256:short", "x" * 129])
def test_names_outside_the_grammar_are_not_asked_for(server: Scripted, registry: Registry, name: str) -> None:
    with pytest.raises(ConfigError):
        registry.repository("app").resolve(name)
    with pytest.raises(ConfigError):
        registry.repository("app").tag(name, Descriptor(mediatype.OCI_MANIFEST, digest_of(b""), 0))
    assert not server.seen


def test_ranged_at_the_very_end(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    want = honest.add_blob("app", b"12345")
    with closing(registry.repository("app").fetch_from(want, 5)) as chunks:
        assert list(chunks) == []
    assert not server.seen


def test_ranged_manifest(honest: HonestRegistry, registry: Registry) -> None:
    root = honest.add_image("app", "1")
    with closing(registry.repository("app").fetch_from(root, 10)) as chunks:
        assert b"".join(bytes(chunk) for chunk in chunks) == honest.manifests["app", "1"][1][10:]


def test_many_threads_share_few_connections(server: Scripted, honest: HonestRegistry, registry: Registry) -> None:
    wanted = [honest.add_blob("app", pattern(100_000, n)) for n in range(40)]
    with ThreadPoolExecutor(8) as executor:
        outcomes = copy_all([Job(registry.repository("app"), Memory(), want) for want in wanted], executor=executor)
    assert outcomes == {Outcome.COPIED: 40}
    assert server.connections <= 10
