"""A signature over SHA256SUMS as a sigstore bundle v0.3 (protobuf-specs, ``Bundle`` and ``MessageSignature``).

For cosign, with the key alone and no transparency log:

    cosign verify-blob --key release.pub --bundle SHA256SUMS.<key>.sigstore.json --insecure-ignore-tlog SHA256SUMS

The signature is the very one that lies in the ``.sig`` file; the bundle adds the content's digest and whose it may be.
"""

from __future__ import annotations

import base64
import hashlib

from bundler.oci.strict_json import canonical
from bundler.trust.signing import Signer

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def sigstore_bundle(signer: Signer, message: bytes) -> bytes:
    """The bundle's file for ``message``."""
    signature = signer.sign(message)
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": _text(hashlib.sha256(signer.public.spki).digest())}},
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": _text(hashlib.sha256(message).digest())},
                "signature": _text(signature),
            },
        }
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
