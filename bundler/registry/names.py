"""Which names of a store or a bundle a repository path stands for.

What is pushed here is named ``repository:tag``, or ``repository@digest`` if it was pushed by its digest alone. A store
that was pulled into holds full names, registry first; each of them is found under that full path, and without its
registry too, as long as the short path is not ambiguous:

    in the store                     asked for
    library/nginx:1.27               library/nginx:1.27
    library/nginx@sha256:9f2c…       library/nginx@sha256:9f2c…
    docker.io/library/nginx:1.27     docker.io/library/nginx:1.27, or library/nginx:1.27 if nothing else is that
    localhost:5000/app:1             app:1, since no repository path can hold a port
    oci:/srv/build/app:1             nothing: a place on a disk is no repository

A name that was pushed here wins over a shortened one. Two registries' different images under one short path hide each
other: neither is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from bundler.errors import ConfigError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, hex_of, is_digest
from bundler.oci.reference import check_repository, check_tag, split_transport

_REFERRERS_TAG = re.compile(r"sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{121})")


@dataclass(frozen=True, slots=True)
class Named:
    """One name with its root; of the children of its indexes, ``left_out`` are not part of the image."""

    name: str
    root: Descriptor
    left_out: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Repository:
    """What one path holds: tags, and manifests that were named by their digest."""

    tags: Mapping[str, Named] = field(default_factory=dict)
    digests: Mapping[Digest, Named] = field(default_factory=dict)

    def named(self) -> Iterator[Named]:
        """Every root, those with a tag first."""
        yield from self.tags.values()
        yield from self.digests.values()

    def over(self, other: Repository) -> Repository:
        """Both, where this one's names win."""
        return Repository({**other.tags, **self.tags}, {**other.digests, **self.digests})


NOTHING = Repository()


def is_repository(path: str) -> bool:
    """Whether the grammar allows ``path`` as a repository."""
    return _passes(check_repository, path)


def is_tag(tag: str) -> bool:
    """Whether the grammar allows ``tag`` as a tag."""
    return _passes(check_tag, tag)


def referrers_tag(subject: Digest) -> str:
    """The tag under which clients of older registries list what refers to ``subject`` (distribution-spec 1.1)."""
    return f"{algorithm_of(subject)}-{hex_of(subject)}"[:128]


def is_referrers_tag(tag: str) -> bool:
    """Whether a tag is made like that."""
    return _REFERRERS_TAG.fullmatch(tag) is not None


def _passes(check: Callable[..., str], text: str) -> bool:
    try:
        check(text, what="name")
    except ConfigError:
        return False
    return True


@lru_cache(maxsize=1 << 16)  # all names are looked at again whenever one changes
def split_name(name: str) -> tuple[str, str] | None:
    """``(path, tag or digest)`` of a name; ``None`` if it has neither, and so can't be asked for.

    A name with both goes by its tag.
    """
    path, at, digest = name.rpartition("@")
    if not at:
        path = name
    elif not is_digest(digest):
        return None
    front, colon, tag = path.rpartition(":")
    if colon and "/" not in tag:
        return (front, tag) if front and is_tag(tag) and not _has_transport(front) else None
    return (path, digest) if at and path and not _has_transport(path) else None


def _has_transport(path: str) -> bool:
    """Whether this is a place of another kind than a registry: what was pulled from ``oci:/srv/build`` is asked for by nobody."""
    try:
        return split_transport(path)[0] != "docker"
    except ConfigError:
        return True


def shortened(path: str) -> str:
    """``path`` without the registry in front; ``""`` if there is none."""
    head, _, rest = path.partition("/")
    return rest if "." in head or ":" in head or head == "localhost" else ""


@dataclass(frozen=True, slots=True)
class Names:
    """A moment's repositories. ``exact`` are named so; ``short`` may be left without their registry."""

    exact: Mapping[str, Repository]
    short: Mapping[str, Repository]

    def repository(self, path: str) -> Repository | None:
        """What ``path`` holds; ``None`` if there is no such repository."""
        exact, short = self.exact.get(path), self.short.get(path)
        if exact is None or short is None:
            return exact or short
        return exact.over(short)

    def repositories(self) -> list[str]:
        """Each repository once, in ASCII order: under its full path, or the short one where that can't be asked for."""
        return sorted({path for path in self.exact if is_repository(path)} | self._only_short())

    def meant(self, path: str, reference: str) -> list[str]:
        """Every name that makes ``path`` hold that tag or digest."""
        found = []
        for repository in (self.exact.get(path, NOTHING), self.short.get(path, NOTHING)):
            named = (
                repository.digests.get(Digest(reference)) if is_digest(reference) else repository.tags.get(reference)
            )
            if named is not None:
                found.append(named.name)
        return found

    def _only_short(self) -> set[str]:
        return {shortened(path) for path in self.exact if not is_repository(path)} & self.short.keys()


def names_of(images: Iterable[Named]) -> Names:
    """The repositories of a store or a bundle, from its names."""
    exact: dict[str, dict[str, Named]] = {}
    short: dict[str, dict[str, Named | None]] = {}
    for named in images:
        split = split_name(named.name)
        if split is None:
            continue
        path, reference = split
        exact.setdefault(path, {})[reference] = named
        if rest := shortened(path):
            claims = short.setdefault(rest, {})
            other = claims.setdefault(reference, named)
            claims[reference] = named if other is not None and other.root == named.root else None
    clear = {path: {key: named for key, named in claims.items() if named} for path, claims in short.items()}
    return Names(
        {path: _repository(named) for path, named in exact.items()},
        {path: _repository(named) for path, named in clear.items() if named},
    )


def _repository(named: Mapping[str, Named]) -> Repository:
    return Repository(
        {reference: each for reference, each in named.items() if not is_digest(reference)},
        {Digest(reference): each for reference, each in named.items() if is_digest(reference)},
    )
