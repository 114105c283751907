"""The far side: what a bundle says, whether to trust it, and pushing it on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.cli.sizes import human
from bundler.content import Outcome, read
from bundler.errors import (
    ArchiveError,
    ConfigError,
    DigestError,
    NotFoundError,
    PolicyError,
    ReadOnlyError,
    SignatureError,
    TrustError,
)
from bundler.graph import walk
from bundler.journey.access import Access
from bundler.journey.demand import Demand
from bundler.journey.ends import Ends
from bundler.journey.far import describe, verify
from bundler.journey.keys import sign_bundle
from bundler.oci.reference import Reference
from bundler.registry.process import running
from bundler.store import Store
from tests.images import artifact, image, index, layer, load
from tests.store.invariants import assert_sound
from tests.workshop import API, IMAGES, MULTI, NOW, WEB, Workshop, contents, key

TARGETS = {name.partition("/")[2]: held.root.digest for name, held in IMAGES.items()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A bundle ``out``. Copy it before you change it."""
    place = Workshop(tmp_path_factory.mktemp("built"))
    place.build()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    """A bundle ``out`` of one's own."""
    place = Workshop(tmp_path)
    place.build()
    return place


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host of an embedded registry."""
    with running(tmp_path_factory.mktemp("registry")) as url:
        yield url.removeprefix("http://")


@pytest.fixture(scope="module")
def write_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "release.pub"
    path.write_bytes(key("release").public.pem)
    return path


# Describing


def test_what_a_bundle_says_of_itself(built: Workshop) -> None:
    said = describe(built.folder / "out")
    document = said.document()
    json.dumps(document)
    assert (document["name"], document["channel"], document["serial"]) == ("edge", "stable", 1)
    assert (document["issued"], document["expires"]) == ("2026-01-31T12:00:00Z", None)
    assert document["signatures"] == [key("release").public.key_id]
    assert {i["target"]: i["digest"] for i in document["images"]} == TARGETS
    assert document["volumes"] == ["volume-0001.tar.zst"]
    figures = dict(said.figures(human))
    assert figures["bundle"] == "edge stable serial 1"
    assert figures["signatures"] == key("release").public.key_id[:16]
    assert [row[1] for row in said.rows()] == [i["target"] for i in document["images"]]
    assert {row[1]: row[3] for row in said.rows()}["team/multi:3.0"] == "linux/amd64, linux/arm64"


def test_attachments_and_expiry_are_told(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    place.lock(valid_for=3)
    place.build()
    said = describe(tmp_path / "out")
    assert said.document()["expires"] == "2026-02-03T12:00:00Z"
    assert "expires 2026-02-03" in dict(said.figures(human))["issued"]


def test_a_directory_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="unfinished bundle"):
        describe(tmp_path)
    with pytest.raises(NotFoundError):
        describe(tmp_path / "absent")


# Demands


def test_a_demand_needs_keys_or_a_loud_no(write_key: Path) -> None:
    with pytest.raises(ConfigError, match="no --key and no --trust given"):
        Demand.of((), 1, now=NOW)
    with pytest.raises(ConfigError, match="exclude each other"):
        Demand.of((write_key,), 1, now=NOW, unsafe=True)
    assert Demand.of((), 1, now=NOW, unsafe=True).keys == ()
    assert Demand.of((write_key,), 1, now=NOW).keys == (key("release").public,)


@pytest.mark.parametrize("threshold", [0, 2, -1])
def test_a_threshold_that_cannot_be_met(built: Workshop, write_key: Path, threshold: int) -> None:
    demand = Demand.of((write_key, write_key), threshold, now=NOW)
    with pytest.raises(ConfigError, match="threshold"):
        demand.trust(built.folder / "out")


def test_keys_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text("hello")
    with pytest.raises(ConfigError):
        Demand.of((tmp_path / "k.pub",), 1, now=NOW)
    with pytest.raises(ConfigError, match="does not exist"):
        Demand.of((tmp_path / "absent.pub",), 1, now=NOW)


def test_another_key_is_not_trusted(built: Workshop) -> None:
    with pytest.raises(TrustError):
        built.demand(key("stranger")).trust(built.folder / "out")


def test_two_of_three(place: Workshop) -> None:
    keys = (key("release"), key("second"), key("third"))
    with pytest.raises(TrustError):
        place.demand(*keys, threshold=2).trust(place.folder / "out")
    sign_bundle(place.folder / "out", [key("third")])
    assert len(place.demand(*keys, threshold=2).trust(place.folder / "out").signers) == 2


def test_a_stripped_signature(place: Workshop) -> None:
    for path in (place.folder / "out").glob("*.sig"):
        path.unlink()
    with pytest.raises(SignatureError):
        place.verify()


def test_expiry_counts_for_unsigned_bundles_too(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    place.lock(valid_for=1)
    place.build()
    late = NOW + timedelta(days=3)
    for demand in (place.demand(now=late), Demand((), 1, late)):
        with pytest.raises(PolicyError, match="expired"):
            demand.trust(tmp_path / "out")
    assert not Demand((), 1, late, allow_expired=True).trust(tmp_path / "out").signed


# Verdicts


def test_a_sound_bundle(built: Workshop) -> None:
    verdict = built.verify()
    verdict.raise_for_damage()
    assert (verdict.sound, verdict.conclusion) == (True, "VERIFIED")
    document = verdict.document()
    json.dumps(document)
    assert (document["verdict"], document["signed"], document["refused"]) == ("verified", True, None)
    assert document["signatures"]["by"] == [{"name": None, "keyId": key("release").public.key_id}]
    contents = document["contents"]
    assert contents["problems"] == contents["lost"] == contents["lostImages"] == []
    assert [step["outcome"] for step in document["gate"]] == ["passed", "passed", "passed", "skipped", "passed"]
    assert {image["target"]: image["digest"] for image in document["images"]} == TARGETS
    text = verdict.lines(human)
    assert any(line.startswith("signed by") and line.endswith("(1 of 1 keys needed)") for line in text)
    assert any(line.startswith("volumes") and line.endswith("every digest compared") for line in text)
    assert all(len(line) <= 100 for line in text)


def test_quick_reads_no_volume_and_says_so(place: Workshop) -> None:
    damage(place, WEB.blobs[0].raw)
    verdict = place.verify(quick=True)
    assert verdict.conclusion.startswith("TRUSTED; the volumes' contents were not read")
    assert (verdict.document()["verdict"], verdict.document()["contents"]) == ("trusted", None)
    assert verdict.document()["gate"][-1] == {"step": "contents", "outcome": "skipped"}
    verdict.raise_for_damage()


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("spoil", ["cut", "longer", "missing", "twice"])
def test_quick_sees_volumes_that_are_not_as_they_should_be(place: Workshop, quick: bool, spoil: str) -> None:
    volume = place.folder / "out" / "volume-0001.tar.zst"
    raw = volume.read_bytes()
    match spoil:
        case "cut":
            volume.write_bytes(raw[:-1])
        case "longer":
            volume.write_bytes(raw + b"\0")
        case "missing":
            volume.unlink()
        case _:
            (place.folder / "out" / "copy.tar.zst").write_bytes(raw)
    with pytest.raises(ArchiveError, match="volume"):
        place.verify(quick=quick)


def test_an_unsigned_bundle_is_intact_at_most(place: Workshop) -> None:
    with ThreadPoolExecutor(2) as executor:
        verdict = verify(place.folder / "out", Demand((), 1, NOW), executor=executor)
    assert verdict.conclusion.startswith("INTACT, and anyone could have made it")
    assert (verdict.document()["verdict"], verdict.document()["signed"]) == ("intact", False)
    text = "\n".join(verdict.lines(human))
    assert re.search(r"^signed by +NOT CHECKED \(--unsafe-no-signature\)$", text, re.MULTILINE)
    assert re.search(r"^OVERRIDE +--unsafe-no-signature$", text, re.MULTILINE)


def test_an_unsigned_bundle_is_not_trusted_for_being_read_quickly(place: Workshop) -> None:
    with ThreadPoolExecutor(2) as executor:
        verdict = verify(place.folder / "out", Demand((), 1, NOW), quick=True, executor=executor)
    assert verdict.conclusion.startswith("UNREAD, and anyone could have made it")
    assert verdict.document()["verdict"] == "unread"


def damage(place: Workshop, content: bytes, name: str = "out") -> None:
    """Flip a bit of a layer's noise, where it lies stored in a volume."""
    for volume in (place.folder / name).glob("volume-*"):
        raw = bytearray(volume.read_bytes())
        at = raw.find(content[2600:2640])
        if at >= 0:
            raw[at] ^= 1
            volume.write_bytes(raw)
            return
    raise AssertionError("the content lies in no volume")


