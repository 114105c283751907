"""registries.yaml of k3s and RKE2: endpoints for each old registry, and regular expressions that rewrite paths.

    mirrors:
      docker.io:
        endpoint: ["https://far:5000"]
        rewrite:
          "^library/(.*)$": hub/$1

The expressions stand in no order, so no two of them may match one path: where rules lie within each other, each
repository has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bundler.mirrors.mapping import Moved, Rule, located
from bundler.mirrors.moves import Moves
from bundler.mirrors.site import Output, Site, urls


def k3s(moves: Moves, site: Site) -> Output:
    """The file as k3s looks for it."""
    return _render("k3s", moves, site)


def rke2(moves: Moves, site: Site) -> Output:
    """The file as RKE2 looks for it."""
    return _render("rke2", moves, site)


def _render(name: str, moves: Moves, site: Site) -> Output:
    import yaml

    folder = f"etc/rancher/{name}"
    mirrors: dict[str, Any] = {}
    notes = []
    for host in moves.hosts:
        rules = [rule for rule in moves.rules if rule.host == host]
        mirrors[host] = {"endpoint": list(urls(moves.far, site))}
        rewrite = rewrites(rules, moves.of(host))
        if rewrite:
            mirrors[host]["rewrite"] = rewrite
        notes += [
            f"{name} looks in one place only: {rule.prefix} is found at {moves.far}/{rule.places[0]}, "
            f"not at {', '.join(f'{moves.far}/{place}' for place in rule.places[1:])}"
            for rule in rules
            if rule.places[1:]
        ]
    document: dict[str, Any] = {"mirrors": mirrors}
    files = {}
    tls: dict[str, Any] = {}
    if site.ca:
        files[f"{name}/{folder}/ca.crt"] = site.ca
        tls["ca_file"] = f"/{folder}/ca.crt"
    if site.insecure:
        tls["insecure_skip_verify"] = True
    if tls:
        document["configs"] = {moves.far: {"tls": tls}}
    files[f"{name}/{folder}/registries.yaml"] = yaml.safe_dump(document, sort_keys=False)
    return Output(files, tuple(notes))


def rewrites(rules: Sequence[Rule], images: Sequence[Moved]) -> dict[str, str]:
    """Replacements by expression, for the rules and images of one registry; no path is matched by two."""
    moving = [rule for rule in rules if rule.path or rule.places[0]]
    if any(_within(inner, outer) for inner in moving for outer in moving):
        exact: dict[str, str] = {}
        for image in images:
            exact.setdefault(f"^{_escaped(image.repository)}$", _first(rules, image))
        return dict(sorted(exact.items()))
    found = {}
    for rule in moving:
        path, place = _escaped(rule.path), rule.places[0]
        below = [image for image in images if image.repository != rule.path and _covers(rule, image.repository)]
        if not rule.path:
            found["^(.*)$"] = f"{place}/$1"
        elif not below:
            found[f"^{path}$"] = place
        elif len(below) == sum(_covers(rule, image.repository) for image in images):
            found[f"^{path}/(.*)$"] = f"{place}/$1" if place else "$1"
        else:
            found[f"^{path}(/.*)?$"] = f"{place}$1"
    return found


def _first(rules: Sequence[Rule], image: Moved) -> str:
    return located(rules, image)[0]


def _covers(rule: Rule, repository: str) -> bool:
    return not rule.path or repository == rule.path or repository.startswith(f"{rule.path}/")


def _within(inner: Rule, outer: Rule) -> bool:
    return inner is not outer and _covers(outer, inner.path)


def _escaped(path: str) -> str:
    """A repository's name as an expression: of all that it can hold, only the dot means something else."""
    return path.replace(".", r"\.")
