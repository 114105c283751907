"""What is signed at export: every manifest that arrives at a registry, and the names under which it does.

acme/nginx:1.0 ──▶ index    signed as registry.site:5000/acme/nginx:1.0
                   ├─ amd64   signed under the same name: clients look at the image that they choose
                   └─ arm64
acme/nginx:new ──▶ index    the same manifests, once more under this name
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import quoted
from bundler.graph import Manifests, walk_named
from bundler.journey.cargo import Cargo
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference, parse_reference


@dataclass(frozen=True, slots=True)
class Named:
    """A manifest with all names under which it arrives in a repository, and the sources that these have in the bundle."""

    repository: str
    digest: Digest
    names: tuple[Reference, ...]
    sources: frozenset[str]

    @property
    def place(self) -> Reference:
        """One of the names."""
        return self.names[0]


def named_manifests(cargo: Cargo, registry: str) -> list[Named]:
    """Every manifest of the images, once for each repository."""
    names: dict[tuple[str, Digest], dict[Reference, set[str]]] = {}
    shared = Manifests()
    for load in cargo.shipments:
        if load.attached:
            continue
        digest = None if load.tag else load.root.digest
        name = str(Reference(registry, load.repository, load.tag or "", digest))
        reference = parse_reference(name, what=quoted(load.source))  # as whoever pulls it will write it
        graph = walk_named(cargo.source_of(load), load.source, load.root, chosen=load.chosen, shared=shared)
        for node in graph.nodes:
            if node.is_manifest:
                names.setdefault((load.repository, node.digest), {}).setdefault(reference, set()).add(load.source)
    return [
        Named(repository, digest, tuple(sorted(found, key=str)), frozenset[str]().union(*found.values()))
        for (repository, digest), found in names.items()
    ]
