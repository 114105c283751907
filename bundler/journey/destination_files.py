"""Places for many images on this machine: a layout, a file or storage of full names, or a directory each.

oci:DIR                        names in one layout, which is a store
docker-archive:all.tar, …      names in one place that is written as a whole
dir:BASE                       BASE/library/nginx:1.27/
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.content import Source, Target
from bundler.errors import BundlerError, UnsupportedError, quoted
from bundler.graph import walk
from bundler.journey.destination import Destination, Held, signable
from bundler.journey.ends import Ends
from bundler.journey.landing import open_target
from bundler.journey.shelf import Shelf
from bundler.medium import EVERYTHING, Choosy, Holds, Signable
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.push import Shipment
from bundler.store.directory import disk

if TYPE_CHECKING:
    from bundler.store import Store


class _Sized(Source, Protocol):
    """A source that can tell what it has without reading it."""

    def size_of(self, digest: Digest) -> int | None:
        """Bytes of what lies under that name; nothing if nothing does."""
        ...


def in_layout(name: str, path: str) -> Destination:
    """A store, whose ``name`` is as it was given."""
    return _Layout(name, path)


def in_archive(name: str, transport: str, place: str, ends: Ends) -> Destination:
    """A file, daemon or storage of a ``transport``."""
    return _Archive(name, transport, place, ends)


def in_folders(name: str, path: str, ends: Ends) -> Destination:
    """A directory for each image, below ``path``."""
    return _Folder(name, path, ends)


class _Here(ABC):
    """What all of them have in common, but for where they differ."""

    prefix = ""
    colons = True
    by_digest = False

    def holds(self) -> Holds:
        return EVERYTHING

    def berth(self, load: Shipment) -> Shipment:
        return load

    @abstractmethod
    def target(self, key: str) -> Target: ...

    def keeper(self, load: Shipment) -> Signable | None:
        return signable(self.target(self.berth(load).repository))

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:  # noqa: ARG002
        """Nothing: a name is removed, and what another name needs stays."""
        return set()


class _Layout(_Here):
    """A store: an OCI layout that lists what has no tag by its digest."""

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

    def target(self, key: str) -> Target:
        return Shelf(self._store, key)

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


class _Archive(_Here):
    """One file, daemon or storage that holds many images under their full names."""

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

    def target(self, key: str) -> Target:
        return Shelf(self._open, key)

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


class _Folder(_Here):
    """A directory that holds a ``dir:`` per image, called as the image is: ``library/nginx:1.27``."""

    def __init__(self, name: str, path: str, ends: Ends) -> None:
        self.name = name
        self._path, self._ends = Path(path), ends
        self._stack = ExitStack()
        self._targets: dict[str, Target] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ExitStack() as self._stack:
            yield

    def berth(self, load: Shipment) -> Shipment:
        return replace(load, repository=load.name, tag="")

    def target(self, key: str) -> Target:
        if key not in self._targets:
            self._targets[key] = self._stack.enter_context(open_target("dir", str(self._path / key), self._ends))
        return self._targets[key]

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

    def _digest(self, folder: Path) -> Digest | None:
        from bundler.transports import dir as transport

        with disk(f"look at {quoted(str(folder))}"):
            if not (folder / "manifest.json").is_file():
                return None
        return transport.open_source(str(folder)).resolve("").digest

    def _remove(self, folder: Path) -> None:
        from bundler.transports import dir as transport

        transport.remove(str(folder))


def _repository_of(name: str) -> str:
    path, _, _ = name.partition("@")
    head, colon, tail = path.rpartition(":")
    return head if colon and "/" not in tail else path


def _holds_all(source: _Sized, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
    """Whether a medium of files holds all that a root needs, each in its size."""
    try:
        nodes = walk(source, root, chosen=chosen).nodes
        return all(source.size_of(node.digest) == node.size for node in nodes if not node.is_manifest)
    except BundlerError:
        return False
