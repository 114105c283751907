"""``dir:path``: one image in a directory, as skopeo's transport of that name lays it out.

    version                  Directory Transport Version: 1.1, or 1.2 where a digest is not SHA-256
    manifest.json            the root, as it came
    HEX.manifest.json        each manifest below an index
    HEX                      each config and layer, by its digest; sha512-HEX if it is one of those
    signature-1, …           simple signatures of the root; HEX.signature-1, … of a manifest below it

A new image is written beside its place, and takes it when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bundler.content import Buffer
from bundler.errors import (
    ConfigError,
    LimitError,
    LockedError,
    NotFoundError,
    ProtocolError,
    StoreError,
    UnsupportedError,
    quoted,
)
from bundler.graph import walk
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, hex_of, is_digest
from bundler.oci.manifest import sniff_media_type
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads
from bundler.store.directory import AbsentError, Directory, disk, temporary_name
from bundler.store.incoming import Incoming
from bundler.store.locks import try_lock

MANIFEST = "manifest.json"
VERSION_FILE = "version"
VERSION = b"Directory Transport Version: 1.1\n"
VERSION_OTHER_DIGESTS = b"Directory Transport Version: 1.2\n"
_TITLE = re.compile(rb"Directory Transport Version: (0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\n")
_NEWEST = (1, 2)
_AGAIN = "the directory is damaged or incomplete: copy the image into it again"
MAX_SIGNATURE = 4 << 20
MAX_SIGNATURES = 1000
_STEM = r"(?:sha512-)?[0-9a-f]{64,128}"
_OURS = re.compile(rf"version|manifest\.json|{_STEM}(?:\.manifest\.json)?|(?:{_STEM}\.)?signature-\d+")
_AT_WORK = re.compile(r"\.bundler-\d+-[0-9a-f]{16}")
_SIMPLE = b"\0simple-signing\n"
"""What may stand before a simple signature, and stands before every other kind with that kind's name."""


def split(rest: str) -> tuple[str, str]:
    """``(path, "")``: a directory holds one image, and its path may hold colons."""
    if not rest:
        raise ConfigError("dir: names no directory", hint="write dir:DIRECTORY")
    return rest, ""


