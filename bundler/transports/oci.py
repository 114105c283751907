"""``oci:path[:name]``: an OCI layout made by any tool, as a source of images.

The text is split where skopeo splits it: at the first colon, so that a name may hold colons and a path may not. Beyond
that an image can be asked for by digest, which needs no name.

>>> split("build/app:docker.io/library/nginx:1.27")
('build/app', 'docker.io/library/nginx:1.27')
>>> split("build/app")
('build/app', '')
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bundler.content import Buffer
from bundler.errors import ConfigError, NotFoundError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import is_digest
from bundler.store import Store
from bundler.store.directory import Directory, disk
from bundler.store.incoming import Incoming
from bundler.store.index import Entry
from bundler.store.layout import Layout

__all__ = ["Layout", "open_layout", "open_source", "open_target", "split"]

_PLAIN = frozenset({"mediaType", "digest", "size", "annotations", "platform", "artifactType"})


def split(rest: str) -> tuple[str, str]:
    """``(path, name)`` of what follows ``oci:``. ``path@digest`` gives the digest as the name; without one it is empty."""
    before, at, digest = rest.rpartition("@")
    if at and is_digest(digest) and ":" not in before:
        path, name = before, digest
    else:
        path, _, name = rest.partition(":")
    if not path:
        raise ConfigError(f"oci:{quoted(rest)}: names no directory", hint="write oci:DIRECTORY[:NAME]")
    return path, name


def open_layout(rest: str) -> tuple[Layout, str]:
    """The layout and the name in it of what follows ``oci:``; give the name to :meth:`Layout.resolve`.

    Raises :class:`ConfigError` or its :class:`bundler.errors.NotFoundError` where the text or the directory is wrong, and
    :class:`bundler.errors.StoreError` for a directory that is no layout.
    """
    path, name = split(rest)
    return Layout.open(path), name


def open_source(place: str, *, shared_blob_dir: Path | None = None) -> Layout:
    """The layout in a directory; its blobs in another one, where several layouts share it."""
    if shared_blob_dir is None:
        return Layout.open(place)
    return _SharedLayout.at(place, shared_blob_dir)


@contextmanager
def open_target(place: str, *, shared_blob_dir: Path | None = None) -> Iterator[Store]:
    """A layout to write to, made if there is none; kept from gc meanwhile."""
    store = _SharedTarget.at(place, shared_blob_dir) if shared_blob_dir else _Target.open(place, create=True)
    with store, store.shared("copy"):
        yield store


class _Target(Store):
    """A store whose images can be dropped by what they are."""

    def resolve(self, name: str = "") -> Descriptor:
        """As a layout; but a digest stands for an image that is listed, not for what a broken copy has left."""
        root = super().resolve(name)
        if is_digest(name) and not any(each.root.digest == name for each in self.index().entries):
            raise NotFoundError(f"{quoted(self.path)}: {name} is not listed there")
        return root

    def tag(self, name: str, root: Descriptor) -> None:
        """Let ``name`` stand for ``root``. An entry for it without a name goes, as others ask which of the two is meant."""
        super().tag(name, root)
        nameless = [each for each in self.index().entries if not each.names and each.root.digest == root.digest]
        if name and nameless and all(_says_nothing_more(each) for each in nameless):
            self._change(lambda index: index.without([root.digest]))

    def delete(self, root: Descriptor) -> None:
        """Take away every name of ``root``; the content stays until `store gc`."""
        names = [entry.name or entry.root.digest for entry in self.index().entries if entry.root.digest == root.digest]
        self.untag(names)


def _says_nothing_more(entry: Entry) -> bool:
    return not entry.root.annotations and entry.raw.keys() <= _PLAIN


class _Shared:
    """Where the blobs of several layouts lie: directories by algorithm, without a ``blobs`` above them."""

    shared_blobs: Directory

    def shared_algorithm(self, algorithm: str) -> Directory | None:
        """The directory of an algorithm's blobs, if there is one."""
        return self.shared_blobs.sub(algorithm)


class _SharedLayout(Layout, _Shared):
    """A layout to read whose blobs lie elsewhere."""

    @classmethod
    def at(cls, place: str, blobs: Path) -> _SharedLayout:
        """The layout at ``place`` with its blobs in ``blobs``."""
        layout = cls.open(place)
        if not blobs.is_dir():
            raise NotFoundError(f"{quoted(str(blobs))}: no such directory", hint="check the one for shared blobs")
        layout.shared_blobs = Directory(str(blobs))
        return layout

    def _algorithm(self, algorithm: str) -> Directory | None:
        return self.shared_algorithm(algorithm)


class _SharedTarget(_Target, _Shared):
    """A layout to write whose blobs go elsewhere."""

    @classmethod
    def at(cls, place: str, blobs: Path) -> _SharedTarget:
        """The layout at ``place``, made if there is none, with its blobs in ``blobs``."""
        store = cls.open(place, create=True)
        with disk(f"create {quoted(str(blobs))}"):
            (blobs / "sha256").mkdir(parents=True, exist_ok=True)
        store.shared_blobs = Directory(str(blobs))
        return store

    def _algorithm(self, algorithm: str) -> Directory | None:
        return self.shared_blobs.make(algorithm)

    # A file can't be renamed into another file system, so there blobs are written where they are to lie.

    def _is_elsewhere(self) -> bool:
        return os.fstat(self.shared_blobs.fd).st_dev != os.fstat(self._root.fd).st_dev

    def incoming(self) -> Incoming:
        """A nameless file to write to."""
        return Incoming.new(self.shared_blobs) if self._is_elsewhere() else super().incoming()

    def held(self, want: Descriptor) -> int:
        """How many leading bytes of ``want`` can be continued."""
        return 0 if self._is_elsewhere() else super().held(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Store ``want``."""
        if not self._is_elsewhere():
            super().push(want, content)
            return
        with self.incoming() as file:
            for chunk in content:
                file.write(chunk)
            self.commit(want, file)
