"""An archive as a source: its images get manifests of Docker's schema 2, made from what the archive says of them.

A layer's digest is the one that the image's config names, and is checked when the layer is read. Its size is that of its
member; where the member is compressed, as that of some writers is, it is read once to find out.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bundler.content import CHUNK, Buffer
from bundler.convert.compression import plain
from bundler.convert.formats import written_manifest
from bundler.errors import ArchiveError, ConfigError, NotFoundError, ProtocolError, disk_error, first_of, quoted
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import HEX_LENGTHS, Digest, algorithm_of, digest_of, hasher, is_digest, parse_digest
from bundler.oci.reference import parse_reference
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads, spellings
from bundler.transports.spool import spooled
from bundler.transports.tarball import Member, Tarball

MANIFEST = "manifest.json"
LIST_CAP = 16 << 20
"""Bytes of ``manifest.json``; 2,000 images of 50 layers take half of it."""
MAX_LAYERS = 4096
_KNOWN = spellings("Config", "RepoTags", "Layers", "Parent", "LayerSources")
_AGAIN = "save the image again, or copy the archive again"


def damaged(message: str) -> ArchiveError:
    """The archive is not what it should be."""
    return ArchiveError(message, hint=_AGAIN)


@dataclass(frozen=True, slots=True)
class _Listed:
    """An item of ``manifest.json``: its members and names, as they stand there."""

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """An image with its manifest; ``config`` is what Docker calls the image's ID."""

    root: Descriptor
    config: Digest


