"""What a Rekor log says of a signature: the entry that it made, and its signature over it, which is as old as the entry.

    {"SignedEntryTimestamp": BASE64,                                  the log's signature over the canonical payload
     "Payload": {"body": BASE64, "integratedTime": 1700000000, "logIndex": 1, "logID": "…"}}
    body: {"kind": "hashedrekord", "apiVersion": "0.0.1",
           "spec": {"data": {"hash": {"algorithm": "sha256", "value": HEX}},
                    "signature": {"content": BASE64, "publicKey": {"content": BASE64 of PEM}}}}

It stands in the annotation ``dev.sigstore.cosign/bundle``. The log is not asked: that it signed the entry is all that can
be known offline. Only the log writes the body, so what it adds there in later years is passed over.

Specification: Rekor, hashedrekord v0.0.1; RFC 8785 for the canonical form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bundler.errors import ConfigError, SignatureError, quoted
from bundler.oci.strict_json import Fields, loads, spellings
from bundler.policy.blobs import decoded
from bundler.policy.signer_keys import SignerKey, holds
from bundler.trust.pem import read_block

CAP = 256 << 10
_LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_EXACT = (1 << 53) - 1
"""The greatest number that every reader of JSON knows exactly, and writes in one way (RFC 8785, 3.2.2.3)."""
_BODY = spellings("kind", "apiVersion", "spec")
_SPEC = spellings("data", "signature", "hash", "algorithm", "value", "content", "publicKey")
_WHAT = "log entry"


@dataclass(frozen=True, slots=True)
class Entry:
    """A signature as a log recorded it: made by the key or under the certificate ``signer`` (DER), over content of ``sha256``."""

    integrated: datetime
    signer: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    sha256: str

    def check(self, payload: bytes, signature: bytes) -> None:
        """Raise :class:`SignatureError` unless it is about this signature over this payload."""
        if self.signature != signature:
            raise SignatureError(f"{_WHAT}: is about another signature")
        if self.sha256 != hashlib.sha256(payload).hexdigest():
            raise SignatureError(f"{_WHAT}: is about other content")


def read_entry(raw: bytes, logs: Sequence[SignerKey]) -> Entry:
    """The entry in an annotation, if one of ``logs`` signed it.

    Raises :class:`SignatureError`, or :class:`LimitError` beyond 256 KiB.
    """
    top = Fields(loads(raw, what=_WHAT, cap=CAP, error=SignatureError), what=_WHAT, error=SignatureError)
    promise, payload = decoded(top.text("SignedEntryTimestamp"), _WHAT), top.object("Payload")
    top.done()
    body, integrated = payload.text("body"), payload.size("integratedTime", most=_LAST)
    signed = _canonical(
        body=body,
        integratedTime=integrated,
        logID=payload.text("logID"),
        logIndex=payload.size("logIndex", most=_EXACT),
    )
    payload.done()
    if not any(holds(log, signed, promise) for log in logs):
        raise SignatureError(f"{_WHAT}: is not signed by the Rekor log that the policy names")
    return _entry(datetime.fromtimestamp(integrated, UTC), decoded(body, f"{_WHAT}: body"))


def _canonical(**document: str | int) -> bytes:
    """The one form of an object of texts and whole numbers (RFC 8785)."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _entry(integrated: datetime, raw: bytes) -> Entry:
    what = f"{_WHAT}: body"
    top = Fields(loads(raw, what=what, cap=CAP, error=SignatureError), what=what, error=SignatureError)
    top.spelled(_BODY)
    kind, version = top.text("kind"), top.text("apiVersion")
    if (kind, version) != ("hashedrekord", "0.0.1"):
        raise SignatureError(f"{what}: is a {quoted(kind)!r} {quoted(version)!r}, where a hashedrekord 0.0.1 is wanted")
    spec = top.object("spec")
    data, signature = spec.object("data"), spec.object("signature")
    digest, key = data.object("hash"), signature.object("publicKey")
    for each in (spec, data, signature, digest, key):
        each.spelled(_SPEC)
    if (algorithm := digest.text("algorithm")) != "sha256":
        raise digest.fail("algorithm", f"is {quoted(algorithm)!r}, where sha256 is wanted")
    try:
        _, signer = read_block(decoded(key.text("content"), f"{what}: publicKey"), what=f"{what}: publicKey")
    except ConfigError as problem:
        raise SignatureError(str(problem)) from None
    return Entry(
        integrated, signer, decoded(signature.text("content"), f"{what}: signature"), digest.text("value").lower()
    )
