"""A new archive: members are appended as they come, each once; what lists the images is written last.

Layers go straight into the archive, one after the other whichever thread brings them; one that turns out to be wrong is
cut off again. The archive appears under its name when it is whole. Times and owners are left out: equal contents in equal
order make equal files.
"""

from __future__ import annotations

import json
import os
import stat
import tarfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bundler.content import Buffer
from bundler.errors import ConfigError, DigestError, LimitError, NotFoundError, UnsupportedError, disk_error, quoted
from bundler.medium import Holds
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, hex_of
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.reference import parse_reference
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads
from bundler.store.directory import Directory
from bundler.store.incoming import Incoming
from bundler.transports.docker_archive.legacy import VERSION, go_json, legacy_layers
from bundler.transports.docker_archive.reading import MANIFEST

_SUFFIXES = {mediatype.DOCKER_LAYER: "tar", mediatype.DOCKER_CONFIG: "json"}
_END = bytes(1024)
MAX_CONFIGS = 64 << 20
"""Bytes of all configs of an archive, which stay in memory until it is whole; 2,000 usual ones take 20 MiB."""


class NewArchive:
    """See the module; safe to share among threads. ``medium`` is whom messages name."""

    def __init__(self, file: Incoming, *, medium: str = "docker-archive") -> None:
        self._file = file
        self._writing = threading.RLock()
        self._members: dict[Digest, Descriptor] = {}
        self._configs: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, Manifest] = {}
        self._images: dict[Digest, list[str]] = {}
        """Names by the manifests' digests, in the order in which the images were tagged."""
        self.holds = Holds(
            medium,
            formats=frozenset({"v2s2"}),
            compressions=frozenset({"none"}),
            indexes=False,
            artifacts=False,
        )

    # Contents

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` was written already."""
        if want.is_manifest:
            return want.digest in self._manifests
        held = self._members.get(want.digest)
        return held is not None and (held.media_type, held.size) == (want.media_type, want.size)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Append a plain layer or a config, or remember a manifest whose layers and config are there.

        Raises :class:`UnsupportedError` for anything else.
        """
        if want.is_manifest:
            self._remember(want, content)
            return
        suffix = _SUFFIXES.get(want.media_type)
        if suffix is None:
            raise UnsupportedError(
                f"{self.holds.medium} holds plain layers and configs of Docker's schema 2, and {want.digest} is "
                f"{quoted(want.media_type)!r}"
            )
        raw = b""
        if suffix == "json":
            raw = _whole(want, content)
            content = (raw,)
        with self._writing:
            if self.has(want):
                return
            if suffix == "json" and sum(map(len, self._configs.values())) + len(raw) > MAX_CONFIGS:
                raise LimitError(f"{self.holds.medium}: the configs of its images take more than {MAX_CONFIGS} bytes")
            self._append(f"{hex_of(want.digest)}.{suffix}", want.size, content)
            self._members[want.digest] = want
            if suffix == "json":
                self._configs[want.digest] = raw

    def _remember(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        if want.media_type != mediatype.DOCKER_MANIFEST:
            raise UnsupportedError(
                f"{self.holds.medium} holds images of Docker's schema 2 for one platform each, and {want.digest} is "
                f"{quoted(want.media_type)!r}"
            )
        manifest = parse_manifest(_whole(want, content), want.media_type, what=str(want.digest))
        assert manifest.config is not None, "an index was refused"
        for child in (manifest.config, *manifest.layers):
            if not self.has(child):
                raise NotFoundError(f"{want.digest}: needs {child.digest}, which was not written", hint="")
        self._check_layers(want.digest, manifest.config.digest, [layer.digest for layer in manifest.layers])
        self._manifests[want.digest] = manifest

    def _check_layers(self, manifest: Digest, config: Digest, layers: list[Digest]) -> None:
        """Whoever loads the archive takes the config's word for what each layer is."""
        what = f"config {config}"
        fields = Fields(loads(self._configs[config], what=what), what=what)
        rootfs = fields.object("rootfs") if "rootfs" in fields else fields
        ids = rootfs.texts("diff_ids") if "diff_ids" in rootfs else ()
        if list(ids) != layers:
            raise UnsupportedError(
                f"{manifest}: its config names other layers than it lists, so {self.holds.medium} can't hold it",
                hint="the image is damaged where it comes from, or its digests are not SHA-256",
            )

    def _append(self, name: str, size: int, content: Iterable[Buffer]) -> None:
        """Add a file; if ``content`` raises, or is not ``size`` bytes long, nothing of it stays."""
        header = tarfile.TarInfo(name)
        header.mode, header.size = 0o444, size
        start, left = self._file.size, size
        try:
            self._file.write(header.tobuf(tarfile.PAX_FORMAT))
            for chunk in content:
                left -= len(chunk)
                if left < 0:
                    raise DigestError(f"{name}: more than the {size} bytes it should have")
                self._file.write(chunk)
            if left:
                raise DigestError(f"{name}: ends {left} bytes before the {size} that it should have")
            self._file.write(bytes(-size % tarfile.BLOCKSIZE))
        except BaseException:
            self._file.cut(start)
            raise

    # Names

    def resolve(self, name: str) -> Descriptor:
        """Nothing: an archive is always a new one."""
        raise NotFoundError(f"{quoted(name)}: the archive is being written", hint="")

    def tag(self, name: str, root: Descriptor) -> None:
        """Put the image into the archive's list, under ``name`` unless that is empty or ends with a digest."""
        if root.digest not in self._manifests:
            raise NotFoundError(f"{root.digest}: can't be named {quoted(name)!r}, as it was not written", hint="")
        reference = parse_reference(name, what=f"{self.holds.medium}: name") if name else None
        with self._writing:
            names = self._images.setdefault(self._same_image(root.digest), [])
            if reference is None or reference.digest:
                return
            for others in self._images.values():
                if str(reference) in others:
                    others.remove(str(reference))
            names.append(str(reference))

    def _same_image(self, digest: Digest) -> Digest:
        """The manifest that is listed already with the same config: to Docker they are one image."""
        config = self._manifests[digest].config
        return next((each for each in self._images if self._manifests[each].config == config), digest)

    def listed(self) -> Iterator[tuple[Digest, tuple[str, ...]]]:
        """What the archive will list: images by their configs' digests, with their names."""
        for digest, names in self._images.items():
            config = self._manifests[digest].config
            assert config is not None
            yield config.digest, tuple(names)

    # The end

    def finish(self) -> bool:
        """Write what lists the images, and the end of the archive; false if no image was tagged."""
        if not self._images:
            return False
        with self._writing:
            listed: list[bytes] = []
            repositories: dict[str, dict[str, str]] = {}
            folders: set[str] = set()
            for digest, names in self._images.items():
                manifest = self._manifests[digest]
                assert manifest.config is not None
                layers = [layer.digest for layer in manifest.layers]
                listed.append(_listed(manifest.config.digest, names, layers))
                last = self._write_legacy(manifest.config.digest, layers, folders)
                for name in names if last else ():
                    repository, _, tag = name.rpartition(":")
                    repositories.setdefault(repository, {})[tag] = last
            self._write(MANIFEST, b"[" + b",".join(listed) + b"]")
            self._write("repositories", go_json({name: dict(sorted(t.items())) for name, t in repositories.items()}))
            self._file.write(_END)
        return True

    def _write(self, name: str, raw: bytes) -> None:
        self._append(name, len(raw), (raw,))

    def _write_legacy(self, config: Digest, layers: list[Digest], folders: set[str]) -> str:
        """The folders of an image's layers, but for those in ``folders``; the name of the last one."""
        last = ""
        for layer in legacy_layers(self._configs[config], layers, what=f"config {config}"):
            last = layer.id
            if last in folders:
                continue
            folders.add(last)
            link = tarfile.TarInfo(f"{last}/layer.tar")
            link.type, link.mode, link.linkname = tarfile.SYMTYPE, 0, f"../{hex_of(layer.layer)}.tar"
            self._file.write(link.tobuf(tarfile.PAX_FORMAT))
            self._write(f"{last}/VERSION", VERSION)
            self._write(f"{last}/json", layer.about)
        return last


def _listed(config: Digest, names: list[str], layers: list[Digest]) -> bytes:
    """An image in ``manifest.json``, whose members have an order of their own."""
    item = {
        "Config": f"{hex_of(config)}.json",
        "RepoTags": names,
        "Layers": [f"{hex_of(layer)}.tar" for layer in layers],
    }
    return json.dumps(item, separators=(",", ":")).encode()


def _whole(want: Descriptor, content: Iterable[Buffer]) -> bytes:
    if want.size > MANIFEST_CAP:
        raise UnsupportedError(f"{want.digest}: {want.size} bytes are more than a {quoted(want.media_type)} may have")
    return b"".join(bytes(chunk) for chunk in content)


@contextmanager
def open_target(place: str, *, tmp: Path | None = None) -> Iterator[NewArchive]:
    """A new archive, or one that is written into a pipe when it is whole.

    Raises :class:`ConfigError` if something is there already: archives are not changed.
    """
    path = Path(place)
    if "\0" in place:
        raise ConfigError(f"docker-archive:{quoted(place)}: not a path")
    if _is_pipe_or_free(path):
        with spooled_archive(tmp) as (archive, file):
            yield archive
            if archive.finish():
                _pour(file, path)
        return
    if not path.parent.is_dir():
        raise ConfigError(f"docker-archive:{quoted(place)}: there is no such directory", hint="make it first")
    parent = Directory(str(path.parent))
    with Incoming.new(parent) as file:
        archive = NewArchive(file)
        yield archive
        if archive.finish():
            file.commit(parent, path.name)
            parent.sync()


@contextmanager
def spooled_archive(tmp: Path | None, *, medium: str = "docker-archive") -> Iterator[tuple[NewArchive, Incoming]]:
    """A new archive in a temporary place, and its file; the caller calls ``finish``."""
    with TemporaryDirectory(dir=tmp, prefix="bundler-") as folder, Incoming.new(Directory(folder)) as file:
        yield NewArchive(file, medium=medium), file


def _is_pipe_or_free(path: Path) -> bool:
    """True for a pipe, false for a place where a file can be made; an empty file is as good as none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise disk_error(problem, f"look at {quoted(str(path))}") from None
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return True
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        return False
    what = "is there already, and archives are not changed" if stat.S_ISREG(found.st_mode) else "is no file"
    raise ConfigError(f"docker-archive:{quoted(str(path))}: {what}", hint="remove it first, or choose another place")


def _pour(file: Incoming, path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as pipe:
            for chunk in file.chunks():
                view = memoryview(chunk)
                while view:
                    view = view[os.write(pipe.fileno(), view) :]
    except OSError as problem:
        raise disk_error(problem, f"write {quoted(str(path))}") from None
