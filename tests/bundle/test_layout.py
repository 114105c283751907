"""Layouts: every content once, no volume too large, pushable from front to back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle import frames
from bundler.bundle.layout import FAT_LIMIT, MAX_VOLUMES, MIN_LIMIT, VolumeLayout, layout, volume_limit
from bundler.errors import ConfigError, LimitError, ProtocolError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest

INDEX = 2_000
GIB = 1 << 30


def want(n: int, size: int, media_type: str = mediatype.OCI_LAYER_GZIP, algorithm: str = "sha256") -> Descriptor:
    length = {"sha256": 64, "sha512": 128}[algorithm]
    return Descriptor(media_type, Digest(f"{algorithm}:{n:0{length}x}"), size)


def kinds(volumes: tuple[VolumeLayout, ...]) -> list[list[tuple[int, int | None, bool]]]:
    return [[(int(m.want.digest[7:], 16), m.part, m.stored) for m in volume.members] for volume in volumes]


TYPES = st.sampled_from([mediatype.OCI_LAYER_GZIP, mediatype.OCI_LAYER, mediatype.OCI_CONFIG])
SIZES = st.one_of(st.integers(0, 5_000), st.integers(0, 3 * MIN_LIMIT), st.sampled_from([0, MIN_LIMIT - 1, MIN_LIMIT]))


@given(
    st.lists(st.tuples(SIZES, TYPES, st.sampled_from(["sha256", "sha512"])), max_size=12),
    st.lists(st.integers(100, 4 << 20), max_size=6),
    st.one_of(st.none(), st.integers(MIN_LIMIT, 4 * MIN_LIMIT)),
)
def test_what_always_holds(blobs: list[tuple[int, str, str]], manifests: list[int], limit: int | None) -> None:
    wants = [want(n, size, kind, algorithm) for n, (size, kind, algorithm) in enumerate(blobs)]
    wants += [want(1000 + n, size, mediatype.OCI_MANIFEST) for n, size in enumerate(manifests)]
    volumes = layout(wants, limit, index_size=INDEX)
    members = [member for volume in volumes for member in volume.members]

    assert [volume.number for volume in volumes] == list(range(1, len(volumes) + 1))
    assert all(limit is None or volume.bound <= limit for volume in volumes)

    # each content once, whole, its parts side by side and in order
    order = list(dict.fromkeys(member.want.digest for member in members))
    assert sorted(order) == sorted(each.digest for each in wants)
    at = 0
    for digest in order:
        parts = [member for member in members if member.want.digest == digest]
        assert members[at : at + len(parts)] == parts
        at += len(parts)
        assert [p.part for p in parts] == ([None] if len(parts) == 1 else list(range(1, len(parts) + 1)))
        assert [p.start for p in parts] == [sum(q.size for q in parts[:n]) for n in range(len(parts))]
        assert sum(p.size for p in parts) == parts[0].want.size
        assert all(p.size <= frames.MAX_MEMBER for p in parts)

    # blobs before manifests, manifests in their order
    flags = [member.want.is_manifest for member in members]
    assert flags == sorted(flags)
    in_order = [each.digest for each in wants if each.is_manifest]
    assert [digest for digest in order if digest in in_order] == in_order

    # in each volume all that is stored has a known place
    for volume in volumes:
        stored = [member.stored for member in volume.members]
        assert stored == sorted(stored, reverse=True)


def test_blobs_fill_the_room_that_earlier_ones_left() -> None:
    wants = [want(1, 700_000), want(2, 900_000), want(3, 200_000)]
    assert kinds(layout(wants, MIN_LIMIT, index_size=INDEX)) == [
        [(1, None, True), (3, None, True)],
        [(2, None, True)],
    ]


def test_a_giant_is_cut_and_others_follow_its_last_part() -> None:
    wants = [want(1, 2_500_000), want(2, 1_000), want(9, 500, mediatype.OCI_MANIFEST)]
    assert kinds(layout(wants, MIN_LIMIT, index_size=INDEX)) == [
        [(1, 1, True)],
        [(1, 2, True)],
        [(1, 3, True), (2, None, True), (9, None, False)],
    ]


def test_nothing_stored_follows_the_last_part_of_a_giant_that_may_shrink() -> None:
    wants = [want(1, 1_500_000, mediatype.OCI_LAYER), want(2, 300_000), want(3, 300_000, mediatype.OCI_LAYER)]
    volumes = kinds(layout(wants, MIN_LIMIT, index_size=INDEX))
    assert volumes[1] == [(1, 2, False), (3, None, False)]
    assert volumes[2] == [(2, None, True)]


def test_more_than_one_member_can_hold_is_cut_without_a_limit() -> None:
    (volume,) = layout([want(1, 9 * GIB), want(2, 5)], None, index_size=INDEX)
    assert [(m.part, m.size) for m in volume.members] == [
        (1, frames.MAX_MEMBER), (2, frames.MAX_MEMBER), (3, 9 * GIB - 2 * frames.MAX_MEMBER), (None, 5),
    ]  # fmt: skip


def test_a_giant_of_several_members_spreads_over_large_volumes() -> None:
    volumes = layout([want(1, 20 * GIB)], 9 * GIB, index_size=INDEX)
    assert [[m.part for m in volume.members] for volume in volumes] == [[1, 2, 3], [4, 5, 6], [7]]
    assert all(volume.bound <= 9 * GIB for volume in volumes)


def test_manifests_come_after_the_last_blob() -> None:
    wants = [want(n, 800_000) for n in range(3)] + [want(9, 400_000, mediatype.OCI_MANIFEST)]
    assert kinds(layout(wants, MIN_LIMIT, index_size=INDEX))[-1] == [(9, None, False)]


def test_a_digest_listed_twice_travels_once_and_as_a_manifest() -> None:
    wants = [want(1, 500), want(2, 500), want(1, 500), want(1, 500, mediatype.OCI_MANIFEST)]
    assert kinds(layout(wants, None, index_size=INDEX)) == [[(2, None, True), (1, None, False)]]


def test_a_digest_of_two_sizes_is_refused() -> None:
    with pytest.raises(ProtocolError, match="listed with 5 and with 6 bytes"):
        layout([want(1, 5), want(1, 6)], None, index_size=INDEX)


def test_no_contents_still_make_a_volume() -> None:
    assert kinds(layout([], MIN_LIMIT, index_size=INDEX)) == [[]]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(MIN_LIMIT, MIN_LIMIT, id="least"),
        pytest.param(FAT_LIMIT, FAT_LIMIT, id="what-fat-holds"),
        pytest.param(FAT_LIMIT + 1, FAT_LIMIT, id="between"),
        pytest.param(4 * GIB, FAT_LIMIT, id="4GiB-means-fat"),
        pytest.param(4 * GIB + 1, 4 * GIB + 1, id="above"),
    ],
)
def test_limits(asked: int | None, kept: int | None) -> None:
    assert volume_limit(asked) == kept


def test_a_limit_below_the_least_is_refused() -> None:
    with pytest.raises(ConfigError, match="too small"):
        layout([], MIN_LIMIT - 1, index_size=INDEX)


def test_an_index_that_fills_the_first_volume_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"too small for an index\.json"):
        layout([], MIN_LIMIT, index_size=MIN_LIMIT)


def test_too_many_volumes_are_refused() -> None:
    wants = [want(n, 1_000_000) for n in range(MAX_VOLUMES)]
    assert len(layout(wants, MIN_LIMIT, index_size=INDEX)) == MAX_VOLUMES
    with pytest.raises(LimitError, match="more than 1023 volumes") as caught:
        layout([*wants, want(5000, 1_000_000)], MIN_LIMIT, index_size=INDEX)
    assert "--volume-size" in caught.value.hint


def test_a_large_layout_is_quick() -> None:
    wants = [want(n, 1_000 + n) for n in range(20_000)]
    assert sum(len(v.members) for v in layout(wants, MIN_LIMIT, index_size=INDEX)) == 20_000
