"""Docker's Engine API as far as images need it, over a Unix socket or TCP; podman's service answers it too.

    engine = Engine(find_daemon("", environ=os.environ))
    for chunk in engine.saved("docker.io/library/nginx:1.27"): …

The library that Docker publishes brings requests and all of the API for the five calls made here; urllib3 is used anyway,
and a socket is all that it lacks. Engine API: "Images", "Ping".
"""

from __future__ import annotations

import re
import socket
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, SSLError
from urllib3.util import Timeout, parse_url

from bundler import __version__
from bundler.content import CHUNK, Buffer
from bundler.errors import (
    AuthError,
    BundlerError,
    ConfigError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    PushError,
    UnsupportedError,
    quoted,
)
from bundler.oci.strict_json import Fields, loads

DEFAULT = "unix:///var/run/docker.sock"
ANSWER_CAP = 1 << 20
CONNECT, READ = 10.0, 1800.0
"""Seconds. A daemon may write a whole image to its own disk before it answers."""
_VERSION = re.compile(r"\d{1,2}\.\d{1,3}")


@dataclass(frozen=True, slots=True)
class Daemon:
    """Where a daemon listens: ``unix:///path``, ``http://host:port`` or ``https://host:port``.

    ``cert_dir`` holds ``ca.pem``, and ``cert.pem`` with ``key.pem`` if the daemon wants to know who asks.
    """

    url: str
    cert_dir: Path | None = None
    tls_verify: bool = True


def find_daemon(
    place: str, *, environ: Mapping[str, str], cert_dir: Path | None = None, tls_verify: bool = True
) -> Daemon:
    """The daemon that was named, else that of DOCKER_HOST, else the machine's own.

    ``tcp://`` means TLS, but not in DOCKER_HOST unless DOCKER_TLS_VERIFY is set: as Docker has it. Raises
    :class:`ConfigError` and :class:`UnsupportedError`.
    """
    named = place or environ.get("DOCKER_HOST") or DEFAULT
    if cert_dir is None and environ.get("DOCKER_CERT_PATH"):
        cert_dir = Path(environ["DOCKER_CERT_PATH"])
    scheme, colon, rest = named.partition("://")
    if scheme == "ssh":
        raise UnsupportedError(
            f"docker-daemon at {quoted(named)!r}: ssh is not spoken",
            hint="forward the socket, ssh -L /tmp/docker.sock:/var/run/docker.sock HOST, and name unix:///tmp/docker.sock",
        )
    if not colon or scheme not in ("unix", "tcp", "http", "https") or not rest:
        raise ConfigError(
            f"docker-daemon at {quoted(named)!r}: is no daemon's address",
            hint="write unix:///PATH, tcp://HOST:PORT or http://HOST:PORT",
        )
    if scheme == "tcp":
        scheme = "https" if place or environ.get("DOCKER_TLS_VERIFY") else "http"
    return Daemon(f"{scheme}://{rest}", cert_dir, tls_verify)