def test_the_first_bad_byte_ends_it(place: Workshop) -> None:
    damage(place, WEB.blobs[1].raw)
    with pytest.raises(DigestError, match=WEB.blobs[1].descriptor.digest):
        place.verify()


def test_damage_lists_what_is_lost(place: Workshop) -> None:
    lost = [API.blobs[1], WEB.blobs[1]]
    for part in lost:
        damage(place, part.raw)
    verdict = place.verify(damage=True)
    assert not verdict.sound
    assert verdict.conclusion == "DAMAGED"
    found = verdict.document()["contents"]
    assert set(found["lost"]) == {part.descriptor.digest for part in lost}
    assert {name.rpartition("/")[2] for name in found["lostImages"]} == {"web:1.0", "api:2.0", "multi:3.0"}
    text = "\n".join(verdict.lines(human))
    assert all(part.descriptor.digest in text for part in lost)
    assert "image oci:upstream:reg.io/team/web:1.0" in text
    for problem in found["problems"]:
        assert problem["volume"] == 1
        assert problem["error"]
    with pytest.raises(ArchiveError, match="2 contents lost, 3 images incomplete"):
        verdict.raise_for_damage()


def test_damage_does_not_forgive_a_signature(place: Workshop) -> None:
    path = place.folder / "out" / "bundle.dsse.json"
    envelope = json.loads(path.read_text())
    envelope["signatures"][0]["sig"] = "A" + envelope["signatures"][0]["sig"][1:]
    path.write_text(json.dumps(envelope))
    with pytest.raises((SignatureError, TrustError)):
        place.verify(damage=True)


