"""What a manifest that is attached says it is, and where such things are looked for."""

from __future__ import annotations

import pytest

from bundler.errors import ProtocolError
from bundler.oci import mediatype
from bundler.oci.attached import Attached, attached, companion_tags, listed, referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from tests.attachments import COSIGN_SIGNED, PROVENANCE, SIGSTORE, bundle, cosign_image
from tests.images import Image, artifact, image, index, layer

WEB = image(layer("web", 20))
SUBJECT = WEB.root.digest


def said(held: Image, **more: str) -> Attached:
    return attached(held.raw, held.root, what="it", **more)  # type: ignore[arg-type]  # a kind


def test_the_tags_of_long_digests() -> None:
    long = digest_of(b"", "sha512")
    assert len(companion_tags(long)["signature"]) == 139
    assert referrers_tag(long) == "sha512-" + long[7:71]


@pytest.mark.parametrize(
    ("artifact_type", "kind"),
    [
        ("application/vnd.dev.cosign.artifact.sig.v1+json", "signature"),
        ("application/vnd.cncf.notary.signature", "signature"),
        ("application/vnd.oci-bundler.simple-signatures.v1+json", "signature"),
        ("application/vnd.in-toto+json", "attestation"),
        ("application/spdx+json", "sbom"),
        ("text/spdx", "sbom"),
        ("application/vnd.cyclonedx+json", "sbom"),
        ("application/vnd.dev.cosign.artifact.sbom.v1+json", "sbom"),
        ("application/vnd.example.scan", "other"),
        ("application/vnd.dev.cosignature", "other"),
    ],
)
def test_kinds_by_type(artifact_type: str, kind: str) -> None:
    held = artifact(b"x", subject=WEB, artifact_type=artifact_type)
    assert said(held) == Attached(kind, artifact_type, (), SUBJECT)  # type: ignore[arg-type]  # of the table
    assert listed(held.root).kind == kind


@pytest.mark.parametrize(
    ("predicate", "kind"), [(COSIGN_SIGNED, "signature"), (PROVENANCE, "attestation"), ("", "signature")]
)
def test_a_sigstore_bundle_by_its_predicate(predicate: str, kind: str) -> None:
    assert said(bundle(WEB, predicate)).kind == kind
    entry = Descriptor(mediatype.OCI_MANIFEST, SUBJECT, 1, artifact_type=SIGSTORE)
    noted = Descriptor(
        mediatype.OCI_MANIFEST, SUBJECT, 1, artifact_type=SIGSTORE,
        annotations={"dev.sigstore.bundle.predicateType": predicate},
    )  # fmt: skip
    assert (listed(entry).kind, listed(noted).kind) == ("signature", kind)


def test_the_tag_decides_where_the_manifest_says_nothing() -> None:
    held = cosign_image(b"x", "application/vnd.dsse.envelope.v1+json", {"predicateType": PROVENANCE})
    assert said(held).kind == "attestation"
    assert said(held, kind="signature") == Attached("signature", "", (PROVENANCE,))


def test_a_config_s_type_is_the_artifact_s_unless_it_is_any_image_s() -> None:
    held = cosign_image(b"x", "text/plain", config="application/vnd.example.config")
    assert said(held).artifact_type == "application/vnd.example.config"
    assert said(WEB).artifact_type == ""


def test_an_index_may_be_attached() -> None:
    assert said(index(WEB)) == Attached("other")


def test_types_for_a_terminal_and_without_end_are_none() -> None:
    held = cosign_image(b"x", "text/plain", {"predicateType": "p" * 300, "in-toto.io/predicate-type": "\x1b[2J"})
    assert said(held).predicates == ()
    assert said(artifact(b"x", artifact_type="application/\u202ex")).artifact_type == ""


def test_no_manifest() -> None:
    with pytest.raises(ProtocolError):
        attached(b"[]", WEB.root, what="it")
