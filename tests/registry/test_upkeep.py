"""Garbage beside pushes and pulls: what has to stay, and what goes in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.errors import LockedError, ProtocolError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.registry import upkeep
from bundler.registry.layers import Layer
from bundler.registry.names import referrers_tag
from bundler.registry.upkeep import Collected, collect, parse_collected
from bundler.store import Store
from tests.bundle.making import make
from tests.images import Image, artifact, as_json, image, index, layer, load, part
from tests.registry.bundles import opened
from tests.registry.caller import Caller, serving

APP = image(layer("app", 300))
ARM = image(layer("arm", 300), platform="linux/arm64")
BOTH = index(APP, ARM)
OTHER = image(layer("other", 300))
SBOM = artifact(b"sbom", subject=APP)
ON_SBOM = artifact(b"signature", subject=SBOM)
LOOSE = b"loose"
HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How far the time is ahead, in seconds."""
    ahead = [0.0]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    return ahead


@pytest.fixture
def registry(store: Store) -> Iterator[Caller]:
    with serving(store) as registry:
        yield registry


Collect = Callable[..., Collected]


@pytest.fixture
def gc(store: Store, registry: Caller) -> Collect:
    """Collect, once to see and once to do it; both must say the same."""

    def run(*, untagged: bool = False, behind: tuple[Layer, ...] = ()) -> Collected:
        before = store.index().document, list(store.blobs()), registry.arrivals.all()
        said = collect(store, registry.arrivals, dry_run=True, untagged=untagged, behind=behind)
        assert (store.index().document, list(store.blobs()), registry.arrivals.all()) == before
        done = collect(store, registry.arrivals, untagged=untagged, behind=behind)
        assert done == said
        held = {digest for digest, _ in store.blobs()}
        assert held.isdisjoint(digest for digest, _ in done.blobs)
        assert store.check().sound
        return done

    return run


def gone(done: Collected) -> set[Digest]:
    return {digest for digest, _ in done.blobs}


