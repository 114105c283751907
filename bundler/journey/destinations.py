"""Places for many images, for `push` and `sync`: each says where an image's repository and tag are found there.

docker://registry.local:5000/site     a repository each, below a prefix
oci:DIR, docker-archive:all.tar, …    full names, in one place
dir:BASE                              a directory each
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.content import Source, Target, read
from bundler.errors import BundlerError, ConfigError, NotFoundError, UnsupportedError, quoted
from bundler.graph import walk
from bundler.journey.beside import beside_target
from bundler.journey.ends import Ends, split_of
from bundler.journey.landing import open_target
from bundler.journey.shelf import Shelf
from bundler.medium import EVERYTHING, Choosy, Holds, Signable
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.oci.reference import Reference, check_repository, parse_reference, split_transport
from bundler.push import Shipment
from bundler.store.directory import disk

if TYPE_CHECKING:
    from bundler.store import Store
    from bundler.transports.docker.repository import Repository


MOST_MANIFESTS = 10_000
_PLACELESS = ("docker-daemon", "containers-storage")
"""Transports with one place, which need not be said."""


class Destination(Protocol):
    """A place for many images.

    ``name`` is how receipts and messages call it, ``prefix`` goes before each repository, and ``colons`` says whether a
    path may hold one, as that of a registry with a port does. ``by_digest`` says that what is removed goes with all its
    names.
    """

    name: str
    prefix: str
    colons: bool
    by_digest: bool

    def at_work(self) -> AbstractContextManager[None]:
        """While this lasts, images may be written; what was is committed when it ends well."""
        ...

    def holds(self) -> Holds:
        """What can be kept there as it is; asked while at work."""
        ...

    def berth(self, load: Shipment) -> Shipment:
        """The same image, with what :meth:`target` is to be asked for and what the target is to tag."""
        ...

    def target(self, key: str) -> Target:
        """The target for a key; asked while at work."""
        ...

    def keeper(self, load: Shipment) -> Signable | None:
        """What keeps an image's signatures, if anything there does; asked while at work."""
        ...

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """Keep what has no tag, given as repository and root; done while at work."""
        ...

    def found(self, load: Shipment) -> Digest | None:
        """What that name stands for there now, without writing anything."""
        ...

    def listed(self, repository: str) -> list[Held]:
        """What is there in a repository. Raises :class:`UnsupportedError` where that can't be told."""
        ...

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
        """Whether everything that ``root`` needs is there, ``chosen`` limiting the images of an index."""
        ...

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:
        """The manifests there that can't be removed without breaking one of ``roots``, these included."""
        ...