class Folder:
    """An image's directory, as a source of it; ``Ranged`` and ``Signed``."""

    def __init__(self, root: Directory) -> None:
        self._root = root

    def resolve(self, name: str = "") -> Descriptor:
        """The image; or with a digest, a manifest below it. A manifest of schema 1 goes by the digest of its bytes."""
        if name and not is_digest(name):
            raise NotFoundError(
                f"dir:{quoted(self._root.path)}: holds one image without a name, and no {quoted(name)!r}"
            )
        raw = self._manifest(f"{_stem(Digest(name))}.{MANIFEST}") if name else None
        if raw is None:
            raw = self._manifest(MANIFEST)
            if raw is None:
                raise NotFoundError(
                    f"dir:{quoted(self._root.path)}: has no {MANIFEST}", hint="give the directory of one image"
                )
            if name and digest_of(raw, algorithm_of(Digest(name))) != name:
                raise NotFoundError(f"dir:{quoted(self._root.path)}: holds no manifest {name}")
        digest = digest_of(raw, algorithm_of(Digest(name)) if name else "sha256")
        if name and digest != name:
            raise StoreError(
                f"dir:{quoted(self._root.path)}: the manifest called {name} hashes to {digest}", hint=_AGAIN
            )
        return Descriptor(_media_type(raw, what=f"dir:{quoted(self._root.path)}"), digest, len(raw))

    def _manifest(self, name: str) -> bytes | None:
        try:
            return self._root.read(name, cap=MANIFEST_CAP)
        except StoreError as problem:  # no regular file
            raise StoreError(f"dir: {problem}", hint=_AGAIN) from None

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``; :class:`StoreError` if they aren't here."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        for name in _places(want):
            try:
                with closing(self._root.chunks(name, offset)) as chunks:
                    if name == MANIFEST and not self._is_root(want):
                        continue
                    yield from chunks
                    return
            except AbsentError:
                continue
            except StoreError as problem:  # no regular file
                raise StoreError(f"dir: {problem}", hint=_AGAIN) from None
        raise StoreError(f"dir:{quoted(self._root.path)}: {want.digest} is not there", hint=_AGAIN)

    def size_of(self, digest: Digest) -> int | None:
        """Bytes of the config or layer under that name; nothing if there is none."""
        found = self._root.stat(_stem(digest))
        return None if found is None else found.st_size

    def holds_content(self, want: Descriptor) -> bool:
        """Whether a file of that name is there."""
        return any(self._root.stat(name) is not None for name in _places(want) if name != MANIFEST) or (
            want.is_manifest and self._is_root(want)
        )

    def _is_root(self, want: Descriptor) -> bool:
        raw = self._manifest(MANIFEST)
        return raw is not None and digest_of(raw, algorithm_of(want.digest)) == want.digest

    def signatures(self, root: Descriptor) -> Sequence[bytes]:
        """The simple signatures of the image, or of a manifest below it."""
        start = self._before_signatures(root)
        found: list[bytes] = []
        while len(found) < MAX_SIGNATURES:
            raw = self._root.read(f"{start}signature-{len(found) + 1}", cap=MAX_SIGNATURE)
            if raw is None:
                return found
            found.append(raw.removeprefix(_SIMPLE))
        raise LimitError(f"dir:{quoted(self._root.path)}: more than {MAX_SIGNATURES} signatures")

    def _before_signatures(self, root: Descriptor) -> str:
        return "" if self._is_root(root) else f"{_stem(root.digest)}."


def _stem(digest: Digest) -> str:
    algorithm = algorithm_of(digest)
    return hex_of(digest) if algorithm == "sha256" else f"{algorithm}-{hex_of(digest)}"


def _places(want: Descriptor) -> Iterator[str]:
    stem = _stem(want.digest)
    if want.is_manifest or want.media_type in mediatype.SCHEMA1:
        yield f"{stem}.{MANIFEST}"
        yield MANIFEST
    yield stem
    if not want.is_manifest:
        yield f"{stem}.{MANIFEST}"  # a manifest that is listed as a blob as well


def _media_type(raw: bytes, *, what: str) -> str:
    fields = Fields(loads(raw, what=what, cap=MANIFEST_CAP), what=what)
    if "schemaVersion" in fields and fields.size("schemaVersion") == 1:
        return mediatype.DOCKER_SCHEMA1_SIGNED if "signatures" in fields else mediatype.DOCKER_SCHEMA1
    media_type = sniff_media_type(raw, what=what)
    if not mediatype.is_manifest(media_type):
        raise ProtocolError(f"{what}: {quoted(media_type)!r} is not the media type of a manifest")
    return media_type


def open_source(place: str) -> Folder:
    """The image in a directory. Raises :class:`NotFoundError` if there is no such directory."""
    root = _opened(place)
    raw = root.read(VERSION_FILE, cap=4096)
    if raw is not None and not _is_known(raw, place):  # older skopeos wrote no such file
        raise StoreError(f"{root.about(VERSION_FILE)}: is not the one of an image's directory", hint=_AGAIN)
    return Folder(root)


def _is_known(version: bytes, place: str) -> bool:
    """Whether this is what stands in our version file. Raises :class:`UnsupportedError` for a later version."""
    found = _TITLE.fullmatch(version)
    if found is not None and (int(found[1]), int(found[2])) > _NEWEST:
        raise UnsupportedError(
            f"dir:{quoted(place)}: is of version {found[1].decode()}.{found[2].decode()}, and only those up to "
            f"{_NEWEST[0]}.{_NEWEST[1]} are known",
            hint="copy the image with the program that wrote it to oci: or a registry",
        )
    return found is not None


