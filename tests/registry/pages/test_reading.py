"""Manifests and configs, read within a budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.manifest import Manifest
from bundler.registry.pages.config import Config
from bundler.registry.pages.reading import CONFIG_CAP, Reading, annotations_of, is_artifact
from tests.images import Image, artifact, as_json, image, index, layer, manifest_document, part
from tests.registry.pages.shelf import Shelf, open_contents, with_config

BASE = layer("base", 4_000)
WEB = image(BASE, layer("web", 2_000))
ARM = image(BASE, platform="linux/arm64")
MULTI = index(WEB, ARM)


def config_of(what: Image) -> Descriptor:
    return next(p.descriptor for p in what.parts if p.descriptor.media_type == mediatype.OCI_CONFIG)


def test_each_content_counts_once() -> None:
    shelf = Shelf()
    shelf.put("app", "1", MULTI)
    with open_contents(shelf) as contents:
        reading = Reading(contents, "app")
        manifest = reading.parsed(MULTI.raw, MULTI.root)
        assert isinstance(manifest, Manifest)
        assert reading.total(MULTI.root, manifest) == (sum(p.descriptor.size for p in MULTI.parts), True)


def test_a_sparse_index_is_not_all() -> None:
    shelf = Shelf()
    shelf.put("app", "1", MULTI, without=(ARM.root.digest,))
    with open_contents(shelf) as contents:
        reading = Reading(contents, "app")
        manifest = reading.parsed(MULTI.raw, MULTI.root)
        assert isinstance(manifest, Manifest)
        total = sum(p.descriptor.size for p in WEB.parts) + MULTI.root.size
        assert reading.total(MULTI.root, manifest) == (total, False)


def test_deep_indexes_end_no_stack() -> None:
    nested = WEB
    for _ in range(1500):
        nested = index(nested)
    shelf = Shelf()
    shelf.put("app", "1", nested)
    with open_contents(shelf) as contents:
        reading = Reading(contents, "app")
        manifest = reading.parsed(nested.raw, nested.root)
        assert isinstance(manifest, Manifest)
        assert reading.total(nested.root, manifest) == (sum(p.descriptor.size for p in nested.parts), True)


def test_the_budget_ends() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_contents(shelf) as contents:
        reading = Reading(contents, "app", left=config_of(WEB).size)
        assert isinstance(reading.config(config_of(WEB)), Config)
        assert reading.left == 0
        assert "read as much as it may" in str(reading.config(config_of(WEB)))


def test_what_is_damaged_or_elsewhere_is_not_here() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_contents(shelf) as contents:
        assert Reading(contents, "other").config(config_of(WEB)) == "it is not here, or damaged"
        shelf.damage(config_of(WEB).digest)
        assert Reading(contents, "app").config(config_of(WEB)) == "it is not here, or damaged"


def test_what_is_too_large_is_not_read() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    with open_contents(shelf) as contents:
        said = Reading(contents, "app").config(replace(config_of(WEB), size=CONFIG_CAP + 1))
    assert said == "it says that it has 1,048,577 bytes, more than the 1,048,576 that are read for a page"


SORTS = {
    "image": (WEB, False),
    "index": (MULTI, False),
    "artifact type": (artifact(b"x"), True),
    "a config of another kind": (with_config({}, kind="application/vnd.cncf.helm.config.v1+json"), True),
}


@pytest.mark.parametrize(("what", "expected"), SORTS.values(), ids=SORTS.keys())
def test_artifacts(what: Image, expected: bool) -> None:
    with open_contents(Shelf()) as contents:
        manifest = Reading(contents, "app").parsed(what.raw, what.root)
    assert isinstance(manifest, Manifest)
    assert is_artifact(manifest) is expected


def test_annotations_of_the_wrong_kind_are_none() -> None:
    document = manifest_document(mediatype.OCI_MANIFEST, part(b"{}", mediatype.OCI_CONFIG), [])
    assert annotations_of(as_json({**document, "annotations": {"a": "b"}})) == {"a": "b"}
    assert annotations_of(as_json({**document, "annotations": {"a": 1}})) == {}
    assert annotations_of(b"no JSON") == {}
