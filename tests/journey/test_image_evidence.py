from __future__ import annotations

import pytest

from bundler.journey import image_evidence
from bundler.journey.image_evidence import gather
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.mediatype import OCI_MANIFEST
from bundler.pull import attachments
from bundler.trust.images.evidence import GPG
from tests.images import artifact
from tests.journey.attaching import Attaching
from tests.trust.images.material import BUNDLE_TYPE, attestation, bundle, evidence, key, signature
from tests.workshop import API, WEB

NAME = "reg.io/team/web:1.0"


@pytest.fixture
def place() -> Attaching:
    return Attaching()


def test_what_is_attached_in_every_way(place: Attaching) -> None:
    place.attach(WEB.root.digest, signature(WEB.root.digest), signature(WEB.root.digest, key("bob")))
    place.attach(WEB.root.digest, attestation(WEB.root.digest))
    place.refer(WEB.root, bundle())
    place.refer(WEB.root, evidence("gpg", GPG, b"a message"))
    found = gather(place.memory, place.carried(NAME, WEB))
    assert [each.kind for each in found] == ["cosign", "cosign", "attestation", "bundle", "gpg"]
    assert {each.subject for each in found} == {WEB.root.digest}
    assert found[0].annotations["dev.cosignproject.cosign/signature"]
    assert found[4].content == b"a message"
    assert {each.problem for each in found} == {""}


def test_the_fallback_index_is_followed(place: Attaching) -> None:
    one = place.refer(WEB.root, bundle()).root
    two = place.refer(WEB.root, bundle(None, key("bob"))).root
    place.attachments.clear()
    place.fallback(WEB.root.digest, [one, two])
    found = gather(place.memory, place.carried(NAME, WEB))
    assert [(each.kind, each.origin) for each in found] == [("bundle", one.digest), ("bundle", two.digest)]


def test_a_referrer_that_the_index_lists_and_nobody_carries(place: Attaching) -> None:
    place.fallback(WEB.root.digest, [Descriptor(OCI_MANIFEST, digest_of(b"gone"), 4)])
    (found,) = gather(place.memory, place.carried(NAME, WEB))
    assert found.kind == "other"
    assert "can't be read" in found.problem


def test_other_artifacts_are_named_and_not_read(place: Attaching) -> None:
    sbom = artifact(b"{}", subject=WEB, artifact_type="application/vnd.example.sbom")
    place.load(sbom)
    image = place.carried(NAME, WEB)
    place.attachments.clear()
    from bundler.bundle.statement import Attachment, CarriedImage

    image = CarriedImage(image.name, image.target, image.root, attachments=(Attachment("", sbom.root),))
    (found,) = gather(place.memory, image)
    assert (found.kind, found.media_type, found.content) == ("other", "application/vnd.example.sbom", b"")
    assert found.subject == WEB.root.digest


def test_an_attachment_of_an_attachment_claims_that(place: Attaching) -> None:
    first = place.refer(WEB.root, bundle())
    place.refer(first.root, bundle(None, key("bob")))
    found = gather(place.memory, place.carried(NAME, WEB))
    assert [each.subject for each in found] == [WEB.root.digest, first.root.digest]


def test_a_tag_that_is_no_digests_claims_nothing(place: Attaching) -> None:
    place.attach(WEB.root.digest, signature(), tag="sha256-00.sig")
    assert gather(place.memory, place.carried(NAME, WEB))[0].subject is None


def test_a_manifest_that_is_damaged_is_told(place: Attaching) -> None:
    root = place.attach(WEB.root.digest, signature()).root
    image = place.carried(NAME, WEB)
    place.memory.contents[root.digest] = b"x" * root.size
    (found,) = gather(place.memory, image)
    assert "can't be read" in found.problem


def test_a_signature_that_was_swapped_is_told(place: Attaching) -> None:
    piece = signature()
    place.attach(WEB.root.digest, piece, signature(signer=key("bob")))
    image = place.carried(NAME, WEB)
    place.memory.contents[piece.digest] = b"y" * len(piece.content)
    found = gather(place.memory, image)
    assert "can't be read" in found[0].problem
    assert found[0].content == b""


def test_what_is_too_large_is_told_and_not_read(place: Attaching) -> None:
    place.attach(WEB.root.digest, signature(content=bytes(70_000), text="AAAA"))
    image = place.carried(NAME, WEB)
    before = len(place.memory.calls)
    (found,) = gather(place.memory, image)
    assert "more than the 65536 allowed" in found.problem
    assert len(place.memory.calls) == before + 1


def test_indexes_in_indexes_end(place: Attaching) -> None:
    root = place.refer(WEB.root, bundle()).root
    for _ in range(6):
        root = place.fallback(WEB.root.digest, [root]).root
    place.attachments[:] = place.attachments[-1:]
    (found,) = gather(place.memory, place.carried(NAME, WEB))
    assert "nested more than" in found.problem


def test_one_manifest_twice_is_read_once(place: Attaching) -> None:
    root = place.refer(WEB.root, bundle()).root
    place.fallback(WEB.root.digest, [root, root])
    assert len(gather(place.memory, place.carried(NAME, WEB))) == 1


def test_one_manifest_under_two_tags_claims_to_be_about_both(place: Attaching) -> None:
    """Who moves a signature under another image's tag must not take it away from its own."""
    piece = signature()
    place.attach(API.root.digest, piece)
    place.attach(WEB.root.digest, piece)
    found = gather(place.memory, place.carried(NAME, WEB))
    assert [each.subject for each in found] == [API.root.digest, WEB.root.digest]


def test_small_contents_are_read_before_giants(place: Attaching) -> None:
    """Whoever can attach something upstream can't put giants before a signature, so that nobody looks at it."""
    for seed in (b"a", b"b", b"c"):
        place.refer(WEB.root, evidence("bundle", BUNDLE_TYPE, seed * (16 << 20)))
    place.attach(WEB.root.digest, signature())
    found = gather(place.memory, place.carried(NAME, WEB))
    assert [bool(each.content) for each in found] == [True, False, False, True]
    assert all("smaller ones" in each.problem for each in found[1:3])


def test_as_many_manifests_are_looked_at_as_a_pull_carries() -> None:
    assert image_evidence.MAX_MANIFESTS >= attachments.MAX_ATTACHED


def test_more_manifests_than_are_looked_at(place: Attaching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_evidence, "MAX_MANIFESTS", 3)
    for name in ("a", "b", "c", "d", "e"):
        place.refer(WEB.root, bundle(None, key(name)))
    found = gather(place.memory, place.carried(NAME, WEB))
    assert len(found) == 4
    assert "not looked at" in found[3].problem


def test_100_000_signatures_end(place: Attaching) -> None:
    piece = signature()
    root = place.attach(WEB.root.digest, *([piece] * 10_000)).root
    assert root.size < 4 << 20
    found = gather(place.memory, place.carried(NAME, WEB))
    assert len(found) == image_evidence.MAX_PIECES


def test_more_bytes_than_are_looked_at(place: Attaching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_evidence, "MAX_BYTES", len(signature().content) + 10)
    place.attach(WEB.root.digest, signature(), signature(signer=key("bob")))
    found = gather(place.memory, place.carried(NAME, WEB))
    assert found[0].problem == ""
    assert "stands behind" in found[1].problem
