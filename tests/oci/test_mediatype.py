"""Media types: the questions asked of them."""

from __future__ import annotations

import pytest

from bundler.oci import mediatype


@pytest.mark.parametrize(
    ("media_type", "manifest", "index", "compressed", "foreign"),
    [
        (mediatype.OCI_MANIFEST, True, False, False, False),
        (mediatype.DOCKER_MANIFEST, True, False, False, False),
        (mediatype.OCI_INDEX, True, True, False, False),
        (mediatype.DOCKER_INDEX, True, True, False, False),
        (mediatype.OCI_CONFIG, False, False, False, False),
        (mediatype.DOCKER_CONFIG, False, False, False, False),
        (mediatype.OCI_EMPTY, False, False, False, False),
        (mediatype.OCI_LAYER, False, False, False, False),
        (mediatype.OCI_LAYER_GZIP, False, False, True, False),
        (mediatype.OCI_LAYER_ZSTD, False, False, True, False),
        (mediatype.DOCKER_LAYER, False, False, False, False),
        (mediatype.DOCKER_LAYER_GZIP, False, False, True, False),
        (mediatype.DOCKER_FOREIGN_LAYER, False, False, True, True),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", False, False, True, True),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", False, False, True, False),
        ("application/json", False, False, False, False),
        ("", False, False, False, False),
    ],
)
def test_questions(media_type: str, manifest: bool, index: bool, compressed: bool, foreign: bool) -> None:
    assert mediatype.is_manifest(media_type) is manifest
    assert mediatype.is_index(media_type) is index
    assert mediatype.is_compressed(media_type) is compressed
    assert mediatype.is_foreign(media_type) is foreign


def test_schema_1_is_asked_for_last() -> None:
    assert set(mediatype.ACCEPT[-2:]) == mediatype.SCHEMA1
    assert set(mediatype.ACCEPT[:-2]) == mediatype.MANIFESTS | mediatype.INDEXES
