"""Opens sources by their names: with :mod:`bundler.journey.destinations`, all that knows every transport.

One :class:`Ends` lasts for one run, so that a registry's connections, tokens and what it said are shared by all images
that come from it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bundler.content import Note, Observer, Source, silent
from bundler.errors import (
    AuthError,
    ConfigError,
    DigestError,
    NetworkError,
    NotFoundError,
    PolicyError,
    UnsupportedError,
    quoted,
)
from bundler.journey.access import Access, Surroundings
from bundler.journey.signature_rules import SignatureRules
from bundler.medium import Closing
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference, parse_reference, split_transport

if TYPE_CHECKING:
    from bundler.selection.settings import RegistrySettings
    from bundler.selection.wishes import Wish
    from bundler.transports.docker.credentials import Credentials
    from bundler.transports.docker.places import Places
    from bundler.transports.docker.registries_conf import Config, Endpoint
    from bundler.transports.docker.registry import Registry
    from bundler.transports.docker.repository import Repository
    from bundler.transports.docker.settings import Limits, Settings

_OSTREE = "it was removed upstream in 2025; copy the image into an OCI layout with an older skopeo first"


_BY_NAME = ("docker-archive", "docker-daemon", "containers-storage", "bundle")
"""Media that are asked for an image by its name, although its digest is known: most have no digests of their own, and a
bundle lets an image in, or refuses it, by its name."""


class Ends:
    """Opens sources, and the registries that are targets.

    ``registries`` are the manifest's settings by host, whose relative paths start at ``base``.
    """

    def __init__(
        self,
        access: Access,
        *,
        surroundings: Surroundings | None = None,
        registries: Mapping[str, RegistrySettings] | None = None,
        base: Path = Path(),
        observer: Observer = silent,
    ) -> None:
        self.access = access
        self.surroundings = surroundings or Surroundings()
        self.observer = observer
        self.rules = SignatureRules(self.surroundings, self._settings_of, observer)
        self._settings = registries or {}
        self.base = base
        self._lock = threading.RLock()
        self._registries: dict[tuple[str, bool, bool], Registry] = {}
        self._opened: dict[tuple[str, str], Source] = {}
        self._read: dict[Reference, Source] = {}
        self._meant: dict[str, str] = {}
        self._conf: Config | None = None
        self._places: Places | None = None

    def close(self) -> None:
        """Give back all connections, and what sources have taken."""
        for registry in self._registries.values():
            registry.close()
        if self._places is not None:
            self._places.close()
        self.rules.close()
        for source in self._opened.values():
            if isinstance(source, Closing):
                source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def source_of(self, wish: Wish) -> tuple[Source, str]:
        """The source that a wish names, and the name to resolve there if the transport's places have just one."""
        return self._source(wish.transport, wish.name)

    def source(self, image: str) -> tuple[Source, str]:
        """The source of an image, and the name to resolve there.

        A short name without a transport (``nginx``) is looked up as registries.conf says.
        """
        transport, rest = split_transport(image)
        if transport == "docker" and not image.startswith("docker:"):
            return self._short(rest)
        return self._source(transport, rest)

    def locked(self, image: str, digest: Digest) -> Source:
        """The source of an image that a lock knows by ``digest``.

        Those of :data:`_BY_NAME` are asked for it by name: :class:`DigestError` if it is another one by now.
        """
        source, name = self.source(image)
        if split_transport(image)[0] in _BY_NAME:
            with self._lock:
                found = source.resolve(name)
            if found.digest != digest:
                raise DigestError(
                    f"{quoted(image)}: is {found.digest} now, and the lock says {digest}",
                    hint="run `bundler lock --update` if the new one is wanted",
                )
        return source

    def _short(self, name: str) -> tuple[Source, str]:
        """The first of the places where registries.conf looks for a short name that has the image."""
        from bundler.transports.docker.registries_conf import short_names

        candidates = short_names(self.config, name)
        check_one_origin(self.access, [parse_reference(each).registry for each in candidates])
        for candidate in candidates[:-1]:
            source, identifier = self._source("docker", candidate)
            try:
                source.resolve(identifier)
            except (AuthError, NetworkError, NotFoundError) as problem:
                self.observer(Note(f"{problem}; looking elsewhere for {quoted(name)}"))
            else:
                self._meant[name] = candidate
                return source, identifier
        self._meant[name] = candidates[-1]
        return self._source("docker", candidates[-1])

    def meant(self, image: str) -> str:
        """The name under which the source of ``image`` was opened: a short one in full."""
        return f"docker://{self._meant[image]}" if image in self._meant else image

    def _source(self, transport: str, rest: str) -> tuple[Source, str]:
        if transport == "docker":
            reference = parse_reference(rest)
            return self.reading(reference), reference.identifier
        place, name = split_of(transport)(rest)
        with self._lock:
            if (transport, place) not in self._opened:
                self._opened[transport, place] = self._open(transport, place)
            return self._opened[transport, place], name

    def _open(self, transport: str, place: str) -> Source:
        path, tmp = str(self.base / place), self.surroundings.tmp
        if transport == "oci":
            from bundler.transports import oci

            return oci.open_source(path, shared_blob_dir=self.access.shared_blob_dir)
        if transport == "dir":
            from bundler.transports import dir as folder

            return folder.open_source(path)
        if transport == "oci-archive":
            from bundler.transports import oci_archive

            return oci_archive.open_source(path, tmp=tmp)
        if transport == "docker-archive":
            from bundler.transports import docker_archive

            return docker_archive.open_source(path, tmp=tmp)
        if transport == "docker-daemon":
            from bundler.transports import docker_daemon

            verify = self.access.tls_verify is not False
            host = self.access.daemon_host or place
            return docker_daemon.open_source(host, tmp=tmp, cert_dir=self.access.cert_dir, tls_verify=verify)
        if transport == "bundle":
            from bundler.journey.bundles import open_bundle

            return open_bundle(Path(path), self.access.demand)
        from bundler.transports import containers_storage

        return containers_storage.open_source(place, tmp=tmp)

    # Registries

    def reading(self, reference: Reference) -> Source:
        """A repository to read from: registries.conf may name mirrors for it, or another place."""
        bare = reference.at(tag="")  # mirrors may be for digests or tags only
        with self._lock:
            kind = reference if self._knows_mirrors() else bare
            if kind not in self._read:
                self._read[kind] = self._mirrored(reference)
            return self._read[kind]

    def _knows_mirrors(self) -> bool:
        return bool(self.config.registries)

    @property
    def config(self) -> Config:
        """What registries.conf says, read once."""
        with self._lock:
            if self._conf is None:
                from bundler.transports.docker.registries_conf import load

                named = self.surroundings.registries_conf
                self._conf = load(named, environ=os.environ, home=Path.home())
            return self._conf

    def _mirrored(self, reference: Reference) -> Source:
        if not self._knows_mirrors():
            return self.repository(reference)
        from bundler.transports.docker.mirrored import mirrored
        from bundler.transports.docker.registries_conf import endpoints

        found = endpoints(self.config, reference)
        return mirrored(reference, found, partial(self._at, reference), observer=self.observer)

    def _at(self, reference: Reference, endpoint: Endpoint) -> Repository:
        """One of the places of ``reference``: credentials that were given for its registry go to no other one."""
        place = endpoint.reference
        with self._lock:
            registry = self.registry(place.registry, insecure=endpoint.insecure, is_mirror=endpoint.is_mirror)
            same = place.registry == reference.registry
            return registry.repository(place.repository, self.credentials(place, given=same))

    def repository(self, reference: Reference) -> Repository:
        """A repository at a registry, with the credentials that belong to it.

        Raises :class:`bundler.errors.PolicyError` if registries.conf blocks it.
        """
        from bundler.transports.docker.registries_conf import blocked_by

        file = blocked_by(self.config, reference.name)
        if file:
            raise PolicyError(f"{reference.name}: blocked by {file}", hint="ask whoever keeps that file to allow it")
        with self._lock:
            return self.registry(reference.registry, insecure=self._is_insecure(reference.name)).repository(
                reference.repository, self.credentials(reference)
            )

    def registry(self, host: str, *, insecure: bool = False, is_mirror: bool = False) -> Registry:
        """A registry, opened once. A mirror is not waited for as long as a place that has no other."""
        with self._lock:
            key = (host, insecure, is_mirror)
            if key not in self._registries:
                self._registries[key] = self._open_registry(host, insecure=insecure, is_mirror=is_mirror)
            return self._registries[key]

    def rate_limits(self) -> dict[str, tuple[int, int]]:
        """Pulls left and the window in seconds, of each registry that said so."""
        limits = {host: registry.rate_limit for (host, *_), registry in self._registries.items()}
        return {host: (limit.remaining, limit.window) for host, limit in limits.items() if limit is not None}

    def credentials(self, reference: Reference, *, given: bool = True) -> Credentials | None:
        """The credentials for a repository: the command line's (if ``given``), the manifest's, else the user's files'."""
        from bundler.transports.docker.credentials import Credentials, find_credentials

        if given and self.access.credentials is not None:
            return self.access.credentials
        if self.access.anonymous:
            return None
        said = self._settings.get(reference.registry)
        if said is not None and (said.username or said.identity_token):
            return Credentials(said.username or "", said.password or "", said.identity_token or "")
        return find_credentials(
            reference.registry,
            reference.repository,
            authfile=self.access.authfile,
            environ=os.environ,
            home=Path.home(),
        )

    def _open_registry(self, host: str, *, insecure: bool, is_mirror: bool) -> Registry:
        from bundler.transports.docker.registry import Registry

        settings = self._settings_of(host, insecure=insecure, is_mirror=is_mirror)
        return Registry(host, settings, self.observer, places=self._remembered())

    def _settings_of(self, host: str, *, insecure: bool = False, is_mirror: bool = False) -> Settings:
        from bundler.transports.docker.settings import Settings

        said = self._settings.get(host)
        access = self.access
        tls_verify, cert_dir, ca = access.tls_verify, access.cert_dir, None
        if said is not None:
            tls_verify = said.tls_verify if tls_verify is None else tls_verify
            cert_dir = self.base / said.cert_dir if cert_dir is None and said.cert_dir else cert_dir
            ca = self.base / said.ca if said.ca else None
        if tls_verify is None and insecure:
            tls_verify = False
        return Settings(
            tls_verify=tls_verify is not False,
            ca=ca,
            cert_dir=cert_dir,
            token_hosts=frozenset(access.token_hosts + (said.token_hosts if said is not None else ())),
            limits=_limits(access, is_mirror=is_mirror),
        )

    def _remembered(self) -> Places:
        """Where blobs were in earlier runs."""
        if self._places is None:
            from platformdirs import user_cache_path

            from bundler.transports.docker.places import Places

            self._places = Places(user_cache_path("bundler") / "places.db")
        return self._places

    def _is_insecure(self, name: str) -> bool:
        from bundler.transports.docker.registries_conf import is_insecure

        return is_insecure(self.config, name)


