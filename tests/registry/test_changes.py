"""What clients change: who gets at what by it, what is deleted, and several at once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import NotFoundError
from bundler.oci import mediatype
from bundler.oci.digest import Digest, digest_of
from bundler.registry.arrivals import Arrivals
from bundler.registry.changes import Changes
from bundler.registry.contents import Contents
from bundler.registry.failure import Failure
from bundler.registry.layers import BLOB
from bundler.registry.names import referrers_tag
from bundler.registry.store_layer import StoreLayer
from bundler.store import Store
from tests import images
from tests.images import Image, Part, artifact, as_json, image, index, layer, manifest_document, part
from tests.registry.caller import Answer, Caller, serving
from tests.registry.visitors import Visiting, visitors
from tests.store.invariants import assert_sound

SECRET = image(layer("secret", 700))
SECRET_ARM = image(layer("secret arm", 700), platform="linux/arm64")
SECRETS = index(SECRET, SECRET_ARM)
OWN = image(layer("own", 300))
ARM = image(layer("own arm", 300), platform="linux/arm64")
BOTH = index(OWN, ARM)
CONFIG = part(b"{}", mediatype.OCI_CONFIG)


def index_of(*children: Part | Image, **more: Any) -> Part:
    listed = [each.root.document() if isinstance(each, Image) else each.descriptor.document() for each in children]
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": listed, **more}
    return part(as_json(document), mediatype.OCI_INDEX)


def manifest_of(*layers: Part, **more: Any) -> Part:
    document = manifest_document(mediatype.OCI_MANIFEST, CONFIG, layers)
    return part(as_json({**document, **more}), mediatype.OCI_MANIFEST)


def put(registry: Caller, repository: str, reference: str, one: Part) -> Answer:
    return registry.put(repository, reference, one.raw, one.descriptor.media_type)


class TestWhatIsOthers:
    """Eve may push to her repository, pull from it and delete there; what is in the others she may not know."""

    @pytest.fixture
    def registry(self, store: Store) -> Iterator[Caller]:
        rules = visitors(
            '- {users: [eve], repositories: ["eve/**"], may: [pull, push, delete]}',
            '- {users: [ann], repositories: ["**"], may: [pull, push, delete]}',
        )
        with serving(store, access=rules) as registry:
            ann = Visiting(registry, "ann")
            ann.push("secret", "1", SECRETS)
            ann.upload("secret", b"loose secret", digest_of(b"loose secret"))
            yield registry

    @pytest.fixture
    def eve(self, registry: Caller) -> Iterator[Caller]:
        eve = Visiting(registry, "eve")
        eve.push("eve/app", "own", BOTH)
        eve.upload("eve/app", CONFIG.raw, CONFIG.descriptor.digest)
        yield eve
        for digest in (*SECRETS.digests(), digest_of(b"loose secret")):
            for kind in ("blobs", "manifests"):
                assert eve.call("GET", f"/v2/secret/{kind}/{digest}").status == 403
        assert eve.call("GET", f"/v2/eve/app/blobs/{digest_of(b'loose secret')}").status == 404
        for digest in SECRETS.digests():
            assert eve.call("GET", f"/v2/eve/app/blobs/{digest}").status == 404, digest
            assert eve.call("GET", f"/v2/eve/app/manifests/{digest}").status == 404, digest

    def test_by_a_manifest_that_lists_its_layers(self, eve: Caller) -> None:
        for one in (SECRET.parts[-1], manifest_of(SECRET.blobs[0])):
            answer = put(eve, "eve/app", "1", one)
            assert (answer.status, answer.errors) == (400, ["MANIFEST_BLOB_UNKNOWN"])

    def test_by_a_foreign_layer(self, eve: Caller) -> None:
        layer = SECRET.blobs[0].descriptor.document() | {"mediaType": mediatype.DOCKER_FOREIGN_LAYER}
        document = manifest_document(mediatype.OCI_MANIFEST, CONFIG, [])
        one = part(as_json({**document, "layers": [layer]}), mediatype.OCI_MANIFEST)
        assert put(eve, "eve/app", "1", one).status == 201

    def test_by_a_subject(self, eve: Caller) -> None:
        assert put(eve, "eve/app", "1", manifest_of(subject=SECRET.root.document())).status == 201
        assert eve.call("GET", f"/v2/eve/app/referrers/{SECRET.root.digest}").json["manifests"]

    def test_by_a_layer_that_is_called_a_manifest(self, eve: Caller) -> None:
        """She knows what the manifest says, and pushes that as a blob of her own: what it lists is no part of hers."""
        guess = manifest_of(SECRET.blobs[0], annotations={"eve's": "own"})
        eve.upload("eve/app", guess.raw, guess.descriptor.digest)
        trap = manifest_of(guess)
        assert put(eve, "eve/app", "1", trap).errors == ["MANIFEST_INVALID"]
        as_config = manifest_document(mediatype.OCI_MANIFEST, guess, [])
        assert put(eve, "eve/app", "1", part(as_json(as_config), mediatype.OCI_MANIFEST)).errors == ["MANIFEST_INVALID"]
        assert put(eve, "eve/app", "1", index_of(guess)).status == 201

    def test_by_an_index(self, eve: Caller) -> None:
        assert put(eve, "eve/app", "1", index_of(SECRET, OWN)).status == 201
        assert put(eve, "eve/app", "2", SECRETS.parts[-1]).status == 201  # the same bytes: she knows these anyhow
        assert eve.call("DELETE", f"/v2/eve/app/manifests/{SECRETS.root.digest}").status == 202

    def test_by_a_nested_index(self, eve: Caller) -> None:
        inner = index_of(SECRET, OWN)
        assert put(eve, "eve/app", inner.descriptor.digest, inner).status == 201
        assert put(eve, "eve/app", "1", index_of(inner, SECRETS)).status == 201

    def test_by_an_index_of_blobs(self, eve: Caller) -> None:
        blobs = [*SECRET.blobs, part(SECRET.raw, "application/x"), part(b"loose secret", BLOB)]
        assert put(eve, "eve/app", "1", index_of(*blobs)).status == 201

    def test_by_an_index_that_goes_on_without_another_child(self, eve: Caller, store: Store) -> None:
        """What was never part of the index does not become one when it loses a part."""
        assert put(eve, "eve/app", "1", index_of(SECRET, OWN, ARM)).status == 201
        assert eve.call("DELETE", f"/v2/eve/app/manifests/{ARM.root.digest}").status == 202
        (entry,) = (each for each in store.index().entries if each.name == "eve/app:1")
        assert entry.left_out == {SECRET.root.digest, ARM.root.digest}

    def test_by_an_index_whose_tag_was_moved(self, eve: Caller) -> None:
        listing = index_of(SECRET, OWN)
        assert put(eve, "eve/app", "1", listing).status == 201
        assert put(eve, "eve/app", "1", OWN.parts[-1]).status == 201
        assert eve.call("GET", f"/v2/eve/app/manifests/{listing.descriptor.digest}").status == 200

    def test_by_an_index_that_is_pushed_before_they_are(self, eve: Caller, registry: Caller) -> None:
        new = image(layer("new secret", 200))
        assert put(eve, "eve/app", "1", index_of(new)).status == 201
        Visiting(registry, "ann").push("secret", "new", new)
        for digest in new.digests():
            assert eve.call("GET", f"/v2/eve/app/blobs/{digest}").status == 404
        assert put(eve, "eve/app", "2", index_of(new)).status == 201
        assert eve.call("GET", f"/v2/eve/app/manifests/{new.root.digest}").status == 404

    def test_by_a_referrers_tag(self, eve: Caller) -> None:
        tag = referrers_tag(OWN.root.digest)
        assert put(eve, "eve/app", tag, index_of(SECRET, ARM)).status == 201
        listed = eve.call("GET", f"/v2/eve/app/referrers/{OWN.root.digest}").json["manifests"]
        assert [each["digest"] for each in listed] == [ARM.root.digest]

    @pytest.mark.parametrize("query", ["&from=secret", ""], ids=["named", "from-anywhere"])
    def test_by_a_mount(self, eve: Caller, query: str) -> None:
        for digest in (*SECRETS.digests(), digest_of(b"loose secret")):
            answer = eve.call("POST", f"/v2/eve/app/blobs/uploads/?mount={digest}{query}")
            assert (answer.status, "docker-content-digest" in answer.headers) == (202, False)

    def test_by_deleting_and_pushing_again(self, eve: Caller) -> None:
        listing = index_of(SECRET, OWN)
        for _ in range(2):
            assert put(eve, "eve/app", "1", listing).status == 201
            assert eve.call("DELETE", "/v2/eve/app/manifests/1").status == 202
        assert eve.call("DELETE", f"/v2/eve/app/manifests/{listing.descriptor.digest}").status == 202
        assert put(eve, "eve/app", "1", index_of(listing)).status == 201

    def test_by_the_upload_of_another(self, eve: Caller, registry: Caller) -> None:
        started = Visiting(registry, "ann").call("POST", "/v2/secret/blobs/uploads/").headers["location"]
        session = started.rpartition("/")[2]
        for repository, status in (("secret", 403), ("eve/app", 404)):
            for method in ("GET", "PATCH", "PUT", "DELETE"):
                query = f"?digest={digest_of(b'')}" if method == "PUT" else ""
                answer = eve.call(method, f"/v2/{repository}/blobs/uploads/{session}{query}")
                assert answer.status == status
        assert Visiting(registry, "ann").call("GET", started).status == 204

    def test_by_knowing_the_bytes_one_pushes_ones_own(self, eve: Caller, registry: Caller) -> None:
        """No secret: who has a content may push it, wherever else it is."""
        public = b"the same everywhere"
        Visiting(registry, "ann").upload("secret", public, digest_of(public))
        assert eve.call("HEAD", f"/v2/eve/app/blobs/{digest_of(public)}").status == 404
        assert eve.upload("eve/app", public, digest_of(public)).status == 201
        assert eve.call("GET", f"/v2/eve/app/blobs/{digest_of(public)}").body == public


class TestShortNames:
    """``docker.io/team/app`` is served as ``team/app`` too: who changes the one changes the other."""

    RULES = (
        '- {users: [eve], repositories: ["evil.example/**"], may: [pull, push, delete]}',
        '- {users: [bob], repositories: ["team/**"], may: [pull, push, delete]}',
        '- {users: [ann], repositories: ["**"], may: [pull, push, delete]}',
    )

    @pytest.fixture
    def registry(self, store: Store) -> Iterator[Caller]:
        images.load(store, {"docker.io/team/app:1": BOTH})
        with serving(store, access=visitors(*self.RULES)) as registry:
            yield registry

    def test_nothing_is_pushed_that_shows_in_a_repository_of_others(self, registry: Caller) -> None:
        eve = Visiting(registry, "eve")
        answer = eve.call("POST", "/v2/evil.example/team/app/blobs/uploads/")
        assert (answer.status, answer.errors) == (403, ["DENIED"])
        assert put(eve, "evil.example/team/app", "1", manifest_of()).status == 403
        assert Visiting(registry, "bob").call("GET", "/v2/team/app/manifests/1").body == BOTH.raw

    @pytest.mark.parametrize("reference", ["1", BOTH.root.digest, ARM.root.digest], ids=["tag", "digest", "child"])
    def test_nothing_is_deleted_from_a_repository_of_others(
        self, registry: Caller, store: Store, reference: str
    ) -> None:
        before = store.index().document
        assert Visiting(registry, "bob").call("DELETE", f"/v2/team/app/manifests/{reference}").status == 403
        assert store.index().document == before
        assert Visiting(registry, "ann").call("DELETE", f"/v2/team/app/manifests/{reference}").status == 202
        for repository in ("team/app", "docker.io/team/app"):
            if reference != "1":
                answer = Visiting(registry, "ann").call("GET", f"/v2/{repository}/manifests/{reference}")
                assert answer.status == 404

    def test_a_name_of_ones_own_over_it(self, registry: Caller, store: Store) -> None:
        bob = Visiting(registry, "bob")
        bob.push("team/app", "1", OWN)
        assert bob.call("GET", "/v2/team/app/manifests/1").body == OWN.raw
        assert Visiting(registry, "ann").call("GET", "/v2/docker.io/team/app/manifests/1").body == BOTH.raw
        assert bob.call("DELETE", "/v2/team/app/manifests/1").status == 403  # the other one would show
        assert {name for name, _ in store.images()} == {"team/app:1", "docker.io/team/app:1"}


class TestWhatIsPut:
    def test_blobs_that_an_index_lists(self, registry: Caller, store: Store) -> None:
        """As build caches do: they belong to the index as manifests would."""
        blobs = [layer("cache", 100), part(b'{"layers":[]}', "application/vnd.buildkit.cacheconfig.v0")]
        for each in blobs:
            registry.upload("cache", each.raw, each.descriptor.digest)
        assert put(registry, "cache", "1", index_of(*blobs)).status == 201
        forget(registry)
        store.gc()
        for each in blobs:
            assert registry.call("GET", f"/v2/cache/blobs/{each.descriptor.digest}").body == each.raw

    def test_an_index_that_does_without_the_layer_of_its_child(self, registry: Caller, store: Store) -> None:
        wrong = OWN.blobs[0].descriptor.document() | {"size": 1}
        registry.push("app", "own", OWN)
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_INDEX,
            "manifests": [wrong, OWN.root.document()],
        }
        assert put(registry, "app", "1", part(as_json(document), mediatype.OCI_INDEX)).status == 201
        registry.call("DELETE", "/v2/app/manifests/own")
        forget(registry)
        store.gc()
        for each in OWN.parts:
            assert registry.call("GET", f"/v2/app/blobs/{each.descriptor.digest}").body == each.raw

    def test_a_name_by_digest_goes_when_an_index_lists_it(self, registry: Caller, store: Store) -> None:
        registry.push("app", "1", BOTH)
        assert [name for name, _ in store.images()] == ["app:1"]

    def test_and_stays_under_a_referrers_tag(self, registry: Caller, store: Store) -> None:
        registry.push("app", "1", OWN)
        sbom = artifact(b"sbom", subject=OWN)
        registry.push("app", sbom.root.digest, sbom)
        put(registry, "app", referrers_tag(OWN.root.digest), index_of(sbom))
        assert f"app@{sbom.root.digest}" in {name for name, _ in store.images()}

    def test_what_a_tag_stood_for_can_be_pulled_to_the_end(self, registry: Caller, store: Store) -> None:
        """Somebody who has just read the tag goes on by digests, however long ago it was pushed."""
        registry.push("app", "1", BOTH)
        forget(registry)
        put(registry, "app", "1", CHANGED)
        store.gc(keep=lambda: [content for _, content, _ in registry.arrivals.all()])
        for each in BOTH.parts:
            kind = "manifests" if each.descriptor.is_manifest else "blobs"
            assert registry.call("GET", f"/v2/app/{kind}/{each.descriptor.digest}").body == each.raw

    def test_also_if_the_tag_was_deleted(self, registry: Caller) -> None:
        registry.push("app", "1", BOTH)
        forget(registry)
        assert registry.call("DELETE", "/v2/app/manifests/1").status == 202
        assert registry.call("GET", "/v2/app/manifests/1").status == 404
        for each in BOTH.parts:
            assert registry.call("GET", f"/v2/app/blobs/{each.descriptor.digest}").body == each.raw

    def test_many_tags_at_once(self, registry: Caller) -> None:
        registry.push("app", "1", OWN)
        target = f"/v2/app/manifests/{OWN.root.digest}?" + "&".join(f"tag=t{n}" for n in range(64))
        answer = registry.call("PUT", target, OWN.raw, {"Content-Type": OWN.root.media_type})
        assert answer.status == 201
        assert len(registry.call("GET", "/v2/app/tags/list").json["tags"]) == 65
        assert registry.call("PUT", target + "&tag=x", OWN.raw, {"Content-Type": OWN.root.media_type}).status == 414

    def test_an_index_json_that_nobody_could_read_is_not_written(
        self, registry: Caller, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.push("app", "1", OWN)
        monkeypatch.setattr("bundler.store.store.INDEX_CAP", 3000)
        statuses = [put(registry, "app", f"t{n}", OWN.parts[-1]).status for n in range(12)]
        assert statuses[0] == 201
        assert statuses[-1] == 413
        assert registry.call("GET", "/v2/app/manifests/1").body == OWN.raw
        assert (Path(store.path) / "index.json").stat().st_size <= 3000
        assert put(registry, "app", "t99", CHANGED).status == 413
        assert registry.call("GET", f"/v2/app/manifests/{CHANGED.descriptor.digest}").status == 404


CHANGED = manifest_of(*OWN.blobs[:1], annotations={"changed": "yes"})


@pytest.fixture
def registry(store: Store) -> Iterator[Caller]:
    with serving(store) as registry:
        registry.upload("app", CONFIG.raw, CONFIG.descriptor.digest)
        yield registry


def forget(registry: Caller) -> None:
    """As if everything had come long ago."""
    registry.arrivals.forget_before(float("inf"))
    registry.upload("app", CONFIG.raw, CONFIG.descriptor.digest)


class TestDeletion:
    def test_a_manifest_goes_with_all_its_tags(self, registry: Caller, store: Store) -> None:
        registry.push("app", "1", OWN)
        for tag in ("2", "3"):
            put(registry, "app", tag, OWN.parts[-1])
        put(registry, "app", OWN.root.digest, OWN.parts[-1])
        registry.push("other", "1", OWN)
        assert registry.call("DELETE", f"/v2/app/manifests/{OWN.root.digest}").status == 202
        for reference in ("1", "2", "3", OWN.root.digest):
            assert registry.call("GET", f"/v2/app/manifests/{reference}").errors == ["MANIFEST_UNKNOWN"]
        assert registry.call("GET", "/v2/app/tags/list").status == 404
        assert registry.call("GET", "/v2/other/manifests/1").body == OWN.raw
        assert registry.call("DELETE", f"/v2/app/manifests/{OWN.root.digest}").status == 404
        assert [name for name, _ in store.images()] == ["other:1"]

    def test_a_tag_goes_alone(self, registry: Caller) -> None:
        registry.push("app", "1", OWN)
        put(registry, "app", "2", OWN.parts[-1])
        assert registry.call("DELETE", "/v2/app/manifests/1").status == 202
        assert registry.call("DELETE", "/v2/app/manifests/1").status == 404
        assert registry.call("GET", "/v2/app/tags/list").json["tags"] == ["2"]
        assert registry.call("GET", f"/v2/app/manifests/{OWN.root.digest}").status == 200

    @pytest.mark.parametrize("nested", [False, True])
    def test_a_child_of_an_index(self, registry: Caller, store: Store, nested: bool) -> None:
        registry.push("app", "1", BOTH)
        if nested:
            put(registry, "app", "1", index_of(BOTH, ARM))
        kept = registry.call("GET", "/v2/app/manifests/1").body
        assert registry.call("DELETE", f"/v2/app/manifests/{ARM.root.digest}").status == 202
        forget(registry)
        store.gc()
        assert registry.call("GET", f"/v2/app/manifests/{ARM.root.digest}").status == 404
        assert registry.call("GET", "/v2/app/manifests/1").body == kept
        assert registry.call("GET", f"/v2/app/manifests/{OWN.root.digest}").body == OWN.raw
        assert store.check().sound
        # Pushed again it is there again, and an index that comes then has it.
        registry.push("app", ARM.root.digest, ARM)
        put(registry, "app", "2", BOTH.parts[-1])
        assert registry.call("DELETE", f"/v2/app/manifests/{ARM.root.digest}").status == 202
        assert registry.call("GET", f"/v2/app/manifests/{ARM.root.digest}").status == 404

    def test_a_blob_that_is_needed(self, registry: Caller) -> None:
        registry.push("app", "1", BOTH)
        for each in BOTH.parts:
            answer = registry.call("DELETE", f"/v2/app/blobs/{each.descriptor.digest}")
            assert (answer.status, answer.errors, answer.headers["allow"]) == (405, ["DENIED"], "GET, HEAD")
            assert registry.call("GET", f"/v2/app/blobs/{each.descriptor.digest}").body == each.raw

    def test_a_blob_that_is_not(self, registry: Caller) -> None:
        for repository in ("app", "other"):
            registry.upload(repository, b"loose", digest_of(b"loose"))
        assert registry.call("DELETE", f"/v2/app/blobs/{digest_of(b'loose')}").status == 202
        assert registry.call("DELETE", f"/v2/app/blobs/{digest_of(b'loose')}").status == 404
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(b'loose')}").status == 404
        assert registry.call("GET", f"/v2/other/blobs/{digest_of(b'loose')}").status == 200
        assert registry.call("DELETE", f"/v2/app/blobs/{digest_of(b'absent')}").status == 404

    def test_a_blob_whose_image_is_gone(self, registry: Caller) -> None:
        registry.push("app", "1", OWN)
        registry.call("DELETE", f"/v2/app/manifests/{OWN.root.digest}")
        for each in OWN.blobs:
            assert registry.call("DELETE", f"/v2/app/blobs/{each.descriptor.digest}").status == 202

    def test_of_a_name_that_another_process_took(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        images.load(store, {"app:1": OWN})
        layer = StoreLayer(store)
        changes = Changes(Contents([layer], Arrivals(None)), layer)

        def gone(_self: Store, _names: object) -> None:
            raise NotFoundError("no image is called 'app:1'")

        monkeypatch.setattr(Store, "untag", gone)
        with pytest.raises(Failure, match="app:1") as caught:
            changes.delete_tag("app", "1")
        assert caught.value.status == 404


def together(registry: Caller, *calls: tuple[str, str, bytes, dict[str, str]]) -> list[Answer]:
    """Requests at the same time."""

    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(*(registry.ask(*call) for call in calls))

    return asyncio.run(all_of_them())


class TestAtOnce:
    TYPE: dict[str, str] = {"Content-Type": mediatype.OCI_MANIFEST}  # noqa: RUF012 - never changed

    def test_many_push_one_tag(self, registry: Caller, store: Store) -> None:
        wanted = [manifest_of(annotations={"n": str(n)}) for n in range(12)]
        answers = together(registry, *(("PUT", "/v2/app/manifests/1", each.raw, self.TYPE) for each in wanted))
        assert {answer.status for answer in answers} == {201}
        by_digest = {each.descriptor.digest: each.raw for each in wanted}
        assert registry.call("GET", "/v2/app/manifests/1").body in by_digest.values()
        for digest, raw in by_digest.items():
            assert registry.call("GET", f"/v2/app/manifests/{digest}").body == raw
        assert assert_sound(Path(store.path)).keys() == {"app:1"}

    def test_only_one_is_the_first(self, registry: Caller) -> None:
        wanted = [manifest_of(annotations={"n": str(n)}) for n in range(8)]
        said = {**self.TYPE, "If-None-Match": "*"}
        answers = together(registry, *(("PUT", "/v2/app/manifests/1", each.raw, said) for each in wanted))
        assert sorted(answer.status for answer in answers) == [201, *[412] * 7]
        won = next(answer for answer in answers if answer.status == 201).headers["docker-content-digest"]
        assert registry.call("HEAD", "/v2/app/manifests/1").headers["docker-content-digest"] == won

    def test_many_delete_one(self, registry: Caller) -> None:
        registry.push("app", "1", OWN)
        for reference in ("1", OWN.root.digest):
            answers = together(registry, *[("DELETE", f"/v2/app/manifests/{reference}", b"", {})] * 8)
            assert sorted(answer.status for answer in answers) == [202, *[404] * 7]

    def test_pushes_and_deletions(self, registry: Caller, store: Store) -> None:
        registry.push("app", "0", BOTH)
        calls = [("PUT", f"/v2/app/manifests/{n}", OWN.raw, self.TYPE) for n in range(8)]
        calls += [("DELETE", f"/v2/app/manifests/{OWN.root.digest}", b"", {})] * 4
        answers = together(registry, *calls)
        assert {answer.status for answer in answers[:8]} == {201}
        assert {answer.status for answer in answers[8:]} <= {202, 404}
        for name, digest in assert_sound(Path(store.path)).items():
            assert registry.call("GET", f"/v2/app/manifests/{name.partition(':')[2]}").status == 200, digest

    def test_one_blob_by_many(self, registry: Caller, store: Store) -> None:
        raw = b"the same" * 1000
        target = f"/v2/app/blobs/uploads/?digest={digest_of(raw)}"
        answers = together(registry, *[("POST", target, raw, {})] * 8)
        assert {answer.status for answer in answers} == {201}
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(raw)}").body == raw
        assert not list((Path(store.path) / ".bundler" / "tmp").iterdir())

    def test_what_waits_for_gc_holds_nobody_up(self, registry: Caller, store: Store) -> None:
        """Reads and sessions that are open go on while others wait for the store."""
        location = registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]
        registry.push("app", "1", OWN)

        async def ask() -> None:
            waiting = [asyncio.create_task(registry.ask("POST", "/v2/app/blobs/uploads/")) for _ in range(3)]
            await asyncio.sleep(0.05)
            async with asyncio.timeout(5):
                assert (await registry.ask("GET", location)).status == 204
                assert (await registry.ask("PATCH", location, b"more")).status == 202
                assert (await registry.ask("GET", "/v2/app/manifests/1")).body == OWN.raw
            assert not any(task.done() for task in waiting)
            held.set()
            assert {answer.status for answer in await asyncio.gather(*waiting)} == {202}

        held, begun = threading.Event(), threading.Event()

        def collector() -> None:
            with store.exclusive("store gc"):
                begun.set()
                held.wait(10)

        thread = threading.Thread(target=collector)
        thread.start()
        begun.wait(10)
        try:
            asyncio.run(ask())
        finally:
            held.set()
            thread.join()


def test_referrers_of_what_was_deleted(registry: Caller) -> None:
    """The subject may be absent; a referrer that is deleted is not listed any more."""
    sbom = artifact(b"sbom", subject=OWN)
    registry.push("app", sbom.root.digest, sbom)
    target = f"/v2/app/referrers/{OWN.root.digest}"
    assert [each["digest"] for each in registry.call("GET", target).json["manifests"]] == [sbom.root.digest]
    assert registry.call("DELETE", f"/v2/app/manifests/{sbom.root.digest}").status == 202
    assert registry.call("GET", target).json["manifests"] == []


def test_an_upload_that_could_not_be_finished_can_be_finished_later(
    registry: Caller, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.registry.changes.PATIENCE_SECONDS", 0.02)
    location = registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]
    registry.call("PATCH", location, b"large")
    target = f"{location}?digest={digest_of(b'large')}"
    with store.exclusive("store check --repair"):
        assert registry.call("PUT", target).status == 503
    assert registry.call("PUT", target).status == 201


def test_digests_are_those_of_the_bytes(registry: Caller) -> None:
    raw = json.dumps(json.loads(OWN.raw), indent=3).encode()  # other bytes that mean the same
    registry.push("app", "1", OWN)
    answer = registry.put("app", "2", raw, OWN.root.media_type)
    assert answer.headers["docker-content-digest"] == digest_of(raw) != Digest(OWN.root.digest)
    assert registry.call("GET", "/v2/app/manifests/2").body == raw
