"""Where an image is really read from: mirrors, rewritten locations and blocked places (containers-registries.conf(5)).

The longest prefix decides which of the namespaces holds for a name; its mirrors are tried in order, its own location last.

    [[registry]]                              docker.io/library/nginx:1.27 is asked of
    prefix = "docker.io"                      1. mirror.site:5000/hub/library/nginx:1.27
    location = "docker.io"                    2. docker.io/library/nginx:1.27
    [[registry.mirror]]
    location = "mirror.site:5000/hub"

Everything here is a function of a :class:`Config`; :mod:`bundler.transports.docker.registries_conf` reads one from files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bundler.errors import ConfigError, PolicyError, quoted
from bundler.oci.reference import DOCKER_HUB, Reference, parse_reference

Pull = Literal["all", "digest-only", "tag-only"]
"""For which references a mirror is asked."""
ShortNameMode = Literal["enforcing", "permissive", "disabled"]
AUTH_FILES = "containers-auth.json"
"""The name that stands for the auth files among credential helpers."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A place that may hold what a namespace holds: ``location`` takes the place of its prefix."""

    location: str
    insecure: bool = False
    pull: Pull = "all"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One ``[[registry]]`` table. ``location`` is empty only where ``prefix`` is a wildcard, and then rewrites nothing.

    ``file`` says where it was read.
    """

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What all files together say. ``aliases`` are full names by short ones."""

    registries: tuple[Namespace, ...] = ()
    search: tuple[str, ...] = ()
    short_name_mode: ShortNameMode = "permissive"
    aliases: Mapping[str, str] = field(default_factory=dict)
    credential_helpers: tuple[str, ...] = (AUTH_FILES,)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to try: the ``reference`` there, and the file by which it is ``blocked``, if it is."""

    reference: Reference
    insecure: bool = False
    is_mirror: bool = False
    blocked: str = ""


def namespace_of(config: Config, name: str) -> Namespace | None:
    """The namespace with the longest prefix of ``name``, a host or a host with a path."""
    best: Namespace | None = None
    for namespace in config.registries:
        if _matched(name, namespace.prefix) and (best is None or len(namespace.prefix) > len(best.prefix)):
            best = namespace
    return best


def endpoints(config: Config, reference: Reference) -> tuple[Endpoint, ...]:
    """Where ``reference`` is to be asked for, in order; the last is no mirror.

    Raises :class:`PolicyError` if all of them are blocked, :class:`ConfigError` if a rewritten name is none.
    """
    namespace = namespace_of(config, reference.name)
    if namespace is None:
        return (Endpoint(reference),)
    kind = "tag-only" if reference.digest is None else "digest-only"
    found = [
        Endpoint(place, mirror.insecure, is_mirror=True, blocked=blocked_by(config, place.name))
        for mirror in namespace.mirrors
        if mirror.pull in ("all", kind)
        for place in (_rewritten(reference, namespace, mirror.location),)
    ]
    place = _rewritten(reference, namespace, namespace.location)
    blocked = namespace.file if namespace.blocked else blocked_by(config, place.name)
    found.append(Endpoint(place, namespace.insecure, blocked=blocked))
    if all(endpoint.blocked for endpoint in found):
        raise refusal(found[-1])
    return tuple(found)


def blocked_by(config: Config, name: str) -> str:
    """The file that blocks a name, or nothing."""
    namespace = namespace_of(config, name)
    return namespace.file if namespace is not None and namespace.blocked else ""


def refusal(endpoint: Endpoint) -> PolicyError:
    """The error for a blocked place."""
    return PolicyError(
        f"{endpoint.reference.name}: blocked by {endpoint.blocked}", hint="ask whoever keeps that file to allow it"
    )


def is_insecure(config: Config, name: str) -> bool:
    """Whether a registry or repository may be reached without TLS that verifies, when it is not one of the mirrors."""
    namespace = namespace_of(config, name)
    return namespace is not None and namespace.insecure


def short_names(config: Config, text: str) -> tuple[str, ...]:
    """The full names that a name may stand for, in order; itself if it has a registry.

    Raises :class:`ConfigError` where the configuration demands one answer and there are several.
    """
    bare = text.partition("@")[0]
    head, slash, _ = bare.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return (text,)
    parse_reference(text)
    name = bare.partition(":")[0]
    rest = text[len(name) :]
    if name in config.aliases:
        return (f"{config.aliases[name]}{rest}",)
    hosts = config.search or (DOCKER_HUB,)
    if len(hosts) > 1 and config.short_name_mode == "enforcing":
        raise ConfigError(
            f"{quoted(text)}: may be at {', '.join(hosts)}", hint="write the name with its registry, or set an alias"
        )
    return tuple(str(parse_reference(f"{host}/{name}{rest}", default_tag="")) for host in hosts)


def matching_length(name: str, prefix: str) -> int:
    """How much of ``name`` is matched by ``prefix``, -1 if it is not."""
    if prefix.startswith("*."):
        host = name.partition("/")[0]
        host = host if host.startswith("[") else host.partition(":")[0]
        return len(host) if host.endswith(prefix[1:]) else -1
    if not name.startswith(prefix):
        return -1
    return len(prefix) if name[len(prefix) : len(prefix) + 1] in ("", "/", ":", "@") else -1


def _matched(name: str, prefix: str) -> bool:
    return matching_length(name, prefix) >= 0


def _rewritten(reference: Reference, namespace: Namespace, location: str) -> Reference:
    if not location:
        return reference
    name = location + reference.name[matching_length(reference.name, namespace.prefix) :]
    what = f"{namespace.file}: {quoted(reference.name)} at {quoted(location)}"
    place = parse_reference(name, what=what, default_tag="")
    if place.name != name:  # a name that is short means something else to other programs, or nothing
        raise ConfigError(f"{what}: {quoted(name)!r} is not a full name", hint=f"{quoted(place.name)!r} would be")
    return place.at(tag=reference.tag, digest=reference.digest)
