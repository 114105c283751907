"""Statements about an image: in-toto attestations, whose subjects name it by digest and whose predicate type says of what.

    {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": …, "digest": {"sha256": HEX}}],
     "predicateType": "https://spdx.dev/Document", "predicate": {…}}

What the predicate says is for others to judge: here it counts who says it, of which digest, and of what kind it is. The
name of a subject is told by whoever made the statement and decides nothing.

Specification: in-toto attestation framework, "Statement" v1, and v0.1 as cosign 2 writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.errors import BundlerError, LimitError, quoted
from bundler.oci.digest import Digest
from bundler.oci.strict_json import Fields, loads, spellings
from bundler.trust.images.envelope import CAP, SignedEnvelope, read_bundle, read_envelope, wrong
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.requirement import Attested, is_of_type
from bundler.trust.keys import PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
TYPES = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of what cosign 3 writes as a signature: it says no more than that the image was signed."""
MAX_SUBJECTS = 1024
_VALUES = 400_000  # of a large SBOM; 80 MiB when parsed, at the worst
_KEYS = spellings("_type", "subject", "predicateType", "predicate")
_SUBJECT_KEYS = spellings("name", "digest")


@dataclass(frozen=True, slots=True)
class About:
    """The head of a statement: its predicate's type, and the digests that it is about."""

    predicate_type: str
    subjects: frozenset[str]

    def problem(self, digest: Digest, wanted: str) -> str:
        """Why this isn't a statement of the ``wanted`` kind about ``digest``; empty if it is."""
        if not is_of_type(self.predicate_type, wanted):
            return f"is of the predicate type {quoted(self.predicate_type)!r}, not {wanted}"
        return "" if digest in self.subjects else "is a statement about another image"


def parse_statement(payload_type: str, payload: bytes) -> About:
    """The head of a signed statement. Raises :class:`SignatureError`, or :class:`LimitError` beyond a cap."""
    if payload_type != PAYLOAD_TYPE:
        raise wrong(f"attestation: its payload is {quoted(payload_type)!r}, not {PAYLOAD_TYPE!r}")
    fields = Fields(
        loads(payload, what="attestation", cap=CAP, values=_VALUES, error=wrong), what="attestation", error=wrong
    )
    fields.spelled(_KEYS)
    if (kind := fields.text("_type")) not in TYPES:
        raise fields.fail("_type", f"{quoted(kind)!r} is not one of a statement")
    if len(fields.array("subject")) > MAX_SUBJECTS:
        raise LimitError(f"attestation: more than the {MAX_SUBJECTS} subjects allowed")
    subjects = set()
    for each in fields.each("subject"):
        each.spelled(_SUBJECT_KEYS)
        subjects |= {f"{algorithm}:{value}" for algorithm, value in each.text_map("digest").items()}
    return About(fields.text("predicateType"), frozenset(subjects))


def check(requirement: Attested, digest: Digest, evidence: Evidence) -> Found:
    """What one attached envelope or bundle is worth to a requirement for attestations by key."""
    try:
        envelope = _opened(evidence)
    except BundlerError as error:
        return evidence.found(problem=str(error))
    return judged(evidence, envelope, requirement.keys, digest, requirement.predicate_type)


def judged(
    evidence: Evidence, envelope: SignedEnvelope, keys: Sequence[PublicKey], digest: Digest, wanted: str
) -> Found:
    """An envelope against keys; its payload is parsed only if one of them signed it."""
    signers = envelope.signers(keys)
    if not signers:
        return evidence.found(problem="is not signed by a key that the policy names")
    try:
        about = parse_statement(envelope.payload_type, envelope.payload)
    except BundlerError as error:
        return evidence.found(problem=str(error))
    problem = about.problem(digest, wanted)
    by = tuple(key.key_id for key in signers)
    return evidence.found(predicate_type=quoted(about.predicate_type), verified=not problem, by=by, problem=problem)


def glimpse(evidence: Evidence) -> str:
    """The predicate type that an attachment claims, for a report; nothing is verified, and nothing raised."""
    try:
        envelope = _opened(evidence, certified=True)
        return quoted(parse_statement(envelope.payload_type, envelope.payload).predicate_type)
    except BundlerError:
        return ""


def _opened(evidence: Evidence, *, certified: bool = False) -> SignedEnvelope:
    if evidence.kind == "attestation":
        return read_envelope(evidence.content)
    bundle = read_bundle(evidence.content)
    if bundle.envelope is None:
        raise wrong("sigstore bundle: holds a signature over the image's manifest, and no attestation")
    if bundle.certified and not certified:
        raise wrong("sigstore bundle: is signed under a certificate, not by a key")
    return bundle.envelope
