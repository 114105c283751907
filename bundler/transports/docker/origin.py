"""Origins, and the one decision about what may go from one to another.

An origin is (scheme, host, port) as in RFC 6454. Credentials, uploads and page links stay with the registry's own; a
token realm may be elsewhere under conditions; a redirected download may go anywhere but from https to http. The same
parser (urllib3's) decides here and connects later, so that no URL can mean two hosts.

What may go from a registry to another place (``may_send``):

    use            same origin   same host, other port        another host
    AUTHORIZATION  yes           no                           no
    UPLOAD         yes           no                           no
    PAGE           yes           no                           no
    REALM          yes           if not from https to http    if https, and well known or named by the operator
    ANONYMOUS      yes           if not from https to http    if not from https to http
    REDIRECT       yes           if not from https to http    if not from https to http

``localhost`` and the loopback addresses are one host. Where a name leads is a second question, asked when a connection
is made: ``may_reach`` keeps a public registry from pointing into private networks.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from bundler.errors import ProtocolError, quoted

PORTS = {"https": 443, "http": 80}

TOKEN_HOSTS = {
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "docker.elastic.co": "docker-auth.elastic.co",
}
"""Well-known registries whose tokens come from another host."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host in lower case (an IPv6 address in brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """``host[:port]``, the port only if it is not the scheme's own."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes: an origin, and the path with its query."""

    origin: Origin
    target: str

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"

    @property
    def shown(self) -> str:
        """For messages: without the query, which may hold signatures, and safe to print."""
        return quoted(f"{self.origin}{self.target.partition('?')[0]}")

    def with_query(self, query: str) -> Endpoint:
        """The same with ``query`` (already encoded) added."""
        return Endpoint(self.origin, f"{self.target}{'&' if '?' in self.target else '?'}{query}")


class Use(Enum):
    """What is about to be sent."""

    AUTHORIZATION = "credentials or a token"
    UPLOAD = "an upload"
    PAGE = "the request for the next page"
    REALM = "credentials, to get a token"
    ANONYMOUS = "a request for a token without credentials"
    REDIRECT = "a redirected download, without credentials"


def parse_endpoint(url: str, *, what: str, base: Endpoint | None = None) -> Endpoint:
    """An absolute URL, or one relative to ``base``; :class:`ProtocolError` unless it is http or https and unambiguous."""
    if "\\" in url or not url.isprintable():  # characters that parsers disagree about
        raise ProtocolError(f"{what}: {quoted(url)!r} is not a URL")
    try:
        parsed = parse_url(url if base is None else urljoin(str(base), url))
        port = PORTS.get(parsed.scheme or "", 0) if parsed.port is None else parsed.port
    except (LocationParseError, ValueError):
        raise ProtocolError(f"{what}: {quoted(url)!r} is not a URL") from None
    if parsed.scheme not in PORTS or not parsed.host:
        raise ProtocolError(f"{what}: {quoted(url)!r} is not an http or https URL")
    if port == 0:
        raise ProtocolError(f"{what}: {quoted(url)!r}: there is no port 0")
    if parsed.auth is not None:
        raise ProtocolError(f"{what}: a URL at {quoted(parsed.host)} with a user name in it is refused")
    return Endpoint(Origin(parsed.scheme, parsed.host.rstrip("."), port), parsed.request_uri)


def may_send(owner: Origin, to: Origin, use: Use, *, token_hosts: frozenset[str] = frozenset()) -> bool:
    """Whether what belongs to the registry ``owner`` may be sent to ``to``: the table above.

    ``token_hosts`` are the operator's own additions, as ``host`` (on the port of https) or ``host:port``.
    """
    if to == owner:
        return True
    downgrade = owner.scheme == "https" and to.scheme == "http"
    if use in (Use.REDIRECT, Use.ANONYMOUS):
        return not downgrade
    if use is Use.REALM:
        if _same_host(owner.host, to.host):
            return not downgrade
        known = to.netloc == TOKEN_HOSTS.get(owner.netloc) or to.netloc in token_hosts
        return to.scheme == "https" and known
    return False


def _same_host(one: str, other: str) -> bool:
    return one == other or (_is_local_name(one) and _is_local_name(other))


def _is_local_name(host: str) -> bool:
    return host == "localhost" or literal_reach(host) is Reach.LOOPBACK


class Reach(Enum):
    """How far away an address can be."""

    PUBLIC = "public"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    LOOPBACK = "loopback"


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def reach_of(address: str) -> Reach:
    """The reach of an IP address; addresses that carry an IPv4 address inside are judged by that one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return reach_of(str(inner))
    if ip.is_loopback or ip.is_unspecified:
        return Reach.LOOPBACK
    if ip.is_link_local:
        return Reach.LINK_LOCAL
    return Reach.PUBLIC if ip.is_global and not ip.is_multicast else Reach.PRIVATE


def literal_reach(host: str) -> Reach | None:
    """The reach of a host that is written as an address, ``None`` for a name."""
    try:
        return reach_of(host.strip("[]"))
    except ValueError:
        return None


def may_reach(registry: Reach, to: Reach) -> bool:
    """Whether a registry of one reach may point to an address of another: outwards, and among its own kind."""
    return to in (Reach.PUBLIC, registry) or registry is Reach.LOOPBACK
