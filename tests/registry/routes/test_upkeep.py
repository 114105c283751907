"""The endpoint of garbage collection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bundler.oci.digest import digest_of
from bundler.registry.upkeep import PATH, parse_collected
from bundler.store import Store
from tests.images import image, layer
from tests.registry.caller import Caller, serving

APP = image(layer("app", 200))
LOOSE = digest_of(b"loose")


@pytest.fixture
def registry(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """One that everything came to long ago."""
    with serving(store) as registry:
        registry.push("app", APP.root.digest, APP)
        registry.upload("app", b"loose", LOOSE)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 7200)
        yield registry


def test_collect(registry: Caller, store: Store) -> None:
    answer = registry.call("POST", PATH)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"names": [], "blobs": [{"digest": LOOSE, "size": 5}], "leftovers": [], "size": 5}
    assert registry.call("POST", PATH).json["blobs"] == []
    assert store.size_of(LOOSE) is None


def test_a_dry_run(registry: Caller, store: Store) -> None:
    said = registry.call("POST", f"{PATH}?dry-run=true&untagged=true")
    assert store.size_of(LOOSE) == 5
    done = registry.call("POST", f"{PATH}?dry-run=false&untagged=true")
    assert said.json == done.json
    assert parse_collected(done.body, what="answer").names == (f"app@{APP.root.digest}",)
    assert list(store.blobs()) == []


def test_what_is_served_afterwards(registry: Caller) -> None:
    assert registry.call("GET", f"/v2/app/manifests/{APP.root.digest}").status == 200
    registry.call("POST", f"{PATH}?untagged=true")
    assert registry.call("GET", f"/v2/app/manifests/{APP.root.digest}").status == 404
    assert registry.call("GET", "/v2/_catalog").json["repositories"] == []
    registry.push("app", "1", APP)
    assert registry.call("GET", "/v2/app/manifests/1").body == APP.raw


@pytest.mark.parametrize("query", ["dry-run=1", "dry-run=", "dry-run=True", "untagged=yes"])
def test_a_misspelt_wish_collects_nothing(registry: Caller, store: Store, query: str) -> None:
    answer = registry.call("POST", f"{PATH}?{query}")
    assert (answer.status, answer.errors) == (400, ["UNSUPPORTED"])
    assert store.size_of(LOOSE) == 5


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post(registry: Caller, store: Store, method: str) -> None:
    assert registry.call(method, PATH).status == 405
    assert store.size_of(LOOSE) == 5


def test_not_where_nothing_may_be_changed(store: Store) -> None:
    with serving(store, read_only=True) as registry:
        assert registry.call("POST", PATH).status == 405
        assert registry.call("GET", PATH).status == 404
