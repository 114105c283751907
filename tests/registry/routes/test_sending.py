"""A content as an answer: whole files, ranges, conditions (RFC 9110, 13 and 14)."""

from __future__ import annotations

import pytest

from bundler.oci.digest import digest_of
from tests import images
from tests.registry.caller import Caller

BLOB = bytes(range(256)) * 40
DIGEST = digest_of(BLOB)
APP = images.image(images.layer("base", 3000), images.layer("app", 1000))


class TestSending:
    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.upload("app", BLOB, DIGEST)

    def test_get(self, registry: Caller) -> None:
        answer = registry.call("GET", f"/v2/app/blobs/{DIGEST}")
        assert (answer.status, answer.body) == (200, BLOB)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["docker-content-digest"] == DIGEST
        assert answer.headers["etag"] == f'"{DIGEST}"'

    @pytest.mark.parametrize(
        ("said", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=10-", 10, len(BLOB)),
            ("bytes=-10", len(BLOB) - 10, len(BLOB)),
            ("bytes=10-99999999", 10, len(BLOB)),
            ("bytes=-99999999", 0, len(BLOB)),
        ],
        ids=["first", "middle", "open", "suffix", "past-the-end", "long-suffix"],
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
            "bytes=0-9,x",
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

    @pytest.mark.parametrize("said", ["bytes=0-9,5-14", "bytes=0-9,99999999-", "bytes=" + ",".join(["0-"] * 1000)])
    def test_several_ranges_give_the_whole(self, registry: Caller, said: str) -> None:
        answer = registry.call("GET", f"/v2/app/blobs/{DIGEST}", headers={"Range": said})
        assert (answer.status, answer.body) == (200, BLOB)

    def test_ranges_of_a_manifest(self, registry: Caller) -> None:
        registry.push("app", "1", APP)
        answer = registry.call("GET", "/v2/app/manifests/1", headers={"Range": "bytes=5-9"})
        assert (answer.status, answer.body) == (206, APP.raw[5:10])
        assert answer.headers["content-range"] == f"bytes 5-9/{len(APP.raw)}"
        assert registry.call("GET", "/v2/app/manifests/1", headers={"Range": "bytes=999999-"}).status == 416

    @pytest.mark.parametrize("kind", ["manifests", "blobs"])
    def test_conditions(self, registry: Caller, kind: str) -> None:
        registry.push("app", "1", APP)
        target = f"/v2/app/{kind}/{APP.root.digest}"
        tag = registry.call("GET", target).headers["etag"]
        assert tag == f'"{APP.root.digest}"'
        for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = registry.call("GET", target, headers={"If-None-Match": said})
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert registry.call("GET", target, headers={"If-None-Match": '"other"'}).body == APP.raw
        part = registry.call("GET", target, headers={"Range": "bytes=0-3", "If-Range": tag})
        assert (part.status, part.body) == (206, APP.raw[:4])
        whole = registry.call("GET", target, headers={"Range": "bytes=0-3", "If-Range": '"other"'})
        assert (whole.status, whole.body) == (200, APP.raw)

    def test_range_of_nothing(self, registry: Caller) -> None:
        registry.upload("app", b"", digest_of(b""))
        for said in ("bytes=0-", "bytes=-1"):
            assert registry.call("GET", f"/v2/app/blobs/{digest_of(b'')}", headers={"Range": said}).status == 416