# Push to a layout


def test_push_to_a_layout(built: Workshop, tmp_path: Path) -> None:
    to = f"oci:{tmp_path / 'far'}"
    pushed = built.push(to)
    assert assert_sound(tmp_path / "far") == TARGETS
    assert pushed.unchanged == 0
    assert set(pushed.outcomes) <= {Outcome.COPIED, Outcome.PRESENT}
    receipt = pushed.receipt
    assert {i.reference: i.digest for i in receipt.images} == {f"{to}/{name}": d for name, d in TARGETS.items()}
    assert (receipt.name, receipt.serial, receipt.pushed, receipt.destination) == ("edge", 1, NOW, to)
    before = contents(tmp_path / "far")
    again = built.push(to)
    assert (again.unchanged, again.outcomes) == (len(TARGETS), {})
    assert contents(tmp_path / "far") | {".bundler/lock": before[".bundler/lock"]} == before
    assert again.receipt.images == receipt.images


def test_an_image_known_by_its_digest_stays_in_a_layout(tmp_path: Path) -> None:
    place = Workshop(tmp_path, "  - oci:upstream:reg.io/team/web:1.0\n")
    place.pull()
    lock = json.loads(place.lock_path.read_text())
    lock["images"][0]["target"] = f"team/web@{WEB.root.digest}"
    place.lock_path.write_text(json.dumps(lock))
    place.pack()
    for unchanged in (0, 1):
        assert place.push(f"oci:{tmp_path / 'far'}").unchanged == unchanged
        store = Store.open(str(tmp_path / "far"))
        assert store.gc().blobs == ()
        assert [name for name, _ in store.images()] == [f"team/web@{WEB.root.digest}"]


def test_more_platforms_of_one_index_later(tmp_path: Path) -> None:
    arms = [image(layer(f"later {n}", 100), platform=f"linux/{n}") for n in ("amd64", "arm64", "s390x")]
    for name, platforms in (("one", "[linux/amd64, linux/arm64]"), ("two", "all")):
        listed = f"  - image: oci:upstream\n    as: multi\n    platforms: {platforms}\n"
        place = Workshop(tmp_path / name, listed, upstream={"multi": index(*arms)})
        place.build()
        assert place.push(f"oci:{tmp_path / 'far'}").unchanged == 0
        assert_sound(tmp_path / "far")
    assert all(Store.open(str(tmp_path / "far")).has(arm.root) for arm in arms)


@pytest.mark.parametrize(
    ("route", "names"),
    [
        pytest.param({"patterns": ("*web*",)}, {"team/web:1.0"}, id="some"),
        pytest.param({"renames": ("team=x/y",), "patterns": ("*web*",)}, {"x/y/web:1.0"}, id="renamed"),
        pytest.param(
            {"scoped": True, "patterns": ("*web*", "*note*")}, {"oci/team/web:1.0", "oci/team/note:1"}, id="scoped"
        ),
    ],
)
def test_routes(built: Workshop, tmp_path: Path, route: dict[str, tuple[str, ...]], names: set[str]) -> None:
    pushed = built.push(f"oci:{tmp_path / 'far'}", **route)  # type: ignore[arg-type]  # of the table
    assert set(assert_sound(tmp_path / "far")) == names
    assert len(pushed.receipt.images) == len(names)


def test_a_damaged_bundle_gives_no_name(place: Workshop, tmp_path: Path) -> None:
    damage(place, WEB.blobs[1].raw)
    with pytest.raises((DigestError, ArchiveError)):
        place.push(f"oci:{tmp_path / 'far'}")
    assert assert_sound(tmp_path / "far") == {}


