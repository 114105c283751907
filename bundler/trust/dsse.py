"""DSSE envelopes (secure-systems-lab/dsse, protocol v1.0.2 and envelope v1.0.0): a payload and who signed it.

What is signed is the pre-authentication encoding, which holds the payload's type and length beside its exact bytes: a
signature can't be carried over to another kind of document. The payload is kept as the bytes that were signed and never
written anew.

    {"payloadType": "application/vnd.in-toto+json", "payload": BASE64, "signatures": [{"keyid": …, "sig": BASE64}, …]}
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from bundler.bundle.statement import PAYLOAD_TYPE
from bundler.errors import ArchiveError, LimitError
from bundler.oci.strict_json import Fields, canonical, loads

ENVELOPE_CAP = 12 << 20
"""Bytes: a statement at its cap, in base64, leaves room for some thousand signatures of the usual size."""
MAX_SIGNATURES = 1024
_VALUES = 8 * MAX_SIGNATURES
MAX_SIGNATURE = 2048
"""Bytes: the signature of the largest RSA key that is taken."""


@dataclass(frozen=True, slots=True)
class Signature:
    """``value`` is what the signer made of the encoding; ``key_id`` only claims whose it is."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """``payload`` is a statement's exact bytes; with no signatures yet, it is an unfinished bundle's."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(PAYLOAD_TYPE, self.payload)

    def with_signature(self, signature: Signature) -> Envelope:
        """One signature more, in place of an earlier one of the same key; they stand in the order of their ids."""
        others = [other for other in self.signatures if other.key_id != signature.key_id]
        return Envelope(self.payload, tuple(sorted([*others, signature], key=lambda each: (each.key_id, each.value))))


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding. Lengths are in bytes, not in characters."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(raw: bytes, *, what: str = "bundle.dsse.json") -> Envelope:
    """An envelope, its payload not looked at. Raises :class:`ArchiveError`, or :class:`LimitError` beyond a cap."""
    value = loads(raw, what=what, cap=ENVELOPE_CAP, values=_VALUES, error=ArchiveError)
    fields = Fields(value, what=what, error=ArchiveError)
    if (kind := fields.text("payloadType")) != PAYLOAD_TYPE:
        raise fields.fail("payloadType", f"must be {PAYLOAD_TYPE}, not {kind[:80]!a}")
    payload = _decoded(fields, "payload")
    if len(fields.array("signatures")) > MAX_SIGNATURES:
        raise LimitError(f"{what}: more than {MAX_SIGNATURES} signatures")
    signatures = []
    for each in fields.each("signatures"):
        signature = _decoded(each, "sig")
        if len(signature) > MAX_SIGNATURE:
            raise LimitError(
                f"{each.what}: a signature of {len(signature)} bytes, more than the {MAX_SIGNATURE} allowed"
            )
        signatures.append(Signature(each.text("keyid") if "keyid" in each else "", signature))
        each.done()
    fields.done()
    return Envelope(payload, tuple(signatures))


def serialise(envelope: Envelope) -> bytes:
    """The envelope's file, the same bytes every time."""
    return canonical(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(envelope.payload).decode("ascii"),
            "signatures": [
                {"keyid": each.key_id, "sig": base64.b64encode(each.value).decode("ascii")}
                for each in envelope.signatures
            ],
        }
    )


def _decoded(fields: Fields, name: str) -> bytes:
    """Standard base64 with its padding, in its only form: no line breaks, no stray bits after the last byte."""
    text = fields.text(name)
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if not value or base64.b64encode(value).decode("ascii") != text:
        raise fields.fail(name, "must be standard base64 and not empty")
    return value
