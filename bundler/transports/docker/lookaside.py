"""Lookaside stores: simple signatures of a registry's images, kept in files beside it and not in it.

    BASE/library/nginx@sha256=HEX/signature-1, signature-2, …      BASE is a file://, http:// or https:// URL

``registries.d`` says which BASE is whose (:mod:`bundler.policy.registries_d`); the host is no part of the path. The first
number that is missing ends them. Reading takes any BASE, writing a ``file://`` one. A path is made of what was parsed as a
repository's name and a digest, and of nothing else.

    store = Lookaside(registries, fallback="file:///var/lib/containers/sigstore", fetch=web)
    store.signatures(reference, digest)  ──▶  [signature, …]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bundler.content import Observer, silent
from bundler.errors import ConfigError, LimitError, ProtocolError, quoted
from bundler.oci.digest import Digest, algorithm_of, hex_of, parse_digest
from bundler.oci.reference import Reference, check_repository
from bundler.policy.blobs import SIMPLE, is_attachment, is_simple
from bundler.policy.registries_d import RegistriesD
from bundler.store.directory import Directory, disk
from bundler.transports.docker.client import Call, Client
from bundler.transports.docker.failures import Side
from bundler.transports.docker.origin import Endpoint, Origin, parse_endpoint
from bundler.transports.docker.settings import Settings

MAX_SIGNATURES = 128
MAX_SIGNATURE = 4 << 20
SYSTEM_STORE = "/var/lib/containers/sigstore"
USER_STORE = ".local/share/containers/sigstore"
_HINT = "see lookaside and lookaside-staging in containers-registries.d(5)"

Fetch = Callable[[Reference, Endpoint], bytes | None]
"""One file of a store on the web, on behalf of a registry's image; nothing if it is not there."""


def usual_store(home: Path, uid: int) -> str:
    """The store where ``registries.d`` names none."""
    return (home / USER_STORE if uid else Path(SYSTEM_STORE)).as_uri()


class Lookaside:
    """All lookaside stores of ``registries``; ``fallback`` is the URL of the one for images that no namespace speaks of."""

    def __init__(self, registries: RegistriesD, *, fallback: str, fetch: Fetch) -> None:
        self.registries = registries
        self._fallback = fallback
        self._fetch = fetch

    def signatures(self, reference: Reference, digest: Digest) -> list[bytes]:
        """The signatures of a manifest, in their order, each at most 4 MiB.

        Raises :class:`ProtocolError` for what is no signature, :class:`LimitError` for more than 128.
        """
        base = self.registries.lookaside(reference) or self._fallback
        place = _place(reference, digest)
        one = self._in_folder(base, place) if _is_file(base) else self._on_web(reference, base, place)
        found: list[bytes] = []
        while True:
            raw = one(f"signature-{len(found) + 1}")
            if raw is None:
                return found
            what = f"{quoted(base)}: {place}/signature-{len(found) + 1}"
            if not is_simple(raw) and not is_attachment(raw):
                raise ProtocolError(f"{what}: is no signature", hint="ask whoever runs the signature store")
            if len(found) == MAX_SIGNATURES:
                raise LimitError(f"{what}: more than {MAX_SIGNATURES} signatures")
            found.append(raw.removeprefix(SIMPLE))

    def check_writable(self, reference: Reference) -> None:
        """Raise :class:`ConfigError` where signatures of the image can't be written, and what making directories raises."""
        self._writing(reference)

    def put(self, reference: Reference, digest: Digest, signatures: Sequence[bytes]) -> None:
        """Let these be the signatures of a manifest, and no others.

        Each file is whole and durable before it has its name, so that a reader or a crash between two finds some of the
        old and some of the new, and never a torn one.
        """
        folder = self._writing(reference) / _place(reference, digest)
        _make(folder)
        opened = Directory(str(folder))
        for number, signature in enumerate(signatures, 1):
            opened.write(f"signature-{number}", signature, via=opened)
        number = len(signatures) + 1
        while opened.remove(f"signature-{number}"):
            number += 1
        opened.sync()

    def _writing(self, reference: Reference) -> Path:
        base = self.registries.lookaside(reference, writing=True) or self._fallback
        if not _is_file(base):
            raise ConfigError(
                f"{reference}: signatures can't be written to {quoted(base)}, only to a file:// URL",
                hint="name a directory by lookaside-staging in registries.d",
            )
        path = _path(base)
        _make(path)
        if not os.access(path, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{reference}: signatures can't be written to {quoted(str(path))}: no permission",
                hint="name another directory by lookaside-staging in registries.d",
            )
        return path

    def _in_folder(self, base: str, place: str) -> Callable[[str], bytes | None]:
        folder = _path(base) / place
        with disk(f"look at {quoted(str(folder), 500)}"):
            try:
                folder.stat()
            except (FileNotFoundError, NotADirectoryError):
                return lambda _: None
        opened = Directory(str(folder))
        return lambda name: opened.read(name, cap=MAX_SIGNATURE)

    def _on_web(self, reference: Reference, base: str, place: str) -> Callable[[str], bytes | None]:
        try:
            endpoint = parse_endpoint(base, what="lookaside")
        except ProtocolError as problem:
            raise ConfigError(str(problem), hint=_HINT) from None
        start = endpoint.target.rstrip("/")
        if "?" in start or "#" in base:
            raise ConfigError(f"lookaside {quoted(base)!r}: must end with its path", hint=_HINT)
        return lambda name: self._fetch(reference, Endpoint(endpoint.origin, f"{start}/{place}/{name}"))


