"""From an inventory to the exact bytes of a volume: everything but the contents is computed, on both sides.

A volume is a run of zstd frames. Members' contents have a frame each; between them stand small stored frames with what
tar puts there (padding of the member before, header of the next), and at the end a seek table. The writer writes what
these functions give, and the reader compares with it: no byte of a volume goes unchecked.

    header │ volumes/0001.json │ header │ … │ padding, header │ blob │ padding, end of archive │ seek table
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bundler.bundle import frames, tar
from bundler.bundle.inventory import Inventory, Row
from bundler.bundle.members import digest_in
from bundler.bundle.statement import CarriedImage, Statement
from bundler.errors import ArchiveError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.oci.mediatype import OCI_INDEX
from bundler.oci.strict_json import Fields, canonical, loads

OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
LABEL_CAP = 512
"""More than the document ``volumes/NNNN.json`` ever takes, in bytes."""

_LABEL_NAME = re.compile(r"volumes/[0-9]{4}\.json")


@dataclass(frozen=True, slots=True)
class Label:
    """What a volume says of itself in its first member."""

    bundle_id: Digest
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes that must stand at ``offset`` exactly as they are here."""

    offset: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A member that is no content: the label, ``oci-layout`` or ``index.json``."""

    name: str
    raw: bytes


def member_name(digest: Digest, part: int | None = None) -> str:
    """Where a content lies in the archive, and after unpacking in the OCI layout."""
    name = f"blobs/{algorithm_of(digest)}/{hex_of(digest)}"
    return name if part is None else f"{name}.part{part:04}"


def ref_names(images: Sequence[CarriedImage]) -> list[tuple[str, CarriedImage]]:
    """The name of each image in ``index.json``: its full name, or its target if another content has that name already."""
    names: dict[str, CarriedImage] = {}
    for image in images:
        first = names.setdefault(image.name, image)
        if first.root != image.root:
            names.setdefault(image.target, image)
    return list(names.items())


def index_json(images: Sequence[CarriedImage]) -> bytes:
    """The ``index.json`` of the OCI layout that the volumes unpack to (image-spec 1.1, image-layout.md).

    Each image has an entry with its name. Attachments follow, named by repository and tag if they have a tag.
    """
    entries = [_entry(image.root, name) for name, image in ref_names(images)]
    attached: dict[tuple[Descriptor, str], None] = {}
    for image in images:
        for attachment in image.attachments:
            name = f"{repository_of(image.name)}:{attachment.tag}" if attachment.tag else ""
            attached.setdefault((attachment.root, name))
    entries += [_entry(root, name) for root, name in attached]
    return canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def _entry(root: Descriptor, name: str) -> dict[str, Any]:
    value = {"mediaType": root.media_type, "digest": root.digest, "size": root.size}
    return {**value, "annotations": {REF_NAME: name, CONTAINERD_NAME: name}} if name else value


def repository_of(name: str) -> str:
    """A full name without its tag and digest."""
    rest = name.partition("@")[0]
    head, colon, tail = rest.rpartition(":")
    return head if colon and "/" not in tail else rest


def write_label(label: Label) -> bytes:
    """The content of ``volumes/NNNN.json``."""
    value = {"bundleId": label.bundle_id, "number": label.number, "count": label.count}
    return (json.dumps(value, separators=(",", ":")) + "\n").encode()


def documents(label: Label, index: bytes) -> tuple[Document, ...]:
    """The members that stand before the contents of a volume."""
    first = Document(f"volumes/{label.number:04}.json", write_label(label))
    if label.number > 1:
        return (first,)
    return first, Document("oci-layout", OCI_LAYOUT), Document("index.json", index)


def gap(before: int | None, after: tuple[str, int] | None, *, mtime: int) -> bytes:
    """What tar puts between two members: padding behind ``before`` bytes, then the header of ``after`` (name, size).

    ``before`` is None at the start of an archive, ``after`` at its end.
    """
    padding = b"" if before is None else bytes(tar.padding(before))
    return padding + (tar.END if after is None else tar.header(*after, mtime=mtime))


def sections(inventory: Inventory, number: int, index: bytes) -> Iterator[Fixed | Row]:
    """All of volume ``number`` from its first byte to its last: exact bytes, and contents between them.

    Raises :class:`ArchiveError` where a row is not at the one place where it can be.
    """
    what = f"inventory.json: volume {number}"
    offset = 0
    table: list[tuple[int, int]] = []
    before: int | None = None

    def fixed(raw: bytes) -> Fixed:
        nonlocal offset
        frame = frames.stored(raw)
        table.append((len(frame), len(raw)))
        start, offset = offset, offset + len(frame)
        return Fixed(start, frame)

    for document in documents(Label(inventory.bundle_id, number, len(inventory.sizes)), index):
        yield fixed(gap(before, (document.name, len(document.raw)), mtime=inventory.mtime))
        yield fixed(document.raw)
        before = len(document.raw)
    for row in inventory.volume(number):
        yield fixed(gap(before, (member_name(row.digest, row.part), row.size), mtime=inventory.mtime))
        if row.offset != offset:
            raise ArchiveError(f"{what}: {row.digest} is said to begin at {row.offset}, and must begin at {offset}")
        yield row
        table.append((row.length, row.size))
        offset, before = row.end, row.size
    yield fixed(gap(before, None, mtime=inventory.mtime))
    last = Fixed(offset, frames.seek_table(table))
    yield last
    if offset + len(last.raw) != inventory.sizes[number - 1]:
        raise ArchiveError(
            f"{what}: is said to have {inventory.sizes[number - 1]} bytes, and must have {offset + len(last.raw)}"
        )


def read_label(head: bytes) -> Label:
    """The label at the start of a volume, from the file's first KiB or so; :class:`ArchiveError` if there is none."""
    start = frames.stored_length(tar.RECORD)
    framing = start - tar.RECORD
    member = tar.parse(head[framing:start])
    if not _LABEL_NAME.fullmatch(member.name) or member.size > LABEL_CAP:
        raise ArchiveError(f"begins with {quoted(member.name)!r}, not with a volume's label")
    raw = head[start + framing : start + framing + member.size]
    fields = Fields(loads(raw, what=member.name, error=ArchiveError), what=member.name, error=ArchiveError)
    label = Label(digest_in(fields, "bundleId"), fields.size("number"), fields.size("count"))
    wanted = frames.stored(tar.header(member.name, member.size, mtime=member.mtime)) + frames.stored(write_label(label))
    if not head.startswith(wanted) or member.name != f"volumes/{label.number:04}.json":
        raise ArchiveError("the volume's label is damaged")
    return label


def check_agreement(statement: Statement, inventory: Inventory) -> None:
    """:class:`ArchiveError` unless both speak of the same bundle: its id, volumes, number and size of contents."""
    contents = [sum(row.size for row in rows) for _, rows in inventory.contents()]
    for what, said, found in (
        ("the bundle id", statement.bundle_id, inventory.bundle_id),
        ("the number of volumes", len(statement.volumes), len(inventory.sizes)),
        ("the number of contents", statement.blob_count, len(contents)),
        ("the size of all contents", statement.total_size, sum(contents)),
    ):
        if said != found:
            raise ArchiveError(f"inventory.json: {what} is {found}, but the statement says {said}")
