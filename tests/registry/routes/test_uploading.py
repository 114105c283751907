"""Uploads: sessions, chunks, mounts (distribution-spec 1.1, "Pushing blobs")."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bundler.errors import SpaceError
from bundler.oci.digest import digest_of
from bundler.registry import uploads
from bundler.store import Incoming, Store
from tests.registry.caller import Answer, Caller, serving

BLOB = bytes(range(256)) * 40
DIGEST = digest_of(BLOB)
ABSENT = digest_of(b"absent")


def begin(registry: Caller) -> str:
    return registry.call("POST", "/v2/app/blobs/uploads/").headers["location"]


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
        with serving(store) as registry:
            registry.app.state.uploads._most = 2
            locations = [begin(registry), begin(registry)]
            answer = registry.call("POST", "/v2/app/blobs/uploads/")
            assert (answer.status, answer.errors) == (429, ["TOOMANYREQUESTS"])
            registry.call("DELETE", locations[0])
            assert registry.call("POST", "/v2/app/blobs/uploads/").status == 202

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
