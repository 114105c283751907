"""Which content lies where: one row per member of a volume, in volume order, which is push order.

Offsets and lengths are those of the member's zstd frame, so a content can be read without reading what lies before it.
Together with the statement an inventory also says what every byte *between* the contents must be (see
:mod:`bundler.bundle.volume`), which is why it holds the archive's modification time and the size of each volume.

    volume 1   │ rows: blobs … │ volume 2 │ rows: a giant's parts 1, 2 … │ rows: manifests, children first │
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bundler.bundle.frames import bound, stored_length
from bundler.bundle.members import digest_in
from bundler.bundle.statement import MAX_SUBJECTS
from bundler.errors import ArchiveError, LimitError, UnsupportedError, quoted
from bundler.oci.digest import Digest
from bundler.oci.strict_json import Fields, canonical, loads

INVENTORY_CAP = 32 << 20
MAX_ROWS = 100_000
"""So many rows of any form fit the cap, and are read in 150 MiB of memory."""
FORMAT = "urn:oci-bundler:inventory:v1"
MAX_VOLUME_SIZE = 1 << 53
MAX_PARTS = 9999
MAX_MTIME = 0o77777777777  # what ustar can hold

_KEYS = frozenset(
    ("format", "bundleId", "mtime", "volumes", "rows", "digest", "size", "volume", "offset", "length", "method", "part")
)

Method = Literal["stored", "zstd"]


@dataclass(frozen=True, slots=True)
class Row:
    """A member's content and its frame.

    ``size`` is the length of the content in this member, ``offset`` and ``length`` place its frame within the file of
    ``volume`` (counted from 1), all in bytes. ``part`` counts from 1 the members that a content was cut into, and is None
    if it was not.
    """

    digest: Digest
    size: int
    volume: int
    offset: int
    length: int
    method: Method
    part: int | None = None

    @property
    def end(self) -> int:
        """The offset behind the frame."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Inventory:
    """``sizes`` are those of the volumes' files, in bytes; ``mtime`` is that of every member, in seconds since 1970."""

    bundle_id: Digest
    mtime: int
    sizes: tuple[int, ...]
    rows: tuple[Row, ...]

    def volume(self, number: int) -> tuple[Row, ...]:
        """The rows of one volume, counted from 1."""
        start = bisect_left(self.rows, number, key=_volume_of)
        return self.rows[start : bisect_right(self.rows, number, lo=start, key=_volume_of)]

    def contents(self) -> Iterator[tuple[Digest, tuple[Row, ...]]]:
        """Each content with its rows: one, or its parts in order."""
        rows: list[Row] = []
        for row in self.rows:
            if rows and rows[0].digest != row.digest:
                yield rows[0].digest, tuple(rows)
                rows = []
            rows.append(row)
        if rows:
            yield rows[0].digest, tuple(rows)


def _volume_of(row: Row) -> int:
    return row.volume


def write_inventory(inventory: Inventory) -> bytes:
    """The bytes of ``inventory.json``: canonical JSON."""
    return canonical({
        "format": FORMAT,
        "bundleId": inventory.bundle_id,
        "mtime": inventory.mtime,
        "volumes": [{"size": size} for size in inventory.sizes],
        "rows": [_row_document(row) for row in inventory.rows],
    })  # fmt: skip


def parse_inventory(raw: bytes, *, what: str = "inventory.json") -> Inventory:
    """The inventory in ``raw``.

    Raises :class:`ArchiveError` if it is not exactly of this form or could not be true of any volumes: rows out of order,
    frames that overlap or leave the volume, a content twice, parts that are not whole and side by side. Raises
    :class:`LimitError` beyond a cap.
    """
    if len(raw) <= INVENTORY_CAP:
        _check_shape(raw, what)
    value = loads(raw, what=what, cap=INVENTORY_CAP, keys=_KEYS, error=ArchiveError)
    fields = Fields(value, what=what, error=ArchiveError)
    if fields.text("format") != FORMAT:
        raise UnsupportedError(f"{what}: format {quoted(fields.text('format'))!r} is not {FORMAT}")
    if len(fields.array("rows")) > MAX_ROWS:
        raise LimitError(f"{what}: more than {MAX_ROWS} rows")
    inventory = Inventory(
        bundle_id=digest_in(fields, "bundleId"),
        mtime=fields.size("mtime", most=MAX_MTIME),
        sizes=tuple(_size(volume) for volume in fields.each("volumes")),
        rows=tuple(_row(row) for row in fields.each("rows")),
    )
    fields.done()
    if not 1 <= len(inventory.sizes) < MAX_SUBJECTS:
        raise fields.fail("volumes", f"must be 1 to {MAX_SUBJECTS - 1}, not {len(inventory.sizes)}")
    _check_places(fields, inventory)
    _check_contents(fields, inventory)
    return inventory


