"""Images with everything attached to them that tools attach, small and without real signatures in it.

everything = attached_to(WEB)                   # what is attached, by a name that says how
load(memory, {"1.0": WEB, **tagged(everything), **untagged(everything)})
Signing({WEB.root.digest: [b"one"]})            # a repository with simple signatures beside it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bundler.oci import mediatype
from bundler.oci.attached import companion_tags
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from tests.images import EMPTY_JSON, Image, artifact, as_json, index, manifest_document, part
from tests.memory import Memory

SIGSTORE = "application/vnd.dev.sigstore.bundle.v0.3+json"
COSIGN_SIGNED = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"
SCAN = "application/vnd.example.scan"


def cosign_image(
    content: bytes, media_type: str, annotations: Mapping[str, str] | None = None, *, config: str = mediatype.OCI_CONFIG
) -> Image:
    """What lies under one of cosign's tags: a manifest with one layer and no subject."""
    layer = part(content, media_type)
    settings = part(EMPTY_JSON, config)
    document = manifest_document(mediatype.OCI_MANIFEST, settings, [layer])
    document["layers"][0]["annotations"] = dict(annotations or {})
    root = part(as_json(document), mediatype.OCI_MANIFEST)
    return Image(root.descriptor, (layer, settings, root))


def bundle(subject: Image, predicate: str) -> Image:
    """A sigstore bundle as cosign attaches it since version 3."""
    said = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate}
    return artifact(predicate.encode(), subject=subject, artifact_type=SIGSTORE, annotations=said)


def attached_to(subject: Image) -> dict[str, Image]:
    """One of each kind, by tag for those that cosign tags; ``scan-bundle`` is about the scan, not about ``subject``."""
    tags = companion_tags(subject.root.digest)
    scan = artifact(b"a scan", subject=subject, artifact_type=SCAN)
    return {
        tags["signature"]: cosign_image(b"a payload", "application/vnd.dev.cosign.simplesigning.v1+json"),
        tags["attestation"]: cosign_image(
            b"an envelope", "application/vnd.dsse.envelope.v1+json", {"predicateType": PROVENANCE}
        ),
        tags["sbom"]: cosign_image(b"a bill", "text/spdx+json"),
        "bundle": bundle(subject, COSIGN_SIGNED),
        "attested": bundle(subject, SPDX),
        "bill": artifact(b"{}", subject=subject, artifact_type="application/spdx+json"),
        "scan": scan,
        "scan-bundle": bundle(scan, COSIGN_SIGNED),
    }


def fallback(*referrers: Image) -> Image:
    """The list of referrers that clients keep under a tag."""
    return index(*referrers)


class Signing(Memory):
    """A repository with simple signatures beside it, by the digest of what they are about."""

    def __init__(self, beside: Mapping[Digest, Sequence[bytes]], repository: str = "app") -> None:
        super().__init__(repository)
        self.beside = dict(beside)

    def signatures(self, root: Descriptor) -> Sequence[bytes]:
        """Those of a manifest."""
        return self.beside.get(root.digest, ())


class Listless(Memory):
    """A repository without the referrers API."""

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """None that it knows of."""
        return ()
