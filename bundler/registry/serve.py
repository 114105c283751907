"""The registry as a server in this process, until it is told to stop.

granian serves in this very process, one event loop and no workers to outlive it. The port is taken here first, alone,
so that port 0 gets its number and a second server on the same address is refused: granian itself shares ports.

    serve("/srv/store", listen="127.0.0.1:0", on_ready=print)      # http://127.0.0.1:41291
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    from granian.server.embed import Server

DEFAULT_LISTEN = "127.0.0.1:5000"
GRACE_SECONDS = 5.0
"""How long requests under way may take when the server is told to stop."""

MOST_BUFFER_BYTES = 256 << 10
HEADER_SECONDS = 10

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(
    directory: str | os.PathLike[str],
    *,
    listen: str = DEFAULT_LISTEN,
    read_only: bool = False,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    insecure: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the store in ``directory``, made if it isn't there, until SIGTERM or SIGINT; call from the main thread.

    ``listen`` is ``host:port``, ``[address]:port`` for IPv6; port 0 takes a free one. As the registry knows no access
    control, anything but a loopback address needs ``insecure``. ``tls_cert`` and ``tls_key`` are PEM files.
    ``on_ready`` is called with the base address once it answers. Raises :class:`ConfigError` for an address or a key
    that can't be used, and what opening the store raises.
    """
    from bundler.store import Store

    address = parse_listen(listen)
    check_exposure(address, insecure=insecure)
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("a certificate and its key are only of use together", hint="give --tls-cert and --tls-key")
    store = Store.open(os.fspath(directory), create=not read_only)
    with _taken(address) as (host, port), store, store.shared("registry serve"):
        from bundler.registry.application import application

        app = application(store, read_only=read_only)
        server = _server(app, host, port, tls_cert, tls_key)
        url = f"{'https' if tls_cert else 'http'}://{Address(address.host, port)}"
        try:
            asyncio.run(_run(server, host, port, lambda: on_ready(url) if on_ready else None))
        finally:
            app.state.uploads.close()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

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
            return self.host == "localhost"


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


def check_exposure(address: Address, *, insecure: bool) -> None:
    """Refuse to be reached from other machines unless that was said out loud."""
    if not insecure and not address.is_loopback:
        raise ConfigError(
            f"{address}: anyone who can reach it could read and write there, as there is no access control yet",
            hint="listen on 127.0.0.1, or give --insecure if the network itself keeps others out",
        )


@contextmanager
def _taken(address: Address) -> Iterator[tuple[str, int]]:
    """Hold an address for the server: ``(numeric host, port)``.

    The socket never listens, so no connection comes to it. It shares the port only after it has got it alone.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"{address}: {error.strerror}", hint="check the host name") from error
    family, kind, protocol, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    with socket.socket(family, kind, protocol) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(where)
        except OSError as error:
            raise ConfigError(
                f"listen on {address}: {error.strerror}", hint="choose another port; port 0 takes a free one"
            ) from error
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        host, port = holder.getsockname()[:2]
        yield host, port


def _server(
    app: Any, host: str, port: int, tls_cert: str | os.PathLike[str] | None, tls_key: str | os.PathLike[str] | None
) -> Server:
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    try:
        return Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MOST_BUFFER_BYTES),
            log_enabled=False,
            ssl_cert=None if tls_cert is None else Path(tls_cert),
            ssl_key=None if tls_key is None else Path(tls_key),
            ssl_protocol_min=SSLProtocols.tls12,
        )
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"TLS certificate {quoted(str(tls_cert))} with key {quoted(str(tls_key))}: {error}"
        ) from error


async def _run(server: Server, host: str, port: int, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for each in _SIGNALS:
        loop.add_signal_handler(each, stopping.set)
    serving = asyncio.ensure_future(server.serve())
    told = asyncio.ensure_future(stopping.wait())
    try:
        await _answering(host, port, serving)
        ready()
        await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian's own annotations stop here
        await asyncio.wait({serving}, timeout=GRACE_SECONDS)
        told.cancel()
        serving.cancel()  # whoever still holds a connection open is cut off
        with suppress(asyncio.CancelledError):
            await serving


async def _answering(host: str, port: int, serving: asyncio.Future[None]) -> None:
    """Wait until connections are taken."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    serving.result()