class Engine:
    """A daemon to be asked; safe to share among threads. Closed by whoever made it."""

    def __init__(self, daemon: Daemon) -> None:
        self._what = f"docker-daemon at {quoted(daemon.url)}"
        self._pool = _pool(daemon, self._what)
        self._version: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def saved(self, name: str) -> Generator[Buffer, None, None]:
        """The archive of an image, as `docker save` writes it. Raises :class:`NotFoundError` if there is none."""
        answer = self._asked("GET", f"/images/{_quoted(name)}/get")
        try:
            self._check(answer, f"save {quoted(name)}")
            try:
                yield from answer.stream(CHUNK, decode_content=False)
            except HTTPError as problem:
                raise self._broken(problem) from None
        finally:
            answer.close()

    def ping(self) -> None:
        """See whether a daemon answers, and which version of the API it speaks."""
        # Paths without a version are going away, and which versions a daemon knows depends on its age.
        answer = self._sent("GET", "/_ping")
        version = answer.headers.get("Api-Version", "")
        self._text(answer, "say hello")
        self._version = f"/v{version}" if _VERSION.fullmatch(version) else ""

    def load(self, archive: Iterable[Buffer], size: int) -> None:
        """Take in an archive of ``size`` bytes, with its names. Raises :class:`PushError` if the daemon refuses it."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        answer = self._asked("POST", "/images/load?quiet=1", headers=headers, body=archive)
        text = self._text(answer)
        if answer.status >= 300:
            raise PushError(f"{self._what}: refuses the image: {_said(text)}", hint="")
        for line in text.splitlines():
            refusal = _refusal(line, f"{self._what}: its answer")
            if refusal:
                raise PushError(f"{self._what}: refuses the image: {quoted(refusal)}", hint="")

    def has(self, name: str) -> bool:
        """Whether there is an image of that name or ID."""
        answer = self._asked("GET", f"/images/{_quoted(name)}/json")
        if answer.status == 404:
            answer.close()
            return False
        self._text(answer, f"look for {quoted(name)}")
        return True

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Name an image."""
        query = urlencode({"repo": repository, "tag": tag})
        self._text(self._asked("POST", f"/images/{_quoted(image)}/tag?{query}"), f"tag {quoted(image)}")

    def remove(self, name: str) -> None:
        """Take a name from an image, and drop the image with its last name."""
        answer = self._asked("DELETE", f"/images/{_quoted(name)}")
        if answer.status == 409:
            raise PushError(
                f"{self._what}: keeps {quoted(name)}: {_said(self._text(answer))}",
                hint="remove the containers that use it first",
            )
        self._text(answer, f"remove {quoted(name)}")

    # Requests

    def _asked(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        if self._version is None:
            self.ping()
        return self._sent(method, f"{self._version}{path}", **options)

    def _sent(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Iterable[Buffer] | None = None
    ) -> urllib3.BaseHTTPResponse:
        usual = {"User-Agent": f"bundler/{__version__}", "Accept-Encoding": "identity"}
        try:
            return self._pool.urlopen(
                method,
                path,
                headers={**usual, **(headers or {})},
                body=body,  # type: ignore[arg-type]  # an iterable of buffers is sent as it is
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=Timeout(connect=CONNECT, read=READ),
            )
        except HTTPError as problem:
            raise self._broken(problem) from None

    def _broken(self, problem: HTTPError) -> BundlerError:
        if isinstance(problem, SSLError):
            return AuthError(
                f"{self._what}: {quoted(str(problem))}",
                hint="for a daemon without TLS write http://HOST:PORT; its certificates come from the certificate directory",
            )
        return NetworkError(f"{self._what}: {quoted(str(problem))}", hint="see what the daemon's log says")

    def _text(self, answer: urllib3.BaseHTTPResponse, what: str = "") -> str:
        """A small answer; its status is judged if ``what`` was being done is given."""
        try:
            if what:
                self._check(answer, what)
            raw = answer.read(ANSWER_CAP, decode_content=False)
        except HTTPError as problem:
            raise self._broken(problem) from None
        finally:
            answer.close()
        return raw.decode("utf-8", "replace")

    def _check(self, answer: urllib3.BaseHTTPResponse, what: str) -> None:
        if answer.status < 300:
            return
        said = _said(answer.read(ANSWER_CAP, decode_content=False).decode("utf-8", "replace"))
        message = f"{self._what}: {what}: {said}"
        if answer.status == 404 or "no such image" in said.casefold():
            raise NotFoundError(message, hint="see `docker images`; one that was built by podman is localhost/NAME")
        if answer.status in (401, 403):
            raise AuthError(message, hint="the daemon, or a proxy before it, does not let you")
        raise ProtocolError(f"{message} (status {answer.status})", hint="see what the daemon's log says")


def _quoted(name: str) -> str:
    return quote(name, safe="/:@")


def _said(text: str) -> str:
    """The daemon's own words about a failure."""
    try:
        message = Fields(loads(text.encode(), what="answer"), what="answer").text("message")
    except BundlerError:
        message = text
    return quoted(message.strip() or "it does not say why", 500)


def _refusal(line: str, what: str) -> str:
    """What an item of a progress stream says went wrong; nothing if it says nothing of that."""
    if not line.strip():
        return ""
    fields = Fields(loads(line.encode(), what=what), what=what)
    if "errorDetail" in fields and "message" in fields.object("errorDetail"):
        return fields.object("errorDetail").text("message")
    return fields.text("error") if "error" in fields else ""


# Connections


class _SocketConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, *args: Any, path: str, what: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path, self._what = path, what

    def _new_conn(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(CONNECT)
            made.connect(self._path)
            made.settimeout(READ)
        except PermissionError:
            made.close()
            raise AuthError(
                f"{self._what}: permission denied",
                hint="let your user join the group docker and log in again, or run bundler as root",
            ) from None
        except OSError as problem:
            made.close()
            reason = problem.strerror or str(problem)
            raise NetworkError(
                f"{self._what}: {reason}",
                hint="start it (systemctl start docker, or podman.socket), or say where it listens: DOCKER_HOST, "
                "--src-daemon-host, --dest-daemon-host",
            ) from None
        return made


class _SocketPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _SocketConnection


def _pool(daemon: Daemon, what: str) -> urllib3.HTTPConnectionPool:
    scheme, _, rest = daemon.url.partition("://")
    if scheme == "unix":
        return _SocketPool("localhost", maxsize=4, path=rest, what=what, blocksize=CHUNK)
    try:
        url = parse_url(daemon.url)
    except HTTPError as problem:
        raise ConfigError(f"{what}: {quoted(str(problem))}", hint="write tcp://HOST:PORT") from None
    if not url.host or url.path not in (None, "", "/") or url.auth:
        raise ConfigError(f"{what}: is no daemon's address", hint="write tcp://HOST:PORT")
    if scheme == "http":
        return urllib3.HTTPConnectionPool(url.host, url.port or 2375, maxsize=4, blocksize=CHUNK)
    return urllib3.HTTPSConnectionPool(url.host, url.port or 2376, maxsize=4, blocksize=CHUNK, **_tls(daemon, what))


def _tls(daemon: Daemon, what: str) -> dict[str, Any]:
    options: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED" if daemon.tls_verify else "CERT_NONE"}
    files = {"ca_certs": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem"}
    if daemon.cert_dir is None:
        return options
    if not daemon.cert_dir.is_dir():
        raise ConfigError(
            f"{what}: {quoted(str(daemon.cert_dir))} is no directory", hint="it holds ca.pem, cert.pem, key.pem"
        )
    found = {
        option: str(daemon.cert_dir / name) for option, name in files.items() if (daemon.cert_dir / name).is_file()
    }
    return {**options, **found}
