"""GPG simple signatures: an OpenPGP message around a digest and a name (containers-signature(5)).

The program ``gpg`` reads the message, so a function that does is handed in. It is given key files and raises
``SignatureError`` or ``TrustError`` for a bad message; any other error is of the site, not of the image, and is let through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bundler.errors import BundlerError, LimitError, SignatureError, TrustError, quoted
from bundler.oci.digest import Digest
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.requirement import Gpg
from bundler.trust.simple_signing import parse_payload

OpenMessage = Callable[[bytes, Sequence[bytes]], tuple[bytes, str]]
"""From a message and the key files to the payload and the fingerprint of the key that signed it."""


def check(requirement: Gpg, digest: Digest, image: str, evidence: Evidence, open_message: OpenMessage) -> Found:
    """What one attached message is worth to a requirement for GPG signatures of ``image``, its full name."""
    try:
        payload, fingerprint = open_message(evidence.content, requirement.keys)
    except (SignatureError, TrustError, LimitError) as error:
        return evidence.found(problem=str(error))
    try:
        parsed = parse_payload(payload)
    except BundlerError as error:
        return evidence.found(by=(fingerprint,), problem=str(error))
    problem = (
        requirement.identity.problem(parsed.reference, image)
        if parsed.digest == digest
        else f"GPG signature: is about another image, {parsed.digest}"
    )
    return evidence.found(verified=not problem, by=(fingerprint,), name=quoted(parsed.reference), problem=problem)