def _opened(place: str) -> Directory:
    if "\0" in place:
        raise ConfigError(f"dir:{quoted(place)}: not a path")
    with disk(f"look at {quoted(place)}"):
        found = Path(place)
        if not found.is_dir():
            raise NotFoundError(
                f"dir:{quoted(place)}: {'not a' if found.exists() else 'no such'} directory", hint="check the path"
            )
    return Directory(place)


class NewFolder(Folder):
    """An image's directory that is being written; it takes its place when the image was tagged, by any name."""

    def __init__(self, root: Directory) -> None:
        super().__init__(root)
        self.root: Descriptor | None = None

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` was written already."""
        stem = _stem(want.digest)
        found = self._root.stat(f"{stem}.{MANIFEST}" if want.is_manifest else stem)
        return found is not None and found.st_size == want.size

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Write ``want``."""
        stem = _stem(want.digest)
        with Incoming.new(self._root) as file:
            for chunk in content:
                file.write(chunk)
            file.commit(self._root, f"{stem}.{MANIFEST}" if want.is_manifest else stem)

    def tag(self, name: str, root: Descriptor) -> None:  # noqa: ARG002  # a directory's image has no name
        """Let ``root`` be the image."""
        self.root = root

    def resolve(self, name: str = "") -> Descriptor:
        """The image, once it was tagged, or a manifest that was written."""
        if self.root is not None and name in ("", self.root.digest):
            return self.root
        return super().resolve(name)

    def _is_root(self, want: Descriptor) -> bool:
        return self.root is not None and self.root.digest == want.digest

    def put_signatures(self, root: Descriptor, signatures: Sequence[bytes]) -> None:
        """Keep these signatures of the image, or of a manifest below it, and no others."""
        start = self._before_signatures(root)
        for number, signature in enumerate(signatures, 1):
            self._root.write(f"{start}signature-{number}", signature, via=self._root)
        number = len(signatures) + 1
        while self._root.remove(f"{start}signature-{number}"):
            number += 1

    def _before_signatures(self, root: Descriptor) -> str:
        # The image's own too until the end: which manifest is the image may be said later.
        return f"{_stem(root.digest)}."

    def export(self, root: Descriptor, place: Path) -> None:
        """One image of several that were written here, in a directory of its own; files are linked, not copied."""
        with disk(f"write {quoted(str(place))}"):
            place.mkdir()
            for node in walk(self, root).nodes:
                name = f"{_stem(node.digest)}.{MANIFEST}" if node.is_manifest else _stem(node.digest)
                new = MANIFEST if node.key == root.key else name
                os.link(name, place / new, src_dir_fd=self._root.fd)
            (place / VERSION_FILE).write_bytes(_version_for([each.name for each in place.iterdir()]))

    def finish(self) -> bool:
        """Give the files their last names; false if no image was written."""
        if self.root is None:
            return False
        # An index that lists itself can't be; so nothing but the root is called so.
        start = f"{_stem(self.root.digest)}."
        for name in self._root.names():
            if name.startswith((f"{start}signature-", f"{start}{MANIFEST}")):
                self._root.move(name, self._root, name.removeprefix(start))
        self._root.write(VERSION_FILE, _version_for(self._root.names()), via=self._root)
        self._root.sync()
        return True


def _version_for(names: Iterable[str]) -> bytes:
    return VERSION_OTHER_DIGESTS if any(name.startswith("sha512-") for name in names) else VERSION


def new_folder(place: Path) -> NewFolder:
    """A new directory to write to, which nobody else has."""
    with disk(f"create {quoted(str(place))}"):
        place.mkdir()
    return NewFolder(Directory(str(place)))


@contextmanager
def open_target(place: str) -> Iterator[NewFolder]:
    """A directory to write one image to; an image that is there is replaced when the new one is whole.

    Raises :class:`ConfigError` if the place holds anything else.
    """
    if "\0" in place:
        raise ConfigError(f"dir:{quoted(place)}: not a path")
    with disk(f"look at {quoted(place)}"):
        _sweep(Path(place))
        _check_free(Path(place))
        path = Path(place).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        within = path.is_dir() and _stays(path)
        beside = (path if within else path.parent) / f".bundler-{temporary_name()}"
        beside.mkdir(mode=0o755)
    try:
        opened = Directory(str(beside))
        try_lock(opened.fd, fcntl.LOCK_EX)  # as long as we are at work, for _sweep
        target = NewFolder(opened)
        yield target
        if target.finish():
            with disk(f"write {quoted(place)}"):
                (_put_within if within else _put)(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _stays(path: Path) -> bool:
    """Whether a directory can't be renamed, or should not: a mounted medium, where we stand, or whose parent is not ours."""
    return path.is_mount() or path.samefile(Path.cwd()) or not os.access(path.parent, os.W_OK)


def _sweep(path: Path) -> None:
    """Clear away what a killed copy has left within the directory. Raises :class:`LockedError` if it is still at work."""
    for left in path.iterdir() if path.is_dir() else ():
        if _AT_WORK.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
            opened = Directory(str(left))  # holds the lock as long as it lives
            if not try_lock(opened.fd, fcntl.LOCK_EX):
                raise LockedError(f"dir:{quoted(str(path))}: another copy is writing there")
            shutil.rmtree(left)


def _check_free(path: Path) -> None:
    """Nothing, an empty directory or an older image may be replaced, and nothing else."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise ConfigError(f"dir:{quoted(str(path))}: not a directory", hint="choose another place")
    names = sorted(each.name for each in path.iterdir())
    strange = next((name for name in names if not _OURS.fullmatch(name) or (path / name).is_dir()), None)
    if names and strange is None and not _is_titled(path):
        strange = names[0]
    if strange is not None:
        raise ConfigError(
            f"dir:{quoted(str(path))}: holds {quoted(strange)!r}, so it is not the directory of an image alone",
            hint="choose another place, or empty it first",
        )


def _is_titled(path: Path) -> bool:
    """Whether there is the version file of an image's directory, and not somebody else's of that name."""
    file = path / VERSION_FILE
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return _is_known(opened.read(4096), str(path))


def _put(new: Path, path: Path) -> None:
    """Let the new directory take the place of the old one."""
    old = None
    if path.exists() and any(path.iterdir()):
        old = path.parent / f".bundler-{temporary_name()}"
        os.rename(path, old)  # noqa: PTH104
    try:
        os.rename(new, path)  # noqa: PTH104
    except OSError:
        if old is not None:
            os.rename(old, path)  # noqa: PTH104
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    Directory(str(path.parent)).sync()


def _put_within(new: Path, path: Path) -> None:
    """Let the new files take the place of the old ones; the manifest, which says what the others are, last."""
    names = sorted((each.name for each in new.iterdir()), key=lambda name: (name == MANIFEST, name))
    old = {each.name for each in path.iterdir()}.difference(names, {new.name})
    for name in sorted(each for each in old if "signature-" in each):
        (path / name).unlink()  # of the old manifest: they must not be taken for the new one's
    for name in names:
        os.rename(new / name, path / name)  # noqa: PTH104
    for name in old:
        (path / name).unlink(missing_ok=True)
    Directory(str(path)).sync()


def remove(place: str) -> None:
    """Remove an image's directory. Raises :class:`ConfigError` if it holds anything else."""
    path = Path(place)
    with disk(f"remove {quoted(place)}"):
        if path.is_symlink():
            raise ConfigError(f"dir:{quoted(place)}: a link", hint="remove what it points to")
        if not path.exists():
            raise NotFoundError(f"dir:{quoted(place)}: no such directory", hint="check the path")
        _sweep(path)
        _check_free(path)
        shutil.rmtree(path)