def _check_shape(raw: bytes, what: str) -> None:
    """Refuse, before it is parsed, what would take far more memory than rows do.

    One character beyond ASCII can make the whole text take four times its bytes, and a single object of a million members
    would be there before anyone could look at its keys.
    """
    if not raw.isascii() or b"\\" in raw:
        raise ArchiveError(f"{what}: holds other characters than plain ASCII")
    if raw.count(b"}") > MAX_ROWS + MAX_SUBJECTS:
        raise LimitError(f"{what}: more than {MAX_ROWS} rows")
    if any(piece.count(b",") > 2 * len(_KEYS) for piece in raw.split(b"}")):
        raise ArchiveError(f"{what}: holds something else than rows")


def _row_document(row: Row) -> dict[str, Any]:
    value: dict[str, Any] = {
        "digest": row.digest,
        "size": row.size,
        "volume": row.volume,
        "offset": row.offset,
        "length": row.length,
        "method": row.method,
    }
    if row.part is not None:
        value["part"] = row.part
    return value


def _size(fields: Fields) -> int:
    size = fields.size("size", most=MAX_VOLUME_SIZE)
    fields.done()
    return size


def _row(fields: Fields) -> Row:
    method = fields.text("method")
    if method not in ("stored", "zstd"):
        raise fields.fail("method", f"must be stored or zstd, not {quoted(method)!r}")
    row = Row(
        digest=digest_in(fields, "digest"),
        size=fields.size("size", most=(1 << 32) - 1),
        volume=fields.size("volume"),
        offset=fields.size("offset"),
        length=fields.size("length", most=(1 << 32) - 1),
        method="stored" if method == "stored" else "zstd",
        part=fields.size("part", most=MAX_PARTS) if "part" in fields else None,
    )
    fields.done()
    if row.method == "stored" and row.length != stored_length(row.size):
        raise fields.fail("length", f"must be {stored_length(row.size)} for {row.size} stored bytes, not {row.length}")
    if row.length > bound(row.size):
        raise fields.fail("length", f"is more than {row.size} bytes can take")
    return row


def _check_places(fields: Fields, inventory: Inventory) -> None:
    volume, end = 1, 0
    for n, row in enumerate(inventory.rows):
        if not volume <= row.volume <= len(inventory.sizes):
            raise fields.fail(f"rows[{n}]", f"is in volume {row.volume}: out of order, or not a volume")
        if row.volume > volume:
            volume, end = row.volume, 0
        if row.offset < end:
            raise fields.fail(f"rows[{n}]", f"begins at {row.offset}, inside of what ends at {end}")
        end = row.end
        if end > inventory.sizes[volume - 1]:
            raise fields.fail(f"rows[{n}]", f"ends at {end}, behind the end of volume {volume}")


def _check_contents(fields: Fields, inventory: Inventory) -> None:
    seen: set[Digest] = set()
    for digest, rows in inventory.contents():
        if digest in seen or (len(rows) > 1 and None in {row.part for row in rows}):
            raise fields.fail("rows", f"hold {digest} twice")
        seen.add(digest)
        parts = [row.part for row in rows]
        if parts not in ([None], [*range(1, len(rows) + 1)]) or parts == [1]:
            raise fields.fail("rows", f"have parts {parts} of {digest}, which are not a whole content")
