"""The protocol, request by request (distribution-spec 1.1)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bundler.errors import ReadOnlyError, SpaceError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.registry import answers, application, contents, uploads
from bundler.registry.uploads import Uploads
from bundler.store import Incoming, Store
from tests import images
from tests.registry.caller import Answer, Caller

BLOB = bytes(range(256)) * 40
DIGEST = digest_of(BLOB)
ABSENT = digest_of(b"absent")
APP = images.image(images.layer("base", 3000), images.layer("app", 1000))
MULTI = images.index(APP, images.image(images.layer("arm", 1000), platform="linux/arm64"))


def begin(registry: Caller) -> str:
    return registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]


class TestBase:
    @pytest.mark.parametrize("path", ["/v2/", "/v2"])
    def test_version(self, registry: Caller, path: str) -> None:
        answer = registry.call("GET", path)
        assert (answer.status, answer.json) == (200, {})
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            pytest.param("GET", "/", 404, "UNSUPPORTED", id="root"),
            pytest.param("GET", "/v1/", 404, "UNSUPPORTED", id="v1"),
            pytest.param("GET", f"/v2/app/referrers/{ABSENT}", 404, "UNSUPPORTED", id="referrers"),
            pytest.param("POST", "/v2/", 405, "UNSUPPORTED", id="post-base"),
            pytest.param("DELETE", f"/v2/app/blobs/{ABSENT}", 405, "UNSUPPORTED", id="delete-blob"),
            pytest.param("DELETE", "/v2/app/manifests/1", 405, "UNSUPPORTED", id="delete-manifest"),
            pytest.param("GET", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED", id="list-uploads"),
            pytest.param("PUT", "/v2/app/tags/list", 405, "UNSUPPORTED", id="put-tags"),
            pytest.param("GET", "/v2/app/tags/list", 404, "NAME_UNKNOWN", id="tags-of-nothing"),
            pytest.param("GET", "/v2/app/manifests/1", 404, "MANIFEST_UNKNOWN", id="no-tag"),
            pytest.param("GET", f"/v2/app/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN", id="no-manifest"),
            pytest.param("GET", "/v2/app/manifests/.bad", 404, "MANIFEST_UNKNOWN", id="get-bad-tag"),
            pytest.param("PUT", "/v2/app/manifests/.bad", 400, "MANIFEST_INVALID", id="put-bad-tag"),
            pytest.param("PUT", "/v2/app/manifests/" + "a" * 129, 400, "MANIFEST_INVALID", id="long-tag"),
            pytest.param("GET", f"/v2/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN", id="no-blob"),
            pytest.param("GET", "/v2/app/blobs/sha256:abc", 400, "DIGEST_INVALID", id="short-digest"),
            pytest.param("GET", "/v2/app/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID", id="md5"),
            pytest.param("GET", f"/v2/app/blobs/{ABSENT.upper()}", 400, "DIGEST_INVALID", id="upper-case-digest"),
            pytest.param("GET", "/v2/App/manifests/1", 400, "NAME_INVALID", id="upper-case-name"),
            pytest.param("POST", "/v2/-app/blobs/uploads/", 400, "NAME_INVALID", id="dash-name"),
            pytest.param("GET", "/v2/" + "a/" * 128 + "a/tags/list", 400, "NAME_INVALID", id="long-name"),
        ],
    )
    def test_no(self, registry: Caller, method: str, path: str, status: int, code: str) -> None:
        answer = registry.call(method, path)
        assert (answer.status, answer.errors) == (status, [code])
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert status != 405 or answer.headers["allow"]

    def test_too_many_headers(self, registry: Caller) -> None:
        large = {"x-large": "a" * (answers.MOST_HEADER_BYTES + 1)}
        assert registry.call("GET", "/v2/", headers=large).status == 431

    def test_a_bug_is_told_without_its_details(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(application, "_page", lambda *_args, **_more: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # for the server's log
            registry.call("GET", "/v2/_catalog")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v2/app/blobs/uploads/"),
            ("PUT", "/v2/app/manifests/1"),
            ("PATCH", "/v2/app/blobs/uploads/x"),
            ("DELETE", "/v2/app/blobs/uploads/x"),
        ],
    )
    def test_read_only(self, store: Store, method: str, path: str) -> None:
        images.load(store, {"app:1": APP})
        registry = Caller(application.application(store, read_only=True))
        answer = registry.call(method, path, b"{}")
        assert (answer.status, answer.errors, answer.headers["allow"]) == (405, ["UNSUPPORTED"], "GET, HEAD")
        assert registry.call("GET", "/v2/app/manifests/1").body == APP.raw


class TestUploads:
    def test_post_patch_put(self, registry: Caller, store: Store) -> None:
        started = registry.call("POST", "/v2/team/app/blobs/uploads/")
        assert started.status == 202
        location = started.headers["location"]
        assert location.startswith("/v2/team/app/blobs/uploads/")
        assert started.headers["range"] == "0-0"
        patched = registry.call("PATCH", location, [BLOB[:1000], BLOB[1000:]])
        assert (patched.status, patched.headers["range"]) == (202, f"0-{len(BLOB) - 1}")
        done = registry.call("PUT", f"{patched.headers['location']}?digest={DIGEST}")
        assert (done.status, done.headers["location"]) == (201, f"/v2/team/app/blobs/{DIGEST}")
        assert done.headers["docker-content-digest"] == DIGEST
        assert registry.call("GET", done.headers["location"]).body == BLOB
        assert registry.call("GET", location).errors == ["BLOB_UPLOAD_UNKNOWN"]
        assert (Path(store.path) / ".bundler" / "tmp").exists()
        assert not list((Path(store.path) / ".bundler" / "tmp").iterdir())

    def test_single_post(self, registry: Caller) -> None:
        done = registry.call("POST", f"/v2/app/blobs/uploads/?digest={DIGEST}", BLOB)
        assert (done.status, done.headers["docker-content-digest"]) == (201, DIGEST)
        assert registry.call("GET", f"/v2/app/blobs/{DIGEST}").body == BLOB

    def test_single_put(self, registry: Caller) -> None:
        assert registry.call("PUT", f"{begin(registry)}?digest={DIGEST}", BLOB).status == 201

    def test_empty_blob(self, registry: Caller) -> None:
        empty = digest_of(b"")
        assert registry.call("PUT", f"{begin(registry)}?digest={empty}").status == 201
        answer = registry.call("GET", f"/v2/app/blobs/{empty}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")

    def test_sha512(self, registry: Caller) -> None:
        digest = digest_of(BLOB, "sha512")
        assert registry.upload("app", BLOB, digest).status == 201
        assert registry.call("GET", f"/v2/app/blobs/{digest}").body == BLOB
        assert registry.upload("app", BLOB + b"x", digest).errors == ["DIGEST_INVALID"]

    def test_larger_than_a_batch(self, registry: Caller) -> None:
        raw = BLOB * 500
        location = begin(registry)
        assert registry.call("PATCH", location, [raw[n : n + 100_000] for n in range(0, len(raw), 100_000)])
        assert registry.call("PUT", f"{location}?digest={digest_of(raw)}").status == 201
        assert registry.call("GET", f"/v2/app/blobs/{digest_of(raw)}").body == raw

    def test_chunks_in_order(self, registry: Caller) -> None:
        location = begin(registry)
        for start, end in [(0, 99), (100, 5000)]:
            raw = BLOB[start : end + 1]
            answer = registry.call("PATCH", location, raw, {"Content-Range": f"{start}-{end}"})
            assert (answer.status, answer.headers["range"]) == (202, f"0-{end}")
        last = {"Content-Range": f"5001-{len(BLOB) - 1}"}
        assert registry.call("PUT", f"{location}?digest={DIGEST}", BLOB[5001:], last).status == 201

    @pytest.mark.parametrize(
        ("said", "status", "code"),
        [
            pytest.param("0-9", 416, "BLOB_UPLOAD_INVALID", id="again"),
            pytest.param("20-29", 416, "BLOB_UPLOAD_INVALID", id="gap"),
            pytest.param("5-14", 416, "BLOB_UPLOAD_INVALID", id="overlap"),
            pytest.param("10-20", 400, "SIZE_INVALID", id="longer-than-the-body"),
            pytest.param("10-18", 400, "SIZE_INVALID", id="shorter-than-the-body"),
            pytest.param("19-10", 400, "BLOB_UPLOAD_INVALID", id="backwards"),
            pytest.param("ten-nineteen", 400, "BLOB_UPLOAD_INVALID", id="words"),
            pytest.param("-10-19", 400, "BLOB_UPLOAD_INVALID", id="negative"),
            pytest.param("10-" + "9" * 30, 400, "BLOB_UPLOAD_INVALID", id="huge"),
        ],
    )
    def test_wrong_chunks(self, registry: Caller, said: str, status: int, code: str) -> None:
        location = begin(registry)
        registry.call("PATCH", location, BLOB[:10])
        answer = registry.call("PATCH", location, BLOB[10:20], {"Content-Range": said})
        assert (answer.status, answer.errors) == (status, [code])
        assert status != 416 or (answer.headers["range"], answer.headers["location"]) == ("0-9", location)
        assert registry.call("GET", location).headers["range"] == "0-9"
        assert registry.call("PUT", f"{location}?digest={DIGEST}", BLOB[10:]).status == 201

    @pytest.mark.parametrize(
        ("body", "kept"), [([BLOB[:5]], "0-4"), ([BLOB[:8], BLOB[8:15]], "0-7")], ids=["short", "long"]
    )
    def test_streamed_chunk_of_another_length(self, registry: Caller, body: list[bytes], kept: str) -> None:
        location = begin(registry)
        answer = registry.call("PATCH", location, body, {"Content-Range": "0-9"})
        assert (answer.status, answer.errors) == (400, ["SIZE_INVALID"])
        assert registry.call("GET", location).headers["range"] == kept

    def test_cut_off_then_status_then_the_rest(self, registry: Caller) -> None:
        location = begin(registry)
        registry.call("PATCH", location, [BLOB[:3000], BLOB[3000:4000]], cut=True)
        status = registry.call("GET", location)
        assert (status.status, status.headers["range"]) == (204, "0-3999")
        rest = {"Content-Range": f"4000-{len(BLOB) - 1}"}
        assert registry.call("PATCH", location, BLOB[4000:], rest).status == 202
        assert registry.call("PUT", f"{location}?digest={DIGEST}").status == 201

    def test_cut_off_single_post_leaves_nothing(self, registry: Caller, store: Store) -> None:
        registry.call("POST", f"/v2/app/blobs/uploads/?digest={DIGEST}", BLOB[:100], cut=True)
        assert not list((Path(store.path) / ".bundler" / "tmp").iterdir())
        assert registry.call("HEAD", f"/v2/app/blobs/{DIGEST}").status == 404

    def test_other_bytes_are_refused_and_forgotten(self, registry: Caller, store: Store) -> None:
        location = begin(registry)
        registry.call("PATCH", location, BLOB[:-1] + b"x")
        answer = registry.call("PUT", f"{location}?digest={DIGEST}")
        assert (answer.status, answer.errors) == (400, ["DIGEST_INVALID"])
        assert registry.call("HEAD", f"/v2/app/blobs/{DIGEST}").status == 404
        assert registry.call("GET", location).status == 404
        assert list(store.blobs()) == []

    @pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha256:abc"], ids=["none", "empty", "short"])
    def test_put_needs_a_digest(self, registry: Caller, query: str) -> None:
        location = begin(registry)
        assert registry.call("PUT", location + query).errors == ["DIGEST_INVALID"]
        assert registry.call("GET", location).status == 204

    def test_cancel(self, registry: Caller) -> None:
        location = begin(registry)
        assert registry.call("DELETE", location).status == 204
        assert registry.call("DELETE", location).errors == ["BLOB_UPLOAD_UNKNOWN"]

    def test_the_second_of_two_at_once_finds_the_session_over(self, registry: Caller) -> None:
        async def both() -> list[Answer]:
            location = (await registry.ask("POST", "/v2/app/blobs/uploads/")).headers["location"]
            put = f"{location}?digest={DIGEST}"
            return await asyncio.gather(registry.ask("PUT", put, BLOB), registry.ask("PUT", put, BLOB))

        assert sorted(answer.status for answer in asyncio.run(both())) == [201, 404]

    def test_mount(self, registry: Caller) -> None:
        registry.upload("near", BLOB, DIGEST)
        answer = registry.call("POST", f"/v2/far/blobs/uploads/?mount={DIGEST}&from=near")
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/far/blobs/{DIGEST}")
        assert registry.call("POST", f"/v2/far/blobs/uploads/?mount={ABSENT}&from=near").status == 202

    @pytest.mark.parametrize(
        ("query", "code"),
        [("mount=x&from=near", "DIGEST_INVALID"), (f"mount={DIGEST}&from=../near", "NAME_INVALID")],
    )
    def test_bad_mount(self, registry: Caller, query: str, code: str) -> None:
        assert registry.call("POST", f"/v2/far/blobs/uploads/?{query}").errors == [code]

    def test_sessions_are_capped(self, store: Store) -> None:
        app = application.application(store)
        app.state.uploads._most = 2
        registry = Caller(app)
        locations = [begin(registry), begin(registry)]
        answer = registry.call("POST", "/v2/app/blobs/uploads/")
        assert (answer.status, answer.errors) == (429, ["TOOMANYREQUESTS"])
        registry.call("DELETE", locations[0])
        assert registry.call("POST", "/v2/app/blobs/uploads/").status == 202
        app.state.uploads.close()

    def test_blob_cap(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uploads, "MOST_BLOB_BYTES", 100)
        location = begin(registry)
        answer = registry.call("PATCH", location, BLOB)
        assert (answer.status, answer.errors) == (413, ["SIZE_INVALID"])
        assert registry.call("GET", location).status == 404

    def test_full_disk(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        location = begin(registry)

        def full(self: Incoming, chunk: bytes) -> None:
            raise SpaceError("write: No space left on device")

        monkeypatch.setattr(Incoming, "write", full)
        answer = registry.call("PATCH", location, BLOB)
        assert (answer.status, answer.errors) == (507, ["DENIED"])
        assert registry.call("GET", location).status == 404


class TestBlobs:
    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.upload("app", BLOB, DIGEST)

    def test_get_lets_the_server_send_the_file(self, registry: Caller) -> None:
        answer = registry.call("GET", f"/v2/app/blobs/{DIGEST}")
        assert answer.sent_path
        assert (answer.status, answer.body) == (200, BLOB)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["docker-content-digest"] == DIGEST
        assert answer.headers["etag"] == f'"{DIGEST}"'

    def test_get_from_a_server_that_sends_no_files(self, registry: Caller) -> None:
        answer = Caller(registry.app, pathsend=False).call("GET", f"/v2/app/blobs/{DIGEST}")
        assert (answer.body, answer.sent_path) == (BLOB, "")

    def test_head(self, registry: Caller) -> None:
        answer = registry.call("HEAD", f"/v2/app/blobs/{DIGEST}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(BLOB)))
        assert answer.headers["accept-ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("said", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=10-", 10, len(BLOB)),
            ("bytes=-10", len(BLOB) - 10, len(BLOB)),
            ("bytes=10-99999999", 10, len(BLOB)),
            ("bytes=-99999999", 0, len(BLOB)),
            ("bytes=0-9,5-14", 0, 15),
        ],
        ids=["first", "middle", "open", "suffix", "past-the-end", "long-suffix", "overlapping"],
    )
    def test_ranges(self, registry: Caller, said: str, start: int, end: int) -> None:
        answer = registry.call("GET", f"/v2/app/blobs/{DIGEST}", headers={"Range": said})
        assert (answer.status, answer.body) == (206, BLOB[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BLOB)}"

    @pytest.mark.parametrize(
        "said",
        [
            f"bytes={len(BLOB)}-",
            f"bytes={len(BLOB)}-{len(BLOB) + 5}",
            "bytes=5-2",
            "bytes=-0",
            "bytes=",
            "bytes=-",
            "bytes=0-9,99999999-",
            "lines=0-9",
            "bytes",
            "bytes=0x1-2",
            "bytes=" + "9" * 40 + "-",
        ],
    )
    def test_wrong_ranges(self, registry: Caller, said: str) -> None:
        answer = registry.call("GET", f"/v2/app/blobs/{DIGEST}", headers={"Range": said})
        assert (answer.status, answer.errors) == (416, ["SIZE_INVALID"])
        assert answer.headers["content-range"] == f"bytes */{len(BLOB)}"

    def test_range_of_nothing(self, registry: Caller) -> None:
        registry.upload("app", b"", digest_of(b""))
        for said in ("bytes=0-", "bytes=-1"):
            assert registry.call("GET", f"/v2/app/blobs/{digest_of(b'')}", headers={"Range": said}).status == 416

    def test_a_damaged_blob_is_not_there(self, tmp_path: Path) -> None:
        layout = images.write_layout(tmp_path / "layout", {"app:1": APP})
        victim = layout / "blobs/sha256" / APP.blobs[0].descriptor.digest.partition(":")[2]
        victim.write_bytes(b"damaged")
        registry = Caller(application.application(Store.open(str(layout))))
        assert registry.call("HEAD", f"/v2/app/blobs/{APP.blobs[0].descriptor.digest}").status == 404
        assert registry.call("HEAD", f"/v2/app/blobs/{APP.blobs[1].descriptor.digest}").status == 200

    def test_a_damaged_blob_that_cannot_be_moved(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Store, want: Descriptor) -> bool:
            raise ReadOnlyError("the store can't be written")

        monkeypatch.setattr(Store, "has", refuse)
        assert registry.call("HEAD", f"/v2/app/blobs/{DIGEST}").status == 404


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

    def test_a_sparse_index_is_refused(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        answer = registry.put("app", "2", MULTI.raw, MULTI.root.media_type)
        assert (answer.status, answer.errors) == (400, ["MANIFEST_BLOB_UNKNOWN"])

    def test_an_index_over_a_manifest_that_came_as_a_blob(self, registry: Caller, store: Store) -> None:
        """Nobody checked what that manifest needs."""
        for child in MULTI.manifests[:-1]:
            registry.upload("app", child.raw, child.descriptor.digest)
        answer = registry.put("app", "1", MULTI.raw, MULTI.root.media_type)
        assert answer.errors == ["MANIFEST_BLOB_UNKNOWN"]
        absent = {part.descriptor.digest for part in MULTI.blobs}
        assert {each["digest"] for each in answer.json["errors"][0]["detail"]} == absent
        assert store.images() == []

    def test_a_child_that_is_no_manifest(self, registry: Caller) -> None:
        child = images.part(b'{"no": "manifest"}', mediatype.OCI_MANIFEST)
        registry.upload("app", child.raw, child.descriptor.digest)
        document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [child.descriptor.document()]}
        assert registry.put("app", "1", images.as_json(document), mediatype.OCI_INDEX).errors == ["MANIFEST_INVALID"]

    def test_too_many_contents(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contents, "MOST_CONTENTS", 2)
        answer = registry.put("app", "1", APP.raw, APP.root.media_type)
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


class TestLists:
    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.push("team/app", "b", APP)
        for tag in ("a", "c", "B", "d"):
            registry.put("team/app", tag, APP.raw, APP.root.media_type)
        registry.put("other", "1", APP.raw, APP.root.media_type)

    def test_tags(self, registry: Caller) -> None:
        answer = registry.call("GET", "/v2/team/app/tags/list")
        assert answer.json == {"name": "team/app", "tags": ["B", "a", "b", "c", "d"]}
        assert "link" not in answer.headers

    def test_catalog(self, registry: Caller) -> None:
        assert registry.call("GET", "/v2/_catalog").json == {"repositories": ["other", "team/app"]}
        first = registry.call("GET", "/v2/_catalog?n=1")
        assert first.json == {"repositories": ["other"]}
        assert first.headers["link"] == '</v2/_catalog?n=1&last=other>; rel="next"'

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
    def test_pages_put_together(self, registry: Caller, n: int) -> None:
        target, found = f"/v2/team/app/tags/list?n={n}", []
        while target:
            answer = registry.call("GET", target)
            assert 0 < len(answer.json["tags"]) <= n
            found += answer.json["tags"]
            target = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        assert found == ["B", "a", "b", "c", "d"]

    @pytest.mark.parametrize(
        ("query", "tags"),
        [("n=0", []), ("last=b", ["c", "d"]), ("last=bb&n=1", ["c"]), ("last=zzz", []), ("n=999999999", None)],
    )
    def test_queries(self, registry: Caller, query: str, tags: list[str] | None) -> None:
        answer = registry.call("GET", f"/v2/team/app/tags/list?{query}")
        assert answer.json["tags"] == (["B", "a", "b", "c", "d"] if tags is None else tags)

    @pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "9" * 20])
    def test_wrong_n(self, registry: Caller, n: str) -> None:
        assert registry.call("GET", f"/v2/team/app/tags/list?n={n}").status == 400

    def test_pages_are_capped(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(application, "PAGE", 2)
        answer = registry.call("GET", "/v2/team/app/tags/list?n=100")
        assert answer.json["tags"] == ["B", "a"]
        assert answer.headers["link"] == '</v2/team/app/tags/list?n=2&last=a>; rel="next"'


class TestPulledStore:
    """A store that was pulled into is served as it stands."""

    @pytest.fixture
    def registry(self, store: Store) -> Caller:
        images.load(store, {"docker.io/library/app:1": APP, "localhost:5000/multi:1": MULTI})
        return Caller(application.application(store))

    @pytest.mark.parametrize("repository", ["docker.io/library/app", "library/app"])
    def test_under_both_paths(self, registry: Caller, repository: str) -> None:
        assert registry.call("GET", f"/v2/{repository}/manifests/1").body == APP.raw
        assert registry.call("GET", f"/v2/{repository}/tags/list").json["tags"] == ["1"]

    def test_catalog(self, registry: Caller) -> None:
        assert registry.call("GET", "/v2/_catalog").json == {"repositories": ["docker.io/library/app", "multi"]}

    def test_what_is_tagged_meanwhile_is_seen(self, registry: Caller, store: Store) -> None:
        assert registry.call("GET", "/v2/app/manifests/new").status == 404
        store.tag("app:new", APP.root)
        assert registry.call("GET", "/v2/app/manifests/new").status == 200


def test_sessions_that_stand_still(store: Store) -> None:
    """Sessions that stood still are dropped when the next one begins."""
    sessions = Uploads(store, idle=-1.0)
    first = sessions.begin("app")
    second = sessions.begin("app")
    assert sessions.find("app", second.id) is second
    with pytest.raises(Exception, match="no such upload"):
        sessions.find("app", first.id)
    sessions.close()
