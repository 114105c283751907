r"""Signatures as they are stored beside images: simple ones bare, others with a line that says what they are.

    88 … (an OpenPGP packet)                    a simple signature
    \0simple-signing\n + OpenPGP                 the same
    \0sigstore-json\n + {"mimeType", "payload", "annotations"}    a sigstore signature, or what else was attached

A registry keeps sigstore signatures as layers of an image called ``sha256-HEX.sig``; a ``dir:`` and a lookaside store keep
all kinds in files.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from bundler.errors import SignatureError, quoted
from bundler.oci.strict_json import Fields, canonical, loads
from bundler.trust.images.cosign import SIGNATURE

SIMPLE = b"\0simple-signing\n"
SIGSTORE = b"\0sigstore-json\n"
CAP = 4 << 20
MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
_PACKETS = frozenset((0xA0, 0xA1, 0xA2, 0xA3, 0xC8, 0x90, 0x91, 0x92, 0xC4, 0x88, 0x89, 0x8A, 0x8B, 0xC2))
"""First bytes of an OpenPGP message: compressed data, a one-pass signature, a signature (RFC 9580, 4.2)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A layer of a ``.sig`` image."""

    media_type: str
    payload: bytes = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def blob(self) -> bytes:
        """The bytes to store."""
        document = {
            "mimeType": self.media_type,
            "payload": base64.b64encode(self.payload).decode("ascii"),
            "annotations": dict(self.annotations),
        }
        return SIGSTORE + canonical(document)


def is_simple(blob: bytes) -> bool:
    """Whether a stored signature is a simple one."""
    return bool(blob) and (blob[0] in _PACKETS or blob.startswith(SIMPLE))


def is_attachment(blob: bytes) -> bool:
    """Whether a stored signature belongs into a ``.sig`` image."""
    return blob.startswith(SIGSTORE)


def simple_message(blob: bytes) -> bytes:
    """The OpenPGP message of a simple signature."""
    return blob.removeprefix(SIMPLE)


def read_attachment(blob: bytes) -> Attachment:
    """An attachment as it was stored. Raises :class:`SignatureError`."""
    what = "stored sigstore signature"
    raw = blob.removeprefix(SIGSTORE)
    fields = Fields(loads(raw, what=what, cap=2 * CAP, error=SignatureError), what=what, error=SignatureError)
    payload = fields.text("payload") if "payload" in fields else ""
    return Attachment(fields.text("mimeType"), decoded(payload, what), fields.text_map("annotations"))


def signature_of(attachment: Attachment) -> bytes:
    """The signature over an attachment's payload. Raises :class:`SignatureError` if it has none."""
    if attachment.media_type != MEDIA_TYPE:
        raise SignatureError(f"is no signature but {quoted(attachment.media_type)!r}")
    if SIGNATURE not in attachment.annotations:
        raise SignatureError(f"lacks the annotation {SIGNATURE}")
    return decoded(attachment.annotations[SIGNATURE], SIGNATURE)


def decoded(text: str, what: str) -> bytes:
    """Standard base64, with or without line breaks. Raises :class:`SignatureError`, which names ``what``."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError(f"{what}: is not base64") from None
