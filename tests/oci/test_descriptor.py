"""Descriptors: read from JSON, written as JSON, compared by what they name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ProtocolError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor, descriptor_of
from bundler.oci.digest import digest_of
from bundler.oci.platform import Platform
from bundler.oci.strict_json import Fields

DIGEST = digest_of(b"content")
VALID: dict[str, Any] = {"mediaType": mediatype.OCI_LAYER_GZIP, "digest": DIGEST, "size": 7}

descriptors = st.builds(
    Descriptor,
    media_type=st.sampled_from([mediatype.OCI_MANIFEST, mediatype.OCI_LAYER_GZIP, "application/x"]),
    digest=st.binary(max_size=4).map(digest_of),
    size=st.integers(0, 2**63 - 1),
    platform=st.sampled_from(
        [
            None,
            Platform("linux", "arm", "v7"),
            Platform("windows", "amd64", os_version="10.0.1", os_features=("win32k",)),
        ]
    ),
    artifact_type=st.sampled_from(["", "application/vnd.example"]),
    urls=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    annotations=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@given(descriptors)
def test_round_trip(descriptor: Descriptor) -> None:
    again = descriptor_of(Fields(descriptor.document(), what="x"))
    assert again == descriptor
    assert again.annotations == descriptor.annotations


def test_unknown_members_are_ignored() -> None:
    assert descriptor_of(Fields({**VALID, "data": "Y29udGVudA==", "later": 1}, what="x")).size == 7


def test_annotations_are_no_part_of_equality() -> None:
    plain = descriptor_of(Fields(VALID, what="x"))
    assert descriptor_of(Fields({**VALID, "annotations": {"a": "b"}}, what="x")) == plain
    assert descriptor_of(Fields({**VALID, "size": 8}, what="x")) != plain


def test_one_digest_under_two_media_types_has_two_keys() -> None:
    as_blob = Descriptor(mediatype.OCI_LAYER, DIGEST, 7)
    as_manifest = Descriptor(mediatype.OCI_MANIFEST, DIGEST, 7)
    assert as_blob.key != as_manifest.key
    assert as_blob.key == Descriptor(mediatype.DOCKER_LAYER, DIGEST, 7).key
    assert (as_blob.is_manifest, as_manifest.is_manifest) == (False, True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"mediaType": None}, id="no-media-type"),
        pytest.param({"mediaType": 1}, id="media-type-is-a-number"),
        pytest.param({"digest": None}, id="no-digest"),
        pytest.param({"digest": "sha256:../../etc/passwd"}, id="digest-is-a-path"),
        pytest.param({"size": None}, id="no-size"),
        pytest.param({"size": -1}, id="negative-size"),
        pytest.param({"size": 7.0}, id="size-is-a-float"),
        pytest.param({"size": 2**63}, id="size-beyond-int64"),
        pytest.param({"size": "7"}, id="size-is-text"),
        pytest.param({"platform": []}, id="platform-is-a-list"),
        pytest.param({"platform": {"os": "linux"}}, id="platform-without-architecture"),
        pytest.param({"annotations": {"a": 1}}, id="annotation-is-a-number"),
        pytest.param({"urls": [1]}, id="url-is-a-number"),
        pytest.param({"Platform": {"os": "linux", "architecture": "amd64"}}, id="platform-that-only-go-sees"),
        pytest.param({"annotation\u017f": {"a": "b"}}, id="annotations-that-only-go-sees"),
        pytest.param({"Data": "eA=="}, id="data-that-only-go-sees"),
        pytest.param({"platform": {"os": "linux", "architecture": "arm", "Variant": "v7"}}, id="variant-that-go-sees"),
    ],
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=r"manifest: layers\[0\]"):
        descriptor_of(Fields({**VALID, **change}, what="manifest: layers[0]"))
