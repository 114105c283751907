"""The connected side: the lock beside the manifest, and the pull."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.content import Event, Outcome, read
from bundler.errors import ConfigError, NotFoundError, PolicyError, StoreError, UnsupportedError
from bundler.journey import near
from bundler.journey.access import Access
from bundler.oci.manifest import parse_manifest
from bundler.selection.lock import read_lock
from bundler.store import Store
from bundler.transports.docker.credentials import Credentials
from tests.images import artifact, image, index, layer, write_dir, write_layout
from tests.store.invariants import assert_sound
from tests.workshop import API, IMAGES, NOW, WEB, Workshop, contents, working, write_manifest

LATER = NOW + timedelta(days=1)


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def one(name: str = "reg.io/team/web:1.0", **options: str) -> str:
    more = "".join(f"\n    {key}: {value}" for key, value in options.items())
    return f"  - image: oci:upstream:{name}{more}\n"


# What is attached


def test_signatures_beside_an_image_in_a_folder_are_carried_and_accounted_for(tmp_path: Path) -> None:
    write_dir(tmp_path / "signed", WEB)
    (tmp_path / "signed" / "signature-1").write_bytes(b"one of web")
    write_manifest(tmp_path, "  - image: dir:signed\n    as: team/web\n")
    with working(tmp_path / "bundle.yaml") as run:
        first = near.pull(run, tmp_path / "store", now=NOW)
        (tmp_path / "signed" / "signature-2").write_bytes(b"a later one")
        assert near.pull(run, tmp_path / "store", now=LATER).lock == first.lock
        assert (near.make_lock(run, now=LATER, update=["*"])).serial == 2
    (account,) = first.document()["attachments"]
    (carried,) = account["carried"]
    assert (carried["kind"], carried["subject"], account["leftOut"]) == ("signature", WEB.root.digest, [])
    store = Store.open(str(tmp_path / "store"))
    made = store.resolve(carried["digest"])
    (layer_,) = parse_manifest(read(store, made), made.media_type, what="made").layers
    assert read(store, layer_) == b"one of web"
    assert_sound(tmp_path / "store")


# The lock


@pytest.mark.parametrize(
    ("manifest", "lock"),
    [("bundle.yaml", "bundle.lock.json"), ("edge.v2.yaml", "edge.v2.lock.json"), ("images.txt", "images.lock.json")],
)
def test_the_lock_lies_beside_the_manifest(place: Workshop, manifest: str, lock: str) -> None:
    path = place.manifest.rename(place.folder / manifest)
    with working(path) as run:
        made = near.make_lock(run, now=NOW)
        assert run.lock_path == place.folder / lock
        assert read_lock(run.lock_path.read_bytes(), "lock") == made == run.previous()
    assert (made.name, made.channel, made.serial, made.issued, made.expires) == ("edge", "stable", 1, NOW, None)
    assert {image.target for image in made.images} == {name.partition("/")[2] for name in IMAGES}


def test_the_same_again_changes_not_a_byte(place: Workshop) -> None:
    place.lock()
    before = place.lock_path.stat()
    assert place.lock(LATER).serial == 1
    assert place.lock(LATER, update=["*"]).serial == 1
    after = place.lock_path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_change_gets_the_next_serial_and_time(place: Workshop) -> None:
    place.lock()
    write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": API})
    assert place.lock(LATER).serial == 1
    moved = place.lock(LATER, update=["team/web"])
    assert (moved.serial, moved.issued) == (2, LATER)
    assert {image.root.digest for image in moved.images if "web" in image.target} == {API.root.digest}


def test_an_update_of_nothing_is_an_error(place: Workshop) -> None:
    place.lock()
    before = place.lock_path.read_bytes()
    with pytest.raises(NotFoundError, match=r"no image.*team/wep"):
        place.lock(update=["team/wep"])
    assert place.lock_path.read_bytes() == before


def test_options_of_the_release(place: Workshop) -> None:
    place.lock()
    renewed = place.lock(LATER, valid_for=30)
    assert (renewed.serial, renewed.expires) == (2, LATER + timedelta(days=30))
    assert place.lock(LATER, serial=40).serial == 40
    with place.run() as run:
        assert near.required_lock(run).serial == 40


def test_a_lock_that_fails_leaves_the_old_one(place: Workshop) -> None:
    place.lock()
    before = place.lock_path.read_bytes()
    write_manifest(place.folder, one() + one("reg.io/team/absent:1"))
    with pytest.raises(NotFoundError, match=r"bundle\.yaml:6: oci:upstream:reg\.io/team/absent:1"):
        place.lock()
    assert place.lock_path.read_bytes() == before
    assert [p.name for p in place.folder.glob(".bundle*")] == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda p: p.unlink(), "does not exist", id="none"),
        pytest.param(lambda p: p.write_text("{"), "not JSON", id="half-a-lock"),
        pytest.param(lambda p: p.write_text(p.read_text().replace('"Lock"', '"Lick"')), "kind is", id="no-lock"),
        pytest.param(
            lambda p: write_manifest(p.parent, one(platforms="[linux/amd64]")),
            "is not for this manifest any more",
            id="a-lock-for-other-wishes",
        ),
    ],
)
def test_locks_that_do_not_do(place: Workshop, spoil: object, said: str) -> None:
    place.lock()
    spoil(place.lock_path)  # type: ignore[operator]  # of the table
    with place.run() as run, pytest.raises((ConfigError, UnsupportedError), match=said):
        near.required_lock(run)


def test_ensure_keeps_a_lock_that_suits_and_renews_one_that_does_not(place: Workshop) -> None:
    with place.run() as run:
        first = near.ensure_lock(run, now=NOW)
        assert near.ensure_lock(run, now=LATER) == first
    write_manifest(place.folder, one())
    with place.run() as run:
        second = near.ensure_lock(run, now=LATER)
        assert (second.serial, len(second.images)) == (2, 1)
        assert near.ensure_lock(run, now=LATER, serial=9).serial == 9
        assert near.ensure_lock(run, now=LATER, update=["*"]).serial == 9
        assert near.ensure_lock(run, now=LATER, valid_for=1).serial == 10


class TestCheck:
    def test_nothing_moved(self, place: Workshop) -> None:
        place.lock()
        before = contents(place.folder)
        with place.run() as run:
            near.check_lock(run)
        assert contents(place.folder) == before

    def test_what_moved_is_named_and_nothing_written(self, place: Workshop) -> None:
        place.lock()
        write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": API})
        before = place.lock_path.read_bytes()
        with place.run() as run, pytest.raises(PolicyError, match=r"1 differences: .*team/web:1\.0") as caught:
            near.check_lock(run)
        assert API.root.digest in str(caught.value)
        assert "--update" in caught.value.hint
        assert place.lock_path.read_bytes() == before

    def test_without_a_lock(self, place: Workshop) -> None:
        with place.run() as run, pytest.raises(ConfigError, match="does not exist"):
            near.check_lock(run)


# Manifests and credentials


def test_credentials_are_not_shown_to_several_registries(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, "  - a.example/x:1\n  - b.example:5000/y:1\n")
    access = Access(credentials=Credentials("ann", "s3cret"))
    with (
        pytest.raises(ConfigError, match=r"2 registries: a\.example, b\.example:5000") as caught,
        working(path, access),
    ):
        pass
    assert "s3cret" not in f"{caught.value}{caught.value.hint}{access!r}"


def test_credentials_for_one_registry(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, "  - a.example/x:1\n  - a.example/y:1\n  - oci:upstream\n")
    with working(path, Access(credentials=Credentials("ann", "s3cret"))) as run:
        assert len(run.wishes.wishes) == 3


@pytest.mark.parametrize("transport", ["dir", "docker-archive", "oci-archive", "oci"])
def test_files_of_other_transports_that_are_not_there(tmp_path: Path, transport: str) -> None:
    path = write_manifest(tmp_path, f"  - image: '{transport}:some/where:1'\n    as: x/y\n")
    with working(path) as run, pytest.raises(NotFoundError, match="some/where"):
        near.make_lock(run, now=NOW)


# Pull


def test_a_pull_fills_the_store(place: Workshop) -> None:
    events: list[Event] = []
    pulled = place.pull(observer=events.append)
    assert assert_sound(place.store) == {f"oci:upstream:{name}": held.root.digest for name, held in IMAGES.items()}
    distinct = {digest for held in IMAGES.values() for digest in held.digests()}
    assert pulled.outcomes == {Outcome.COPIED: len(distinct)}
    assert place.lock_path.exists()
    assert events


def test_a_second_pull_moves_nothing_and_needs_no_source(place: Workshop) -> None:
    place.pull()
    before = (place.store / "index.json").stat()
    place.upstream.rename(place.folder / "gone")
    again = place.pull()
    assert set(again.outcomes) == {Outcome.PRESENT}
    after = (place.store / "index.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_pull_follows_the_lock_not_the_tag(place: Workshop) -> None:
    place.lock()
    write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": API})
    place.pull()
    assert assert_sound(place.store)["oci:upstream:reg.io/team/web:1.0"] == WEB.root.digest


def test_a_new_manifest_pulls_only_what_is_new(tmp_path: Path) -> None:
    place = Workshop(tmp_path, one("reg.io/team/web:1.0"))
    place.pull()
    write_manifest(place.folder, one("reg.io/team/web:1.0") + one("reg.io/team/api:2.0"))
    again = place.pull()
    assert again.outcomes == {
        Outcome.COPIED: len(API.digests() - WEB.digests()),
        Outcome.PRESENT: len(WEB.digests()),
    }


def test_what_a_lock_names_and_nobody_has(place: Workshop) -> None:
    place.lock()
    missing = place.upstream / "blobs" / "sha256" / WEB.root.digest.partition(":")[2]
    missing.unlink()
    with pytest.raises(StoreError, match="oci:upstream:reg"):
        place.pull()
    assert assert_sound(place.store) == {}


@pytest.mark.parametrize("index_mode", ["sparse", "strip", "keep"])
def test_some_platforms(tmp_path: Path, index_mode: str) -> None:
    arms = [image(layer(f"p{n}", 100), platform=f"linux/{n}") for n in ("amd64", "arm64", "s390x")]
    whole = index(*arms)
    place = Workshop(
        tmp_path,
        one("multi:1", index=index_mode, platforms="[linux/amd64, linux/arm64]", **{"as": "multi"}),
        upstream={"multi:1": whole},
    )
    for _ in range(2):
        place.pull()
    (root,) = assert_sound(place.store).values()
    assert (root == whole.root.digest) == (index_mode != "strip")
    assert arms[2].digests() & _blobs(place.store) == (arms[2].digests() if index_mode == "keep" else set())


def _blobs(store: Path) -> set[str]:
    return {f"{path.parent.name}:{path.name}" for path in store.glob("blobs/*/*")}


# The names that a pull gives


@pytest.mark.parametrize(
    ("source", "repository"),
    [
        ("docker://docker.io/library/nginx:1.27", "docker.io/library/nginx"),
        ("docker://127.0.0.1:5000/app:1", "127.0.0.1:5000/app"),
        (f"docker://127.0.0.1:5000/app@{WEB.root.digest}", "127.0.0.1:5000/app"),
        (f"docker://127.0.0.1:5000/app:1@{WEB.root.digest}", "127.0.0.1:5000/app"),
        (f"docker://ghcr.io/acme/app@{WEB.root.digest}", "ghcr.io/acme/app"),
    ],
)
def test_where_an_attachment_of_a_registry_s_image_is_named(tmp_path: Path, source: str, repository: str) -> None:
    """The host's port is no tag."""
    place = Workshop(tmp_path, one())
    lock = place.lock()
    sig, sbom = artifact(b"sig"), artifact(b"sbom")
    attachments = [
        {"tag": "sha256-1.sig", "root": sig.root.document()},
        {"root": {**sbom.root.document()}},
    ]
    document = json.loads(place.lock_path.read_text())
    document["images"][0] |= {"source": source, "attachments": attachments}
    changed = read_lock(json.dumps(document).encode(), "lock")
    store = Store.open(str(tmp_path / "empty"), create=True)
    names = {name for name, _ in near._names(store, changed)}
    assert names == {
        source.removeprefix("docker://"),
        f"{repository}:sha256-1.sig",
        f"{repository}@{sbom.root.digest}",
    }
    assert lock.images[0].source.startswith("oci:")
