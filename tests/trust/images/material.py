"""What cosign and others attach to an image, made here byte by byte, so that a test can spoil each part of it.

piece = signature(DIGEST, key("ann"), reference="reg.io/app")        a .sig layer
piece = attestation(DIGEST, key("ann"), "https://spdx.dev/Document") a .att layer
piece = bundle(statement(DIGEST), key("ann"))                        a referrer of cosign 3
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from bundler.oci.digest import Digest, digest_of
from bundler.trust.dsse import pae
from bundler.trust.images.attestation import COSIGN_SIGN
from bundler.trust.images.evidence import DSSE, SIMPLE_SIGNING, Evidence, Kind
from bundler.trust.signing import PrivateKey
from tests.workshop import key

__all__ = ["key"]

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = digest_of(MANIFEST)
OTHER = digest_of(b"another image")
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
SPDX = "https://spdx.dev/Document"


def b64(raw: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(raw).decode()


def evidence(kind: Kind, media_type: str, content: bytes, **more: Any) -> Evidence:
    """A piece as it comes out of a bundle."""
    return Evidence(kind, media_type, content, digest_of(b"its manifest"), digest_of(content), **more)


def payload(digest: Digest = DIGEST, reference: str = "reg.io/team/app", **critical: Any) -> bytes:
    """What cosign signs."""
    value = {
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
            **critical,
        },
        "optional": None,
    }
    return json.dumps(value).encode()


def signature(
    digest: Digest = DIGEST,
    signer: PrivateKey | None = None,
    *,
    reference: str = "reg.io/team/app",
    content: bytes | None = None,
    text: str | None = None,
    **more: Any,
) -> Evidence:
    """A layer of a .sig manifest; ``text`` is the annotation if it isn't to be the signature."""
    content = payload(digest, reference) if content is None else content
    text = b64((signer or key("ann")).sign(content)) if text is None else text
    return evidence("cosign", SIMPLE_SIGNING, content, annotations={"dev.cosignproject.cosign/signature": text}, **more)


def statement(digest: Digest = DIGEST, predicate_type: str = COSIGN_SIGN, **more: Any) -> bytes:
    """An in-toto statement."""
    algorithm, _, value = digest.partition(":")
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "reg.io/team/app", "digest": {algorithm: value}}],
        "predicateType": predicate_type,
        "predicate": {},
        **more,
    }
    return json.dumps(document).encode()


def envelope(content: bytes, *signers: PrivateKey, payload_type: str = IN_TOTO, **more: Any) -> dict[str, Any]:
    """A DSSE envelope as JSON values."""
    signatures: Sequence[dict[str, str]] = [
        {"keyid": "", "sig": b64(signer.sign(pae(payload_type, content)))} for signer in signers
    ]
    return {"payloadType": payload_type, "payload": b64(content), "signatures": signatures, **more}


def attestation(
    digest: Digest = DIGEST, signer: PrivateKey | None = None, predicate_type: str = SPDX, **more: Any
) -> Evidence:
    """A layer of a .att manifest."""
    document = envelope(statement(digest, predicate_type), signer or key("ann"), **more)
    return evidence("attestation", DSSE, json.dumps(document).encode())


def bundle_document(content: bytes, *signers: PrivateKey) -> dict[str, Any]:
    """A sigstore bundle by key as JSON values."""
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": "x"}},
        "dsseEnvelope": envelope(content, *signers),
    }


def bundle(content: bytes | None = None, *signers: PrivateKey, document: dict[str, Any] | None = None) -> Evidence:
    """A sigstore bundle by key, around a statement."""
    if document is None:
        document = bundle_document(statement() if content is None else content, *(signers or (key("ann"),)))
    return evidence("bundle", BUNDLE_TYPE, json.dumps(document).encode())
