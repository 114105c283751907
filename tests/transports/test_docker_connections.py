"""Which proxy is used and which peer is refused; what urllib3 does by itself is not tested again."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import urllib3

from bundler.errors import ConfigError, NetworkError, ProtocolError
from bundler.transports.docker.connections import Connections
from bundler.transports.docker.origin import parse_endpoint
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.hostile.scripted import PLAIN, HonestRegistry, Reply, Request, Scripted

SECURE = "https://registry.example.com"
ENVIRONMENT = {
    "https": "http://proxy.site:3128",
    "http": "http://proxy.site:3129",
    "no": "quiet.example.com,.corp,10.0.0.0/8",
}


def proxy_of(url: str, proxies: Mapping[str, str]) -> str | None:
    origin = parse_endpoint(url, what="test").origin
    manager = Connections(Settings(proxies=proxies), origin.netloc).to(origin, origin)
    proxy = manager.proxy
    return str(proxy) if proxy is not None else None


@pytest.mark.parametrize(
    ("url", "proxies", "expected"),
    [
        pytest.param(SECURE, ENVIRONMENT, "http://proxy.site:3128", id="https"),
        pytest.param("http://registry.example.com", ENVIRONMENT, "http://proxy.site:3129", id="http"),
        pytest.param(SECURE, {}, None, id="none"),
        pytest.param(SECURE, {"all": "proxy.site:99"}, "http://proxy.site:99", id="all-and-without-scheme"),
        pytest.param("https://quiet.example.com", ENVIRONMENT, None, id="no-proxy-name"),
        pytest.param("https://registry.corp", ENVIRONMENT, None, id="no-proxy-suffix"),
        pytest.param("https://10.1.2.3", ENVIRONMENT, None, id="no-proxy-range"),
        pytest.param("https://11.1.2.3", ENVIRONMENT, "http://proxy.site:3128", id="outside-the-range"),
        pytest.param("https://127.0.0.1:5000", ENVIRONMENT, None, id="loopback"),
        pytest.param("https://localhost:5000", ENVIRONMENT, None, id="localhost"),
        pytest.param(SECURE, {"https": "https://proxy.site"}, "https://proxy.site:443", id="tls-to-the-proxy"),
    ],
)  # fmt: skip
def test_proxies(url: str, proxies: Mapping[str, str], expected: str | None) -> None:
    assert proxy_of(url, proxies) == expected


def test_proxies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.site:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    origin = parse_endpoint(SECURE, what="test").origin
    assert isinstance(Connections(Settings(), "x").to(origin, origin), urllib3.ProxyManager)


def test_a_socks_proxy_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither http nor https"):
        proxy_of(SECURE, {"all": "socks5://proxy.site"})


def test_a_public_registry_cannot_point_into_the_site_behind_a_proxy() -> None:
    registry = parse_endpoint(SECURE, what="test").origin
    connections = Connections(Settings(proxies=ENVIRONMENT), "x")
    with pytest.raises(ProtocolError, match="link-local"):
        connections.to(parse_endpoint("http://169.254.169.254/", what="test").origin, registry)
    assert connections.to(parse_endpoint("https://9.9.9.9/", what="test").origin, registry)


def test_requests_go_through_a_proxy() -> None:
    """A forwarding proxy sees the whole URL, and its credentials come from its own URL."""
    honest = HonestRegistry()
    root = honest.add_image("app", "1")

    def app(request: Request) -> Reply:
        return honest(replace(request, path=request.path.removeprefix("http://registry.example.com")))

    with Scripted(app) as proxy:
        settings = replace(PLAIN, proxies={"http": f"http://ann:secret@{proxy.host}", "https": "http://127.0.0.1:1"})
        with Registry("registry.example.com:80", settings) as registry:
            assert registry.repository("app").resolve("1") == root
        assert proxy.seen[-1].headers["host"] == "registry.example.com"
        expected = "Basic " + base64.b64encode(b"ann:secret").decode()
        assert proxy.seen[-1].headers["proxy-authorization"] == expected


def test_a_proxy_that_refuses_connect() -> None:
    with Scripted(lambda request: Reply(407)) as proxy:
        settings = Settings(proxies={"https": f"http://ann:secret@{proxy.host}"}, limits=PLAIN.limits)
        registry = Registry("registry.example.com", settings)
        with registry, pytest.raises(NetworkError, match="proxy") as caught:
            registry.repository("app").resolve("1")
    assert "NO_PROXY" in caught.value.hint
    assert "secret" not in str(caught.value)


@contextmanager
def mute_server(drip: float) -> Iterator[str]:
    """Takes connections and sends one byte of a TLS record every ``drip`` seconds."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve() -> None:
        taken = []
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                taken.append(connection)
                connection.sendall(b"\x16\x03\x03\x40\x00")
            for connection in taken:
                with suppress(OSError):
                    connection.sendall(b"\x02")
            stop.wait(drip)
        for connection in taken:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        listener.close()


def test_a_tls_handshake_that_drips() -> None:
    limits = replace(PLAIN.limits, connect=0.3, attempts=1)
    with mute_server(0.05) as host:
        registry = Registry(host, Settings(proxies={}, limits=limits))
        with registry, pytest.raises(NetworkError, match="in time"):
            registry.repository("app").resolve("1")
