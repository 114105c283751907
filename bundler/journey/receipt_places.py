"""A push's destination as it is now, read only, by the references that a receipt gives.

places = places_of(receipt, ends)
places.found("registry.local:5000/library/nginx:1.27")          # what the tag stands for
places.lacks(reference, root, None)                             # "missing: sha256:…", or nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bundler.content import read
from bundler.errors import (
    AuthError,
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
    first_of,
    quoted,
)
from bundler.graph import walk
from bundler.journey.ends import Ends
from bundler.oci.attached import referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.reference import Reference, parse_reference, split_transport
from bundler.push.receipt import Receipt

if TYPE_CHECKING:
    from bundler.store import Layout
    from bundler.transports.docker.repository import Repository

UNREADABLE = (ProtocolError, DigestError, LimitError, UnsupportedError)
"""What a manifest raises that is none, or not the one that it is said to be."""
MOST_MISSING = 10
"""Contents that are named, of those that an image lacks."""


class Places(Protocol):
    """A destination as it is now, by the references of a receipt."""

    def found(self, reference: str) -> Descriptor | None:
        """What stands under a reference, read and hashed. Raises one of :data:`UNREADABLE` for what can't be."""
        ...

    def lacks(self, reference: str, root: Descriptor, chosen: frozenset[Digest] | None) -> str:
        """What is missing of all that ``root`` needs, in words; empty if nothing is."""
        ...

    def listing(self, reference: str, root: Descriptor) -> Listing | None:
        """The list of what is about the same as ``root``; nothing if it is about nothing, or no such lists are kept."""
        ...

    def listed(self, known: set[str], executor: Executor) -> list[str]:
        """All references with a tag in the repositories of the ``known`` ones."""
        ...


def places_of(receipt: Receipt, ends: Ends) -> Places:
    """The destination of a receipt. Raises :class:`UnsupportedError` if it is neither a registry nor an OCI layout."""
    transport, rest = split_transport(receipt.destination)
    if transport == "docker":
        return _Registry(receipt.destination, rest.partition("/")[0], ends)
    if transport == "oci":
        from bundler.store import Layout

        return _Layout(receipt.destination, Layout.open(rest))
    raise UnsupportedError(
        f"{quoted(receipt.destination)}: what is there can't be held against a receipt",
        hint="receipts of pushes to registries and OCI layouts can be checked",
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """What refers to ``subject`` in a repository."""

    repository: Repository
    subject: Digest

    @property
    def reference(self) -> str:
        """The tag under which clients keep the list where the registry doesn't."""
        return f"{self.repository.name}:{referrers_tag(self.subject)}"

    def lacks(self, root: Descriptor) -> str:
        """Why ``root`` is not found there, in words; empty if it is."""
        try:
            listed = self.repository.referrers(self.subject)
        except AuthError:
            return ""  # nobody can ask that registry
        except UNREADABLE as problem:
            return str(problem)
        return "" if any(each.digest == root.digest for each in listed) else f"not among what refers to {self.subject}"


class _Registry:
    """The repositories of one registry."""

    def __init__(self, destination: str, host: str, ends: Ends) -> None:
        self._destination, self._host, self._ends = destination, host, ends

    def found(self, reference: str) -> Descriptor | None:
        repository, name = self._at(reference)
        try:
            return repository.resolve(name)
        except NotFoundError:
            return None

    def lacks(self, reference: str, root: Descriptor, chosen: frozenset[Digest] | None) -> str:
        repository, _ = self._at(reference)
        try:
            graph = walk(repository, root, chosen=chosen)
        except (NotFoundError, *UNREADABLE) as problem:
            return str(problem)
        return _listed([blob.digest for blob in graph.blobs if not repository.has(blob)])

    def listing(self, reference: str, root: Descriptor) -> Listing | None:
        repository, _ = self._at(reference)
        try:
            subject = parse_manifest(read(repository, root), root.media_type, what=root.digest).subject
        except (NotFoundError, *UNREADABLE):
            return None  # as its row says
        return None if subject is None else Listing(repository, subject.digest)

    def listed(self, known: set[str], executor: Executor) -> list[str]:
        paths = sorted({self._split(reference).repository for reference in known})

        def tags(path: str) -> list[str]:
            try:
                return [
                    f"{self._host}/{path}:{tag}" for tag in self._ends.repository(Reference(self._host, path)).tags()
                ]
            except NotFoundError:
                return []

        return [reference for found in executor.map(tags, paths) for reference in found]

    def _split(self, reference: str) -> Reference:
        if not reference.startswith(f"{self._host}/"):
            raise ConfigError(f"receipt: {quoted(reference)} is not at {quoted(self._destination)}")
        return parse_reference(f"far.invalid{reference[len(self._host) :]}", what="receipt", default_tag="")

    def _at(self, reference: str) -> tuple[Repository, str]:
        found = self._split(reference)
        return self._ends.repository(Reference(self._host, found.repository)), found.tag or found.digest or ""


class _Layout:
    """The images of one layout, by their names there."""

    def __init__(self, destination: str, layout: Layout) -> None:
        self._destination, self._layout = destination, layout
        self._images = dict(layout.images())

    def found(self, reference: str) -> Descriptor | None:
        name = self._name(reference)
        if name in self._images:
            return self._images[name]
        return next((root for root in self._images.values() if name.endswith(f"@{root.digest}")), None)

    def lacks(self, reference: str, root: Descriptor, chosen: frozenset[Digest] | None) -> str:
        self._name(reference)
        try:
            graph = walk(self._layout, root, chosen=chosen)
        except BundlerError as problem:  # of a file: gone, cut short, or another's content
            return str(problem)
        return _listed([node.digest for node in graph.blobs if self._layout.size_of(node.digest) != node.size])

    def listing(self, reference: str, root: Descriptor) -> Listing | None:  # noqa: ARG002
        """Nothing: a layout keeps no such lists."""
        return None

    def listed(self, known: set[str], executor: Executor) -> list[str]:  # noqa: ARG002  # it is one file
        paths = {self._name(reference).partition("@")[0].rpartition(":")[0] for reference in known}
        return [
            f"{self._destination}/{name}" for name in self._images if name.partition("@")[0].rpartition(":")[0] in paths
        ]

    def _name(self, reference: str) -> str:
        if not reference.startswith(f"{self._destination}/"):
            raise ConfigError(f"receipt: {quoted(reference)} is not at {quoted(self._destination)}")
        return reference[len(self._destination) + 1 :]


def _listed(digests: Sequence[Digest]) -> str:
    if not digests:
        return ""
    return f"missing: {first_of(digests, most=MOST_MISSING)}"