class Archive:
    """See the module. ``Ranged`` and ``Tagged``; safe to share among threads, closed by whoever opened it."""

    remade = True

    def __init__(self, tarball: Tarball) -> None:
        self._tarball = tarball
        self._what = quoted(tarball.path)
        self._contents: dict[Digest, bytes] = {}
        self._configs: dict[Digest, Member] = {}
        self._layers: dict[Digest, Member] = {}
        self._sizes: dict[Digest, int] = {}
        self._made: dict[int, _Made] = {}
        self._making = threading.Lock()
        self._listed = self._read_list()

    def close(self) -> None:
        """Let go of the file."""
        self._tarball.close()

    def _read_list(self) -> tuple[_Listed, ...]:
        what = f"{self._what}: {MANIFEST}"
        raw = self._tarball.read(MANIFEST, cap=LIST_CAP)
        if raw is None:
            raise self._foreign()
        listed = loads(raw, what=what, cap=LIST_CAP, error=damaged)
        if not isinstance(listed, list):
            raise damaged(f"{what}: must be a list of images")
        return tuple(_item(item, f"{what}: image @{number}") for number, item in enumerate(listed))

    def _foreign(self) -> ArchiveError:
        hint = _AGAIN
        if self._tarball.find("oci-layout") is not None:
            hint = "it holds an OCI layout: write oci-archive: for docker-archive:"
        elif self._tarball.find("repositories") is not None:
            hint = "it was saved by a Docker older than 1.10; load it there, and save it with a newer one"
        return ArchiveError(f"{self._what}: has no {MANIFEST}, so it is not what `docker save` writes", hint=hint)

    # Names

    def listing(self) -> list[str]:
        """Every name, in the archive's order; an image without one goes by its place, as ``@0``."""
        return list(
            dict.fromkeys(name for number, item in enumerate(self._listed) for name in item.names or (f"@{number}",))
        )

    def tags(self) -> Sequence[str]:
        """Every name, as it stands in the archive and in its order."""
        return list(dict.fromkeys(name for item in self._listed for name in item.names))

    def images(self) -> Iterator[tuple[str, Descriptor]]:
        """Every image by each of its names, ``@index`` if it has none."""
        for number, item in enumerate(self._listed):
            root = self._image(number).root
            for name in item.names or (f"@{number}",):
                yield name, root

    def resolve(self, name: str = "") -> Descriptor:
        """The image of a name, of an ``@index``, of a digest (its manifest's or its config's); for "" the only one.

        Raises :class:`NotFoundError`, and :class:`ConfigError` naming the images where one must be chosen.
        """
        if not name:
            return self._image(self._only()).root
        if name.startswith("@"):
            number = int(name[1:]) if name[1:].isdecimal() and len(name) < 8 else len(self._listed)
            if number < len(self._listed):
                return self._image(number).root
        elif is_digest(name):
            made = [self._image(number) for number in range(len(self._listed))]
            for image in made:
                if name in (image.root.digest, image.config):
                    return image.root
        else:
            wanted = str(parse_reference(name))
            for number, item in enumerate(self._listed):
                if any(_is_name(each, wanted) for each in item.names):
                    return self._image(number).root
        raise NotFoundError(f"{self._what}: holds no image {quoted(name)!r}", hint=f"there are {self._shown()}")

    def _only(self) -> int:
        if not self._listed:
            raise NotFoundError(f"{self._what}: holds no image", hint=_AGAIN)
        if len(self._listed) > 1:
            raise ConfigError(
                f"{self._what}: holds {len(self._listed)} images, so one must be named",
                hint=f"write docker-archive:FILE:NAME or docker-archive:FILE:@INDEX; there are {self._shown()}",
            )
        return 0

    def _shown(self) -> str:
        labels = [f"@{number} {' '.join(item.names)}".rstrip() for number, item in enumerate(self._listed)]
        return first_of([quoted(label) for label in labels]) or "none"

    # Images

    def _image(self, number: int) -> _Made:
        with self._making:
            if number not in self._made:
                self._made[number] = self._make(self._listed[number], f"{self._what}: image @{number}")
            return self._made[number]

    def _make(self, item: _Listed, what: str) -> _Made:
        raw = self._tarball.read(item.config, cap=MANIFEST_CAP)
        if raw is None:
            raise damaged(f"{what}: its config {quoted(item.config)!r} is missing")
        config = Descriptor(mediatype.DOCKER_CONFIG, digest_of(raw), len(raw))
        said = _named_by(item.config)
        if said is not None and said != config.digest:
            raise damaged(f"{what}: its config {quoted(item.config)!r} hashes to {config.digest}")
        layers = []
        for digest, name in zip(_diff_ids(raw, item, what), item.layers, strict=True):
            member = self._tarball.find(name)
            if member is None:
                raise damaged(f"{what}: its layer {quoted(name)!r} is missing, or no file")
            self._layers.setdefault(digest, member)
            layers.append(Descriptor(mediatype.DOCKER_LAYER, digest, self._size(digest)))
        manifest = written_manifest({}, "v2s2", config, layers)
        root = Descriptor(mediatype.DOCKER_MANIFEST, digest_of(manifest), len(manifest))
        there = self._tarball.find(item.config)
        assert there is not None, "it was read above"
        self._configs[config.digest] = there  # many may be large, so they are read again
        self._contents[root.digest] = manifest
        return _Made(root, config.digest)

    def _size(self, digest: Digest) -> int:
        """Bytes of a layer without its compression, for which one that has some must be read."""
        if digest not in self._sizes:
            member = self._layers[digest]
            self._sizes[digest] = self._read_through(digest, member) if self._is_compressed(member) else member.size
        return self._sizes[digest]

    def _read_through(self, digest: Digest, member: Member) -> int:
        size, state = 0, hasher(algorithm_of(digest))
        for chunk in self._plain(member):
            state.update(chunk)
            size += len(chunk)
        if digest != f"{algorithm_of(digest)}:{state.hexdigest()}":
            raise damaged(f"{self._what}: {quoted(member.name)!r} should hold {digest}, and holds {state.hexdigest()}")
        return size

    def _is_compressed(self, member: Member) -> bool:
        """A tar file whose first name begins like a compressed stream is none, so its own mark is looked for."""
        if self._tarball.compression(member) == "none":
            return False
        head = b""
        with closing(self._tarball.chunks(member)) as chunks:
            head = bytes(next(chunks, b""))[:262]
        return head[257:] != b"ustar"

    def _plain(self, member: Member) -> Generator[Buffer, None, None]:
        with closing(self._tarball.chunks(member)) as chunks:
            yield from _decompressed(chunks, f"{self._what}: {quoted(member.name)!r}")

    def is_called(self, digest: str) -> bool:
        """Whether a digest is that of an image, of its config, or of what the archive's own index lists."""
        known = {each for made in self._made.values() for each in (made.root.digest, made.config)}
        if digest in known:
            return True
        raw = self._tarball.read("index.json", cap=MANIFEST_CAP)
        if raw is None:
            return False
        what = f"{self._what}: index.json"
        listed = Fields(loads(raw, what=what, error=damaged), what=what, error=damaged).objects("manifests")
        return any(item.text("digest") == digest for item in listed)

    # Contents

    def holds_content(self, digest: Digest) -> bool:
        """Whether a content belongs to one of the images that were resolved."""
        return any(digest in known for known in (self._contents, self._configs, self._layers))

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, layers without compression. The image must have been resolved before."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        raw = self._contents.get(want.digest)
        if raw is not None:
            yield memoryview(raw)[offset:]
            return
        if want.digest in self._configs:
            yield from self._tarball.chunks(self._configs[want.digest], offset)
            return
        member = self._layers.get(want.digest)
        if member is None:
            raise NotFoundError(f"{self._what}: holds no content {want.digest}", hint=_AGAIN)
        if not self._is_compressed(member):
            yield from self._tarball.chunks(member, offset)
            return
        for chunk in self._plain(member):
            if offset < len(chunk):
                yield memoryview(chunk)[offset:]
            offset = max(0, offset - len(chunk))


