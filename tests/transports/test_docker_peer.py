"""Against docker-registry: what a real registry says to what we send."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.content import Held, Job, Outcome, copy, read
from bundler.errors import AuthError, NotFoundError, PushError
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.repository import Repository
from bundler.transports.docker.settings import Settings
from tests.authority import Authority
from tests.images import image, index, layer, parts_of
from tests.memory import Memory
from tests.peers import docker_registry, needs
from tests.suites import TargetSuite
from tests.tokens import TokenServer

pytestmark = needs("docker-registry")
PLAIN = Settings(tls_verify=False, proxies={})
ANN = Credentials("ann", "secret")


def push_image(repository: Repository, tag: str) -> tuple[Memory, list[str]]:
    held = image(layer("base", 600_000), layer("top", 1_000))
    memory = Memory()
    for part in held.parts:
        memory.contents[part.descriptor.digest] = part.raw
        copy(Job(memory, repository, part.descriptor))
    repository.tag(tag, held.root)
    assert repository.resolve(tag).digest == held.root.digest
    return memory, [part.descriptor.digest for part in held.parts]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One docker-registry for the suite."""
    with docker_registry(tmp_path_factory.mktemp("peer")) as peer, Registry(peer.host, PLAIN) as registry:
        yield registry


class TestDockerRegistryIsATarget(TargetSuite):
    @pytest.fixture
    def target(self, shared: Registry, request: pytest.FixtureRequest) -> Repository:
        return shared.repository(f"suite/{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}")


def test_the_whole_circle(tmp_path: Path) -> None:
    with docker_registry(tmp_path) as peer, Registry(peer.host, PLAIN) as registry:
        repository = registry.repository("team/app")
        memory, _ = push_image(repository, "1")
        root = repository.resolve("1")
        assert repository.tags() == ["1"]
        assert registry.catalog() == ["team/app"]
        assert repository.referrers(root.digest) == ()
        other = registry.repository("team/other")
        base = next(part for part in image(layer("base", 600_000)).blobs if part.descriptor.size > 100_000).descriptor
        assert copy(Job(memory, other, base, origin="team/app")) is Outcome.MOUNTED
        with closing(repository.fetch_from(base, 500_000)) as chunks:
            assert b"".join(bytes(chunk) for chunk in chunks) == memory.contents[base.digest][500_000:]
        repository.delete(root.digest)
        with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN"):
            repository.resolve("1")


def test_a_sparse_index_is_refused_with_what_to_do(tmp_path: Path) -> None:
    held = index(image(layer("one", 1_000)), image(layer("two", 1_000)))
    with docker_registry(tmp_path) as peer, Registry(peer.host, PLAIN) as registry:
        source = Held({part.descriptor.digest: part.raw for part in parts_of({"x": held})})
        with pytest.raises(PushError) as caught:
            copy(Job(source, registry.repository("app"), held.root))
    assert "`index: keep`" in caught.value.hint


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    held = image(layer("one", 1_000))
    with docker_registry(tmp_path) as peer, Registry(peer.host, PLAIN) as registry:
        source = Held({held.root.digest: held.raw})
        with pytest.raises(PushError, match=r"^push to 127\.0\.0\.1:\d+/app: MANIFEST_BLOB_UNKNOWN"):
            copy(Job(source, registry.repository("app"), held.root))


def test_basic_over_tls_of_the_site(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    settings = Settings(cert_dir=authority.cert_dir, proxies={}, home=tmp_path, credentials=ANN)
    with docker_registry(tmp_path, tls=authority, htpasswd={"ann": "secret"}) as peer:
        with Registry(peer.host, settings) as registry:
            memory, digests = push_image(registry.repository("app"), "1")
            for digest in digests:
                content = memory.contents[digest]  # type: ignore[index] # digests are text
                assert len(content) > 0
        wrong = replace(settings, credentials=Credentials("ann", "wrong"))
        with Registry(peer.host, wrong) as registry, pytest.raises(AuthError, match="'ann'"):
            registry.repository("app").resolve("1")
        nobody = replace(settings, credentials=None)
        with Registry(peer.host, nobody) as registry, pytest.raises(AuthError, match="user name"):
            registry.repository("app").resolve("1")


@pytest.mark.parametrize("tls", [False, True])
def test_bearer_tokens(tmp_path: Path, tls: bool) -> None:
    authority = Authority.create(tmp_path / "ca")
    settings = Settings(ca=authority.ca, proxies={}, home=tmp_path, credentials=ANN, tls_verify=tls)
    server = TokenServer({"ann": "secret"}, anonymous=True, tls=authority if tls else None)
    with (
        server.running(tmp_path / "tokens") as tokens,
        docker_registry(tmp_path, tls=authority if tls else None, token=tokens) as peer,
    ):
        with Registry(peer.host, settings) as registry:
            near = registry.repository("near")
            memory, _ = push_image(near, "1")
            base = next(part for part in image(layer("base", 600_000)).blobs if part.descriptor.size > 100_000)
            far = registry.repository("far")
            assert copy(Job(memory, far, base.descriptor, origin="near")) is Outcome.MOUNTED
            near.delete(near.resolve("1").digest)
        anonymous = replace(settings, credentials=None)
        with Registry(peer.host, anonymous) as registry:
            assert read(registry.repository("far"), base.descriptor) == base.raw
            with pytest.raises(AuthError):
                registry.repository("far").push(replace(base.descriptor, size=5), iter([b"12345"]))
    scopes = [ask.scopes for ask in tokens.asked if ask.user]
    assert len(scopes) == len(set(scopes)) == 5