class Web:
    """Stores on the web, spoken to with the settings of the registry whose images they are about, and no credentials."""

    def __init__(self, settings_of: Callable[[str], Settings], observer: Observer = silent) -> None:
        self._settings_of = settings_of
        self._observer = observer
        self._clients: dict[tuple[str, Origin], Client] = {}

    def __call__(self, reference: Reference, endpoint: Endpoint) -> bytes | None:
        """The content at ``endpoint``, of at most 4 MiB."""
        key = (reference.registry, endpoint.origin)
        if key not in self._clients:
            name = endpoint.origin.netloc
            settings = self._settings_of(reference.registry)
            self._clients[key] = Client(name, name, settings, self._observer, origin=endpoint.origin)
        what = f"signatures of {reference} at {endpoint.shown}"
        call = Call("GET", endpoint, Side.PULL, what, expect=frozenset({200, 404}))
        reply = self._clients[key].ask(call, cap=MAX_SIGNATURE)
        return None if reply.status == 404 else reply.body

    def close(self) -> None:
        """Close the idle connections."""
        for client in self._clients.values():
            client.close()


def _place(reference: Reference, digest: Digest) -> str:
    """The folder of a manifest's signatures below a store."""
    check_repository(reference.repository, what=str(reference))
    digest = parse_digest(digest, what=str(reference))
    return f"{reference.repository}@{algorithm_of(digest)}={hex_of(digest)}"


def _is_file(base: str) -> bool:
    scheme = base.partition(":")[0]
    if "://" not in base or scheme not in ("file", "http", "https"):
        raise ConfigError(f"lookaside {quoted(base)!r}: is no file://, http:// or https:// URL", hint=_HINT)
    return scheme == "file"


def _path(base: str) -> Path:
    try:
        parts = urlsplit(base)
    except ValueError:
        raise ConfigError(f"lookaside {quoted(base)!r}: is not a URL", hint=_HINT) from None
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or "\0" in path:
        raise ConfigError(f"lookaside {quoted(base)!r}: must be file:///PATH", hint=_HINT)
    if not path.startswith("/"):
        raise ConfigError(f"lookaside {quoted(base)!r}: must be file:///PATH, and the path an absolute one", hint=_HINT)
    return Path(path)


def _make(folder: Path) -> None:
    """Make a directory and those above it that are missing, durably."""
    missing = []
    with disk(f"create {quoted(str(folder), 500)}"):
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(mode=0o755, exist_ok=True)
    for each in reversed(missing):
        Directory(str(each.parent)).sync()
