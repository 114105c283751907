"""Opens the ends of a copy by their names: the only place that knows every transport.

One :class:`Ends` lasts for one run, so that a registry's connections, tokens and what it said are shared by all images
that come from it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bundler.content import Buffer, Observer, Source, Target, silent
from bundler.errors import ConfigError, NotFoundError, UnsupportedError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import is_digest
from bundler.oci.reference import Reference, check_repository, parse_reference, split_transport

if TYPE_CHECKING:
    from bundler.selection.settings import RegistrySettings
    from bundler.selection.wishes import Wish
    from bundler.store import Store
    from bundler.transports.docker.credentials import Credentials
    from bundler.transports.docker.registry import Registry
    from bundler.transports.docker.repository import Repository

_OSTREE = "it was removed upstream in 2025; copy the image into an OCI layout with an older skopeo first"
_ELSEWHERE = "copy the image into an OCI layout (oci:DIR:NAME) or a registry first"


@dataclass(frozen=True, slots=True)
class Access:
    """How one side's registries are reached: what the command line said, which overrules the manifest."""

    authfile: Path | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    cert_dir: Path | None = None
    tls_verify: bool | None = None
    token_hosts: tuple[str, ...] = ()


class Ends:
    """Opens sources and targets.

    ``registries`` are the manifest's settings by host, whose relative paths start at ``base``.
    """

    def __init__(
        self,
        access: Access,
        *,
        registries: Mapping[str, RegistrySettings] | None = None,
        base: Path = Path(),
        observer: Observer = silent,
    ) -> None:
        self._access = access
        self._settings = registries or {}
        self._base = base
        self._observer = observer
        self._lock = threading.RLock()
        self._registries: dict[str, Registry] = {}
        self._layouts: dict[str, Source] = {}

    def close(self) -> None:
        """Give back all connections."""
        for registry in self._registries.values():
            registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def source_of(self, wish: Wish) -> tuple[Source, str]:
        """The source that a wish names, and the name to resolve there if the transport's places have just one."""
        return self._source(wish.transport, wish.name)

    def source(self, image: str) -> tuple[Source, str]:
        """The source of an image given with its transport, and the name to resolve there."""
        return self._source(*split_transport(image))

    def _source(self, transport: str, rest: str) -> tuple[Source, str]:
        if transport == "docker":
            reference = parse_reference(rest)
            return self.repository(reference), reference.identifier
        if transport == "oci":
            from bundler.transports.oci import Layout, split

            path, name = split(rest)
            with self._lock:
                if path not in self._layouts:
                    self._layouts[path] = Layout.open(str(self._base / path))
                return self._layouts[path], name
        raise unsupported(transport, "read images from")

    def repository(self, reference: Reference) -> Repository:
        """A repository at a registry, with the credentials that belong to it."""
        with self._lock:
            host = reference.registry
            if host not in self._registries:
                self._registries[host] = self._open_registry(host)
            return self._registries[host].repository(reference.repository, self._credentials(reference))

    def rate_limits(self) -> dict[str, tuple[int, int]]:
        """Pulls left and the window in seconds, of each registry that said so."""
        limits = {host: registry.rate_limit for host, registry in self._registries.items()}
        return {host: (limit.remaining, limit.window) for host, limit in limits.items() if limit is not None}

    def _credentials(self, reference: Reference) -> Credentials | None:
        from bundler.transports.docker.credentials import Credentials, find_credentials

        if self._access.credentials is not None:
            return self._access.credentials
        said = self._settings.get(reference.registry)
        if said is not None and (said.username or said.identity_token):
            return Credentials(said.username or "", said.password or "", said.identity_token or "")
        return find_credentials(
            reference.registry,
            reference.repository,
            authfile=self._access.authfile,
            environ=os.environ,
            home=Path.home(),
        )

    def _open_registry(self, host: str) -> Registry:
        from bundler.transports.docker.registry import Registry
        from bundler.transports.docker.settings import Settings

        said = self._settings.get(host)
        tls_verify, cert_dir, ca = self._access.tls_verify, self._access.cert_dir, None
        if said is not None:
            tls_verify = said.tls_verify if tls_verify is None else tls_verify
            cert_dir = self._base / said.cert_dir if cert_dir is None and said.cert_dir else cert_dir
            ca = self._base / said.ca if said.ca else None
        settings = Settings(
            tls_verify=tls_verify is not False,
            ca=ca,
            cert_dir=cert_dir,
            token_hosts=frozenset(self._access.token_hosts + (said.token_hosts if said is not None else ())),
        )
        return Registry(host, settings, self._observer)


