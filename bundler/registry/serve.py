"""The registry as a server in this process, until it is told to stop.

granian serves in this very process, one event loop and no workers to outlive it. The socket is ours, taken before and
handed over: so port 0 gets its number, a second server on the same address is refused, and a service manager can give one
that has been listening for a while.

    with opened("/srv/store") as (contents, writable):
        serve(contents, writable, Door("127.0.0.1:0"), on_ready=print)      # http://127.0.0.1:41291
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    from granian.server.embed import Server

    from bundler.registry.access import Access
    from bundler.registry.contents import Contents
    from bundler.registry.operations.access_log import AccessLog
    from bundler.registry.site import Site
    from bundler.registry.store_layer import StoreLayer

DEFAULT_LISTEN = "127.0.0.1:5000"
GRACE_SECONDS = 5.0
"""How long requests under way may take when the server is told to stop."""

STARTING_SECONDS = 0.05
"""The socket listens before the server does, so clients wait; this is for a server that fails at once."""
THREADS_SECONDS = 0.1
"""granian's threads end a moment after it does, and must not find the interpreter gone."""
PURGE_SECONDS = 60.0
"""How often abandoned uploads are looked for."""
MOST_BUFFER_BYTES = 256 << 10
HEADER_SECONDS = 10
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen, and how.

    ``listen`` is ``host:port``, ``[address]:port`` for IPv6; port 0 takes a free one. A socket that the service manager
    hands over is taken instead. ``public_url`` is how people reach it through a proxy. ``tls_cert`` and ``tls_key`` are PEM files. Anything but a loopback address needs TLS and
    access control, or ``insecure``. ``grace`` is how many seconds requests under way may take when the server is told to
    stop.
    """

    listen: str = DEFAULT_LISTEN
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    grace: float = GRACE_SECONDS
    public_url: str = ""


def serve(
    contents: Contents,
    writable: StoreLayer | None,
    door: Door,
    *,
    access: Access | None = None,
    allow_delete: bool = False,
    log: AccessLog | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve ``contents`` until SIGTERM or SIGINT; call from the main thread.

    ``writable`` is their first layer if anything may be changed. ``on_ready`` is called with the base address once it
    answers. Raises :class:`ConfigError` for an address or a key that can't be used.
    """
    from bundler.registry.access import Access
    from bundler.registry.operations.activation import inherited_socket, notify
    from bundler.registry.pages.address import public_address

    access = access or Access.everyone()
    public = public_address(door.public_url) if door.public_url else None
    if (door.tls_cert is None) != (door.tls_key is None):
        raise ConfigError("a certificate and its key are only of use together", hint="give --tls-cert and --tls-key")
    inherited = inherited_socket()
    address = parse_listen(door.listen) if inherited is None else _address_of(inherited)
    check_exposure(address, insecure=door.insecure, tls=door.tls_cert is not None, open_to_all=access.open)
    with inherited or _listening(address) as listener:
        from bundler.registry.site import build

        site = build(contents, writable, access=access, allow_delete=allow_delete, log=log, public=public)
        server = _server(site, listener, door)
        port = _address_of(listener).port
        url = f"{'https' if door.tls_cert else 'http'}://{Address(address.host, port)}"

        def ready() -> None:
            notify("READY=1")
            if on_ready is not None:
                on_ready(url)

        try:
            asyncio.run(_run(site, server, door.grace, ready))
        finally:
            if site.uploads is not None:
                site.uploads.close()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; ``host`` is a path, and ``port`` 0, for a socket of the file system."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.startswith("/")


def parse_listen(text: str) -> Address:
    """``host:port`` as an operator writes it; :class:`ConfigError` otherwise."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigError(f"{quoted(text)!r} is not host:port", hint="write it like 127.0.0.1:5000 or [::1]:5000")
    return Address(host, int(port))


def check_exposure(address: Address, *, insecure: bool, tls: bool, open_to_all: bool) -> None:
    """Refuse to be reached from other machines without TLS and access control, unless that was said out loud."""
    if insecure or address.is_loopback or (tls and not open_to_all):
        return
    lacking = "access control" if tls else "TLS" if not open_to_all else "TLS or access control"
    raise ConfigError(
        f"{address}: other machines can reach it, and there is no {lacking}",
        hint="give --htpasswd and --tls-cert with --tls-key or --self-signed; or listen on 127.0.0.1; "
        "or give --insecure if the network itself keeps others out",
    )


def _listening(address: Address) -> socket.socket:
    """A socket that listens there, and nobody else's."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"{address}: {error.strerror}", hint="check the host name") from error
    family, kind, protocol, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"listen on {address}: {error.strerror}", hint="choose another port; port 0 takes a free one"
        ) from error
    return listener


def _address_of(listener: socket.socket) -> Address:
    where = listener.getsockname()
    return Address(*where[:2]) if isinstance(where, tuple) else Address(os.fsdecode(where), 0)


def _server(site: Site, listener: socket.socket, door: Door) -> Server:
    from granian import net
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    from bundler.registry.operations.limits import most_connections

    class Handed(Server):
        """granian with a socket that listens already."""

        _shd: Any

        def _init_shared_socket(self) -> None:
            holder: Any = net
            is_local = listener.family == socket.AF_UNIX
            self._shd = holder.SocketHolder(os.dup(listener.fileno()), is_local, BACKLOG)  # it closes what it is given
            self._sfd = self._shd.get_fd()
            self._ssp = None

    try:
        return Handed(
            site.app,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MOST_BUFFER_BYTES),
            backlog=BACKLOG,
            backpressure=most_connections(),
            log_enabled=False,
            ssl_cert=door.tls_cert,
            ssl_key=door.tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
        )
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"TLS certificate {quoted(str(door.tls_cert))} with key {quoted(str(door.tls_key))}: {error}"
        ) from error


async def _run(site: Site, server: Server, grace: float, ready: Callable[[], None]) -> None:
    from bundler.registry.operations.activation import notify
    from bundler.registry.operations.stopping import told_to_stop

    loop = asyncio.get_running_loop()
    with told_to_stop() as stopping:
        serving = asyncio.ensure_future(server.serve())
        told = asyncio.ensure_future(stopping.wait())
        upkeep = asyncio.ensure_future(_purging(site))
        end = loop.time() + grace
        try:
            await asyncio.wait({serving, told}, timeout=STARTING_SECONDS)
            if not (serving.done() or told.done()):
                ready()
            await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
            notify("STOPPING=1")
            end = loop.time() + grace
            site.draining.begin()
            await site.draining.idle(grace)
        finally:
            server.stop()  # type: ignore[no-untyped-call]  # granian's own annotations stop here
            # The last pieces of answers are with it, out of anybody's sight, but it waits for them.
            await asyncio.wait({serving}, timeout=max(0.0, end - loop.time()))
            loop.set_exception_handler(_cut_off)
            for each in (told, upkeep, serving):  # whoever still holds a connection open is cut off
                each.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await asyncio.sleep(THREADS_SECONDS)


def _cut_off(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Granian says that it is done to somebody who was cancelled already, which is nothing to tell an operator."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)


async def _purging(site: Site) -> None:
    while site.uploads is not None:
        await asyncio.sleep(PURGE_SECONDS)
        await asyncio.to_thread(site.uploads.purge)
