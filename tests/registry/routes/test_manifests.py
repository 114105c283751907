"""Manifests and tags: what is taken, what is given, what is deleted."""

from __future__ import annotations

import json

import pytest

from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.registry import reach
from bundler.store import Store
from tests import images
from tests.registry.caller import Answer, Caller, serving

ABSENT = digest_of(b"absent")
APP = images.image(images.layer("base", 3000), images.layer("app", 1000))
MULTI = images.index(APP, images.image(images.layer("arm", 1000), platform="linux/arm64"))


class TestManifests:
    @pytest.mark.parametrize("image", images.family(size=2000).values(), ids=images.family(size=2000).keys())
    def test_push_and_pull_each_kind(self, registry: Caller, image: images.Image) -> None:
        subject = images.family(size=2000)["web"]
        registry.push("team/app", "web", subject)
        registry.push("team/app", "1.0", image)
        for reference in ("1.0", image.root.digest):
            answer = registry.call("GET", f"/v2/team/app/manifests/{reference}")
            assert (answer.status, answer.body) == (200, image.raw)
            assert answer.headers["content-type"] == image.root.media_type
            assert answer.headers["docker-content-digest"] == image.root.digest
            head = registry.call("HEAD", f"/v2/team/app/manifests/{reference}")
            assert (head.status, head.body) == (200, b"")
            assert head.headers["content-length"] == str(image.root.size)
        for part in image.parts:
            assert registry.call("HEAD", f"/v2/team/app/blobs/{part.descriptor.digest}").status == 200

    def test_put_says_where_and_what(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        answer = registry.put("app", "2", APP.raw, APP.root.media_type + "; charset=utf-8")
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/app/manifests/{APP.root.digest}")
        assert "oci-subject" not in answer.headers

    def test_sha512(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        digest = digest_of(APP.raw, "sha512")
        assert registry.put("app", digest, APP.raw, APP.root.media_type).headers["docker-content-digest"] == digest
        assert registry.call("GET", f"/v2/app/manifests/{digest}").body == APP.raw

    def test_a_tag_moves(self, registry: Caller, store: Store) -> None:
        other = images.image(images.layer("other", 500))
        registry.push("app", "1", APP)
        registry.push("app", "1", other)
        assert registry.call("GET", "/v2/app/manifests/1").body == other.raw
        assert store.resolve("app:1").digest == other.root.digest

    def test_absent_children(self, registry: Caller, store: Store) -> None:
        registry.upload("app", APP.blobs[0].raw, APP.blobs[0].descriptor.digest)
        answer = registry.put("app", "1", APP.raw, APP.root.media_type)
        assert (answer.status, answer.errors) == (400, ["MANIFEST_BLOB_UNKNOWN"])
        absent = {part.descriptor.digest for part in APP.blobs[1:]}
        assert {each["digest"] for each in answer.json["errors"][0]["detail"]} == absent
        assert store.images() == []
        assert registry.call("HEAD", f"/v2/app/manifests/{APP.root.digest}").status == 404

    def test_a_sparse_index(self, registry: Caller, store: Store) -> None:
        """What a selection of platforms makes: the others are not there, now or after a garbage collection."""
        registry.push("app", "1", APP)
        assert registry.put("app", "2", MULTI.raw, MULTI.root.media_type).status == 201
        (left_out,) = (child.descriptor for child in MULTI.manifests[:-1] if child.descriptor.digest != APP.root.digest)
        assert registry.call("GET", f"/v2/app/manifests/{left_out.digest}").errors == ["MANIFEST_UNKNOWN"]
        store.gc()
        assert registry.call("GET", "/v2/app/manifests/2").body == MULTI.raw
        assert registry.call("GET", f"/v2/app/manifests/{APP.root.digest}").body == APP.raw

    def test_an_index_over_a_manifest_that_came_as_a_blob(self, registry: Caller) -> None:
        """Nobody checked what that manifest needs: it is none of the index's."""
        for child in MULTI.manifests[:-1]:
            registry.upload("app", child.raw, child.descriptor.digest)
        assert registry.put("app", "1", MULTI.raw, MULTI.root.media_type).status == 201
        for child in MULTI.manifests[:-1]:
            assert registry.call("GET", f"/v2/app/manifests/{child.descriptor.digest}").status == 404

    def test_a_child_that_is_no_manifest(self, registry: Caller) -> None:
        child = images.part(b'{"no": "manifest"}', mediatype.OCI_MANIFEST)
        registry.upload("app", child.raw, child.descriptor.digest)
        document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [child.descriptor.document()]}
        assert registry.put("app", "1", images.as_json(document), mediatype.OCI_INDEX).errors == ["MANIFEST_INVALID"]
        assert registry.call("GET", "/v2/app/manifests/1").status == 404

    def test_too_many_contents(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        registry.push("app", "0", APP)
        monkeypatch.setattr(reach, "MOST_CONTENTS", 2)
        other = images.as_json({**json.loads(APP.raw), "annotations": {"a": "b"}})
        answer = registry.put("app", "1", other, APP.root.media_type)
        assert (answer.status, answer.errors) == (413, ["MANIFEST_INVALID"])

    def test_indexes_that_multiply(self, registry: Caller, store: Store) -> None:
        """Each lists the one before a thousand times: what is needed is small, and is looked at once."""
        registry.push("app", "1", APP)
        below = APP.root
        for _ in range(4):
            raw = images.as_json(
                {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [below.document()] * 1000}
            )
            below = images.part(raw, mediatype.OCI_INDEX).descriptor
            assert registry.put("app", below.digest, raw, mediatype.OCI_INDEX).status == 201
        assert registry.put("app", "2", raw, mediatype.OCI_INDEX).status == 201

    def test_foreign_layers_need_not_be_here(self, registry: Caller) -> None:
        config = images.part(b'{"rootfs": {}}', mediatype.OCI_CONFIG)
        foreign = images.part(b"foreign", mediatype.DOCKER_FOREIGN_LAYER)
        raw = images.as_json(images.manifest_document(mediatype.OCI_MANIFEST, config, [foreign]))
        registry.upload("app", config.raw, config.descriptor.digest)
        assert registry.put("app", "1", raw, mediatype.OCI_MANIFEST).status == 201

    def test_a_child_of_another_size(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        document = json.loads(APP.raw)
        document["layers"][0]["size"] += 1
        answer = registry.put("app", "2", images.as_json(document), APP.root.media_type)
        assert answer.errors == ["MANIFEST_BLOB_UNKNOWN"]

    OCI = mediatype.OCI_MANIFEST

    @pytest.mark.parametrize(
        ("raw", "media_type"),
        [
            pytest.param(b"", OCI, id="empty"),
            pytest.param(b"{", OCI, id="no-json"),
            pytest.param(b"[]", OCI, id="no-object"),
            pytest.param(b"{}", OCI, id="no-manifest"),
            pytest.param(APP.raw, "", id="no-content-type"),
            pytest.param(APP.raw, "text/plain", id="foreign-content-type"),
            pytest.param(APP.raw, mediatype.DOCKER_MANIFEST, id="other-content-type"),
            pytest.param(APP.raw, mediatype.OCI_INDEX, id="index-content-type"),
            pytest.param(b'{"schemaVersion":1,"config":{}}', OCI, id="schema-1"),
            pytest.param(b'{"schemaVersion":1}', mediatype.DOCKER_SCHEMA1_SIGNED, id="schema-1-signed"),
            pytest.param(APP.raw[:-1] + b',"config":{}}', OCI, id="key-twice"),
            pytest.param(APP.raw[:-1] + b',"Config":{}}', OCI, id="key-in-two-cases"),
            pytest.param(APP.raw[:-1] + b',"manifests":[]}', OCI, id="both-kinds"),
            pytest.param(APP.raw + b" {}", OCI, id="trailing"),
        ],
    )
    def test_what_is_no_manifest(self, registry: Caller, store: Store, raw: bytes, media_type: str) -> None:
        registry.push("app", "1", APP)
        before = store.index().document
        answer = registry.put("app", "1", raw, media_type)
        assert (answer.status, answer.errors) == (400, ["MANIFEST_INVALID"])
        assert store.index().document == before

    def test_docker_manifest_that_does_not_say_so(self, registry: Caller) -> None:
        """By digest it would come back as an OCI manifest."""
        registry.push("app", "1", APP)
        document = {key: value for key, value in json.loads(APP.raw).items() if key != "mediaType"}
        raw = images.as_json(document)
        assert registry.put("app", "2", raw, mediatype.DOCKER_MANIFEST).errors == ["MANIFEST_INVALID"]
        assert registry.put("app", "2", raw, mediatype.OCI_MANIFEST).status == 201
        answer = registry.call("GET", f"/v2/app/manifests/{digest_of(raw)}")
        assert answer.headers["content-type"] == mediatype.OCI_MANIFEST

    def test_by_a_digest_that_is_another(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        assert registry.put("app", ABSENT, APP.raw, APP.root.media_type).errors == ["DIGEST_INVALID"]

    @pytest.mark.parametrize("streamed", [False, True], ids=["content-length", "streamed"])
    def test_too_large(self, registry: Caller, streamed: bool) -> None:
        raw = b" " * ((4 << 20) + 1)
        body = [raw[: 1 << 20]] * 5 if streamed else raw
        answer = registry.call("PUT", "/v2/app/manifests/1", body, {"Content-Type": mediatype.OCI_MANIFEST})
        assert (answer.status, answer.errors) == (413, ["SIZE_INVALID"])

    def test_too_deep(self, registry: Caller) -> None:
        raw = b'{"schemaVersion":2,"config":' + b"[" * 100 + b"]" * 100 + b"}"
        answer = registry.put("app", "1", raw, mediatype.OCI_MANIFEST)
        assert (answer.status, answer.errors) == (413, ["MANIFEST_INVALID"])

    @pytest.mark.parametrize("raw", [b"not json", b'{"config":{},"os":"linux"}'], ids=["layer", "config"])
    def test_a_blob_is_no_manifest(self, registry: Caller, raw: bytes) -> None:
        registry.upload("app", raw, digest_of(raw))
        assert registry.call("GET", f"/v2/app/manifests/{digest_of(raw)}").status == 404


class TestConditions:
    """A tag is moved only from where the client believes it to be (RFC 9110, 13.1)."""

    OTHER = images.image(images.layer("other", 100))

    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        registry.push("app", "other", self.OTHER)

    def put(self, registry: Caller, target: str, said: dict[str, str]) -> Answer:
        headers = {"Content-Type": self.OTHER.root.media_type, **said}
        return registry.call("PUT", f"/v2/app/manifests/{target}", self.OTHER.raw, headers)

    @pytest.mark.parametrize(
        ("said", "there", "absent"),
        [
            ({}, 201, 201),
            ({"If-Match": f'"{APP.root.digest}"'}, 201, 412),
            ({"If-Match": f'"sha256:other", "{APP.root.digest}"'}, 201, 412),
            ({"If-Match": "*"}, 201, 412),
            ({"If-Match": f'"{ABSENT}"'}, 412, 412),
            ({"If-None-Match": "*"}, 412, 201),
            ({"If-None-Match": f'"{APP.root.digest}"'}, 412, 201),
            ({"If-None-Match": f'"{ABSENT}"'}, 201, 201),
        ],
    )
    def test_put(self, registry: Caller, said: dict[str, str], there: int, absent: int) -> None:
        for tag, status in (("1", there), ("new", absent)):
            before = registry.call("GET", f"/v2/app/manifests/{tag}")
            answer = self.put(registry, tag, said)
            assert answer.status == status
            after = registry.call("GET", f"/v2/app/manifests/{tag}")
            if status == 412:
                assert answer.errors == ["DENIED"]
                assert (after.status, after.body) == (before.status, before.body)
            else:
                assert after.body == self.OTHER.raw

    def test_of_several_tags_all_or_none(self, registry: Caller) -> None:
        target = f"{self.OTHER.root.digest}?tag=new&tag=1"
        assert self.put(registry, target, {"If-None-Match": "*"}).status == 412
        assert registry.call("GET", "/v2/app/tags/list").json["tags"] == ["1", "other"]
        assert self.put(registry, target, {}).headers["oci-tag"] == "new, 1"
        assert registry.call("GET", "/v2/app/tags/list").json["tags"] == ["1", "new", "other"]

    @pytest.mark.parametrize("tag", ["", ".bad", "a/b", "a" * 129])
    def test_a_tag_that_is_none(self, registry: Caller, tag: str) -> None:
        answer = self.put(registry, f"{self.OTHER.root.digest}?tag=good&tag={tag}", {})
        assert (answer.status, answer.errors) == (400, ["TAG_INVALID"])
        assert registry.call("GET", "/v2/app/manifests/good").status == 404


def test_a_subject_is_confirmed(registry: Caller) -> None:
    held = images.artifact(b"sbom", subject=APP)
    for each in held.blobs:
        registry.upload("app", each.raw, each.descriptor.digest)
    assert registry.put("app", "sbom", held.raw, held.root.media_type).headers["oci-subject"] == APP.root.digest


def test_a_promise_in_the_query(registry: Caller) -> None:
    registry.push("app", "1", APP)
    digest = digest_of(APP.raw, "sha512")
    headers = {"Content-Type": APP.root.media_type}
    assert (
        registry.call("PUT", f"/v2/app/manifests/2?digest={digest}", APP.raw, headers).headers["etag"] == f'"{digest}"'
    )
    assert registry.call("PUT", f"/v2/app/manifests/3?digest={ABSENT}", APP.raw, headers).errors == ["DIGEST_INVALID"]
    assert registry.call("GET", f"/v2/app/manifests/{digest}").body == APP.raw


@pytest.mark.parametrize("reference", ["1", APP.root.digest])
def test_nothing_is_deleted_where_that_is_not_allowed(store: Store, reference: str) -> None:
    with serving(store, allow_delete=False) as registry:
        registry.push("app", "1", APP)
        answer = registry.call("DELETE", f"/v2/app/manifests/{reference}")
        assert (answer.status, answer.errors) == (405, ["UNSUPPORTED"])
        assert registry.call("DELETE", f"/v2/app/blobs/{APP.blobs[0].descriptor.digest}").status == 405
        assert registry.call("GET", "/v2/app/manifests/1").body == APP.raw