def check_one_origin(access: Access, hosts: Iterable[str]) -> None:
    """Refuse ``--creds`` where several registries would be shown them."""
    several = sorted(set(hosts))
    if access.credentials is not None and len(several) > 1:
        raise ConfigError(
            f"--creds would be sent to {len(several)} registries: {', '.join(several)}",
            hint="log in to each, or give an --authfile with an entry for each",
        )


def unsupported(transport: str, doing: str) -> UnsupportedError:
    """The error for a transport that cannot do something."""
    return UnsupportedError(
        f"{transport}: bundler does not {doing} this transport", hint=_OSTREE if transport == "ostree" else _ELSEWHERE
    )


class Destination:
    """Where a push goes: a registry, with a path in front of every repository, or an OCI layout."""

    def __init__(self, place: str, ends: Ends) -> None:
        self._ends = ends
        self._store: Store | None = None
        self.prefix = ""
        transport, rest = split_transport(place)
        if transport == "docker":
            host, _, self.prefix = rest.rstrip("/").partition("/")
            if not host:
                raise ConfigError(f"--to {quoted(place)!r}: names no registry", hint="docker://HOST[:PORT][/PREFIX]")
            port = "" if ":" in host.rpartition("]")[2] else ":443"  # with which a bare name is a registry's too
            parse_reference(f"{host}{port}/x/y", what=f"--to {quoted(place)!r}")
            if self.prefix:
                check_repository(self.prefix, what=f"--to {quoted(place)!r}")
            self.name = host
        elif transport == "oci":
            from bundler.store import Store
            from bundler.transports.oci import split

            path, name = split(rest)
            if name:
                raise ConfigError(
                    f"--to {quoted(place)!r}: names an image, and each has its own in the bundle", hint="oci:DIR"
                )
            self._store = Store.open(path, create=True)
            self.name = place
        else:
            raise UnsupportedError(
                f"{transport}: bundler does not push bundles to this transport",
                hint="give docker://HOST[:PORT][/PREFIX] or oci:DIR",
            )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While this lasts, nobody else removes what a layout was given."""
        if self._store is None:
            yield
            return
        with self._store, self._store.shared("push"):
            yield

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """Keep what has no tag, given as repository and root: a layout lists it by its digest, a registry has it anyhow."""
        if self._store is not None:
            self._store.tag_all([(f"{repository}@{root.digest}", root) for repository, root in roots])

    def target(self, repository: str) -> Target:
        """The target for a repository path."""
        if self._store is not None:
            return Shelf(self._store, repository)
        return self._ends.repository(Reference(self.name, repository))


class Shelf:
    """One repository's names in an OCI layout: a tag becomes ``repository:tag`` there."""

    def __init__(self, store: Store, repository: str) -> None:
        self._store, self._repository = store, repository

    def has(self, want: Descriptor) -> bool:
        """Whether the layout holds ``want``."""
        return self._store.has(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Store ``want``."""
        self._store.push(want, content)

    def flush(self) -> None:
        """Make what was pushed last."""
        self._store.flush()

    def resolve(self, name: str) -> Descriptor:
        """The root of ``repository:name``, or ``repository@name`` for a digest."""
        full = f"{self._repository}{'@' if is_digest(name) else ':'}{name}"
        for known, root in self._store.images():
            if known == full:
                return root
        raise NotFoundError(f"{full}: no such image in the layout")

    def tag(self, name: str, root: Descriptor) -> None:
        """Name a root ``repository:name``."""
        self._store.tag(f"{self._repository}:{name}", root)
