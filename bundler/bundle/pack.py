"""Writing a bundle: a target that takes contents in any order and gives the same bytes every time.

    with Pack(directory, wants, bundle_id=…, images=…) as pack:
        copy_all([Job(source, pack, want) for want in pack.order], executor=executor)
        packed = pack.finish()                       # volumes, inventory.json, VERIFY.txt, SHA256SUMS
    write_signed(directory, envelope, signatures)    # … and this makes it a bundle

Everything is written as ``.part``, synced and renamed. A directory without ``bundle.dsse.json`` is an unfinished bundle:
packing into it again starts afresh. What the contents are is checked by whoever copies them here: a member counts only
after its content has come to its end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bundler.bundle import frames
from bundler.bundle.directory import claim, sweep, write_files
from bundler.bundle.hashing import Hashing
from bundler.bundle.inventory import MAX_ROWS, Inventory, write_inventory
from bundler.bundle.layout import layout
from bundler.bundle.statement import INVENTORY_NAME, CarriedImage, Subject, check_images, volume_name
from bundler.bundle.verify_text import verify_text
from bundler.bundle.volume import Label, documents, index_json
from bundler.bundle.writer import VolumeWriter, Written
from bundler.content import Buffer
from bundler.errors import BundlerError, ConfigError, DigestError, LimitError, disk_error, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.trust.sums import ENVELOPE, SUMS, VERIFY, VERIFY_CAP, signature_name, write_sums


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written. ``subjects`` are for the statement; ``sums`` are the bytes of SHA256SUMS, to be signed too."""

    inventory: Inventory
    subjects: tuple[Subject, ...]
    sums: bytes
    size: int


