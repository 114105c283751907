"""Where things may go: the table of ``may_send``, the parser that it stands on, and how far an address is away."""

from __future__ import annotations

import pytest

from bundler.errors import ProtocolError
from bundler.transports.docker.origin import (
    Endpoint,
    Origin,
    Reach,
    Use,
    literal_reach,
    may_reach,
    may_send,
    parse_endpoint,
    reach_of,
)


def origin(url: str) -> Origin:
    return parse_endpoint(url, what="test").origin


REGISTRY = "https://registry.example.com"
EVERY = frozenset(Use)
OUTSIDE = frozenset({Use.REDIRECT, Use.ANONYMOUS})
REALM = OUTSIDE | {Use.REALM}

CASES = [
    pytest.param(REGISTRY, REGISTRY, EVERY, id="same-origin"),
    pytest.param(REGISTRY, "https://registry.example.com:443", EVERY, id="same-origin-port-written-out"),
    pytest.param(REGISTRY, "https://REGISTRY.example.com./x", EVERY, id="same-origin-other-spelling"),
    pytest.param(REGISTRY, "http://registry.example.com", frozenset(), id="same-host-downgraded"),
    pytest.param(REGISTRY, "http://registry.example.com:443", frozenset(), id="same-port-downgraded"),
    pytest.param(REGISTRY, "https://registry.example.com:5001", REALM, id="same-host-other-port"),
    pytest.param(REGISTRY, "https://auth.example.com", OUTSIDE, id="sibling-host"),
    pytest.param(REGISTRY, "https://example.com", OUTSIDE, id="parent-host"),
    pytest.param(REGISTRY, "https://registry.example.com.evil.org", OUTSIDE, id="registry-as-a-prefix"),
    pytest.param(REGISTRY, "https://evilregistry.example.com", OUTSIDE, id="registry-as-a-suffix"),
    pytest.param(REGISTRY, "https://auth.docker.io", OUTSIDE, id="well-known-for-another-registry"),
    pytest.param(REGISTRY, "http://elsewhere.org", frozenset(), id="other-host-downgraded"),
    pytest.param("https://registry-1.docker.io", "https://auth.docker.io", REALM, id="docker-hub-tokens"),
    pytest.param("https://registry-1.docker.io", "http://auth.docker.io", frozenset(), id="docker-hub-downgraded"),
    pytest.param("https://registry-1.docker.io", "https://auth.docker.io:444", OUTSIDE, id="docker-hub-other-port"),
    pytest.param("http://registry-1.docker.io", "https://auth.docker.io", OUTSIDE | {Use.REALM}, id="hub-over-http"),
    pytest.param("https://registry.gitlab.com", "https://gitlab.com", REALM, id="gitlab-tokens"),
    pytest.param("https://docker.elastic.co", "https://docker-auth.elastic.co", REALM, id="elastic-tokens"),
    pytest.param("http://127.0.0.1:5000", "http://127.0.0.1:5001", REALM, id="loopback-other-port"),
    pytest.param("http://localhost:5000", "http://127.0.0.1:5001", REALM, id="loopback-by-name-and-address"),
    pytest.param("http://127.0.0.1:5000", "https://[::1]:5001", REALM, id="loopback-upgraded"),
    pytest.param("https://127.0.0.1:5000", "http://127.0.0.1:5001", frozenset(), id="loopback-downgraded"),
    pytest.param("http://127.0.0.1:5000", "http://evil.org", OUTSIDE, id="loopback-to-another-host"),
    pytest.param("http://10.0.0.5:5000", "http://10.0.0.6:5001", OUTSIDE, id="private-neighbour"),
    pytest.param("http://site.local", "https://site.local", REALM, id="upgraded-is-another-origin"),
]


@pytest.mark.parametrize(("owner", "to", "allowed"), CASES)
def test_may_send(owner: str, to: str, allowed: frozenset[Use]) -> None:
    assert {use for use in Use if may_send(origin(owner), origin(to), use)} == allowed


@pytest.mark.parametrize(
    ("to", "hosts", "allowed"),
    [
        pytest.param("https://auth.site.org", {"auth.site.org"}, True, id="named"),
        pytest.param("https://auth.site.org:8443", {"auth.site.org:8443"}, True, id="named-with-port"),
        pytest.param("https://auth.site.org:8443", {"auth.site.org"}, False, id="named-without-its-port"),
        pytest.param("http://auth.site.org", {"auth.site.org"}, False, id="named-but-http"),
        pytest.param("https://other.site.org", {"auth.site.org"}, False, id="not-named"),
    ],
)
def test_token_hosts_of_the_operator(to: str, hosts: set[str], allowed: bool) -> None:
    assert may_send(origin(REGISTRY), origin(to), Use.REALM, token_hosts=frozenset(hosts)) is allowed
    assert not may_send(origin(REGISTRY), origin(to), Use.AUTHORIZATION, token_hosts=frozenset(hosts))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ftp://example.com/x", id="ftp"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("https:///path", id="no-host"),
        pytest.param("/relative/without/base", id="relative"),
        pytest.param("https://user:secret@example.com/", id="user-in-url"),
        pytest.param("https://example.com:99999/", id="port-out-of-range"),
        pytest.param("https://exa mple.com/", id="space-in-host"),
        pytest.param("", id="empty"),
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_endpoint(url, what="test")
    assert "secret" not in str(caught.value)


def test_a_backslash_cannot_hide_the_host() -> None:
    with pytest.raises(ProtocolError):
        parse_endpoint("https://good.example.com\\@evil.org/", what="test")


def test_relative_urls() -> None:
    base = Endpoint(origin(REGISTRY), "/v2/app/blobs/uploads/?a=1")
    assert str(parse_endpoint("/x?y=1", what="test", base=base)) == f"{REGISTRY}/x?y=1"
    assert str(parse_endpoint("next", what="test", base=base)) == f"{REGISTRY}/v2/app/blobs/uploads/next"
    assert str(parse_endpoint("//other.org/x", what="test", base=base)) == "https://other.org/x"


def test_endpoints_are_shown_without_their_query() -> None:
    endpoint = parse_endpoint("https://store.example.com/blob?signature=secret", what="test")
    assert endpoint.shown == "https://store.example.com/blob"
    assert endpoint.with_query("a=b").target == "/blob?signature=secret&a=b"
    assert parse_endpoint("https://x.org", what="test").with_query("a=b").target == "/?a=b"


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.PUBLIC),
        ("2606:4700::1", Reach.PUBLIC),
        ("10.1.2.3", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("169.254.169.254", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.9.9.9", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("::ffff:10.0.0.1", Reach.PRIVATE),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
    ],
)
def test_reach(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


def test_reach_of_hosts() -> None:
    assert literal_reach("[::1]") is Reach.LOOPBACK
    assert literal_reach("example.com") is None


@pytest.mark.parametrize("registry", list(Reach))
def test_may_reach_outwards_and_among_its_own(registry: Reach) -> None:
    allowed = {to for to in Reach if may_reach(registry, to)}
    assert allowed == (set(Reach) if registry is Reach.LOOPBACK else {Reach.PUBLIC, registry})


@pytest.mark.parametrize("url", ["http://host:0/x", "https://host:65536/x", "http://host:99999", "http://host:-1/"])
def test_a_port_that_can_not_be(url: str) -> None:
    with pytest.raises(ProtocolError):
        parse_endpoint(url, what="test")
