"""Signatures under a certificate as cosign 1 and 2 keep them: a layer of a ``.sig`` or ``.att``, and its annotations.

    dev.cosignproject.cosign/signature    over the layer's content; in a .att the envelope holds its own
    dev.sigstore.cosign/certificate       of the signer, PEM
    dev.sigstore.cosign/chain             not looked at: what may stand above a certificate is for the trusted root to say
    dev.sigstore.cosign/bundle            {"SignedEntryTimestamp": BASE64, "Payload": {body, integratedTime, logIndex, logID}}

The last is what the transparency log promised when it took the entry in, signed with its key; a proof that it did comes
with sigstore bundles only. So cosign itself verifies these offline, and so does :class:`Annotated`: every step of
sigstore-python but for the inclusion proof, in whose place the promise must hold.

Specification: cosign, specs/SIGNATURE_SPEC.md, "Properties"; rekor, "Signed Entry Timestamp".
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from sigstore.models import Bundle, InvalidBundle, TransparencyLogEntry

from bundler.oci.digest import is_digest
from bundler.oci.strict_json import Fields, loads, spellings
from bundler.trust.images.cosign import CERTIFICATE, LOG_ENTRY, SIGNATURE
from bundler.trust.images.envelope import decoded, wrong
from bundler.trust.images.evidence import Evidence

if TYPE_CHECKING:
    from sigstore._internal.trust import RekorKeyring

CERTIFICATE_CAP = 64 << 10
"""Characters of a certificate's annotation."""
ENTRY_CAP = 4 << 20
"""Bytes of the log's annotation, which holds the signature and the certificate once more."""
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_NO_PROOF = {"logIndex": "0", "treeSize": "1", "rootHash": "", "hashes": []}
"""The library's document wants a proof. This one can't hold, should it ever be looked at."""
_KEYS = spellings("SignedEntryTimestamp", "Payload")
_PAYLOAD_KEYS = spellings("body", "integratedTime", "logIndex", "logID")
_BODY_KEYS = spellings("apiVersion", "kind", "spec")


class Promised(TransparencyLogEntry):
    """An entry that the log promised to take in."""

    def _validate(self) -> None:
        if self._inner.inclusion_promise is None or not self._inner.integrated_time:
            raise InvalidBundle("entry must contain an inclusion promise, with its time")

    def _verify(self, keyring: RekorKeyring) -> None:
        self._verify_set(keyring)


class Annotated(Bundle):
    """What :func:`read_annotated` reads, for the library's verifier."""

    def _verify(self) -> None:
        from cryptography.x509 import load_der_x509_certificate

        material = self._inner.verification_material
        assert material.certificate is not None
        self._signing_certificate = load_der_x509_certificate(material.certificate.raw_bytes)
        self._log_entry = Promised(material.tlog_entries[0])


def read_annotated(evidence: Evidence) -> Bundle:
    """The bundle in a layer's content and annotations.

    Raises :class:`SignatureError` or :class:`bundler.errors.LimitError` for what is missing or malformed.
    """
    said = evidence.annotations
    if not said.get(LOG_ENTRY):
        raise wrong("its certificate comes without the transparency log's entry, so nobody knows when it signed")
    material = {
        "certificate": {"rawBytes": _certificate(said[CERTIFICATE])},
        "tlogEntries": [log_entry(said[LOG_ENTRY])],
    }
    document: dict[str, Any] = {"mediaType": _MEDIA_TYPE, "verificationMaterial": material}
    if evidence.kind == "attestation":
        document["dsseEnvelope"] = loads(evidence.content, what="envelope", cap=len(evidence.content), error=wrong)
    else:
        if decoded(said.get(SIGNATURE, "")) is None:
            raise wrong("cosign signature: its annotation is missing, or not base64")
        document["messageSignature"] = {"signature": said[SIGNATURE]}
    return Annotated.from_json(json.dumps(document))


def _certificate(pem: str) -> str:
    """The one certificate of an annotation, as base64 of its DER."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    try:
        if len(pem) > CERTIFICATE_CAP:
            raise ValueError
        (found,) = load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise wrong("cosign signature: its certificate's annotation is not one certificate in PEM") from None
    return _base64(found.public_bytes(Encoding.DER))


def log_entry(text: str) -> dict[str, Any]:
    """The log's annotation as the library's document has it. What it says is held against the rest by the verifier.

    Raises as :func:`read_annotated` does.
    """
    top = Fields(loads(text.encode(), what="log entry", cap=ENTRY_CAP, error=wrong), what="log entry", error=wrong)
    top.spelled(_KEYS)
    payload = top.object("Payload")
    payload.spelled(_PAYLOAD_KEYS)
    body = decoded(payload.text("body"))
    if body is None:
        raise payload.fail("body", "must be standard base64 and not empty")
    log = payload.text("logID")
    if not is_digest(f"sha256:{log}"):
        raise payload.fail("logID", "must be a SHA-256 in lower-case hexadecimal")
    entry = Fields(
        loads(body, what="log entry's body", cap=ENTRY_CAP, error=wrong), what="log entry's body", error=wrong
    )
    entry.spelled(_BODY_KEYS)
    return {
        "logIndex": str(payload.size("logIndex")),
        "logId": {"keyId": _base64(bytes.fromhex(log))},
        "kindVersion": {"kind": entry.text("kind"), "version": entry.text("apiVersion")},
        "integratedTime": str(payload.size("integratedTime")),
        "inclusionPromise": {"signedEntryTimestamp": top.text("SignedEntryTimestamp")},
        "inclusionProof": _NO_PROOF,
        "canonicalizedBody": payload.text("body"),
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
