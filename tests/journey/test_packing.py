"""From a lock to a signed bundle: the same bytes every time, out of a store or straight from the source."""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.bundle.layout import MIN_LIMIT
from bundler.errors import ConfigError, LockedError, NotFoundError, PolicyError
from bundler.journey import packing
from bundler.journey.far import describe
from bundler.journey.packing import Shape, source_date_epoch
from bundler.trust import clock
from tests.images import image, index, layer, write_layout
from tests.workshop import IMAGES, MIB, NOW, WEB, Workshop, contents, key, ready, write_manifest

BIG = {f"big{n}:1": image(layer(f"big {n}", 700_000), layer(f"small {n}", 3_000, compression="none")) for n in range(3)}
GIANT = {"giant:1": image(layer("giant", 2_300_000))}


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    place = Workshop(tmp_path / "near")
    place.pull()
    return place


def test_what_a_bundle_says(place: Workshop) -> None:
    packed = place.pack("out")
    assert (packed.images, packed.volumes, packed.serial) == (len(IMAGES), 1, 1)
    assert packed.signers == (key("release").public.key_id,)
    assert packed.size == sum(len(raw) for name, raw in contents(packed.directory).items() if "volume" in name)
    assert packed.document()["directory"] == str(place.folder / "out")
    statement = describe(packed.directory).statement
    assert statement.bundle_id == packed.bundle_id
    assert (statement.name, statement.channel, statement.serial, statement.issued) == ("edge", "stable", 1, NOW)
    assert {i.name: i.root.digest for i in statement.images} == {
        f"oci:upstream:{name}": held.root.digest for name, held in IMAGES.items()
    }
    assert place.verify().conclusion == "VERIFIED"


@pytest.mark.parametrize(
    "images", [pytest.param(IMAGES, id="small"), pytest.param(BIG, id="volumes"), pytest.param(GIANT, id="cut")]
)
def test_two_builds_of_one_lock_are_the_same_bytes(tmp_path: Path, images: dict[str, object]) -> None:
    """On two stores, and without one; signatures included."""
    listed = "".join(f"  - oci:upstream:{name}\n" for name in images)
    places = [Workshop(tmp_path / str(n), listed, upstream=images) for n in range(3)]  # type: ignore[arg-type]  # images
    places[0].lock()
    for other in places[1:]:
        shutil.copy(places[0].lock_path, other.lock_path)
    places[0].pull()
    places[1].pull(now=NOW + timedelta(days=3))
    bundles = [places[0].pack().directory, places[1].pack().directory, places[2].stream().directory]
    first, second, streamed = (contents(bundle) for bundle in bundles)
    assert first.keys() == second.keys() == streamed.keys()
    assert [name for name in first if not first[name] == second[name] == streamed[name]] == []
    assert any(name.endswith(".sig") for name in first)
    assert len([name for name in first if name.startswith("volume-")]) == (1 if images is IMAGES else 3)


