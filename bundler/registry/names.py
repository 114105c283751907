"""Which names of a store a repository path stands for.

What is pushed here is named ``repository:tag``. A store that was pulled into holds full names, registry first; each of
them is found under that full path, and without its registry too, as long as the short path is not ambiguous:

    in the store                     asked for
    library/nginx:1.27               library/nginx:1.27
    docker.io/library/nginx:1.27     docker.io/library/nginx:1.27, or library/nginx:1.27 if nothing else is that
    localhost:5000/app:1             app:1, since no repository path can hold a port

A name that was pushed here wins over a shortened one. Two registries' different images under one short path hide each
other: neither is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bundler.errors import ConfigError
from bundler.oci.descriptor import Descriptor
from bundler.oci.reference import check_repository, check_tag

Tags = Mapping[str, Descriptor]


def is_repository(path: str) -> bool:
    """Whether the grammar allows ``path`` as a repository."""
    return _passes(check_repository, path)


def is_tag(tag: str) -> bool:
    """Whether the grammar allows ``tag`` as a tag."""
    return _passes(check_tag, tag)


def _passes(check: Callable[..., str], text: str) -> bool:
    try:
        check(text, what="name")
    except ConfigError:
        return False
    return True


def split_name(name: str) -> tuple[str, str] | None:
    """``(path, tag)`` of a name in a store; ``None`` if it has no tag, and so can't be asked for by one."""
    path, colon, tag = name.rpartition(":")
    return (path, tag) if colon and "@" not in path and is_tag(tag) else None


def shortened(path: str) -> str:
    """``path`` without the registry in front; ``""`` if there is none."""
    head, _, rest = path.partition("/")
    return rest if "." in head or ":" in head or head == "localhost" else ""


@dataclass(frozen=True, slots=True)
class Names:
    """A moment's repositories. ``exact`` are named so in the store; ``short`` may be left without their registry."""

    exact: Mapping[str, Tags]
    short: Mapping[str, Tags]

    def find(self, repository: str, tag: str) -> Descriptor | None:
        """The root that a tag stands for."""
        found = self.exact.get(repository, {}).get(tag)
        return found or self.short.get(repository, {}).get(tag)

    def tags(self, repository: str) -> list[str] | None:
        """Every tag of a repository in ASCII order; ``None`` if there is no such repository."""
        if repository not in self.exact and repository not in self.short:
            return None
        return sorted({*self.exact.get(repository, {}), *self.short.get(repository, {})})

    def repositories(self) -> list[str]:
        """Each repository once, in ASCII order: under its full path, or the short one where that can't be asked for."""
        return sorted({path for path in self.exact if is_repository(path)} | self._only_short())

    def _only_short(self) -> set[str]:
        return {shortened(path) for path in self.exact if not is_repository(path)} & self.short.keys()


def names_of(images: Iterable[tuple[str, Descriptor]]) -> Names:
    """The repositories of a store, from its names."""
    exact: dict[str, dict[str, Descriptor]] = {}
    short: dict[str, dict[str, Descriptor | None]] = {}
    for name, root in images:
        split = split_name(name)
        if split is None:
            continue
        path, tag = split
        exact.setdefault(path, {})[tag] = root
        if rest := shortened(path):
            tags = short.setdefault(rest, {})
            other = tags.setdefault(tag, root)
            tags[tag] = root if other == root else None
    clear = {path: {tag: root for tag, root in tags.items() if root is not None} for path, tags in short.items()}
    return Names(exact, {path: tags for path, tags in clear.items() if tags})
