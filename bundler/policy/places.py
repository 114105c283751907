"""Where an image comes from, as a policy looks it up: the scopes that may speak of it, the most specific first.

docker              the name with its tag or digest, the repository, its parents, the host, then ``*.domain`` wildcards
docker-daemon       the same; an image known by its ID alone has none
dir, oci, …         the resolved path, then every directory above it but ``/``
docker-archive      none: only ``""`` and ``default`` speak of it
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from bundler.oci.digest import is_digest
from bundler.oci.reference import Reference

PATHS = ("dir", "oci", "oci-archive", "bundle")
"""Transports whose scopes are paths."""


@dataclass(frozen=True, slots=True)
class Place:
    """``scopes`` from the most specific down, without ``""``. ``reference`` is what the image's identity is compared with.

    ``knows_scopes`` is false where scopes exist and it can't be told which of them speak of the image.
    """

    transport: str
    scopes: tuple[str, ...] = ()
    reference: Reference | None = None
    knows_scopes: bool = True


def docker_place(reference: Reference, transport: str = "docker") -> Place:
    """The place of a name with a tag or a digest; of both, the digest decides, as it does when fetching."""
    one = reference.at(digest=reference.digest) if reference.digest else reference
    return Place(transport, reference_scopes(one), one)


def named_place(transport: str, reference: Reference | None) -> Place:
    """The place of an image in an archive, that has a name to compare and no scopes of its own."""
    return Place(transport, (), reference)


def path_place(transport: str, path: str) -> Place:
    """The place of an image at an absolute path without links in it."""
    scopes = [path] if path != "/" else []
    while path.rpartition("/")[0]:
        path = path.rpartition("/")[0]
        scopes.append(path)
    return Place(transport, tuple(scopes))


def anywhere(transport: str, reference: Reference | None = None) -> Place:
    """A place that has scopes which are not known here."""
    return Place(transport, (), reference, knows_scopes=False)


def reference_scopes(reference: Reference) -> tuple[str, ...]:
    """Every scope that speaks of a name: of ``a.b:5/c/d:1``, ``a.b:5/c/d:1``, ``a.b:5/c/d``, ``a.b:5/c``, ``a.b:5``, ``*.b``."""
    found = [str(reference)] if reference.identifier else []
    name = reference.name
    while name:
        found.append(name)
        name = name.rpartition("/")[0]
    domain = found[-1].partition(":")[0]
    while "." in domain:
        domain = domain.partition(".")[2]
        found.append(f"*.{domain}")
    return tuple(found)


def scope_fault(transport: str, scope: str) -> str:
    """Why ``scope`` can't be one of a transport's, or nothing; ``""`` and those of unknown transports always can."""
    if not scope:
        return ""
    if not scope.isprintable():
        return "holds characters that no name has"
    if transport in PATHS:
        if not scope.startswith("/"):
            return "must be an absolute path"
        if scope == "/":
            return 'must be "", which means every path'
        plain = posixpath.normpath(scope)
        return "" if plain == scope and not scope.startswith("//") else "must be a path in its plainest form"
    if transport in ("docker-archive", "tarball"):
        return 'is of a transport that has no scope but ""'
    if transport == "docker-daemon" and is_digest(scope):
        return "is an image's ID, which can't be a scope"
    if transport == "containers-storage" and not scope.startswith("["):
        return "must start with the storage in brackets"
    return ""
