"""What a root leads to, and what it must not lead to."""

from __future__ import annotations

from collections import Counter

import pytest

from bundler.errors import LimitError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry import reach as module
from bundler.registry.names import Named
from bundler.registry.reach import Reach, Reaches
from tests import images
from tests.images import Image, Part, artifact, as_json, image, index, layer, manifest_document, part

APP = image(layer("app", 300))
ARM = image(layer("arm", 300), platform="linux/arm64")
MULTI = index(APP, ARM)
NESTED = index(MULTI, ARM)


class Reading:
    """Manifests in memory; ``asked`` counts how often each was read."""

    def __init__(self, *held: Image | Part, without: frozenset[Digest] = frozenset()) -> None:
        parts = [each for one in held for each in (one.parts if isinstance(one, Image) else (one,))]
        self.raw = {each.descriptor.digest: each.raw for each in parts if each.descriptor.digest not in without}
        self.asked: Counter[Digest] = Counter()
        self.reaches = Reaches(self.read)

    def read(self, want: Descriptor) -> bytes | None:
        self.asked[want.digest] += 1
        return self.raw.get(want.digest)

    def of(self, root: Descriptor, *left_out: Digest) -> Reach:
        return self.reaches.of(Named("app:1", root, frozenset(left_out)))


@pytest.mark.parametrize("name", images.family())
def test_everything_below(name: str) -> None:
    wanted = images.family()[name]
    reach = Reading(wanted).of(wanted.root)
    assert reach.manifests.keys() == {each.descriptor.digest for each in wanted.manifests}
    assert reach.blobs.keys() == {each.descriptor.digest for each in wanted.blobs}
    assert reach.whole
    assert all(reach.find(digest) for digest in wanted.digests())
    assert reach.find(layer("other", 10).descriptor.digest) is None


def test_walked_once() -> None:
    reading = Reading(NESTED)
    assert reading.of(NESTED.root) is reading.of(NESTED.root)
    assert set(reading.asked.values()) == {1}


def test_left_out_children_lead_nowhere() -> None:
    reading = Reading(NESTED)
    reach = reading.of(NESTED.root, ARM.root.digest)
    assert reach.manifests.keys() == {NESTED.root.digest, MULTI.root.digest, APP.root.digest}
    assert reach.blobs.keys() == {each.descriptor.digest for each in APP.blobs}
    assert reach.whole
    assert ARM.root.digest in reading.of(NESTED.root).manifests  # another name may have it


def test_what_is_absent_may_come() -> None:
    reading = Reading(MULTI, without=frozenset([ARM.root.digest]))
    reach = reading.of(MULTI.root)
    assert ARM.root.digest not in reach.manifests
    assert not reach.whole
    reading.raw[ARM.root.digest] = ARM.raw
    assert ARM.root.digest in reading.of(MULTI.root).manifests


def test_a_layer_that_is_called_a_manifest_leads_nowhere() -> None:
    """Nobody has looked whether what it lists may be read from here."""
    hidden = part(APP.raw, mediatype.OCI_MANIFEST)
    config = part(b"{}", mediatype.OCI_CONFIG)
    root = part(as_json(manifest_document(mediatype.OCI_MANIFEST, config, [hidden])), mediatype.OCI_MANIFEST)
    reach = Reading(APP, hidden, config, root).of(root.descriptor)
    assert reach.manifests.keys() == {root.descriptor.digest}
    assert reach.blobs.keys() == {hidden.descriptor.digest, config.descriptor.digest}


def test_blobs_of_an_index() -> None:
    """As build caches list them."""
    blob = layer("cache", 100)
    raw = as_json({"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [blob.descriptor.document()]})
    root = part(raw, mediatype.OCI_INDEX)
    assert Reading(root).of(root.descriptor).blobs.keys() == {blob.descriptor.digest}
    assert Reading(root).of(root.descriptor, blob.descriptor.digest).blobs == {}


def test_a_layer_is_never_left_out() -> None:
    """It is needed by its manifest, even if an index lists it too and does without."""
    reach = Reading(MULTI).of(MULTI.root, APP.blobs[0].descriptor.digest)
    assert APP.blobs[0].descriptor.digest in reach.blobs


def test_a_circle_ends() -> None:
    """Digests can't make one, but what is read is not always what was listed."""
    reading = Reading(MULTI)
    reading.raw[APP.root.digest] = MULTI.raw
    assert reading.of(MULTI.root).manifests.keys() == {each.descriptor.digest for each in MULTI.manifests}


def test_what_cannot_be_understood_leads_nowhere() -> None:
    broken = part(b'{"schemaVersion":2}', mediatype.OCI_MANIFEST)
    reach = Reading(broken).of(broken.descriptor)
    assert (reach.manifests.keys(), reach.blobs) == ({broken.descriptor.digest}, {})


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONTENTS", 3)
    with pytest.raises(LimitError, match="more than 3 contents"):
        Reading(MULTI).of(MULTI.root)


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM", 5)
    reading = Reading(APP, ARM)
    for root in (APP.root, ARM.root, APP.root):
        reading.of(root)
    assert reading.asked == {APP.root.digest: 2, ARM.root.digest: 1}


def test_long_annotations_are_remembered_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM", 50)
    large = artifact(b"x", subject=APP, annotations={"note": "x" * 20_000})
    reading = Reading(APP, large)
    for root in (large.root, APP.root, large.root):
        reading.of(root)
    assert reading.asked[large.root.digest] == 2


def test_referrers() -> None:
    sbom = artifact(b"sbom", subject=APP, artifact_type="application/spdx+json", annotations={"a": "b"})
    [(subject, referrer)] = Reading(sbom).of(sbom.root).referrers
    assert subject == APP.root.digest
    assert (referrer.digest, referrer.media_type, referrer.size) == (
        sbom.root.digest,
        mediatype.OCI_MANIFEST,
        len(sbom.raw),
    )
    assert (referrer.artifact_type, referrer.annotations) == ("application/spdx+json", {"a": "b"})


def test_the_artifact_type_is_that_of_the_config_if_there_is_none() -> None:
    config = part(b"{}", "application/vnd.example.config+json")
    document = manifest_document(mediatype.OCI_MANIFEST, config, [])
    root = part(as_json({**document, "subject": APP.root.document()}), mediatype.OCI_MANIFEST)
    [(_, referrer)] = Reading(root).of(root.descriptor).referrers
    assert referrer.artifact_type == "application/vnd.example.config+json"


def test_an_index_refers_too() -> None:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "artifactType": "application/vnd.example.set",
        "manifests": [],
        "subject": APP.root.document(),
        "annotations": {"k": "v"},
    }
    root = part(as_json(document), mediatype.OCI_INDEX)
    [(subject, referrer)] = Reading(root).of(root.descriptor).referrers
    assert (subject, referrer.artifact_type, referrer.media_type, referrer.annotations) == (
        APP.root.digest,
        "application/vnd.example.set",
        mediatype.OCI_INDEX,
        {"k": "v"},
    )


def test_annotations_that_are_no_text_are_none() -> None:
    document = manifest_document(mediatype.OCI_MANIFEST, part(b"{}", mediatype.OCI_EMPTY), [])
    document |= {"subject": APP.root.document(), "annotations": {"k": 1}}
    root = part(as_json(document), mediatype.OCI_MANIFEST)
    [(_, referrer)] = Reading(root).of(root.descriptor).referrers
    assert referrer.annotations == {}
