"""``containers-storage:[SPEC]name``: images of podman, buildah and cri-o on this machine, through skopeo or podman.

Their storage is layered file systems with their own locks and metadata, which only their own library keeps right. So a
program that has it copies between the storage and a temporary ``dir:``, which loses nothing: skopeo, or else podman.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bundler.content import Buffer, Held, Source, read
from bundler.convert.compression import sniffed
from bundler.convert.formats import is_layer, layer_type, written_manifest
from bundler.convert.recipe import format_of
from bundler.errors import (
    BundlerError,
    ConfigError,
    DiskError,
    NotFoundError,
    UnsupportedError,
    quoted,
)
from bundler.medium import Holds
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import parse_manifest, sniff_media_type
from bundler.oci.strict_json import loads
from bundler.store.directory import disk
from bundler.transports import dir as folder

_SPEC = re.compile(r"(\[[^\]]*\])(.*)", re.DOTALL)
_REASON = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
"""What the program means, in the line that it logs."""
_ID = re.compile(r"[0-9a-f]{64}")
_MISSING = ("no such image", "does not resolve to an image", "identifier is not an image", "image not known")


def split(rest: str) -> tuple[str, str]:
    """``(specifier, name)``: the specifier in its brackets, empty for the user's own storage."""
    found = _SPEC.fullmatch(rest)
    place, name = (found[1], found[2]) if found else ("", rest)
    if rest.startswith("[") and found is None:
        raise ConfigError(f"containers-storage:{quoted(rest)}: the [ is not closed")
    if not name.isprintable() or name.startswith("-"):
        raise ConfigError(f"containers-storage:{quoted(rest)}: {quoted(name)!r} is not the name of an image")
    return place, name


class _Skopeo:
    """The storage through skopeo, which knows it by the same names as we do."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._command = ["skopeo", "--insecure-policy"]
        if os.geteuid() != 0 and shutil.which("podman"):
            self._command = ["podman", "unshare", *self._command]  # the files belong to the user's own id range

    def _named(self, name: str) -> str:
        return f"containers-storage:{self._place}{name}"

    def take(self, name: str, to: Path) -> None:
        """Copy an image into a directory."""
        _run([*self._command, "copy", "--quiet", self._named(name), f"dir:{to}"], self._named(name))

    def put(self, source: Path, name: str) -> None:
        """Copy an image from a directory."""
        _run([*self._command, "copy", "--quiet", f"dir:{source}", self._named(name)], self._named(name))

    def drop(self, name: str) -> None:
        """Delete an image."""
        _run([*self._command, "delete", self._named(name)], self._named(name))

    def told(self, name: str) -> tuple[bytes, bytes] | None:
        """Manifest and config as they came, which the storage keeps beside what it made of the layers."""
        told = [*self._command, "inspect", "--raw", self._named(name)]
        return _run(told, self._named(name)), _run([*told[:-1], "--config", told[-1]], self._named(name))


class _Podman:
    """The storage through podman alone."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._command = ["podman", *_podman_options(place)]

    def _do(self, name: str, *words: str) -> bytes:
        return _run([*self._command, *words], f"containers-storage:{self._place}{name}")

    def take(self, name: str, to: Path) -> None:
        """Copy an image into a directory."""
        self._do(name, "push", "--quiet", "--", name.removeprefix("@"), f"dir:{to}")

    def put(self, source: Path, name: str) -> None:
        """Copy an image from a directory."""
        said = self._do(name, "pull", "--quiet", "--", f"dir:{source}").decode(errors="replace").split()
        if not said or not _ID.fullmatch(said[-1]):
            raise DiskError(f"containers-storage:{quoted(self._place + name)}: podman did not say which image it took")
        self._do(name, "tag", "--", said[-1], name)

    def drop(self, name: str) -> None:
        """Delete an image, or only its name if it has others."""
        self._do(name, "rmi", "--", name.removeprefix("@"))

    def told(self, name: str) -> tuple[bytes, bytes] | None:  # noqa: ARG002  # only skopeo can
        """None: podman tells no manifest as it came."""
        return None


def _podman_options(place: str) -> list[str]:
    """``[driver@root+run:option,…]`` as options of podman, all of whose parts but the first root may be missing."""
    if not place:
        return []
    driver, at, where = place[1:-1].rpartition("@")
    where, _, storage_options = where.partition(":")
    root, _, run_root = where.partition("+")
    words = [f"--storage-driver={driver}"] if at and driver else []
    words += [f"--root={root}"] if root else []
    words += [f"--runroot={run_root}"] if run_root else []
    return words + [f"--storage-opt={option}" for option in storage_options.split(",") if option]


def _program(place: str) -> _Skopeo | _Podman:
    if shutil.which("skopeo"):
        return _Skopeo(place)
    if shutil.which("podman"):
        return _Podman(place)
    raise UnsupportedError(
        "containers-storage: needs skopeo or podman, and neither is installed",
        hint="install the package skopeo or podman; or save the image where one is, and give docker-archive:",
    )


