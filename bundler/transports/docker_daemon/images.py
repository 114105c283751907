"""The images of a daemon: read as the archives that it saves, written as one that it loads."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bundler.content import Buffer
from bundler.errors import ConfigError, DigestError, NotFoundError, quoted
from bundler.medium import Holds
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import is_digest
from bundler.oci.reference import parse_reference
from bundler.store.incoming import Incoming
from bundler.transports.docker_archive import Archive, NewArchive, opened, spooled_archive, spooled_tarball
from bundler.transports.docker_daemon.engine import Engine, find_daemon

_NAMELESS = "docker-daemon: images there have names"


class DaemonImages:
    """Images by name or ID, each saved by the daemon once, when it is resolved. ``Ranged``; safe to share among threads."""

    remade = True

    def __init__(self, engine: Engine, *, tmp: Path | None = None) -> None:
        self._engine = engine
        self._tmp = tmp
        self._saved: dict[str, tuple[Archive, Descriptor]] = {}
        self._saving = threading.Lock()

    def close(self) -> None:
        """Give back the temporary files and the connections."""
        for archive, _ in self._saved.values():
            archive.close()
        self._engine.close()

    def resolve(self, name: str) -> Descriptor:
        """The image of a name or an ID. Raises :class:`NotFoundError`."""
        if not name:
            raise ConfigError(_NAMELESS, hint="write docker-daemon:NAME:TAG or docker-daemon:sha256:ID")
        with self._saving:
            for _, root in self._saved.values():
                if root.digest == name:
                    return root
            if name not in self._saved:
                self._saved[name] = self._save(name)
            return self._saved[name][1]

    def _save(self, name: str) -> tuple[Archive, Descriptor]:
        what = f"docker-daemon:{name}"
        archive = opened(spooled_tarball(self._engine.saved(name), tmp=self._tmp, what=what))
        try:
            root = archive.resolve("")
            if is_digest(name) and not archive.is_called(name):
                raise DigestError(f"{quoted(what)}: the daemon saved another image than this")
        except BaseException:
            archive.close()
            raise
        return archive, root

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of a content of an image that was resolved."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        for archive, _ in list(self._saved.values()):
            if archive.holds_content(want.digest):
                yield from archive.fetch_from(want, offset)
                return
        raise NotFoundError(f"docker-daemon: no image that was asked for holds {want.digest}", hint="")

    def delete(self, root: Descriptor) -> None:
        """Take the names by which it was resolved from an image, and drop it with its last one."""
        names = [name for name, (_, held) in self._saved.items() if held.digest == root.digest]
        if not names:
            raise NotFoundError(f"docker-daemon: {root.digest} is no image that was asked for", hint="")
        for name in names:
            self._engine.remove(name)


def open_source(
    place: str, *, tmp: Path | None = None, cert_dir: Path | None = None, tls_verify: bool = True
) -> DaemonImages:
    """The images of the daemon at ``place``; empty for that of DOCKER_HOST, or the machine's own."""
    return DaemonImages(_engine(place, cert_dir, tls_verify=tls_verify), tmp=tmp)


def _engine(place: str, cert_dir: Path | None, *, tls_verify: bool) -> Engine:
    return Engine(find_daemon(place, environ=os.environ, cert_dir=cert_dir, tls_verify=tls_verify))


class NewImages:
    """Images on their way to a daemon: an archive that it is given when everything has arrived."""

    def __init__(self, archive: NewArchive) -> None:
        self._archive = archive

    @property
    def holds(self) -> Holds:
        """Docker's schema 2 with plain layers."""
        return self._archive.holds

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` arrived already; what the daemon has can't be told by its digest."""
        return self._archive.has(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Take a content, as an archive does."""
        self._archive.push(want, content)

    def resolve(self, name: str) -> Descriptor:
        """Nothing: the daemon keeps no manifest to compare with."""
        return self._archive.resolve(name)

    def tag(self, name: str, root: Descriptor) -> None:
        """Name the image; ``repository@digest`` lets the daemon have it under its ID alone."""
        if not name or is_digest(name):
            raise ConfigError(_NAMELESS, hint="write docker-daemon:NAME:TAG for the destination")
        self._archive.tag(name, root)


@contextmanager
def open_target(
    place: str, *, tmp: Path | None = None, cert_dir: Path | None = None, tls_verify: bool = True
) -> Iterator[NewImages]:
    """The daemon to write images to; it is given all of them when the block ends well."""
    engine = _engine(place, cert_dir, tls_verify=tls_verify)
    try:
        engine.ping()
        with spooled_archive(tmp, medium="docker-daemon") as (archive, file):
            yield NewImages(archive)
            if archive.finish():
                _give(engine, archive, file)
    finally:
        engine.close()


def _give(engine: Engine, archive: NewArchive, file: Incoming) -> None:
    with closing(file.chunks()) as chunks:
        engine.load(chunks, file.size)
    for config, names in archive.listed():
        for name in names:
            if not engine.has(name):
                reference = parse_reference(name)
                engine.tag(config, reference.name, reference.tag)


def remove(place: str, name: str, *, cert_dir: Path | None = None, tls_verify: bool = True) -> None:
    """Take the name from the image, or drop the image of an ID. Raises :class:`NotFoundError` if there is none."""
    if not name:
        raise ConfigError(_NAMELESS, hint="write docker-daemon:NAME:TAG or docker-daemon:sha256:ID")
    engine = _engine(place, cert_dir, tls_verify=tls_verify)
    try:
        engine.remove(name)
    finally:
        engine.close()
