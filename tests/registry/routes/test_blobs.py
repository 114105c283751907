"""Blobs as they are asked for and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import ReadOnlyError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.store import Store
from tests import images
from tests.registry.caller import Caller, serving
from tests.registry.visitors import Visiting, visitors

BLOB = bytes(range(256)) * 40
DIGEST = digest_of(BLOB)
APP = images.image(images.layer("base", 3000), images.layer("app", 1000))


class TestBlobs:
    @pytest.fixture(autouse=True)
    def _held(self, registry: Caller) -> None:
        registry.upload("app", BLOB, DIGEST)

    def test_head(self, registry: Caller) -> None:
        answer = registry.call("HEAD", f"/v2/app/blobs/{DIGEST}")
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(BLOB)))
        assert answer.headers["accept-ranges"] == "bytes"

    def test_a_damaged_blob_is_not_there(self, tmp_path: Path) -> None:
        layout = images.write_layout(tmp_path / "layout", {"app:1": APP})
        victim = layout / "blobs/sha256" / APP.blobs[0].descriptor.digest.partition(":")[2]
        victim.write_bytes(b"damaged")
        with serving(Store.open(str(layout))) as registry:
            assert registry.call("HEAD", f"/v2/app/blobs/{APP.blobs[0].descriptor.digest}").status == 404
            assert registry.call("HEAD", f"/v2/app/blobs/{APP.blobs[1].descriptor.digest}").status == 200

    def test_a_damaged_blob_that_cannot_be_moved(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Store, want: Descriptor) -> bool:
            raise ReadOnlyError("the store can't be written")

        monkeypatch.setattr(Store, "has", refuse)
        assert registry.call("HEAD", f"/v2/app/blobs/{DIGEST}").status == 404

    def test_what_is_collected_while_it_is_asked_for(self, registry: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Store, "open_blob", lambda _self, _digest: None)
        assert registry.call("GET", f"/v2/app/blobs/{DIGEST}").errors == ["BLOB_UNKNOWN"]

    def test_head_as_a_blob_leaves_a_manifest_one(self, registry: Caller) -> None:
        app = images.image(images.layer("app", 100))
        registry.push("app", "1", app)
        registry.call("DELETE", "/v2/app/manifests/1")
        assert registry.call("HEAD", f"/v2/app/blobs/{app.root.digest}").status == 200
        assert registry.call("POST", f"/v2/app/blobs/uploads/?mount={app.root.digest}&from=app").status == 201
        assert registry.upload("app", app.raw, app.root.digest).status == 201
        assert registry.call("GET", f"/v2/app/manifests/{app.root.digest}").body == app.raw
        assert registry.put("app", "2", app.raw, app.root.media_type).status == 201

    def test_head_of_somebody_who_may_not_push_notes_nothing(self, store: Store) -> None:
        with serving(store) as everybody:
            everybody.push("app", "1", images.image(images.layer("app", 100)))
            everybody.arrivals.forget_before(float("inf"))
        rules = visitors('- {users: [ann], repositories: ["app"], may: [pull]}')
        digest = images.image(images.layer("app", 100)).blobs[0].descriptor.digest
        with serving(store, access=rules) as registry:
            assert Visiting(registry, "ann").call("HEAD", f"/v2/app/blobs/{digest}").status == 200
            assert registry.arrivals.all() == []