def _item(value: object, what: str) -> _Listed:
    fields = Fields(value, what=what, error=damaged)
    fields.spelled(_KNOWN)
    layers = fields.texts("Layers") if "Layers" in fields else ()
    if len(layers) > MAX_LAYERS:
        raise damaged(f"{what}: has {len(layers)} layers")
    return _Listed(fields.text("Config"), layers, fields.texts("RepoTags") if "RepoTags" in fields else ())


def _diff_ids(raw: bytes, item: _Listed, what: str) -> tuple[Digest, ...]:
    what = f"{what}: config {quoted(item.config)!r}"
    fields = Fields(loads(raw, what=what, error=damaged), what=what, error=damaged)
    rootfs = fields.object("rootfs")
    try:
        ids = tuple(
            parse_digest(text, what=what) for text in (rootfs.texts("diff_ids") if "diff_ids" in rootfs else ())
        )
    except ProtocolError as problem:
        raise damaged(str(problem)) from None
    if len(ids) != len(item.layers):
        raise damaged(f"{what}: names {len(ids)} layers, and {MANIFEST} lists {len(item.layers)}")
    return ids


def _named_by(member: str) -> Digest | None:
    """The digest that a config's name promises: ``HEX.json``, ``sha256:HEX`` or ``blobs/sha256/HEX``."""
    stem = member.rpartition("/")[2].removesuffix(".json").removeprefix("sha256:")
    named = f"sha256:{stem}"
    return Digest(named) if len(stem) == HEX_LENGTHS["sha256"] and is_digest(named) else None


def _is_name(text: str, wanted: str) -> bool:
    try:
        return str(parse_reference(text)) == wanted
    except ConfigError:
        return False


def open_source(place: str, *, tmp: Path | None = None) -> Archive:
    """The archive at a path, or read from a pipe. Raises :class:`NotFoundError` and :class:`ArchiveError`."""
    tarball = _piped(place, tmp) if _is_pipe(place) else Tarball.open(place, tmp=tmp)
    return opened(tarball)


def opened(tarball: Tarball) -> Archive:
    """The images of an open archive, which is closed if it turns out to be none."""
    try:
        return Archive(tarball)
    except BaseException:
        tarball.close()
        raise


def _is_pipe(place: str) -> bool:
    try:
        mode = Path(place).stat().st_mode
    except (OSError, ValueError):  # told better by whoever opens it
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _piped(place: str, tmp: Path | None) -> Tarball:
    def chunks() -> Generator[Buffer, None, None]:
        try:
            with Path(place).open("rb", buffering=0) as stream:
                while chunk := os.read(stream.fileno(), CHUNK):
                    yield chunk
        except OSError as problem:
            raise disk_error(problem, f"read {quoted(place)}") from None

    return spooled_tarball(_decompressed(chunks(), quoted(place)), tmp=tmp, what=place)


def _decompressed(chunks: Iterable[Buffer], what: str) -> Generator[Buffer, None, None]:
    try:
        yield from plain(chunks, what=what)
    except ProtocolError as problem:
        raise damaged(str(problem)) from None


def spooled_tarball(chunks: Generator[Buffer, None, None], *, tmp: Path | None, what: str) -> Tarball:
    """A stream as an archive in a temporary file; ``what`` takes the place of its path in messages."""
    with closing(chunks):
        file = spooled(chunks, tmp=tmp, what=quoted(what))
    try:
        return Tarball(what, file)
    except BaseException:
        file.close()
        raise
