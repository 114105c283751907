"""Manifests: the children of every kind, and the ambiguous ones refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.errors import LimitError, ProtocolError, UnsupportedError
from bundler.oci import mediatype
from bundler.oci.manifest import parse_manifest, sniff_media_type
from tests.images import Image, artifact, as_json, family, image, index, layer, part

BASE = layer("base", 50)
WEB = image(BASE)


def parsed(document: dict[str, Any], media_type: str = mediatype.OCI_MANIFEST) -> Any:
    return parse_manifest(as_json(document), media_type, what="far/app:1")


def document(held: Image, **change: Any) -> dict[str, Any]:
    value = {**json.loads(held.raw), **change}
    return {name: member for name, member in value.items() if member is not ...}


@pytest.mark.parametrize("name", family())
def test_children_of_each_kind_are_all_there(name: str) -> None:
    held = family()[name]
    known = held.digests()
    for wanted in held.manifests:
        manifest = parse_manifest(wanted.raw, wanted.descriptor.media_type, what=name)
        assert manifest.is_index == (manifest.config is None)
        assert {child.digest for child in manifest.children()} <= known


def test_an_image_lists_its_config_first() -> None:
    manifest = parsed(document(WEB))
    assert [child.digest for child in manifest.children()] == [WEB.parts[1].descriptor.digest, BASE.descriptor.digest]
    assert manifest.layers == (BASE.descriptor,)


def test_an_index_lists_its_manifests_with_their_platforms() -> None:
    arm = image(BASE, platform="linux/arm64")
    both = index(WEB, arm)
    manifest = parse_manifest(both.raw, mediatype.OCI_INDEX, what="x")
    assert manifest.children() == (WEB.root, arm.root)
    assert [str(child.platform) for child in manifest.manifests] == ["linux/amd64", "linux/arm64"]


def test_a_subject_is_no_child() -> None:
    about = artifact(b"sbom", subject=WEB)
    manifest = parse_manifest(about.raw, mediatype.OCI_MANIFEST, what="x")
    assert manifest.subject is not None
    assert manifest.subject.digest == WEB.root.digest
    assert WEB.root.digest not in {child.digest for child in manifest.children()}
    assert manifest.artifact_type == "application/vnd.example.sbom.v1+json"


def test_foreign_layers_are_recorded_and_not_fetched() -> None:
    foreign = part(b"windows", mediatype.DOCKER_FOREIGN_LAYER, urls=("https://example.com/layer",))
    manifest = parsed(document(WEB, layers=[foreign.descriptor.document(), BASE.descriptor.document()]))
    assert len(manifest.layers) == 2
    assert manifest.layers[0].urls == ("https://example.com/layer",)
    assert foreign.descriptor.digest not in {child.digest for child in manifest.children()}


@pytest.mark.parametrize("layers", [[], ...], ids=["empty", "absent"])
def test_an_artifact_may_have_no_layers(layers: Any) -> None:
    assert parsed(document(WEB, layers=layers)).layers == ()


def test_a_media_type_may_be_left_out() -> None:
    assert parsed(document(WEB, mediaType=...)).media_type == mediatype.OCI_MANIFEST


def test_an_empty_index() -> None:
    assert parsed({"schemaVersion": 2, "manifests": []}, mediatype.OCI_INDEX).children() == ()


INDEX = index(WEB)


@pytest.mark.parametrize(
    ("value", "media_type", "message"),
    [
        pytest.param(document(WEB, schemaVersion=1), mediatype.OCI_MANIFEST, "schemaVersion", id="version-1"),
        pytest.param(document(WEB, schemaVersion="2"), mediatype.OCI_MANIFEST, "schemaVersion", id="version-text"),
        pytest.param(document(WEB, schemaVersion=...), mediatype.OCI_MANIFEST, "schemaVersion", id="no-version"),
        pytest.param(document(WEB), mediatype.OCI_INDEX, "says mediaType", id="manifest-served-as-index"),
        pytest.param(document(WEB), mediatype.DOCKER_MANIFEST, "says mediaType", id="oci-served-as-docker"),
        pytest.param(document(INDEX), mediatype.OCI_MANIFEST, "says mediaType", id="index-served-as-manifest"),
        pytest.param(document(WEB, mediaType=5), mediatype.OCI_MANIFEST, "mediaType", id="media-type-number"),
        pytest.param(document(WEB, manifests=[]), mediatype.OCI_MANIFEST, "both manifests", id="both-as-manifest"),
        pytest.param(document(INDEX, layers=[]), mediatype.OCI_INDEX, "both manifests", id="index-with-layers"),
        pytest.param(
            document(INDEX, config=WEB.root.document()), mediatype.OCI_INDEX, "both manifests", id="index-with-config"
        ),
        pytest.param(document(WEB, config=...), mediatype.OCI_MANIFEST, "config", id="no-config"),
        pytest.param(document(WEB, layers={}), mediatype.OCI_MANIFEST, "layers", id="layers-object"),
        pytest.param(document(WEB, layers=[None]), mediatype.OCI_MANIFEST, r"layers\[0\]", id="null-layer"),
        pytest.param(document(WEB, subject="x"), mediatype.OCI_MANIFEST, "subject", id="subject-text"),
        pytest.param(document(INDEX, manifests=...), mediatype.OCI_INDEX, "manifests is missing", id="no-manifests"),
        pytest.param(document(WEB), "application/json", "not the media type of a manifest", id="not-a-manifest"),
    ],
)
def test_refused(value: dict[str, Any], media_type: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=f"far/app:1: .*{message}"):
        parsed(value, media_type)


LIES = WEB.root.document()


@pytest.mark.parametrize(
    ("value", "media_type", "name"),
    [
        pytest.param(document(WEB, layers=..., Layers=[LIES]), mediatype.OCI_MANIFEST, "layers", id="layers"),
        pytest.param(document(WEB, mediaType=..., MediaType="x"), mediatype.OCI_MANIFEST, "mediaType", id="media-type"),
        pytest.param(
            {**document(WEB, layers=...), "layer\u017f": [LIES]}, mediatype.OCI_MANIFEST, "layers", id="long-s"
        ),
        pytest.param(document(WEB, Subject=LIES), mediatype.OCI_MANIFEST, "subject", id="subject"),
        pytest.param(document(WEB, ArtifactType="x"), mediatype.OCI_MANIFEST, "artifactType", id="artifact-type"),
        pytest.param(document(WEB, Manifests=None), mediatype.OCI_MANIFEST, "manifests", id="null"),
        pytest.param(document(INDEX, Config=LIES), mediatype.OCI_INDEX, "config", id="config-in-an-index"),
        pytest.param(
            document(INDEX, manifests=[{**LIES, "Urls": ["x"]}]), mediatype.OCI_INDEX, "urls", id="in-a-descriptor"
        ),
    ],
)
def test_a_member_that_only_go_would_see_is_refused(value: dict[str, Any], media_type: str, name: str) -> None:
    with pytest.raises(ProtocolError, match=f"must be spelled {name}$"):
        parsed(value, media_type)
    if "manifests" not in value:
        with pytest.raises(ProtocolError, match=f"must be spelled {name}$"):
            sniff_media_type(as_json(value), what="x")


@pytest.mark.parametrize("media_type", sorted(mediatype.SCHEMA1))
def test_schema_1_says_what_to_do(media_type: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        parsed({"schemaVersion": 1}, media_type)
    assert "re-push" in caught.value.hint


def test_a_manifest_has_a_cap() -> None:
    with pytest.raises(LimitError):
        parse_manifest(b" " * (4 << 20) + b"{}", mediatype.OCI_MANIFEST, what="x")


@pytest.mark.parametrize("name", family())
def test_sniffing_finds_the_media_type(name: str) -> None:
    held = family()[name]
    assert sniff_media_type(held.raw, what="x") == held.root.media_type


def test_sniffing_by_shape() -> None:
    assert sniff_media_type(as_json(document(WEB, mediaType=...)), what="x") == mediatype.OCI_MANIFEST
    assert sniff_media_type(as_json(document(INDEX, mediaType=...)), what="x") == mediatype.OCI_INDEX
    with pytest.raises(ProtocolError, match="neither"):
        sniff_media_type(b"{}", what="x")