def test_damage_in_what_is_not_pushed_does_not_matter(place: Workshop, tmp_path: Path) -> None:
    damage(place, API.blobs[1].raw)
    place.push(f"oci:{tmp_path / 'far'}", patterns=("*note*",))
    assert set(assert_sound(tmp_path / "far")) == {"team/note:1"}


def test_damage_between_contents_gives_no_name(place: Workshop, tmp_path: Path) -> None:
    volume = place.folder / "out" / "volume-0001.tar.zst"
    raw = bytearray(volume.read_bytes())
    raw[-40] ^= 1  # in the seek table
    volume.write_bytes(raw)
    with pytest.raises(ArchiveError, match=r"volume-0001\.tar\.zst"):
        place.push(f"oci:{tmp_path / 'far'}")
    assert assert_sound(tmp_path / "far") == {}


def test_an_untrusted_bundle_touches_no_destination(place: Workshop, tmp_path: Path) -> None:
    for path in (place.folder / "out").glob("*.sig"):
        path.unlink()
    with pytest.raises(SignatureError):
        place.push(f"oci:{tmp_path / 'far'}")
    assert not (tmp_path / "far").exists()


def test_a_place_that_is_no_layout(built: Workshop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises((ConfigError, ReadOnlyError)):
            built.push(f"oci:{place}")
    assert contents(tmp_path) == {"file": b"precious"}


# Push to a registry


def test_push_to_a_registry(built: Workshop, registry: str) -> None:
    to = f"docker://{registry}/first"
    pushed = built.push(to)
    assert {i.reference: i.digest for i in pushed.receipt.images} == {
        f"{registry}/first/{name}": digest for name, digest in TARGETS.items()
    }
    with Ends(Access(tls_verify=False)) as ends:
        for name, digest in TARGETS.items():
            source, tag = ends.source(f"docker://{registry}/first/{name}")
            root = source.resolve(tag)
            assert root.digest == digest
            for node in walk(source, root).blobs:
                read(source, node)
    assert built.push(to).unchanged == len(TARGETS)


def test_blobs_are_mounted_between_repositories(built: Workshop, registry: str) -> None:
    pushed = built.push(f"docker://{registry}/mounts", patterns=("*web*", "*api*"))
    assert pushed.outcomes.get(Outcome.MOUNTED, 0) + pushed.outcomes.get(Outcome.PRESENT, 0) >= 1


def test_the_whole_way_with_attachments(registry: str, tmp_path: Path) -> None:
    """From a registry with cosign's tags and a referrers index, through a bundle, into another part of a registry."""
    signature = artifact(b"signed")
    sbom = artifact(b"{}", subject=MULTI)
    about = MULTI.root.digest.replace(":", "-")
    tag = f"{about}.sig"
    listing = index(sbom)
    with Ends(Access(tls_verify=False)) as ends:
        target = ends.repository(Reference(registry, "near/multi"))
        load(target, {"3.0": MULTI, tag: signature, about: listing})
    place = Workshop(tmp_path, f"  - {registry}/near/multi:3.0\n", access=Access(tls_verify=False))
    lock = place.lock()
    assert {a.tag: a.root.digest for a in lock.images[0].attachments} == {
        tag: signature.root.digest,
        "": sbom.root.digest,
    }
    place.build()
    streamed = place.stream("streamed")
    assert contents(tmp_path / "out") == contents(streamed.directory)
    assert set(assert_sound(place.store)) == {
        f"{registry}/near/multi:3.0",
        f"{registry}/near/multi:{tag}",
        f"{registry}/near/multi@{sbom.root.digest}",
    }
    pushed = place.push(f"docker://{registry}/far")
    assert len(pushed.receipt.images) == 1
    with Ends(Access(tls_verify=False)) as ends:
        source, _ = ends.source(f"docker://{registry}/far/near/multi:3.0")
        assert source.resolve("3.0").digest == MULTI.root.digest
        assert source.resolve(tag).digest == signature.root.digest
        assert [d.digest for d in source.referrers(MULTI.root.digest)] == [sbom.root.digest]  # type: ignore[attr-defined]  # a Repository
    assert place.push(f"docker://{registry}/far").outcomes == {}


def test_forecast_counts_pulls(built: Workshop, registry: str, tmp_path: Path) -> None:
    from bundler.bundle.layout import MIN_LIMIT
    from bundler.journey.forecast import forecast

    built.push(f"docker://{registry}/plan")
    place = Workshop(tmp_path, f"  - {registry}/plan/team/multi:3.0\n", access=Access(tls_verify=False))
    with place.run() as run:
        found = forecast(run, limit=MIN_LIMIT, store=place.store, now=NOW)
    assert found.pulls == {registry: 3}
    assert found.limits == {}
