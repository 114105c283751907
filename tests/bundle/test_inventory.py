"""The inventory: rows that could not be true are refused before anything is looked for by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.frames import stored_length
from bundler.bundle.inventory import (
    INVENTORY_CAP,
    MAX_MTIME,
    MAX_PARTS,
    MAX_ROWS,
    Inventory,
    Row,
    parse_inventory,
    write_inventory,
)
from bundler.errors import ArchiveError, LimitError, UnsupportedError
from bundler.oci.digest import Digest, digest_of

A, B, C, D = (Digest("sha256:" + letter * 64) for letter in "abcd")


def stored(digest: Digest, size: int, volume: int, offset: int, part: int | None = None) -> Row:
    return Row(digest, size, volume, offset, stored_length(size), "stored", part)


GOOD = Inventory(
    bundle_id=D,
    mtime=1_700_000_000,
    sizes=(5_000, 9_000),
    rows=(
        stored(A, 100, 1, 1_000),
        stored(B, 1_000, 1, 2_000, part=1),
        stored(B, 500, 2, 1_000, part=2),
        Row(C, 3_000, 2, 2_000, 700, "zstd"),
    ),
)


def test_it_comes_back() -> None:
    raw = write_inventory(GOOD)
    assert parse_inventory(raw) == GOOD
    assert write_inventory(parse_inventory(raw)) == raw


@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 600)), min_size=1, max_size=12), st.integers(0, MAX_MTIME)
)
def test_whatever_is_sound_comes_back(contents: list[tuple[int, int]], mtime: int) -> None:
    rows, sizes, offset = [], [], 0
    for n, (size, space) in enumerate(contents):
        rows.append(stored(digest_of(b"%d" % n), size, len(sizes) + 1, offset + space))
        offset = rows[-1].end
        if size % 3 == 0:
            sizes.append(offset)
            offset = 0
    sizes.append(offset)
    inventory = Inventory(D, mtime, tuple(sizes), tuple(rows))
    assert parse_inventory(write_inventory(inventory)) == inventory


def test_rows_are_found_by_volume_and_by_content() -> None:
    assert [row.digest for row in GOOD.volume(2)] == [B, C]
    assert [(digest, len(rows)) for digest, rows in GOOD.contents()] == [(A, 1), (B, 2), (C, 1)]
    assert list(Inventory(D, 0, (1,), ()).contents()) == []


Change = Callable[[dict[str, Any]], object]


def row(n: int, **values: Any) -> Change:
    return lambda d: d["rows"][n].update(values)


def _swap(d: dict[str, Any], a: int, b: int) -> None:
    d["rows"][a], d["rows"][b] = d["rows"][b], d["rows"][a]


BAD: dict[str, Change] = {
    "unknown-key": lambda d: d.update(more=1),
    "unknown-row-key": row(0, more=1),
    "unknown-volume-key": lambda d: d["volumes"][0].update(name="x"),
    "no-volumes": lambda d: d.update(volumes=[], rows=[]),
    "too-many-volumes": lambda d: d.update(volumes=[{"size": 9_000}] * 1024),
    "mtime-beyond-ustar": lambda d: d.update(mtime=MAX_MTIME + 1),
    "digest-short": row(0, digest="sha256:abc"),
    "method-unknown": row(0, method="gzip"),
    "volume-zero": row(0, volume=0),
    "volume-beyond": row(3, volume=3),
    "volumes-out-of-order": row(0, volume=2),
    "rows-swapped": lambda d: _swap(d, 2, 3),
    "offset-negative": row(0, offset=-1),
    "offset-text": row(0, offset="1000"),
    "overlap": row(1, offset=1_050),
    "beyond-the-volume": row(3, offset=8_500),
    "stored-length-wrong": row(0, length=118),
    "compressed-longer-than-possible": row(3, length=6_000, size=3_000),
    "size-beyond-a-member": row(3, size=1 << 32),
    "content-twice": row(3, digest=A),
    "part-twice": row(2, part=1),
    "parts-out-of-order": lambda d: (row(1, part=2)(d), row(2, part=1)(d)),
    "part-zero": row(1, part=0),
    "part-missing-at-the-start": lambda d: (row(1, part=2)(d), row(2, part=3)(d)),
    "part-gap": row(2, part=3),
    "only-part": row(0, part=1),
    "whole-and-part": lambda d: d["rows"][1].pop("part"),
    "parts-apart": lambda d: (row(0, digest=B, part=1)(d), row(1, digest=A)(d), d["rows"][1].pop("part")),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_anything_else_is_refused(change: Change) -> None:
    document = json.loads(write_inventory(GOOD))
    change(document)
    with pytest.raises(ArchiveError, match=r"^inventory\.json"):
        parse_inventory(json.dumps(document).encode())


def test_another_format_is_named() -> None:
    raw = write_inventory(GOOD).replace(b"inventory:v1", b"inventory:v2")
    with pytest.raises(UnsupportedError, match="inventory:v2"):
        parse_inventory(raw)


def test_any_rows_up_to_their_number_fit_the_cap() -> None:
    digest = Digest("sha512:" + "f" * 128)
    longest = Row(digest, (1 << 32) - 1, 1023, 1 << 53, (1 << 32) - 1, "stored", MAX_PARTS)
    one, two = (len(write_inventory(Inventory(D, MAX_MTIME, (1 << 53,) * 1023, (longest,) * n))) for n in (1, 2))
    assert one + (MAX_ROWS - 1) * (two - one) <= INVENTORY_CAP


def test_more_rows_than_allowed() -> None:
    raw = json.dumps({**json.loads(write_inventory(GOOD)), "rows": [{}] * (MAX_ROWS + 1)}).encode()
    with pytest.raises(LimitError, match="more than 100000 rows"):
        parse_inventory(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b'"\\ud83d\\ude00"', "plain ASCII", id="escaped"),
        pytest.param('"\U0001f600"'.encode(), "plain ASCII", id="beyond-ascii"),
        pytest.param(b"[" + b"1," * 99 + b"1]", "something else than rows", id="long-list"),
        pytest.param(b'{"Digest": 1}', "Digest is not a known key", id="key-in-another-case"),
    ],
)
def test_what_would_take_much_memory_is_refused_before_it_does(text: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        parse_inventory(write_inventory(GOOD).replace(b'"stored"', text))
