"""Simple signatures on the road: GPG signatures that lie beside a registry, as an artifact that has the image as subject.

    signature files ──▶ one artifact manifest ── config {}            any registry keeps it, any tool finds it by subject
                        artifactType …simple-signatures.v1+json
                        subject ──▶ the signed manifest
                        layers: one per signature, sorted by digest

The same signatures of the same manifest give the same bytes, so the digest can be locked, and the artifact made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from bundler.oci import mediatype
from bundler.oci.attached import SIMPLE_SIGNATURES
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of

SIGNATURE_TYPE = "application/vnd.oci-bundler.simple-signature"
"""Media type of a layer: one OpenPGP message as containers-signature(5) describes it."""
EMPTY = b"{}"
EMPTY_CONFIG = Descriptor(mediatype.OCI_EMPTY, digest_of(EMPTY), len(EMPTY))


def signature_layers(signatures: Iterable[bytes]) -> tuple[Descriptor, ...]:
    """The layers for these signatures: each once, sorted by digest."""
    found = {digest_of(raw): len(raw) for raw in signatures}
    return tuple(Descriptor(SIGNATURE_TYPE, digest, size) for digest, size in sorted(found.items()))


def write_simple_signatures(subject: Descriptor, layers: Sequence[Descriptor]) -> tuple[Descriptor, bytes]:
    """The artifact manifest of the signatures ``layers`` of ``subject``, and its descriptor."""
    bare = Descriptor(subject.media_type, subject.digest, subject.size)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": SIMPLE_SIGNATURES,
        "config": EMPTY_CONFIG.document(),
        "layers": [layer.document() for layer in layers],
        "subject": bare.document(),
    }
    raw = json.dumps(document, separators=(",", ":")).encode()
    return Descriptor(mediatype.OCI_MANIFEST, digest_of(raw), len(raw), artifact_type=SIMPLE_SIGNATURES), raw
