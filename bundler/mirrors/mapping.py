"""The fewest prefixes under which every image is found where it landed.

One rule for a host is enough where all of its paths were kept, below another path or not; where some moved elsewhere, they
have rules of their own, and the longest prefix decides.

    docker.io/library/nginx ──▶ far/hub/library/nginx       docker.io          ──▶ far/hub
    docker.io/team/app      ──▶ far/hub/team/app            docker.io/team/web ──▶ far/shop/web
    docker.io/team/web      ──▶ far/shop/web

This is small parsimony on a tree (Fitch 1971): from the leaves to the root, keep for each node the places that most of
its children could share; from the root to the leaves, say a place where it is not the one said above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bundler.oci.digest import Digest

Places = tuple[str, ...]
"""Paths at the far registry, the one with most images first; an empty path is its root."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One image: ``host``, ``repository`` and ``tag`` of its old name, the repository ``far`` away, its digest there."""

    host: str
    repository: str
    tag: str
    far: str
    digest: Digest

    @property
    def name(self) -> str:
        """The old name without tag."""
        return f"{self.host}/{self.repository}"

    @property
    def place(self) -> str | None:
        """The path under which the whole of the old host's paths would lead here; None if there is none."""
        return _without(self.far, self.repository)


@dataclass(frozen=True, slots=True)
class Rule:
    """What begins with ``host/path`` is at the ``places``; ``tagged`` says whether anything there has a tag."""

    host: str
    path: str
    places: Places
    tagged: bool = True

    @property
    def prefix(self) -> str:
        """The old name's beginning."""
        return joined(self.host, self.path)


def joined(*parts: str) -> str:
    """A path of those parts that are not empty."""
    return "/".join(part for part in parts if part)


def rules_for(images: Iterable[Moved]) -> tuple[Rule, ...]:
    """The fewest rules, sorted by prefix, under which the longest prefix of each image leads to where it is."""
    images = list(images)
    hosts: dict[str, dict[str, Counter[str]]] = {}
    for image in images:
        hosts.setdefault(image.host, {}).setdefault(image.repository, Counter())[image.far] += 1
    found = []
    for host in sorted(hosts):
        repositories = {path: _ordered(counts) for path, counts in hosts[host].items()}
        chosen = _fewest(repositories)
        tagged = {_longest(image.repository, chosen) for image in images if image.host == host and image.tag}
        found += [Rule(host, path, chosen[path], path in tagged) for path in sorted(chosen)]
    return tuple(found)


def located(rules: Iterable[Rule], image: Moved) -> Places:
    """Where the rules lead for an image."""
    ours = {rule.path: rule.places for rule in rules if rule.host == image.host}
    path = _longest(image.repository, ours)
    rest = image.repository[len(path) :].strip("/")
    return tuple(joined(place, rest) for place in ours[path])


def _ordered(counts: Counter[str]) -> Places:
    return tuple(sorted(counts, key=lambda far: (-counts[far], far)))


def _longest(path: str, paths: Iterable[str]) -> str:
    return max((each for each in paths if not each or path == each or path.startswith(f"{each}/")), key=len)


def _ancestors(path: str) -> Iterator[str]:
    """Every leading path of ``path``, the empty one last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _fewest(repositories: Mapping[str, Places]) -> dict[str, Places]:
    """Places by path, for one host."""
    children: dict[str, set[str]] = {path: set() for path in repositories}
    for path in repositories:
        for parent in _ancestors(path):
            children.setdefault(parent, set()).add(path)
            path = parent  # noqa: PLW2901  # the walk goes up
    shared: dict[str, tuple[set[Places], int]] = {}
    for path in sorted(children, key=lambda path: -path.count("/") if path else 1):
        shared[path] = _shared(path, children[path], repositories, shared)
    chosen: dict[str, Places] = {}
    waiting: list[tuple[str, Places | None]] = [("", None)]
    while waiting:
        path, given = waiting.pop()
        places, count = shared[path]
        # A place for one child only is said at the child, as nothing is known of its neighbours; but a host is worth it.
        if given not in places and places and (count > 1 or not path or path in repositories):
            given = min(places, key=lambda each: (len(each), sum(map(len, each)), each))
            chosen[path] = given
        for child in children[path]:
            last = child.rpartition("/")[2]
            waiting.append((child, None if given is None else tuple(joined(place, last) for place in given)))
    return chosen


def _shared(
    path: str,
    children: Iterable[str],
    repositories: Mapping[str, Places],
    shared: Mapping[str, tuple[set[Places], int]],
) -> tuple[set[Places], int]:
    """The places for ``path`` that save most rules below, and how many they save."""
    if path in repositories:
        return {repositories[path]}, 1
    counts: Counter[Places] = Counter()
    for child in children:
        last = child.rpartition("/")[2]
        for places in shared[child][0]:
            stripped = [_without(place, last) for place in places]
            if None not in stripped:
                counts[tuple(place for place in stripped if place is not None)] += 1
    most = max(counts.values(), default=0)
    return {places for places, count in counts.items() if count == most}, most


def _without(place: str, ending: str) -> str | None:
    """``place`` without the path that it ends with."""
    if place == ending:
        return ""
    return place[: -len(ending) - 1] if place.endswith(f"/{ending}") else None