class Pack:
    """A :class:`bundler.content.Target` that is a bundle in the making, under ``directory``.

    ``wants`` are all contents in push order; ``limit`` bounds a volume's size in bytes; ``level`` is zstd's; ``mtime`` is
    that of all members, in seconds since 1970. The same arguments give the same bytes, whatever the order and the threads
    that contents arrive in.

    Raises :class:`ConfigError` if a name could not be read back or the directory holds something else than an unfinished
    bundle, :class:`LimitError` for more contents than an inventory may list, :class:`LockedError` if another process
    writes there, and what :func:`bundler.bundle.layout.layout` raises.
    """

    def __init__(
        self,
        directory: Path,
        wants: Sequence[Descriptor],
        *,
        bundle_id: Digest,
        images: Sequence[CarriedImage],
        limit: int | None = None,
        level: int = frames.DEFAULT_LEVEL,
        mtime: int = 0,
    ) -> None:
        check_images(images)
        index = index_json(images)
        layouts = layout(wants, limit, index_size=len(index))
        if (rows := sum(len(each.members) for each in layouts)) > MAX_ROWS:
            raise LimitError(
                f"{rows} contents and parts, more than the {MAX_ROWS} of a bundle", hint="make several bundles of it"
            )
        self._directory = directory
        self._bundle_id = bundle_id
        self._images = tuple(images)
        self._mtime = mtime
        self._hub = Hashing()
        self._volumes = [
            VolumeWriter(
                directory / volume_name(each.number),
                each,
                documents(Label(bundle_id, each.number, len(layouts)), index),
                mtime=mtime,
                level=level,
                changed=self._hub.changed,
                keep=self._hub.keep,
                box=self._hub.box,
            )
            for each in layouts
        ]
        self._places: dict[Digest, list[tuple[VolumeWriter, int]]] = {}
        self.order: tuple[Descriptor, ...] = ()
        """All contents in the order of the volumes: pushed so, hashing and writing overlap best."""
        self._place()
        self._busy: set[Digest] = set()
        self._busy_lock = threading.Lock()
        self._finished = False
        self._fd, self._made = claim(directory)
        self._hub.start(self._volumes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bounds(self) -> tuple[int, ...]:
        """The most bytes that each volume can take."""
        return tuple(volume.layout.bound for volume in self._volumes)

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` was pushed here already."""
        places = self._places.get(want.digest, [])
        return bool(places) and all(volume.is_done(n) for volume, n in places)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Write ``want`` at its place. Callable from several threads, one content each."""
        places = self._placed(want)
        with self._busy_lock:
            if want.digest in self._busy:
                raise BundlerError(f"{want.digest}: is being written already")
            self._busy.add(want.digest)
        try:
            if self.has(want):
                for _ in content:
                    pass
            else:
                self._write(want, places, iter(content))
        finally:
            self._busy.discard(want.digest)

    def tag(self, name: str, root: Descriptor) -> None:
        """Names are those of the images that the bundle was begun with: ``name`` must be one of them."""
        if not any(image.name == name and image.root.digest == root.digest for image in self._images):
            raise ConfigError(f"{quoted(name)}: is not an image of this bundle")

    def finish(self) -> Packed:
        """Wait for the volumes, then write the inventory, VERIFY.txt and SHA256SUMS.

        Raises :class:`BundlerError` if a content was never pushed, :class:`LimitError` if VERIFY.txt would be too long.
        """
        for volume in self._volumes:
            for n, member in enumerate(volume.layout.members):
                if not volume.is_done(n):
                    raise BundlerError(f"{member.want.digest}: was not written to the bundle")
            volume.create()  # which one without contents has not been yet
        self._hub.wait_for(self._volumes)
        rows = tuple(row for volume in self._volumes for row in volume.rows())
        inventory = Inventory(self._bundle_id, self._mtime, tuple(volume.size for volume in self._volumes), rows)
        raw = write_inventory(inventory)
        text = verify_text(inventory, self._images, [want.digest for want in self.order if want.is_manifest])
        if len(text) > VERIFY_CAP:
            raise LimitError(
                f"{VERIFY}: {len(text)} bytes, more than the {VERIFY_CAP} allowed", hint="make several bundles of it"
            )
        sums = {volume_name(v.layout.number): Digest(f"sha256:{v.sha256}") for v in self._volumes}
        sums[INVENTORY_NAME] = digest_of(raw)
        subjects = tuple(Subject(name, hex_of(digest)) for name, digest in sums.items())
        listing = write_sums({**sums, VERIFY: digest_of(text)})
        write_files(self._directory, {INVENTORY_NAME: raw, VERIFY: text, SUMS: listing})
        self._finished = True
        return Packed(inventory, subjects, listing, sum(inventory.sizes))

    def close(self) -> None:
        """Release the directory; leave nothing there unless :meth:`finish` has ended well."""
        self._hub.stop()
        if self._fd < 0:
            return
        try:
            if not self._finished:
                sweep(self._directory)
                if self._made:
                    self._directory.rmdir()
        except OSError as problem:
            raise disk_error(problem, f"remove the unfinished {self._directory}") from problem
        finally:
            os.close(self._fd)
            self._fd = -1

    def _place(self) -> None:
        order: dict[Digest, Descriptor] = {}
        for volume in self._volumes:
            for n, member in enumerate(volume.layout.members):
                self._places.setdefault(member.want.digest, []).append((volume, n))
                order.setdefault(member.want.digest, member.want)
        self.order = tuple(order.values())

    def _placed(self, want: Descriptor) -> list[tuple[VolumeWriter, int]]:
        places = self._places.get(want.digest)
        if places is None:
            raise BundlerError(f"{want.digest}: has no place in this bundle")
        return places

    def _write(self, want: Descriptor, places: list[tuple[VolumeWriter, int]], content: Iterator[Buffer]) -> None:
        written: list[Written] = []
        source = _Cutter(content)
        try:
            for volume, n in places:
                self._hub.check()
                written.append(volume.write(n, source.take(want, volume.layout.members[n].size)))
            _exhaust(want, content, source.rest)
        except BaseException:
            for (volume, n), each in zip(places, [*written, None], strict=False):
                volume.fail(n, each)
            raise
        for (volume, n), each in zip(places, written, strict=True):
            volume.commit(n, each)


def write_signed(directory: Path, envelope: bytes, signatures: Mapping[str, bytes]) -> None:
    """Add the signatures over SHA256SUMS, by key id, and then the envelope with the signed statement.

    The envelope comes last: with it the bundle is whole. To add a signer later, give all signatures again.
    """
    write_files(directory, {signature_name(key_id): signature for key_id, signature in sorted(signatures.items())})
    write_files(directory, {ENVELOPE: envelope})


class _Cutter:
    """One content, cut where its members end."""

    def __init__(self, content: Iterator[Buffer]) -> None:
        self._content = content
        self.rest: list[Buffer] = []

    def take(self, want: Descriptor, size: int) -> Generator[Buffer, None, None]:
        """Exactly ``size`` bytes; :class:`DigestError` if there are fewer."""
        while size:
            chunk = self.rest.pop() if self.rest else next(self._content, None)
            if chunk is None:
                raise DigestError(f"{want.digest}: ends too early")
            if len(chunk) > size:
                view = memoryview(chunk)
                chunk = view[:size]
                self.rest.append(view[size:])
            size -= len(chunk)
            yield chunk


def _exhaust(want: Descriptor, content: Iterator[Buffer], rest: Sequence[Buffer]) -> None:
    """Read the end of ``content``, where it is found out whether it was right; more bytes than that are an error."""
    if any(len(chunk) for chunk in rest):
        raise DigestError(f"{want.digest}: more than the {want.size} bytes it should have")
    for chunk in content:
        if len(chunk):
            raise DigestError(f"{want.digest}: more than the {want.size} bytes it should have")
