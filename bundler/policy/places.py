"""Where an image comes from, as a policy looks it up: the scopes that may speak of it, the most specific first.

docker              the name with its tag or digest, the repository, its parents, the host, then ``*.domain`` wildcards
docker-daemon       the same; an image known by its ID alone has none
dir, oci, …         the resolved path, then every directory above it but ``/``
containers-storage  the storage with the name, its parents and the host, then ``[driver@root]`` and ``[root]``
docker-archive      none: only ``""`` and ``default`` speak of it
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bundler.oci.reference import Reference

PATHS = ("dir", "oci", "oci-archive", "bundle")
"""Transports whose scopes are paths."""
_PATHS = (*PATHS, "sif")
_UNSCOPED = ("docker-archive", "tarball")
_ATOMIC = re.compile(r"[^/]*(?:/[^:/]*(?:/[^:/]*(?::[^:/]*)?)?)?")
_STORAGE = re.compile(r"\[(?:[^@\]]+@/[^\]]*|/[^@\]]*)\](?P<image>.*)", re.DOTALL)
_SPECIFIED = re.compile(r"\[(?P<driver>[^@\]]+)@(?P<root>/[^@+:\]]*)(?:[+:][^\]]*)?\]")
_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")
_ID = re.compile(r"[0-9a-f]{64}")
_MAYBE_ID = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Place:
    """``scopes`` from the most specific down, without ``""``. ``reference`` is what the image's identity is compared with.

    ``unknown`` matches scopes of which it can't be told whether they speak of the image.
    """

    transport: str
    scopes: tuple[str, ...] = ()
    reference: Reference | None = None
    unknown: str = ""

    def doubtful(self, scopes: Iterable[str]) -> str | None:
        """The first of a policy's scopes of which it can't be told."""
        return next((each for each in scopes if self.unknown and re.fullmatch(self.unknown, each, re.DOTALL)), None)


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
    return Place(transport, (), reference, unknown=".+")


def storage_place(storage: str, name: str, reference: Reference | None) -> Place:
    """The place of an image in a ``[driver@root]``, under the name as it was given and the ``reference`` that it stands for.

    Which storage is meant by less, and which image by the beginning of an ID, only the storage's own programs know.
    """
    found, image_id = _SPECIFIED.fullmatch(storage), name.removeprefix("@")
    if found is None or (_MAYBE_ID.fullmatch(image_id) and not _ID.fullmatch(image_id)):
        return anywhere("containers-storage", reference)
    root = posixpath.normpath(found["root"])
    both, alone = f"[{found['driver']}@{root}]", f"[{root}]"
    if _ID.fullmatch(image_id):
        return Place("containers-storage", (f"{both}@{image_id}", both, alone))
    if reference is None:
        return anywhere("containers-storage")
    names = [str(reference)] if reference.digest and reference.tag else []
    names += reference_scopes(reference.at(tag=reference.tag) if reference.tag else reference)
    scopes = [f"{both}{each}" for each in names if not each.startswith("*.")]
    return Place("containers-storage", (*scopes, both, alone), reference, unknown=r".*@[0-9a-f]{64}")


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
    if transport in _PATHS:
        return _path_fault(scope)
    if transport in _UNSCOPED:
        return 'is of a transport that has no scope but ""'
    if transport == "docker-daemon" and _DIGEST.fullmatch(scope):
        return "is an image's ID, which can't be a scope"
    if transport == "containers-storage":
        return _storage_fault(scope)
    if transport == "atomic" and not _ATOMIC.fullmatch(scope):
        return "must be a HOST[:PORT][/NAMESPACE[/STREAM[:TAG]]]"
    return ""


def _path_fault(scope: str) -> str:
    if not scope.startswith("/"):
        return "must be an absolute path"
    if scope == "/":
        return 'must be "", which means every path'
    plain = posixpath.normpath(scope)
    return "" if plain == scope and not scope.startswith("//") else "must be a path in its plainest form"


def _storage_fault(scope: str) -> str:
    found = _STORAGE.fullmatch(scope)
    if found is None:
        return "must start with the storage in brackets, [DRIVER@ROOT] or [ROOT], ROOT an absolute path"
    _, *ids = found["image"].split("@")
    match ids:
        case [] | [_] if all(_ID.fullmatch(each) or _DIGEST.fullmatch(each) for each in ids):
            return ""
        case [digest, image] if _DIGEST.fullmatch(digest) and _ID.fullmatch(image):
            return ""
    return "must be followed, after an @, by a digest or by an image's ID in full"