def _run(command: Sequence[str], what: str) -> bytes:
    """What a program printed. Raises what its last words mean if it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as problem:
        raise DiskError(f"{quoted(command[0])}: could not be started: {problem.strerror}") from None
    if done.returncode:
        raise _failure(done.stderr.decode(errors="replace"), what)
    return done.stdout


def _failure(said: str, what: str) -> BundlerError:
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "no reason given")
    found = _REASON.search(last)
    why = re.sub(r"\\(.)", r"\1", found[1]) if found else last
    if any(text in said.lower() for text in _MISSING):
        return NotFoundError(f"{quoted(what)}: {quoted(why, 500)}", hint="see `podman images`")
    return DiskError(f"{quoted(what)}: {quoted(why, 500)}", hint="see what `podman images` says")


class Storage:
    """A storage as a source: an image is copied into a temporary directory when it is first asked for."""

    def __init__(self, place: str, tmp: Path | None) -> None:
        self._place = place
        self._work = tempfile.TemporaryDirectory(dir=tmp, prefix="bundler-")
        self._folders: list[folder.Folder] = []
        self._names: dict[str, Descriptor] = {}
        self._known: dict[str, Descriptor] = {}
        self._copying = threading.Lock()

    @property
    def remade(self) -> bool:
        """The storage has layers without compression, and so its manifests are not those that came."""
        return True

    def close(self) -> None:
        """Give the room back."""
        self._work.cleanup()

    def resolve(self, name: str = "") -> Descriptor:
        """The image of a name or an id, copied."""
        program = self._program(name)
        with self._copying:
            if name not in self._names:
                place = Path(self._work.name) / str(len(self._names))
                program.take(name, place)
                _name_layers(place)
                opened = folder.open_source(str(place))
                self._folders.append(opened)
                self._names[name] = opened.resolve()
            return self._names[name]

    def _program(self, name: str) -> _Skopeo | _Podman:
        if not name:
            raise NotFoundError("containers-storage: names no image", hint="write containers-storage:NAME[:TAG]")
        return _program(self._place)

    def as_kept(self, name: str) -> Source:
        """What the storage says of an image, without a copy: a source of the manifest that came, and of its config."""
        told = self._program(name).told(name)
        if told is None:
            return self
        raw, config = told
        media_type = sniff_media_type(raw, what=f"containers-storage:{quoted(name)}")
        root = Descriptor(media_type, digest_of(raw), len(raw))
        self._known[name] = root
        return _Kept(root, {root.digest: raw, digest_of(config): config})

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, of any image that was resolved."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        for opened in self._folders:
            if opened.holds_content(want):
                yield from opened.fetch_from(want, offset)
                return
        raise NotFoundError(f"containers-storage: {want.digest} is in no image that was read")

    def delete(self, root: Descriptor) -> None:
        """Drop an image that was resolved."""
        for name, known in (self._known | self._names).items():
            if known.digest == root.digest:
                self._program(name).drop(name)


class _Kept(Held):
    """One image's manifest and config."""

    def __init__(self, root: Descriptor, contents: Mapping[Digest, bytes]) -> None:
        super().__init__(contents)
        self._root = root

    def resolve(self, name: str = "") -> Descriptor:  # noqa: ARG002  # it is of one image
        """The image."""
        return self._root


def _name_layers(place: Path) -> None:
    """Call layers that came without compression so: not every skopeo does, and leaves them the names that they had."""
    source = folder.open_source(str(place))
    root = source.resolve()
    raw = read(source, root)
    manifest = parse_manifest(raw, root.media_type, what="the storage's manifest")
    format_ = format_of(root.media_type)
    if manifest.config is None or format_ is None:
        return
    layers = []
    for layer in manifest.layers:
        with closing(source.fetch(layer)) as chunks:
            is_plain = sniffed(bytes(next(chunks, b"")[:8])) == "none"
        plain_type = (
            layer_type(layer.media_type, format_, "none", what=layer.digest) if is_layer(layer.media_type) else ""
        )
        layers.append(replace(layer, media_type=plain_type) if is_plain and plain_type else layer)
    if [each.media_type for each in layers] != [each.media_type for each in manifest.layers]:
        document = loads(raw, what="the storage's manifest")
        with disk(f"write {quoted(str(place))}"):
            (place / folder.MANIFEST).write_bytes(written_manifest(document, format_, manifest.config, layers))


def open_source(place: str, *, tmp: Path | None = None) -> Storage:
    """The storage of a specifier, the user's own if it is empty."""
    return Storage(place, tmp)


class NewImages:
    """Images to be put into a storage: each in a directory of its own until it is known what it is called."""

    holds = Holds("containers-storage", indexes=False, artifacts=False)

    def __init__(self, target: folder.NewFolder) -> None:
        self._target = target
        self.names: dict[str, Descriptor] = {}

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` was written already."""
        return self._target.has(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Write ``want``."""
        self._target.push(want, content)

    def tag(self, name: str, root: Descriptor) -> None:
        """Let the storage have ``root`` as ``name``."""
        if not name:
            raise ConfigError("containers-storage: the image needs a name there")
        self.names[name] = root


@contextmanager
def open_target(place: str, *, tmp: Path | None = None) -> Iterator[NewImages]:
    """Images for a storage, which has them when the block ends well."""
    program = _program(place)
    with tempfile.TemporaryDirectory(dir=tmp, prefix="bundler-") as work:
        pool = folder.new_folder(Path(work) / "pool")
        images = NewImages(pool)
        yield images
        for number, (name, root) in enumerate(images.names.items()):
            single = Path(work) / str(number)
            pool.export(root, single)
            program.put(single, name)
