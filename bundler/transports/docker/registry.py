"""One registry: its settings, its connections, what it said of its rate limit, and its repositories.

with Registry("registry.example.com:5000", Settings(credentials=Credentials("ann", "secret"))) as registry:
    root = registry.repository("acme/web").resolve("1.27")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from bundler.content import Observer, silent
from bundler.errors import ConfigError, ProtocolError
from bundler.oci.reference import DOCKER_HUB, check_repository
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads
from bundler.transports.docker.client import Call, Client
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.failures import Side
from bundler.transports.docker.pages import PAGE_SIZE, collect, pages
from bundler.transports.docker.places import Places
from bundler.transports.docker.rate_limit import RateLimit
from bundler.transports.docker.recent import Recent
from bundler.transports.docker.repository import Repository
from bundler.transports.docker.settings import Settings

API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}
"""Registries whose API is not at the host of their names."""


class Registry:
    """A registry at ``host`` (``host[:port]`` as in image names). Safe to use from many threads."""

    def __init__(
        self,
        host: str,
        settings: Settings | None = None,
        observer: Observer = silent,
        *,
        places: Places | None = None,
    ) -> None:
        """``places`` remembers which repository holds what, for mounts."""
        self.host = host
        self._places = places
        self.settings = settings or Settings()
        self._client = Client(host, API_HOSTS.get(host, host), self.settings, observer)
        self._recent = Recent()
        self._repositories: dict[tuple[str, Credentials | None], Repository] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; the registry can be used again."""
        self._client.close()

    def repository(self, path: str, credentials: Credentials | None = None) -> Repository:
        """The repository at ``path``; ``credentials`` are its own, where an auth file has some for it alone.

        The same object for the same arguments: what it learned is kept.
        """
        check_repository(path, what=self.host)
        key = (path, credentials or self.settings.credentials)
        return self._repositories.setdefault(
            key, Repository(self._client, self.host, path, key[1], self._recent, places=self._places)
        )

    @property
    def rate_limit(self) -> RateLimit | None:
        """The lowest rest of a rate limit that a repository's latest manifest came with."""
        limits = [repository.rate_limit for repository in list(self._repositories.values())]
        return min((limit for limit in limits if limit is not None), key=lambda limit: limit.remaining, default=None)

    def check(self) -> None:
        """Ask whether the API answers and takes the credentials (distribution-spec, "Determining Support")."""
        self._client.ask(self._call("/v2/"))

    def catalog(self) -> Sequence[str]:
        """The names of all repositories; many registries refuse to tell."""
        found: list[str] = []
        call = self._call(f"/v2/_catalog?n={PAGE_SIZE}", "registry:catalog:*")
        for reply in pages(self._client, call):
            fields = Fields(loads(reply.body, what=f"{self.host}: catalog", cap=MANIFEST_CAP), what=self.host)
            names = fields.texts("repositories") if "repositories" in fields else ()
            collect(found, [_listed(name, f"{self.host}: catalog") for name in names], what=f"{self.host}: catalog")
        return found

    def post(self, target: str, *, credentials: Credentials | None = None, seconds: float | None = None) -> bytes:
        """The answer to an empty POST to an endpoint that is no part of the specification, and is asked for once."""
        call = self._call(target)
        credentials = credentials or call.credentials
        call = replace(call, method="POST", side=Side.PUSH, credentials=credentials, seconds=seconds, attempts=1)
        return self._client.ask(call, cap=MANIFEST_CAP).body

    def _call(self, target: str, *scopes: str) -> Call:
        return Call("GET", self._client.endpoint(target), Side.PULL, self.host, scopes, self.settings.credentials)


def _listed(name: str, what: str) -> str:
    try:
        return check_repository(name, what=what)
    except ConfigError as problem:
        raise ProtocolError(str(problem)) from None