class TestBesideAPush:
    def test_between_a_blob_and_its_manifest(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        for each in APP.blobs:
            registry.upload("app", each.raw, each.descriptor.digest)
            assert gc().blobs == ()
            clock[0] += HOUR / 4
        assert registry.put("app", "1", APP.raw, APP.root.media_type).status == 201
        clock[0] += 100 * HOUR
        assert gc().blobs == ()

    def test_a_blob_that_no_manifest_came_to_list(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.upload("app", LOOSE, digest_of(LOOSE))
        clock[0] += HOUR + 61
        assert gone(gc()) == {digest_of(LOOSE)}
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(LOOSE)}").status == 404
        assert registry.upload("app", LOOSE, digest_of(LOOSE)).status == 201

    def test_between_head_and_put(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        """A client that was told that a blob is here doesn't upload it, however long it has been here."""
        registry.push("app", "1", APP)
        clock[0] += 100 * HOUR
        gc()
        for each in APP.blobs:
            assert registry.call("HEAD", f"/v2/app/blobs/{each.descriptor.digest}").status == 200
        registry.call("DELETE", f"/v2/app/manifests/{APP.root.digest}")
        clock[0] += 0.9 * HOUR
        assert gone(gc()) == {APP.root.digest}
        assert registry.put("app", "2", APP.raw, APP.root.media_type).status == 201
        clock[0] += 0.9 * HOUR
        assert gc().blobs == ()

    def test_a_get_keeps_nothing(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.upload("app", LOOSE, digest_of(LOOSE))
        clock[0] += 0.9 * HOUR
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(LOOSE)}").status == 200
        clock[0] += 0.2 * HOUR
        assert gone(gc()) == {digest_of(LOOSE)}

    def test_a_mount_keeps_it(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.upload("app", LOOSE, digest_of(LOOSE))
        clock[0] += 0.9 * HOUR
        assert registry.call("POST", f"/v2/b/blobs/uploads/?mount={digest_of(LOOSE)}&from=app").status == 201
        clock[0] += 0.9 * HOUR
        assert gc().blobs == ()
        assert registry.call("GET", f"/v2/b/blobs/{digest_of(LOOSE)}").status == 200
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(LOOSE)}").status == 404

    def test_an_upload_that_is_under_way(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        location = registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]
        registry.call("PATCH", location, LOOSE)
        clock[0] += 100 * HOUR
        assert gc().leftovers == ()
        assert registry.call("PUT", f"{location}?digest={digest_of(LOOSE)}").status == 201

    def test_an_upload_that_nobody_ends(self, registry: Caller, store: Store, gc: Collect) -> None:
        registry.call("PATCH", registry.call("POST", "/v2/app/blobs/uploads/").headers["location"], LOOSE)
        Path(store.path, ".bundler/tmp/left").write_bytes(b"of a process that was killed")
        done = gc()
        assert len(done.leftovers) == 1
        assert done.size == len(b"of a process that was killed")

    def test_a_tag_that_was_moved(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        """Who has read the tag a moment ago goes on by digests."""
        registry.push("app", "1", BOTH)
        clock[0] += 100 * HOUR
        gc()
        registry.push("app", "1", OTHER)
        clock[0] += 0.9 * HOUR
        assert gc().blobs == ()
        for each in BOTH.parts:
            kind = "manifests" if each.descriptor.is_manifest else "blobs"
            assert registry.call("GET", f"/v2/app/{kind}/{each.descriptor.digest}").body == each.raw
        clock[0] += 0.2 * HOUR
        assert gone(gc()) == BOTH.digests() - OTHER.digests()
        assert registry.call("GET", f"/v2/app/manifests/{BOTH.root.digest}").status == 404
        assert registry.call("GET", "/v2/app/manifests/1").body == OTHER.raw

    def test_pushing_the_same_again_keeps_nothing_else(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.push("app", "1", APP)
        registry.put("app", "1", APP.raw, APP.root.media_type)
        clock[0] += HOUR + 61
        gc()
        assert registry.arrivals.all() == []

    def test_what_is_asked_for_while_it_is_collected(self, registry: Caller, store: Store, clock: list[float]) -> None:
        """Whoever hears that a blob is here has it when he relies on that; whoever comes too late hears that it isn't."""
        registry.upload("app", LOOSE, digest_of(LOOSE))
        clock[0] += HOUR + 61
        answers: list[int] = []
        threads: list[threading.Thread] = []

        def ask() -> None:
            with serving(store) as other:
                answers.append(other.call("HEAD", f"/v2/app/blobs/{digest_of(LOOSE)}").status)

        def keep() -> tuple[Descriptor, ...]:
            threads.append(threading.Thread(target=ask))
            threads[-1].start()
            time.sleep(0.1)
            return ()

        store.gc(keep=keep, patience=5)
        for thread in threads:
            thread.join()
        assert answers[0] == 200  # before the store was held
        assert answers[1:] == [404]


class TestUntagged:
    def push(self, registry: Caller, *held: Image) -> None:
        for each in held:
            registry.push("app", each.root.digest, each)

    def test_what_nothing_leads_to(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        self.push(registry, APP, OTHER)
        registry.put("app", "1", OTHER.raw, OTHER.root.media_type)
        assert gc(untagged=True).names == ()  # too young
        clock[0] += HOUR + 61
        assert gc().blobs == ()
        done = gc(untagged=True)
        assert done.names == (f"app@{APP.root.digest}",)
        assert gone(done) == APP.digests() - OTHER.digests()

    def test_children_of_an_index(self, registry: Caller, store: Store, gc: Collect, clock: list[float]) -> None:
        registry.put("app", "1", BOTH.raw, BOTH.root.media_type)  # before its children, which it then does without
        self.push(registry, APP, ARM)
        clock[0] += HOUR + 61
        assert gc(untagged=True).names == ()
        registry.call("DELETE", "/v2/app/manifests/1")
        clock[0] += HOUR + 61
        assert set(gc(untagged=True).names) == {f"app@{APP.root.digest}", f"app@{ARM.root.digest}"}
        assert list(store.blobs()) == []

    def test_referrers_of_what_is_there(self, registry: Caller, store: Store, gc: Collect, clock: list[float]) -> None:
        registry.push("app", "1", APP)
        self.push(registry, SBOM, ON_SBOM)
        clock[0] += HOUR + 61
        assert gc(untagged=True).names == ()
        registry.call("DELETE", "/v2/app/manifests/1")
        clock[0] += 0.5 * HOUR
        assert gc(untagged=True).names == ()  # somebody may still be looking at the image
        clock[0] += 0.6 * HOUR
        assert set(gc(untagged=True).names) == {f"app@{SBOM.root.digest}", f"app@{ON_SBOM.root.digest}"}
        assert list(store.blobs()) == []

    def test_referrers_of_each_other(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        """A subject that nobody has leads to nothing."""
        self.push(registry, ON_SBOM, SBOM)
        clock[0] += HOUR + 61
        assert len(gc(untagged=True).names) == 2

    def test_referrers_of_a_child(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.push("app", "1", BOTH)
        self.push(registry, SBOM)
        clock[0] += HOUR + 61
        assert gc(untagged=True).names == ()

    def test_what_a_referrers_tag_lists(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        unlinked = artifact(b"about nothing")
        self.push(registry, unlinked)
        listing = index(unlinked)
        registry.put("app", referrers_tag(APP.root.digest), listing.raw, listing.root.media_type)
        clock[0] += HOUR + 61
        assert gc(untagged=True).names == ()

    def test_a_referrer_of_what_lies_in_a_bundle(
        self, store: Store, registry: Caller, gc: Collect, clock: list[float], tmp_path: Path
    ) -> None:
        self.push(registry, SBOM, ON_SBOM)
        bundle = opened(make(tmp_path / "edge", {"app:1": APP}))
        clock[0] += HOUR + 61
        assert gc(untagged=True, behind=(bundle,)).names == ()
        with serving(store, bundle) as both:
            assert both.call("POST", "/admin/gc?untagged=true").json["names"] == []
        assert len(gc(untagged=True).names) == 2

    def test_a_referrer_of_what_has_a_short_name(
        self, store: Store, registry: Caller, gc: Collect, clock: list[float]
    ) -> None:
        load(store, {"docker.io/app:1": APP})
        self.push(registry, SBOM)
        clock[0] += HOUR + 61
        assert gc(untagged=True).names == ()
        store.untag(["docker.io/app:1"])
        assert gc(untagged=True).names == (f"app@{SBOM.root.digest}",)

    def test_repositories_are_looked_at_one_by_one(self, registry: Caller, gc: Collect, clock: list[float]) -> None:
        registry.push("other", "1", APP)
        self.push(registry, APP)
        clock[0] += HOUR + 61
        done = gc(untagged=True)
        assert (done.names, done.blobs) == ((f"app@{APP.root.digest}",), ())

    def test_what_comes_in_the_last_moment(
        self, store: Store, registry: Caller, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between looking and taking away, an index may come that leads there, or the name go."""
        self.push(registry, APP, ARM, OTHER)
        clock[0] += HOUR + 61
        real, looks = upkeep._loose, []

        def loose(*args: object) -> tuple[str, ...]:
            found = real(*args)  # type: ignore[arg-type]
            looks.append(found)
            if len(looks) == 1:
                assert registry.put("app", "1", BOTH.raw, BOTH.root.media_type).status == 201
            return found

        monkeypatch.setattr(upkeep, "_loose", loose)
        done = collect(store, registry.arrivals, untagged=True)
        assert done.names == (f"app@{OTHER.root.digest}",)
        assert len(looks) == 2
        for each in BOTH.parts:
            assert registry.call("GET", f"/v2/app/blobs/{each.descriptor.digest}").body == each.raw


def test_what_a_pull_has_leased(store: Store, registry: Caller, gc: Collect, clock: list[float]) -> None:
    registry.upload("app", LOOSE, digest_of(LOOSE))
    clock[0] += HOUR + 61
    with pytest.raises(ZeroDivisionError), store.lease([digest_of(LOOSE)]):
        raise ZeroDivisionError
    assert gc().blobs == ()


def test_somebody_at_work(store: Store, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PATIENCE_SECONDS", 0.05)
    with store.shared("pull"), pytest.raises(LockedError, match="in use by pull"):
        collect(store, registry.arrivals)
    with store.shared("pull"):
        answer = registry.call("POST", "/admin/gc")
        assert (answer.status, answer.errors) == (503, ["TOOMANYREQUESTS"])


def test_two_at_once(store: Store, registry: Caller, clock: list[float]) -> None:
    for n in range(40):
        registry.upload("app", b"%d" % n, digest_of(b"%d" % n))
    clock[0] += HOUR + 61
    results: list[Collected] = []
    threads = [
        threading.Thread(target=lambda: results.append(collect(store, registry.arrivals, untagged=True)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each.blobs) for each in results) == [0, 0, 40]
    assert list(store.blobs()) == []


def test_the_grace_can_be_chosen(store: Store, registry: Caller) -> None:
    registry.upload("app", LOOSE, digest_of(LOOSE))
    assert collect(store, registry.arrivals).blobs == ()
    assert gone(collect(store, registry.arrivals, grace=timedelta(seconds=-1))) == {digest_of(LOOSE)}


def test_a_store_that_is_not_whole_is_not_swept(store: Store, registry: Caller, clock: list[float]) -> None:
    registry.push("app", "1", APP)
    registry.upload("app", LOOSE, digest_of(LOOSE))
    clock[0] += HOUR + 61
    Path(store.path, "blobs/sha256", APP.blobs[0].descriptor.digest.partition(":")[2]).unlink()
    assert registry.call("POST", "/admin/gc").status == 500
    assert store.size_of(digest_of(LOOSE)) == len(LOOSE)


def test_no_manifest_of_a_visitor_can_stop_it(store: Store, registry: Caller, gc: Collect, clock: list[float]) -> None:
    """What a manifest lists as a layer is never looked into, so it can't be missing anything."""
    hidden = part(OTHER.raw, mediatype.OCI_MANIFEST)
    registry.upload("app", hidden.raw, hidden.descriptor.digest)
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [hidden.descriptor.document()]}
    registry.put("app", "1", as_json(document), mediatype.OCI_INDEX)
    for kind in ("config", "layers"):
        listed = hidden.descriptor.document()
        raw = as_json(
            {
                "schemaVersion": 2,
                "mediaType": mediatype.OCI_MANIFEST,
                "config": listed,
                "layers": [listed] if kind == "layers" else [],
            }
        )
        assert registry.put("app", kind, raw, mediatype.OCI_MANIFEST).status == 400
    clock[0] += HOUR + 61
    gc(untagged=True)


class TestDocument:
    DONE = Collected(("app@x",), ((digest_of(b"a"), 5),), ("/srv/.bundler/tmp/x",), 9)

    def test_there_and_back(self) -> None:
        assert parse_collected(as_json(self.DONE.document()), what="answer") == self.DONE

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"[]",
            b"{}",
            b'{"names":[],"blobs":[{"digest":"x","size":1}],"leftovers":[],"size":1}',
            b'{"names":[],"blobs":[],"leftovers":[],"size":-1}',
            b'{"names":[1],"blobs":[],"leftovers":[],"size":1}',
        ],
    )
    def test_other_answers(self, raw: bytes) -> None:
        with pytest.raises(ProtocolError):
            parse_collected(raw, what="answer")