def test_the_time_is_source_date_epoch_s(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    zero = contents(place.pack("zero").directory)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert contents(place.pack("said").directory) == zero
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    other = contents(place.pack("other").directory)
    assert other["volume-0001.tar.zst"] != zero["volume-0001.tar.zst"]
    assert place.verify("other").conclusion == "VERIFIED"


@pytest.mark.parametrize("text", ["", "-1", "1.5", "today", "٣", "99999999999"])
def test_a_source_date_epoch_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        source_date_epoch()


def test_a_bundle_without_a_name_gets_the_release_s(place: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    with place.run() as run:
        packed = packing.pack(run, place.store, None, Shape(MIB, 3, ready(key("release"))), serial=42)
    assert packed.directory == Path("edge-stable-000042")
    assert describe(place.folder / packed.directory).statement.serial == 42


def test_without_keys_it_waits_for_a_signature(place: Workshop) -> None:
    with place.run() as run:
        packed = packing.pack(run, place.store, place.folder / "out", Shape(MIB, 3, ready()))
    assert packed.signers == ()
    assert describe(place.folder / "out").signers == ()
    with pytest.raises(Exception, match="not signed"):
        place.verify()


def test_two_signers_at_once(place: Workshop) -> None:
    packed = place.pack("out", key("release"), key("second"))
    assert len(packed.signers) == 2
    trusted = place.demand(key("second"), key("release"), threshold=2).trust(packed.directory)
    assert len(trusted.signers) == 2


def test_a_release_that_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "BUILD", NOW)  # as this release is younger than these bundles
    place = Workshop(tmp_path)
    place.lock(valid_for=2)
    place.build()
    assert place.verify().conclusion == "VERIFIED"
    with pytest.raises(PolicyError, match="expired at 2026-02-02"):
        place.demand(now=NOW + timedelta(days=2)).trust(tmp_path / "out")
    place.demand(now=NOW + timedelta(days=2), allow_expired=True).trust(tmp_path / "out")


@pytest.mark.parametrize("index_mode", ["sparse", "strip", "keep"])
def test_some_platforms_make_a_whole_bundle_either_way(tmp_path: Path, index_mode: str) -> None:
    arms = [image(layer(f"p{n}", 100), platform=f"linux/{n}") for n in ("amd64", "arm64", "s390x")]
    listed = (
        f"  - image: oci:upstream\n    as: multi\n    index: {index_mode}\n    platforms: [linux/amd64, linux/arm64]\n"
    )
    place = Workshop(tmp_path, listed, upstream={"multi": index(*arms)})
    streamed = contents(place.stream("streamed").directory)
    place.build("packed")
    assert contents(tmp_path / "packed") == streamed
    assert place.verify("packed").conclusion == "VERIFIED"
    names = {name for name, _ in arms_in(tmp_path / "packed")}
    assert names == {"linux/amd64", "linux/arm64"} | ({"linux/s390x"} if index_mode == "keep" else set())


def arms_in(bundle: Path) -> list[tuple[str, None]]:
    return [(platform, None) for image in describe(bundle).statement.images for platform in image.platforms]


# What the store lacks


@pytest.mark.parametrize("what", ["layer", "config", "root", "child"])
def test_a_store_that_lacks_something(place: Workshop, what: str) -> None:
    multi = IMAGES["reg.io/team/multi:3.0"]
    gone = {
        "layer": WEB.blobs[0],
        "config": WEB.blobs[-1],
        "root": multi.manifests[-1],
        "child": multi.manifests[0],
    }[what].descriptor.digest
    (place.store / "blobs" / "sha256" / gone.partition(":")[2]).unlink()
    with pytest.raises(NotFoundError) as caught:
        place.pack()
    assert gone in str(caught.value)
    assert str(place.store) in str(caught.value)
    assert "bundler pull" in caught.value.hint
    assert not (place.folder / "out").exists()
    place.pull()
    assert place.verify(place.pack().directory.name).sound


def test_a_store_that_was_never_filled(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    place.lock()
    with pytest.raises(NotFoundError, match="store"):
        place.pack()
    place.store.mkdir()
    write_layout(place.store, {})
    with pytest.raises(NotFoundError) as caught:
        place.pack()
    assert "bundler pull" in caught.value.hint


def test_without_a_lock(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        place.pack()


def test_a_lock_for_other_wishes(place: Workshop) -> None:
    write_manifest(place.folder, "  - oci:upstream:reg.io/team/web:1.0\n")
    with pytest.raises(ConfigError, match="is not for this manifest any more"):
        place.pack()


# Failures leave nothing


def test_a_damaged_blob_in_the_store(place: Workshop) -> None:
    path = place.store / "blobs" / "sha256" / WEB.blobs[0].descriptor.digest.partition(":")[2]
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.chmod(0o644)
    path.write_bytes(raw)
    with pytest.raises(NotFoundError):
        place.pack()
    assert not (place.folder / "out").exists()
    place.pull()
    assert place.pack().images == len(IMAGES)


def test_keys_that_do_not_open_leave_no_bundle(place: Workshop) -> None:
    failing: Future[tuple[object, ...]] = Future()
    failing.set_exception(ConfigError("the password does not open this key"))
    with place.run() as run, pytest.raises(ConfigError, match="the password"):
        packing.pack(run, place.store, place.folder / "out", Shape(MIB, 3, failing))  # type: ignore[arg-type]  # keys
    assert not (place.folder / "out").exists()


def test_a_finished_bundle_is_not_written_over(place: Workshop) -> None:
    before = contents(place.pack().directory)
    with pytest.raises(ConfigError, match="holds a finished bundle"):
        place.pack()
    assert contents(place.folder / "out") == before


def test_volumes_that_are_too_small(place: Workshop) -> None:
    with pytest.raises(ConfigError, match="too small"):
        place.pack(limit=MIN_LIMIT - 1)
    assert not (place.folder / "out").exists()


def test_a_store_that_another_process_holds(place: Workshop) -> None:
    from bundler.store import Store

    with Store.open(str(place.store)).exclusive("store gc"), pytest.raises(LockedError, match="store gc"):
        place.pack()
