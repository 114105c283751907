"""The protocol as a whole: what there is no endpoint for, read-only mode, and a store that was pulled into."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.errors import DiskError
from bundler.oci.digest import digest_of
from bundler.registry import answers
from bundler.registry.routes import listing
from bundler.store import Store
from tests import images
from tests.registry.caller import Caller, serving

ABSENT = digest_of(b"absent")
APP = images.image(images.layer("base", 3000), images.layer("app", 1000))
MULTI = images.index(APP, images.image(images.layer("arm", 1000), platform="linux/arm64"))


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
            pytest.param("GET", "/v2/app/referrers/x", 400, "DIGEST_INVALID", id="referrers-of-no-digest"),
            pytest.param("POST", f"/v2/app/referrers/{ABSENT}", 405, "UNSUPPORTED", id="post-referrers"),
            pytest.param("POST", "/v2/", 405, "UNSUPPORTED", id="post-base"),
            pytest.param("DELETE", f"/v2/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN", id="delete-blob"),
            pytest.param("DELETE", "/v2/app/manifests/1", 404, "MANIFEST_UNKNOWN", id="delete-tag"),
            pytest.param("DELETE", f"/v2/app/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN", id="delete-manifest"),
            pytest.param("DELETE", "/v2/app/manifests/.bad", 400, "DIGEST_INVALID", id="delete-bad-tag"),
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
        monkeypatch.setattr(listing, "_page", lambda *_args, **_more: 1 / 0)
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
        with serving(store, read_only=True) as registry:
            answer = registry.call(method, path, b"{}")
            assert (answer.status, answer.errors, answer.headers["allow"]) == (405, ["UNSUPPORTED"], "GET, HEAD")
            assert registry.call("GET", "/v2/app/manifests/1").body == APP.raw


class TestPulledStore:
    """A store that was pulled into is served as it stands."""

    @pytest.fixture
    def registry(self, store: Store) -> Iterator[Caller]:
        images.load(store, {"docker.io/library/app:1": APP, "localhost:5000/multi:1": MULTI})
        with serving(store) as registry:
            yield registry

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


def test_what_went_wrong_here_is_told_without_places(registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Store, want: object) -> bool:
        raise DiskError("/srv/secret/place: input/output error")

    monkeypatch.setattr(Store, "has", fail)
    answer = registry.call("POST", f"/v2/app/blobs/uploads/?digest={digest_of(b'x')}", b"x")
    assert (answer.status, answer.errors) == (500, ["UNKNOWN"])
    assert b"secret" not in answer.body
    assert answer.headers["retry-after"] == "10"
