"""urllib3's pools, one per origin, with what they lack: a look at the peer's address, and limits on slow peers.

A connection knows the registry on whose behalf it is made. If that one is public, a connection to a private address is
closed before a byte is sent, whatever the name said a moment ago. urllib3 bounds the wait for each packet of an answer;
here its head has a bound as a whole, and sending has its own. (Python bounds a TLS handshake as a whole by itself.)

    Connections(settings, host).to(origin) -> urllib3.PoolManager, whose every connection is watched
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.request import (  # type: ignore[attr-defined] # typeshed lacks proxy_bypass_environment
    getproxies,
    proxy_bypass_environment,
)

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Timeout, make_headers, parse_url

from bundler import __version__
from bundler.errors import ConfigError, ProtocolError, quoted
from bundler.transports.docker.certs import tls_context
from bundler.transports.docker.origin import TOKEN_HOSTS, Origin, Reach, literal_reach, may_reach, reach_of
from bundler.transports.docker.settings import Limits, Settings
from bundler.transports.docker.watchdog import OverstayedError, Watchdog

USER_AGENT = f"bundler/{__version__}"

Guard = Callable[[str], None]
"""Called with the peer's address once a connection stands; raises to have it closed."""


class _Watched(HTTPConnection):
    """A connection that has its peer looked at, and does not wait for ever."""

    def __init__(self, *args: Any, guard: Guard, limits: Limits, watchdog: Watchdog, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._limits = limits
        self._watchdog = watchdog

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            self._guard(str(sock.getpeername()[0]))
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        # urllib3 sends under the connect time-out; a piece of an upload may take as long as an answer
        self.timeout = self._limits.read
        super().request(*args, **kwargs)

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override] # as in urllib3 itself
        try:
            with self._watchdog.limit(self._limits.answer, lambda: _shut(self.sock)):
                return super().getresponse()
        except OverstayedError:
            raise ReadTimeoutError(None, "", "no answer in time") from None  # type: ignore[arg-type] # as urllib3 does


class _WatchedTLS(_Watched, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        super().connect()
        # Unverified only if the operator said so; urllib3 need not warn of it on every connection.
        self.is_verified = True


def _shut(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.shutdown(socket.SHUT_RDWR)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class Connections:
    """The pools of one registry and of the places that it points to. ``host`` is its name as in image names."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._settings = settings
        self._host = host
        self._proxies: Mapping[str, str] = getproxies() if settings.proxies is None else settings.proxies
        self._managers: dict[Origin, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._reach: Reach | None = None
        self.watchdog = Watchdog(min(1.0, settings.limits.window / 4))

    def to(self, origin: Origin, registry: Origin) -> urllib3.PoolManager:
        """The pools for ``origin``; ``registry`` is the origin on whose behalf it is spoken to."""
        with self._lock:
            manager = self._managers.get(origin)
            if manager is None:
                manager = self._managers[origin] = self._manager(origin, registry)
            return manager

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()
        self.watchdog.close()

    def _manager(self, origin: Origin, registry: Origin) -> urllib3.PoolManager:
        limits = self._settings.limits
        options: dict[str, Any] = {
            "maxsize": self._settings.connections,
            "timeout": Timeout(connect=limits.connect, read=limits.read),
            "headers": {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        }
        if origin.scheme == "https":
            options["ssl_context"] = self._tls(origin, registry)
        proxy = self._proxy_for(origin)
        if proxy is None:
            manager = urllib3.PoolManager(1, **options)
            guard = self._see_registry if origin == registry else self._guard(origin)
        else:
            self._check_literal(origin, registry)
            manager = _proxied(proxy, options)
            guard = _anything
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        pool = manager.connection_from_host(origin.host, origin.port, origin.scheme)
        pool.conn_kw.update(guard=guard, limits=limits, watchdog=self.watchdog)
        return manager

    def _tls(self, origin: Origin, registry: Origin) -> Any:
        settings = self._settings
        # A token host that is trusted without being named by the operator is verified whatever he said of the registry.
        verify = settings.tls_verify or origin.netloc in TOKEN_HOSTS.values()
        own = origin.host == registry.host or origin.netloc in settings.token_hosts
        host = self._host if origin == registry else origin.netloc
        cert_dir = settings.cert_dir if own else None
        return tls_context(host, verify=verify, ca=settings.ca, cert_dir=cert_dir, home=settings.home)

    def _see_registry(self, address: str) -> None:
        # A registry that was seen outside stays outside, whatever its name resolves to later.
        if self._reach is not Reach.PUBLIC:
            self._reach = reach_of(address)

    def _guard(self, origin: Origin) -> Guard:
        def guard(address: str) -> None:
            _check(origin, self._reach or Reach.PUBLIC, reach_of(address))

        return guard

    def _check_literal(self, origin: Origin, registry: Origin) -> None:
        """Behind a proxy names are resolved by the proxy, so that only addresses can be judged."""
        reach = literal_reach(origin.host)
        if reach is not None and origin != registry:
            _check(origin, literal_reach(registry.host) or Reach.PUBLIC, reach)

    def _proxy_for(self, origin: Origin) -> str | None:
        proxy = self._proxies.get(origin.scheme) or self._proxies.get("all")
        if not proxy or literal_reach(origin.host) is Reach.LOOPBACK or origin.host == "localhost":
            return None
        if _bypassed(origin, self._proxies):
            return None
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        if parse_url(proxy).scheme not in ("http", "https"):
            raise ConfigError(f"the proxy for {origin} is neither http nor https", hint="see HTTPS_PROXY and ALL_PROXY")
        return proxy


def _proxied(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    url = parse_url(proxy)
    headers = make_headers(proxy_basic_auth=url.auth) if url.auth else {}
    return urllib3.ProxyManager(url._replace(auth=None).url, num_pools=1, proxy_headers=headers, **options)


def _anything(_address: str) -> None:
    """The peer is the operator's proxy."""


def _check(origin: Origin, registry: Reach, to: Reach) -> None:
    if not may_reach(registry, to):
        raise ProtocolError(
            f"a {registry.value} registry points to {quoted(str(origin))}, which is a {to.value} address; refused"
        )


def _bypassed(origin: Origin, proxies: Mapping[str, str]) -> bool:
    """NO_PROXY: names, suffixes and ports as Python reads them, and address ranges as Go does."""
    if proxy_bypass_environment(f"{origin.host}:{origin.port}", dict(proxies)):
        return True
    try:
        address = ipaddress.ip_address(origin.host.strip("[]"))
    except ValueError:
        return False
    for entry in proxies.get("no", "").split(","):
        try:
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
