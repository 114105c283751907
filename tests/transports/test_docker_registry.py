"""A registry as a whole: its host, its catalog, its log-in by name and by token."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.content import Job, copy, read
from bundler.errors import AuthError, ConfigError, NetworkError, ProtocolError
from bundler.oci import mediatype
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.authority import Authority
from tests.hostile.scripted import (
    LIMITS,
    PLAIN,
    HonestRegistry,
    Reply,
    Request,
    Scripted,
    pattern,
    reply_json,
    server_tls,
)
from tests.memory import Memory
from tests.tokens import TokenServer

ANN = Credentials("ann", "secret")


@pytest.fixture
def honest() -> HonestRegistry:
    honest = HonestRegistry()
    honest.add_image("app", "1", [pattern(500_000)])
    return honest


@pytest.fixture
def server(honest: HonestRegistry) -> Iterator[Scripted]:
    with Scripted(honest) as server:
        yield server


def test_check(server: Scripted) -> None:
    with Registry(server.host, PLAIN) as registry:
        registry.check()


def test_check_refused(server: Scripted) -> None:
    server.app = lambda request: Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))
    with Registry(server.host, replace(PLAIN, credentials=ANN)) as registry, pytest.raises(AuthError, match="ann"):
        registry.check()


def test_catalog(honest: HonestRegistry, server: Scripted) -> None:
    honest.page = 2
    for name in ("b/c", "d", "e"):
        honest.add_image(name, "1")
    with Registry(server.host, PLAIN) as registry:
        assert registry.catalog() == ["app", "b/c", "d", "e"]


def test_catalog_with_a_name_outside_the_grammar(server: Scripted) -> None:
    server.app = lambda request: reply_json({"repositories": ["../x"]})
    with Registry(server.host, PLAIN) as registry, pytest.raises(ProtocolError):
        registry.catalog()


def test_a_repository_is_made_once(server: Scripted) -> None:
    registry = Registry(server.host, PLAIN)
    assert registry.repository("app") is registry.repository("app")
    assert registry.repository("app", ANN) is not registry.repository("app")
    with pytest.raises(ConfigError):
        registry.repository("App")


def test_docker_hub_lives_elsewhere() -> None:
    registry = Registry("docker.io")
    assert str(registry.repository("library/nginx")._client.origin) == "https://registry-1.docker.io"
    assert registry.repository("library/nginx").name == "docker.io/library/nginx"


def test_it_can_be_used_after_it_was_closed(server: Scripted) -> None:
    registry = Registry(server.host, PLAIN)
    for _ in range(2):
        with registry:
            registry.repository("app").resolve("1")


def bearer(honest: HonestRegistry, tokens: TokenServer) -> Scripted:
    """An honest registry that demands some token of ``tokens``."""

    def app(request: Request) -> Reply:
        if request.headers.get("authorization", "").startswith("Bearer "):
            return honest(request)
        return Reply(401, (("WWW-Authenticate", f'Bearer realm="{tokens.realm}",service="tests"'),))

    return Scripted(app)


def test_one_token_per_scope_under_eight_threads(honest: HonestRegistry) -> None:
    with TokenServer({"ann": "secret"}).running() as tokens, bearer(honest, tokens) as server:
        settings = replace(PLAIN, credentials=ANN)
        with Registry(server.host, settings) as registry, ThreadPoolExecutor(8) as executor:
            registry.check()
            list(executor.map(lambda _: registry.repository("app").resolve("1"), range(24)))
    assert [ask.scopes for ask in tokens.asked] == [(), ("repository:app:pull",)]
    assert server.count("GET", "manifests") == 24


def test_scopes_of_a_journey(honest: HonestRegistry) -> None:
    memory = Memory()
    want = memory.put(pattern(300_000, 9), mediatype.OCI_LAYER_GZIP)
    with (
        TokenServer({"ann": "secret"}).running() as tokens,
        bearer(honest, tokens) as server,
        Registry(server.host, replace(PLAIN, credentials=ANN)) as registry,
    ):
        repository = registry.repository("app")
        root = repository.resolve("1")
        copy(Job(memory, repository, want, origin="other/place"))
        repository.tag("2", root)
        repository.delete(root.digest)
        registry.catalog()
    assert [ask.scopes for ask in tokens.asked] == [
        ("repository:app:pull",),
        ("repository:app:pull,push",),
        ("repository:app:pull,push", "repository:other/place:pull"),
        ("repository:app:delete,pull",),
        ("registry:catalog:*",),
    ]


def test_identity_token(honest: HonestRegistry) -> None:
    with TokenServer({"ann": "secret"}).running() as tokens, bearer(honest, tokens) as server:
        refresh = tokens.answer("ann", "tests", (), offline=True)["refresh_token"]
        settings = replace(PLAIN, credentials=Credentials("<token>", "", refresh))
        with Registry(server.host, settings) as registry:
            registry.repository("app").resolve("1")
    assert [(ask.method, ask.user, ask.scopes) for ask in tokens.asked] == [("POST", "ann", ("repository:app:pull",))]


def test_anonymous_token(honest: HonestRegistry) -> None:
    with (
        TokenServer({}, anonymous=True).running() as tokens,
        bearer(honest, tokens) as server,
        Registry(server.host, PLAIN) as registry,
    ):
        registry.repository("app").resolve("1")
    assert [ask.user for ask in tokens.asked] == [""]


def test_wrong_password_at_the_token_host(honest: HonestRegistry) -> None:
    with TokenServer({"ann": "other"}).running() as tokens, bearer(honest, tokens) as server:
        registry = Registry(server.host, replace(PLAIN, credentials=ANN))
        with registry, pytest.raises(AuthError, match="'ann'") as caught:
            registry.repository("app").resolve("1")
    assert "secret" not in str(caught.value)


def test_credentials_of_a_repository_go_before_those_of_the_registry(server: Scripted, honest: HonestRegistry) -> None:
    def app(request: Request) -> Reply:
        if "authorization" in request.headers:
            return honest(request)
        return Reply(401, (("WWW-Authenticate", 'Basic realm="x"'),))

    server.app = app
    with Registry(server.host, replace(PLAIN, credentials=ANN)) as registry:
        registry.repository("app", Credentials("bob", "x")).resolve("1")
        registry.repository("app").resolve("1")
    assert len({request.headers.get("authorization") for request in server.seen}) == 3


def test_tls_optional_takes_tls_where_it_is_spoken(tmp_path: Path, honest: HonestRegistry) -> None:
    tls = server_tls(Authority.create(tmp_path / "ca"), tmp_path)
    with Scripted(honest, tls=tls) as server, Registry(server.host, PLAIN) as registry:
        registry.check()
        assert registry.repository("app")._client.origin.scheme == "https"


def test_a_client_certificate_is_shown(tmp_path: Path, honest: HonestRegistry) -> None:
    authority = Authority.create(tmp_path / "ca")
    certs = tmp_path / "certs.d"
    certs.mkdir()
    folder = tmp_path / "client"
    folder.mkdir()
    certificate, key = authority.issue(folder, client="ann")
    (certs / "client.cert").write_bytes(certificate.read_bytes())
    (certs / "client.key").write_bytes(key.read_bytes())
    tls = server_tls(authority, tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(authority.ca)
    plain = Settings(ca=authority.ca, proxies={}, limits=LIMITS, home=tmp_path)
    with Scripted(honest, tls=tls) as server:
        with Registry(server.host, replace(plain, cert_dir=certs)) as registry:
            repository = registry.repository("app")
            assert read(repository, repository.resolve("1"))
        with Registry(server.host, plain) as registry, pytest.raises(NetworkError):
            registry.repository("app").resolve("1")


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "127.0.0.1:65536", "registry.example.com:0"])
def test_a_port_that_can_not_be_is_the_operator_s_mistake(host: str) -> None:
    with pytest.raises(ConfigError, match=host) as caught:
        Registry(host, PLAIN)
    assert "between 1 and 65535" in caught.value.hint
