"""Check finds what is wrong and nothing else; usage adds up."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.content import Event
from bundler.oci import mediatype
from bundler.oci.digest import Digest, hex_of
from bundler.store import Store
from bundler.store.check import Bad
from tests.images import Image, family, image, index, layer, load, part, write_layout

IMAGES = family()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def store(tmp_path: Path, heard: list[Event]) -> Store:
    store = Store.open(tmp_path, create=True, observer=heard.append)
    load(store, IMAGES)
    return store


def at(store: Store, digest: Digest) -> Path:
    return Path(store.path) / "blobs" / "sha256" / hex_of(digest)


def test_a_sound_store(store: Store) -> None:
    report = store.check()
    assert report.sound
    assert (report.bad, report.missing, report.unreadable, report.orphans) == ((), (), (), ())
    assert report.images == len(IMAGES)
    assert report.size == sum(path.stat().st_size for path in Path(store.path).glob("blobs/sha256/*"))


def test_with_an_executor(store: Store) -> None:
    at(store, IMAGES["web"].blobs[0].descriptor.digest).write_bytes(b"x")
    with ThreadPoolExecutor(2) as executor:
        assert store.check(executor=executor) == store.check()


@pytest.mark.parametrize("which", range(4))
def test_a_damaged_part_is_bad_and_missing_from_each_image_that_needs_it(store: Store, which: int) -> None:
    digest = IMAGES["web"].parts[which].descriptor.digest
    path = at(store, digest)
    raw = path.read_bytes()
    path.write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    report = store.check()
    assert not report.sound
    assert [bad.digest for bad in report.bad] == [digest]
    needing = {name for name, each in IMAGES.items() if digest in each.digests()}
    assert {missing.image for missing in report.missing} == needing


def test_repair_moves_it_away_and_a_second_pull_mends_it(store: Store, heard: list[Event]) -> None:
    wanted = IMAGES["web"].blobs[0]
    at(store, wanted.descriptor.digest).write_bytes(b"x")
    store.check()
    assert at(store, wanted.descriptor.digest).exists()
    store.check(repair=True)
    assert not at(store, wanted.descriptor.digest).exists()
    assert len(heard) == 1
    report = store.check()
    assert report.bad == ()
    assert report.missing
    store.push(wanted.descriptor, [wanted.raw])
    assert store.check().sound


def test_a_manifest_with_the_right_digest_that_cannot_be_read_is_not_moved_away(tmp_path: Path) -> None:
    both = part(b'{"schemaVersion": 2, "layers": [], "manifests": []}', mediatype.OCI_MANIFEST)
    store = Store.open(write_layout(tmp_path, {"both": Image(both.descriptor, (both,))}))
    report = store.check(repair=True)
    assert not report.sound
    assert [each.digest for each in report.unreadable] == [both.descriptor.digest]
    assert isinstance(report.unreadable[0], Bad)
    assert at(store, both.descriptor.digest).exists()


def test_a_child_that_another_tool_did_not_bring_is_left_out(tmp_path: Path) -> None:
    arm = image(layer("arm", 100), platform="linux/arm64")
    multi = index(image(layer("amd", 100)), arm)
    store = Store.open(write_layout(tmp_path, {"multi": multi}))
    for wanted in arm.parts:
        at(store, wanted.descriptor.digest).unlink()
    assert store.check().sound
    assert store.usage()[0].missing == 0


def test_orphans_do_no_harm(store: Store) -> None:
    lost = layer("lost", 100)
    store.push(lost.descriptor, [lost.raw])
    report = store.check()
    assert report.sound
    assert report.orphans == ((lost.descriptor.digest, lost.descriptor.size),)


def test_usage_adds_up(store: Store) -> None:
    usage = {each.name: each for each in store.usage()}
    for name, wanted in IMAGES.items():
        assert usage[name].size == sum(len(each.raw) for each in wanted.parts)
        others = set().union(*(each.digests() for other, each in IMAGES.items() if other != name))
        assert usage[name].unique == sum(len(each.raw) for each in wanted.parts if each.descriptor.digest not in others)
        assert usage[name].missing == 0
    at(store, IMAGES["zstd"].blobs[1].descriptor.digest).unlink()
    assert {each.name for each in store.usage() if each.missing} == {"zstd"}


def test_roots_that_are_no_manifests_are_blobs(tmp_path: Path) -> None:
    lone = part(b"hello", "text/plain")
    store = Store.open(write_layout(tmp_path, {"hello": Image(lone.descriptor, (lone,))}))
    assert store.check().sound
    assert store.gc().blobs == ()
    assert json.loads(Path(tmp_path, "index.json").read_text())["manifests"][0]["mediaType"] == "text/plain"
