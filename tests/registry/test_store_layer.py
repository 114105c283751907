"""A store as a layer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.errors import NotFoundError, StoreError
from bundler.oci.digest import digest_of, hex_of
from bundler.registry.layers import BLOB, Blob
from bundler.registry.store_layer import StoreLayer
from bundler.store import Store
from tests import images

APP = images.image(images.layer("app", 2000))
BLOB_OF_APP = APP.blobs[0]


@pytest.fixture
def layer(store: Store) -> StoreLayer:
    images.load(store, {"docker.io/team/app:1": APP, f"team/app@{APP.root.digest}": APP, "untagged": APP})
    return StoreLayer(store)


def test_what_it_is(layer: StoreLayer, store: Store) -> None:
    assert (layer.origin.label, layer.origin.bundle_id, layer.origin.signed) == (store.path, "", False)


def test_names_are_the_same_object_until_they_change(layer: StoreLayer, store: Store) -> None:
    store.tag("team/app:2", APP.root)
    names = layer.names()
    assert layer.names() is names
    assert {named.name for named in layer.named("team/app")} == {
        "team/app:2",
        "docker.io/team/app:1",
        f"team/app@{APP.root.digest}",
    }
    store.untag(["team/app:2"])
    assert layer.names() is not names
    assert layer.named("nobody") == []


def test_what_was_left_out_is_known(store: Store) -> None:
    multi = images.index(APP, images.image(images.layer("arm", 100), platform="linux/arm64"))
    for each in (*APP.parts, multi.parts[-1]):
        store.push(each.descriptor, [each.raw])
    store.tag("team/app:1", multi.root)
    (named,) = StoreLayer(store).named("team/app")
    assert named.left_out == {each.descriptor.digest for each in multi.manifests[:-1]} - {APP.root.digest}


def test_contents(layer: StoreLayer) -> None:
    digest = BLOB_OF_APP.descriptor.digest
    assert layer.size_of(digest) == len(BLOB_OF_APP.raw)
    assert layer.size_of(digest_of(b"absent")) is None
    with layer.open(digest) as file:
        assert file.read() == BLOB_OF_APP.raw
    with pytest.raises(NotFoundError, match="not there any more"):
        layer.open(digest_of(b"absent"))
    assert b"".join(layer.served(digest)) == BLOB_OF_APP.raw
    assert b"".join(layer.served(digest, 100)) == BLOB_OF_APP.raw[100:]
    assert b"".join(layer.served(digest, len(BLOB_OF_APP.raw))) == b""
    with pytest.raises(StoreError, match="is not there"):
        list(layer.served(digest_of(b"absent")))


@pytest.mark.parametrize(("wanted", "got"), [(range(10), 2000), (range(5, 10), 1995), (range(2000), 2000)], ids=str)
def test_parts(store: Store, wanted: range, got: int) -> None:
    raw = bytes(2000)
    store.push(images.part(raw, BLOB).descriptor, [raw])
    blob = Blob(digest_of(raw), 2000, StoreLayer(store))
    assert sum(map(len, blob.part(wanted))) == got
    assert sum(map(len, blob.chunks(10))) == 1990


def test_a_damaged_blob_is_not_there(layer: StoreLayer, store: Store) -> None:
    path = Path(store.path, "blobs/sha256", hex_of(BLOB_OF_APP.descriptor.digest))
    path.write_bytes(b"x" * len(BLOB_OF_APP.raw))
    os.utime(path, (0, 0))
    assert layer.damaged == 0
    assert layer.size_of(BLOB_OF_APP.descriptor.digest) is None
    assert not path.exists()
    assert layer.damaged == 1
    assert list((Path(store.path) / ".bundler/quarantine").iterdir())


def test_a_damaged_blob_on_a_medium_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = images.write_layout(tmp_path / "layout", {"team/app:1": APP})
    path = folder / "blobs/sha256" / hex_of(BLOB_OF_APP.descriptor.digest)
    path.write_bytes(b"damaged")
    monkeypatch.setattr("bundler.store.state.open_state", lambda _root: None)
    layer = StoreLayer(Store.open(folder))
    assert layer.size_of(BLOB_OF_APP.descriptor.digest) is None
    assert layer.size_of(APP.root.digest) == len(APP.raw)
    assert layer.damaged == 0
    assert path.exists()
