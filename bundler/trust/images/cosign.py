"""cosign's signatures by key, in both of its forms.

Of cosign 1 and 2, under the tag ``sha256-….sig``: a layer is the payload that was signed, its signature stands beside it
in an annotation. Of cosign 3, a referrer: a sigstore bundle around a statement that says no more than "signed".

    {"critical": {"identity": {"docker-reference": "registry.example/app"},
                  "image": {"docker-manifest-digest": "sha256:…"},
                  "type": "cosign container image signature"},
     "optional": {…} | null}

A statement gives no name, so an identity rule that wants one is not met by it. The transparency log is not asked about
here: whoever trusts a key has no need of it, and there is none behind an air gap.

Specification: cosign, specs/SIGNATURE_SPEC.md; the payload's strictness is that of containers-signature(5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.errors import BundlerError, SignatureError, TrustError, quoted
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields, loads, spellings
from bundler.trust.images.attestation import COSIGN_SIGN, judged
from bundler.trust.images.envelope import decoded, holds, read_bundle, wrong
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.requirement import Cosign
from bundler.trust.keys import PublicKey

TYPE = "cosign container image signature"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
LOG_ENTRY = "dev.sigstore.cosign/bundle"
"""Annotations of a signature's layer (cosign, SIGNATURE_SPEC, "Properties")."""
CAP = 64 << 10
_TOP = spellings("critical", "optional")


@dataclass(frozen=True, slots=True)
class Payload:
    """What was signed: a digest, and the name that the signer gave it, which may be empty."""

    digest: Digest
    reference: str


def parse_payload(raw: bytes) -> Payload:
    """A payload whose signature held. Raises :class:`SignatureError` for anything unexpected in its critical part."""
    what = "cosign payload"
    top = Fields(loads(raw, what=what, cap=CAP, error=wrong), what=what, error=wrong)
    top.spelled(_TOP)
    critical = top.object("critical")
    identity, image = critical.object("identity"), critical.object("image")
    if (kind := critical.text("type")) != TYPE:
        raise wrong(f"{what}: its type is {quoted(kind)!r}, not {TYPE!r}")
    digest, reference = image.text("docker-manifest-digest"), identity.text("docker-reference")
    if not is_digest(digest):
        raise wrong(f"{what}: {quoted(digest)!r} is not a digest")
    if "optional" in top:
        top.object("optional")
    for closed in (top, critical, identity, image):
        closed.done()
    return Payload(Digest(digest), reference)


def verify_payload(payload: bytes, signature: str, *, keys: Sequence[PublicKey], digest: Digest) -> Payload:
    """The payload of a ``.sig`` layer, if one of the keys signed it about ``digest``; the name in it is not looked at.

    ``signature`` is the annotation's text. Raises :class:`TrustError` if none of the keys signed it, and
    :class:`SignatureError` otherwise.
    """
    return _verified(payload, signature, keys, digest)[0]


def _verified(
    payload: bytes, signature: str, keys: Sequence[PublicKey], digest: Digest
) -> tuple[Payload, tuple[PublicKey, ...]]:
    value = decoded(signature)
    if value is None:
        raise SignatureError("cosign signature: its annotation is missing, or not base64")
    signers = tuple(key for key in keys if holds(key, payload, value))
    if not signers:
        raise TrustError("cosign signature: is not of a key that the policy names")
    parsed = parse_payload(payload)
    if parsed.digest != digest:
        raise SignatureError(f"cosign signature: is about another image, {parsed.digest}")
    return parsed, signers


def check(requirement: Cosign, digest: Digest, manifest: bytes, image: str, evidence: Evidence) -> Found:
    """What one attached content is worth to a requirement for cosign signatures of ``image``, its full name.

    ``manifest`` is the bytes that hash to ``digest``.
    """
    if evidence.kind == "bundle":
        return _bundle(requirement, digest, manifest, image, evidence)
    try:
        payload, signers = _verified(
            evidence.content, evidence.annotations.get(SIGNATURE, ""), requirement.keys, digest
        )
    except BundlerError as error:
        return evidence.found(problem=str(error))
    found = evidence.found(verified=True, by=_ids(signers), name=quoted(payload.reference))
    return _named(requirement, image, payload.reference, found)


def _bundle(requirement: Cosign, digest: Digest, manifest: bytes, image: str, evidence: Evidence) -> Found:
    try:
        bundle = read_bundle(evidence.content)
    except BundlerError as error:
        return evidence.found(problem=str(error))
    if bundle.certified:
        return evidence.found(problem="is signed under a certificate, not by a key")
    if bundle.envelope is not None:
        found = judged(evidence, bundle.envelope, requirement.keys, digest, COSIGN_SIGN)
    else:
        signers = tuple(key for key in requirement.keys if holds(key, manifest, bundle.signature))
        problem = "" if signers else "is not signed by a key that the policy names"
        found = evidence.found(verified=bool(signers), by=_ids(signers), problem=problem)
    return _named(requirement, image, "", found) if found.verified else found


def _named(requirement: Cosign, image: str, reference: str, found: Found) -> Found:
    problem = requirement.identity.problem(reference, image)
    return found.spoilt(problem) if problem else found


def _ids(keys: Sequence[PublicKey]) -> tuple[str, ...]:
    return tuple(key.key_id for key in keys)
