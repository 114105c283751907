"""A registry as a place for many images: a repository for each, below a prefix.

docker://registry.local:5000/site  ──▶  registry.local:5000/site/library/nginx:1.27
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from bundler.content import Source, read
from bundler.errors import ConfigError, NotFoundError
from bundler.journey.beside import beside_target
from bundler.journey.destination import Destination, Held
from bundler.journey.ends import Ends
from bundler.medium import EVERYTHING, Holds, Signable
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.oci.reference import Reference, check_repository, parse_reference
from bundler.push import Shipment

if TYPE_CHECKING:
    from bundler.transports.docker.repository import Repository

MOST_MANIFESTS = 10_000


def at_registry(what: str, rest: str, ends: Ends) -> Destination:
    """The registry ``HOST[:PORT][/PREFIX]``; ``what`` names it in errors. Raises :class:`ConfigError` for another name."""
    return _Registry(what, rest, ends)


class _Registry:
    """A registry, with a path in front of every repository."""

    colons = False
    by_digest = True

    def __init__(self, what: str, rest: str, ends: Ends) -> None:
        self._ends = ends
        host, _, self.prefix = rest.rstrip("/").partition("/")
        if not host:
            raise ConfigError(f"{what}: names no registry", hint="docker://HOST[:PORT][/PREFIX]")
        port = "" if ":" in host.rpartition("]")[2] else ":443"  # with which a bare name is a registry's too
        parse_reference(f"{host}{port}/x/y", what=what)
        if self.prefix:
            check_repository(self.prefix, what=what)
        self.name = host

    @contextmanager
    def at_work(self) -> Iterator[None]:
        yield

    def holds(self) -> Holds:
        return EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return load

    def target(self, key: str) -> Repository:
        return self._ends.repository(Reference(self.name, key))

    def keeper(self, load: Shipment) -> Signable:
        digest = None if load.tag else load.root.digest
        return beside_target(self._ends, Reference(self.name, load.repository, load.tag or "", digest))

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """A registry has it anyhow."""

    def found(self, load: Shipment) -> Digest | None:
        try:
            return self.target(load.repository).peek(load.tag or load.root.digest).digest
        except NotFoundError:
            return None

    def listed(self, repository: str) -> list[Held]:
        target = self.target(repository)
        try:
            roots = [(tag, target.peek(tag)) for tag in target.tags()]
        except NotFoundError:
            return []
        return [Held(f"{repository}:{tag}", root.digest, partial(target.delete, root.digest)) for tag, root in roots]

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
        target = self.target(load.repository)
        children = parse_manifest(read(target, root), root.media_type, what=root.digest).manifests
        return all(target.has(child) for child in children if chosen is None or child.digest in chosen)

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:
        """With everything below an index, as registries delete manifests wherever they are listed."""
        target = self.target(repository)
        found: set[Digest] = set()
        for digest in roots:
            try:
                root = target.resolve(digest)
            except NotFoundError:
                continue
            manifests = [root] if not is_index(root.media_type) else _manifests(target, root)
            found.update(each.digest for each in manifests)
        return found


def _manifests(source: Source, root: Descriptor) -> list[Descriptor]:
    """An index and the manifests below it, those included that are not there."""
    found, waiting = [root], [root]
    while waiting:
        index = waiting.pop()
        for child in parse_manifest(read(source, index), index.media_type, what=index.digest).manifests:
            found.append(child)
            if is_index(child.media_type) and len(found) < MOST_MANIFESTS:
                waiting.append(child)
    return found
