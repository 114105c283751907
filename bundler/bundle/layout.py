"""Which content goes into which volume, decided before anything is written.

Contents come in push order: blobs first, then manifests, children before parents. A content that its media type calls
compressed will be stored, so its length is known exactly; any other is tried when it arrives and is placed by its upper
bound. Blobs go to the first volume with room; within a volume the stored ones come first, so that all of these have a
known offset and can be written at once. Manifests follow the last blob, in their order. A content larger than a volume
(or than one member may be) is cut, and its parts stand side by side.

    volume 1   │ documents │ stored blobs … │ tried blobs … │
    volume 2   │ documents │ giant.part0001 ……………………………… │
    volume 3   │ documents │ giant.part0002 │ stored … │ tried … │ manifests, children first │
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bundler.bundle import frames, tar
from bundler.bundle.inventory import MAX_PARTS
from bundler.bundle.statement import MAX_SUBJECTS
from bundler.bundle.volume import LABEL_CAP, OCI_LAYOUT, member_name
from bundler.errors import ConfigError, LimitError, ProtocolError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.mediatype import is_compressed

MIN_LIMIT = 1 << 20
FAT_LIMIT = (4 << 30) - (64 << 10)
"""What FAT32 can hold, with a margin: 4 GiB minus 64 KiB."""
MAX_VOLUMES = MAX_SUBJECTS - 1
_FULL = 64 << 10  # a volume with less room than this is not looked at again


@dataclass(frozen=True, slots=True)
class Member:
    """``size`` bytes of ``want`` from offset ``start``. ``stored`` tells whether the method is known beforehand."""

    want: Descriptor
    start: int
    size: int
    part: int | None
    stored: bool

    @property
    def name(self) -> str:
        """Its name in the archive."""
        return member_name(self.want.digest, self.part)


@dataclass(frozen=True, slots=True)
class VolumeLayout:
    """One volume, counted from 1. ``bound`` is the most that its file can take, in bytes."""

    number: int
    members: tuple[Member, ...]
    bound: int


def layout(wants: Sequence[Descriptor], limit: int | None, *, index_size: int) -> tuple[VolumeLayout, ...]:
    """Place every content once. ``limit`` is the most bytes of a volume; ``index_size`` the length of ``index.json``.

    A limit of 4 GiB is understood as what fits on FAT32. Raises :class:`ConfigError` for a limit below 1 MiB or one that
    ``index.json`` does not fit, and :class:`LimitError` for more than 1023 volumes.
    """
    room = volume_limit(limit)
    plan = _Layout(room, index_size)
    blobs, manifests = _in_order(wants)
    for want in blobs:
        plan.put_blob(want)
    for want in manifests:
        plan.put_manifest(want)
    return plan.volumes()


def volume_limit(limit: int | None) -> int | None:
    """The limit that is kept for the one that was asked for; None for none."""
    if limit is None:
        return None
    if limit < MIN_LIMIT:
        raise ConfigError(f"volumes of {limit} bytes are too small", hint=f"at least {MIN_LIMIT} bytes")
    return FAT_LIMIT if FAT_LIMIT < limit <= 4 << 30 else limit


def _in_order(wants: Iterable[Descriptor]) -> tuple[list[Descriptor], list[Descriptor]]:
    """Blobs and manifests, each digest once: one that is listed as both travels as a manifest."""
    seen: dict[Digest, Descriptor] = {}
    for want in wants:
        other = seen.get(want.digest)
        if other is not None and other.size != want.size:
            raise ProtocolError(f"{want.digest}: listed with {other.size} and with {want.size} bytes")
        if other is None or (want.is_manifest and not other.is_manifest):
            seen.pop(want.digest, None)
            seen[want.digest] = want
    return [w for w in seen.values() if not w.is_manifest], [w for w in seen.values() if w.is_manifest]


@dataclass(slots=True)
class _Open:
    """A volume being filled. ``tried_only`` keeps stored contents from following one of unknown length."""

    bound: int
    blobs: list[Member] = field(default_factory=list)
    manifests: list[Member] = field(default_factory=list)
    tried_only: bool = False


class _Layout:
    def __init__(self, limit: int | None, index_size: int) -> None:
        self._limit = limit
        self._index_size = index_size
        self._volumes: list[_Open] = []
        self._roomy: list[_Open] = []
        self._fresh_room = (1 << 62 if limit is None else limit) - _overhead(None)
        self._open()

    def volumes(self) -> tuple[VolumeLayout, ...]:
        return tuple(
            VolumeLayout(number, (*sorted(volume.blobs, key=lambda m: not m.stored), *volume.manifests), volume.bound)
            for number, volume in enumerate(self._volumes, 1)
        )

    def put_blob(self, want: Descriptor) -> None:
        pieces = _pieces(want)
        cost = sum(_cost(piece) for piece in pieces)
        for volume in self._roomy:
            if cost <= self._room(volume) and not (volume.tried_only and pieces[0].stored):
                volume.blobs += pieces
                volume.bound += cost
                if self._room(volume) < _FULL:
                    self._roomy.remove(volume)
                return
        if cost > self._fresh_room:
            self._cut(want)
        else:
            volume = self._open()
            volume.blobs += pieces
            volume.bound += cost

    def put_manifest(self, want: Descriptor) -> None:
        pieces = _pieces(want)
        cost = sum(_cost(piece) for piece in pieces)
        volume = self._volumes[-1]
        if cost > self._room(volume):
            if cost > self._fresh_room:
                self._cut(want)
                return
            volume = self._open()
        volume.manifests += pieces
        volume.bound += cost

    def _room(self, volume: _Open) -> int:
        return (1 << 62 if self._limit is None else self._limit) - volume.bound

    def _open(self) -> _Open:
        if len(self._volumes) == MAX_VOLUMES:
            raise LimitError(f"more than {MAX_VOLUMES} volumes would be needed", hint="choose a larger --volume-size")
        volume = _Open(_overhead(self._index_size if not self._volumes else None))
        if self._limit is not None and self._limit - volume.bound < MIN_LIMIT // 4:
            raise ConfigError(
                f"volumes of {self._limit} bytes are too small for an index.json of {self._index_size}",
                hint="choose a larger --volume-size",
            )
        self._volumes.append(volume)
        self._roomy.append(volume)
        return volume

    def _cut(self, want: Descriptor) -> None:
        """Fill volumes with parts, from an empty one on. Only the last of them takes other contents behind its part."""
        stored = _is_stored(want)
        volume = self._volumes[-1]
        if volume.blobs or volume.manifests:
            volume = self._open()
        name = member_name(want.digest, 1)
        start = part = 0
        while start < want.size:
            size = min(want.size - start, frames.MAX_MEMBER, _most(self._room(volume), name, stored=stored))
            if size < min(frames.BLOCK, want.size - start):
                self._roomy.remove(volume)
                volume = self._open()
                continue
            part += 1
            if part > MAX_PARTS:
                raise LimitError(f"{want.digest}: more than {MAX_PARTS} parts", hint="choose a larger --volume-size")
            member = Member(want, start, size, part, stored)
            (volume.manifests if want.is_manifest else volume.blobs).append(member)
            volume.bound += _cost(member)
            volume.tried_only = not stored
            start += size


def _pieces(want: Descriptor) -> list[Member]:
    """The content as members, if they all were in one volume."""
    stored = _is_stored(want)
    if want.size <= frames.MAX_MEMBER:
        return [Member(want, 0, want.size, None, stored)]
    starts = range(0, want.size, frames.MAX_MEMBER)
    return [
        Member(want, start, min(frames.MAX_MEMBER, want.size - start), part, stored)
        for part, start in enumerate(starts, 1)
    ]


def _is_stored(want: Descriptor) -> bool:
    return is_compressed(want.media_type) or not want.size


def _cost(member: Member) -> int:
    """The most that a member adds to a volume."""
    frame = frames.stored_length(member.size) if member.stored else frames.bound(member.size)
    return frame + _member_overhead(member.name)


def _member_overhead(name: str) -> int:
    """Gap frame before a member, at its longest, and two entries of the seek table."""
    return frames.stored_length(tar.RECORD - 1 + tar.header_length(name)) + 2 * 8


def _overhead(index_size: int | None) -> int:
    """The most that a volume without contents takes; ``index_size`` is given for the first one."""
    documents = {"volumes/0001.json": LABEL_CAP}
    if index_size is not None:
        documents |= {"oci-layout": len(OCI_LAYOUT), "index.json": index_size}
    members = sum(frames.stored_length(size) + _member_overhead(name) for name, size in documents.items())
    return members + frames.stored_length(tar.RECORD + len(tar.END)) + frames.seek_table_length(1)


def _most(room: int, name: str, *, stored: bool) -> int:
    """The most content bytes that a member can have in ``room`` bytes, in whole blocks."""
    left = room - _member_overhead(name)
    blocks = left // frames.BLOCK
    length = frames.stored_length if stored else frames.bound
    while blocks > 0 and length(blocks * frames.BLOCK) > left:
        blocks -= 1
    return max(blocks, 0) * frames.BLOCK