class Sized(Source, Protocol):
    """A source that can tell what it has without reading it."""

    def size_of(self, digest: Digest) -> int | None:
        """Bytes of what lies under that name; nothing if nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """An image at a destination, by its name there; ``remove`` drops it."""

    name: str
    digest: Digest
    remove: Callable[[], None] = field(repr=False, compare=False)


def open_destination(place: str, ends: Ends, *, option: str = "--to") -> Destination:
    """The destination that the operator named; nothing is made before it is at work.

    Raises :class:`ConfigError` where the name is of one image.
    """
    transport, rest = split_transport(place)
    what = f"{option} {quoted(place)!r}"
    if transport == "docker":
        return _Registry(what, rest, ends)
    where, name = ("", "") if transport in _PLACELESS and not rest else split_of(transport)(rest)
    if name:
        raise ConfigError(f"{what}: names an image, and each image has its own name", hint=f"{transport}:{where}")
    if transport == "oci" and ends.access.shared_blob_dir is None:
        return _Layout(place, where)
    if transport == "dir":
        return _Folder(place, where, ends)
    if transport == "bundle":
        raise UnsupportedError(f"{what}: bundles are made by `bundler pack` or `bundler build`")
    return _Archive(place, transport, where, ends)


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


class _Layout:
    """A store: an OCI layout that lists what has no tag by its digest."""

    prefix = ""
    colons = True
    by_digest = False

    def __init__(self, name: str, path: str) -> None:
        self.name, self._path = name, path
        self._opened: Store | None = None

    @property
    def _store(self) -> Store:
        from bundler.store import Store

        if self._opened is None:
            self._opened = Store.open(self._path, create=True)
        return self._opened

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with self._store, self._store.shared("push"):
            yield

    def holds(self) -> Holds:
        return EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return load

    def target(self, key: str) -> Target:
        return Shelf(self._store, key)

    def keeper(self, load: Shipment) -> Signable | None:
        return signable(self.target(self.berth(load).repository))

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        self._store.tag_all([(f"{repository}@{root.digest}", root) for repository, root in roots])

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:  # noqa: ARG002
        return _holds_all(self._store, root, chosen)

    def _images(self) -> dict[str, Descriptor]:
        from bundler.store import Layout

        with disk(f"look at {quoted(self._path)}"):
            is_there = Path(self._path).exists()
        return dict(Layout.open(self._path).images()) if is_there else {}

    def found(self, load: Shipment) -> Digest | None:
        root = self._images().get(load.name)
        return None if root is None else root.digest

    def listed(self, repository: str) -> list[Held]:
        return [
            Held(name, root.digest, partial(self._remove, name))
            for name, root in self._images().items()
            if _repository_of(name) == repository
        ]

    def _remove(self, name: str) -> None:
        self._store.remove([name])

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:  # noqa: ARG002
        """Nothing: a name is removed, and what another name needs stays."""
        return set()


class _Archive:
    """One file, daemon or storage that holds many images under their full names."""

    prefix = ""
    colons = True
    by_digest = False

    def __init__(self, name: str, transport: str, place: str, ends: Ends) -> None:
        self.name = name
        self._transport, self._place, self._ends = transport, place, ends
        self._target: Target | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with open_target(self._transport, self._place, self._ends) as target:
            self._target = target
            yield

    @property
    def _open(self) -> Target:
        assert self._target is not None, "only while at work"
        return self._target

    def holds(self) -> Holds:
        return self._open.holds if isinstance(self._open, Choosy) else EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return load

    def target(self, key: str) -> Target:
        return Shelf(self._open, key)

    def keeper(self, load: Shipment) -> Signable | None:
        return signable(self.target(self.berth(load).repository))

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        for repository, root in roots:
            self._open.tag(f"{repository}@{root.digest}", root)

    def found(self, load: Shipment) -> Digest | None:  # noqa: ARG002  # it is written anew each time
        return None

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:  # noqa: ARG002
        return False

    def listed(self, repository: str) -> list[Held]:
        raise UnsupportedError(
            f"{quoted(self.name)}: what else is there in {repository} can't be told",
            hint="registries, oci: and dir: destinations can be pruned",
        )

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:  # noqa: ARG002
        """Nothing: a name is removed, and what another name needs stays."""
        return set()


class _Folder:
    """A directory that holds a ``dir:`` per image, called as the image is: ``library/nginx:1.27``."""

    prefix = ""
    colons = True
    by_digest = False

    def __init__(self, name: str, path: str, ends: Ends) -> None:
        self.name = name
        self._path, self._ends = Path(path), ends
        self._stack = ExitStack()
        self._targets: dict[str, Target] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ExitStack() as self._stack:
            yield

    def holds(self) -> Holds:
        return EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return replace(load, repository=load.name, tag="")

    def target(self, key: str) -> Target:
        if key not in self._targets:
            self._targets[key] = self._stack.enter_context(open_target("dir", str(self._path / key), self._ends))
        return self._targets[key]

    def keeper(self, load: Shipment) -> Signable | None:
        return signable(self.target(self.berth(load).repository))

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """A directory's image needs no name."""

    def found(self, load: Shipment) -> Digest | None:
        return self._digest(self._path / load.name)

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
        from bundler.transports import dir as transport

        return _holds_all(transport.open_source(str(self._path / load.name)), root, chosen)

    def listed(self, repository: str) -> list[Held]:
        parent, _, last = repository.rpartition("/")
        with disk(f"read {quoted(str(self._path / parent))}"):
            there = self._path / parent
            names = sorted(each.name for each in there.iterdir()) if there.is_dir() else []
        held = []
        for name in names:
            digest = self._digest(self._path / parent / name) if name.startswith((f"{last}:", f"{last}@")) else None
            if digest is not None:
                full = f"{parent}/{name}" if parent else name
                held.append(Held(full, digest, partial(self._remove, self._path / parent / name)))
        return held

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:  # noqa: ARG002
        """Nothing: a name is removed, and what another name needs stays."""
        return set()

    def _digest(self, folder: Path) -> Digest | None:
        from bundler.transports import dir as transport

        with disk(f"look at {quoted(str(folder))}"):
            if not (folder / "manifest.json").is_file():
                return None
        return transport.open_source(str(folder)).resolve("").digest

    def _remove(self, folder: Path) -> None:
        from bundler.transports import dir as transport

        transport.remove(str(folder))


def signable(target: Target) -> Signable | None:
    """The target itself if it keeps signatures."""
    return target if isinstance(target, Signable) else None


def _repository_of(name: str) -> str:
    path, _, _ = name.partition("@")
    head, colon, tail = path.rpartition(":")
    return head if colon and "/" not in tail else path


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


def _holds_all(source: Sized, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
    """Whether a medium of files holds all that a root needs, each in its size."""
    try:
        nodes = walk(source, root, chosen=chosen).nodes
        return all(source.size_of(node.digest) == node.size for node in nodes if not node.is_manifest)
    except BundlerError:
        return False
