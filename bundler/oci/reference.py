"""Image names: ``[transport:]registry/repository[:tag][@digest]``, with Docker Hub's defaults.

Grammar of distribution-spec 1.1 ("Pulling manifests") and of the distribution project's reference package. A name's first
part is a registry if it holds a dot or a colon or is ``localhost``; otherwise the registry is ``docker.io``, and a
one-part repository there lies under ``library/``.

>>> str(parse_reference("nginx"))
'docker.io/library/nginx:latest'
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bundler.errors import ConfigError, quoted
from bundler.oci.digest import Digest, is_digest

DOCKER_HUB = "docker.io"
TRANSPORTS = (
    "docker", "oci", "oci-archive", "docker-archive", "dir", "docker-daemon", "containers-storage", "bundle", "ostree",
)  # fmt: skip

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name at a registry. ``tag`` and ``digest`` may both be set, as in ``name:tag@digest``: the digest decides."""

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What a registry is asked for: the digest if there is one, else the tag."""
        return self.digest or self.tag

    def at(self, *, tag: str = "", digest: Digest | None = None) -> Reference:
        """The same repository with another tag or digest."""
        return replace(self, tag=tag, digest=digest)


def parse_reference(text: str, *, what: str = "image name", default_tag: str = "latest") -> Reference:
    """A Docker-style reference; :class:`ConfigError` says which part is wrong.

    ``default_tag`` is put where neither tag nor digest is given; pass ``""`` for a bare repository.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise ConfigError(f"{what}: {quoted(text)!r}: what follows the @ is not a sha256 or sha512 digest")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        registry, path = head, tail
    else:
        registry, path = DOCKER_HUB, rest
    repository, colon, tag = path.partition(":")
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not _REGISTRY.fullmatch(registry):
        raise ConfigError(f"{what}: {quoted(text)!r}: {quoted(registry)!r} is not a host[:port]")
    port = registry.rpartition(":")[2]
    if port.isdigit() and ":" in registry and not 0 < int(port) < 65_536:
        raise ConfigError(f"{what}: {quoted(text)!r}: a port is between 1 and 65535")
    check_repository(repository, what=f"{what}: {quoted(text)!r}")
    if colon:
        check_tag(tag, what=f"{what}: {quoted(text)!r}")
    if not tag and not at:
        tag = default_tag
    return Reference(registry, repository, tag, Digest(digest) if at else None)


def check_repository(repository: str, *, what: str) -> str:
    """``repository`` itself if the grammar allows it, else :class:`ConfigError`."""
    if len(repository) > 255 or not _REPOSITORY.fullmatch(repository):
        hint = "write it in lower case" if _REPOSITORY.fullmatch(repository.lower()) else None
        raise ConfigError(f"{what}: {quoted(repository)!r} is not a repository name", hint=hint)
    return repository


def check_tag(tag: str, *, what: str) -> str:
    """``tag`` itself if the grammar allows it, else :class:`ConfigError`."""
    if not _TAG.fullmatch(tag):
        raise ConfigError(f"{what}: {quoted(tag)!r} is not a tag (letters, digits, . _ -, at most 128)")
    return tag


def split_transport(text: str) -> tuple[str, str]:
    """``(transport, rest)``; a name without a transport means ``docker``, whose ``//`` is taken off.

    >>> split_transport("oci:./build/app:latest")
    ('oci', './build/app:latest')
    >>> split_transport("localhost:5000/app")
    ('docker', 'localhost:5000/app')
    """
    transport, colon, rest = text.partition(":")
    if not colon or transport not in TRANSPORTS:
        if "://" in text:
            raise ConfigError(f"{quoted(text)!r}: unknown transport", hint=f"one of {', '.join(TRANSPORTS)}")
        return "docker", text
    if transport == "docker":
        if not rest.startswith("//"):
            raise ConfigError(f"{quoted(text)!r}: write docker://{quoted(rest)}")
        return transport, rest[2:]
    return transport, rest