MIRROR_ATTEMPTS = 2


def _limits(access: Access, *, is_mirror: bool) -> Limits:
    from bundler.transports.docker.settings import Limits

    usual = Limits()
    if is_mirror:
        usual = replace(usual, attempts=MIRROR_ATTEMPTS)
    return replace(
        usual,
        attempts=usual.attempts if access.attempts is None else access.attempts,
        backoff=usual.backoff if access.delay is None else access.delay / 2,
    )


SPLITTERS = {
    "oci": "bundler.transports.oci",
    "oci-archive": "bundler.transports.oci_archive",
    "docker-archive": "bundler.transports.docker_archive",
    "dir": "bundler.transports.dir",
    "docker-daemon": "bundler.transports.docker_daemon",
    "containers-storage": "bundler.transports.containers_storage",
    "bundle": "bundler.journey.bundles",
}
"""The module that knows how what follows a transport's colon is divided."""


def split_of(transport: str) -> Callable[[str], tuple[str, str]]:
    """What splits the rest of a name after ``transport:`` into a place and a name there."""
    if transport == "ostree":
        raise UnsupportedError("ostree: bundler does not read or write this transport", hint=_OSTREE)
    split: Callable[[str], tuple[str, str]] = import_module(SPLITTERS[transport]).split
    return split


def check_one_origin(access: Access, hosts: Iterable[str]) -> None:
    """Refuse ``--creds`` where several registries would be shown them."""
    several = sorted(set(hosts))
    if access.credentials is not None and len(several) > 1:
        raise ConfigError(
            f"--creds would be sent to {len(several)} registries: {', '.join(several)}",
            hint="log in to each, or give an --authfile with an entry for each",
        )
