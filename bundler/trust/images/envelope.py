"""What wraps a signature: DSSE envelopes of any payload type, and sigstore bundles, opened strictly.

An envelope here may come from anybody: it is read as what it says it is, and whether a signature in it holds is the
business of the caller, who owns the keys. What is signed is always the exact payload under its type (``dsse.pae``).

    {"payloadType": …, "payload": BASE64, "signatures": [{"keyid": …, "sig": BASE64}, …]}                DSSE v1.0.0
    {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
     "verificationMaterial": {"publicKey" | "certificate" | "x509CertificateChain": …, "tlogEntries": […]},
     "dsseEnvelope" | "messageSignature": …}                                         sigstore protobuf-specs, bundle v0.3
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field

from bundler.errors import BundlerError, LimitError, SignatureError, quoted
from bundler.oci.strict_json import Fields, loads, spellings
from bundler.trust.dsse import MAX_SIGNATURE, pae
from bundler.trust.keys import PublicKey

CAP = 16 << 20
MAX_SIGNATURES = 64
BUNDLE_TYPES = frozenset(
    {
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        *(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2, 3)),
    }
)
_BUNDLE_KEYS = spellings("mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature")
_MATERIAL_KEYS = spellings(
    "publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData"
)
_ENVELOPE_KEYS = spellings("payloadType", "payload", "signatures")
_SIGNATURE_KEYS = spellings("keyid", "sig")
_MESSAGE_KEYS = spellings("messageDigest", "signature")


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """A payload, its type, and signatures over both."""

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: tuple[bytes, ...] = field(repr=False)

    def signers(self, keys: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """Those of the keys that signed it, each once."""
        message = pae(self.payload_type, self.payload)
        return tuple(key for key in keys if any(holds(key, message, signature) for signature in self.signatures))


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A sigstore bundle: a signed envelope, or a bare signature over the content that it is about.

    ``certified`` says that it names its signer by a certificate; by a key otherwise.
    """

    certified: bool
    envelope: SignedEnvelope | None = None
    signature: bytes = field(default=b"", repr=False)


def holds(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a signature is the key's."""
    try:
        key.verify(message, signature)
    except SignatureError:
        return False
    return True


def wrong(message: str) -> BundlerError:
    """The error of whatever is wrong with an attachment of others."""
    return SignatureError(message, hint="do not trust this image; ask its signer for a new signature")


def read_envelope(raw: bytes) -> SignedEnvelope:
    """A DSSE envelope. Raises :class:`SignatureError`, or :class:`LimitError` beyond a cap."""
    return _envelope(Fields(loads(raw, what="envelope", cap=CAP, error=wrong), what="envelope", error=wrong))


def read_bundle(raw: bytes) -> SignedBundle:
    """A sigstore bundle. Raises as :func:`read_envelope` does."""
    fields = Fields(loads(raw, what="sigstore bundle", cap=CAP, error=wrong), what="sigstore bundle", error=wrong)
    fields.spelled(_BUNDLE_KEYS)
    if (media_type := fields.text("mediaType")) not in BUNDLE_TYPES:
        raise fields.fail("mediaType", f"{quoted(media_type)!r} is not one of a bundle up to v0.3")
    material = fields.object("verificationMaterial")
    material.spelled(_MATERIAL_KEYS)
    given = [name for name in ("publicKey", "certificate", "x509CertificateChain") if name in material]
    if len(given) != 1:
        raise material.fail("must", "name its signer in one way, by a key or by a certificate")
    certified = given != ["publicKey"]
    if ("dsseEnvelope" in fields) == ("messageSignature" in fields):
        raise fields.fail("must", "hold either a dsseEnvelope or a messageSignature")
    if "dsseEnvelope" in fields:
        return SignedBundle(certified, envelope=_envelope(fields.object("dsseEnvelope")))
    message = fields.object("messageSignature")
    message.spelled(_MESSAGE_KEYS)
    return SignedBundle(certified, signature=_signature(message, "signature"))


def decoded(text: str) -> bytes | None:
    """Standard base64 in its only form; None for anything else, and for nothing."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if value and base64.b64encode(value).decode("ascii") == text else None


def _envelope(fields: Fields) -> SignedEnvelope:
    fields.spelled(_ENVELOPE_KEYS)
    payload = _bytes(fields, "payload")
    signatures = fields.array("signatures")
    if not signatures:
        raise fields.fail("signatures", "are empty")
    if len(signatures) > MAX_SIGNATURES:
        raise LimitError(f"{fields.what}: {len(signatures)} signatures, more than the {MAX_SIGNATURES} allowed")
    values = []
    for each in fields.each("signatures"):
        each.spelled(_SIGNATURE_KEYS)
        values.append(_signature(each, "sig"))
    return SignedEnvelope(fields.text("payloadType"), payload, tuple(values))


def _signature(fields: Fields, name: str) -> bytes:
    value = _bytes(fields, name)
    if len(value) > MAX_SIGNATURE:
        raise LimitError(f"{fields.what}: a signature of {len(value)} bytes, more than the {MAX_SIGNATURE} allowed")
    return value


def _bytes(fields: Fields, name: str) -> bytes:
    value = decoded(fields.text(name))
    if value is None:
        raise fields.fail(name, "must be standard base64 and not empty")
    return value
