"""A requirement held against what is attached to an image: the only place that says whether it is met.

    verdict = judge(requirement, Subject(digest, manifest, "docker.io/library/nginx:1.27"), evidence, open_message)
    verdict.met, verdict.reason, verdict.found

Each piece of evidence is looked at by each leaf that could use it. A bad one is told beside the good ones and counts for
nothing, and one key counts once, however many signatures it made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bundler.oci.digest import Digest
from bundler.trust.images import attestation, cosign, sigstore, simple
from bundler.trust.images.evidence import Evidence, Found, Kind
from bundler.trust.images.requirement import AllOf, AnyOf, Attested, Cosign, Gpg, Leaf, Nothing, Requirement, Sigstore
from bundler.trust.images.simple import OpenMessage


@dataclass(frozen=True, slots=True)
class Subject:
    """A manifest that must be covered; ``image`` is the full name of its image."""

    digest: Digest
    manifest: bytes = field(repr=False)
    image: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a requirement is met, why, and what was found of each piece of evidence, in their order."""

    met: bool
    reason: str
    found: tuple[Found, ...]


_USABLE: dict[type[Leaf], frozenset[Kind]] = {
    Nothing: frozenset(),
    Cosign: frozenset({"cosign", "bundle"}),
    Sigstore: frozenset({"cosign", "attestation", "bundle"}),
    Attested: frozenset({"attestation", "bundle"}),
    Gpg: frozenset({"gpg"}),
}


def judge(
    requirement: Requirement, subject: Subject, evidence: Sequence[Evidence], open_message: OpenMessage
) -> Verdict:
    """Hold a requirement against the evidence. Raises only for what is wrong at the site: a bad root or key file."""
    match requirement:
        case AllOf():
            verdicts = [judge(part, subject, evidence, open_message) for part in requirement.parts]
            missing = [verdict.reason for verdict in verdicts if not verdict.met]
            reason = (
                "; ".join(missing or [verdict.reason for verdict in verdicts])
                or "nothing is asked for, and not said so"
            )
            return Verdict(bool(verdicts) and not missing, reason, _merged(verdicts, evidence))
        case AnyOf():
            verdicts = [judge(part, subject, evidence, open_message) for part in requirement.parts]
            first = next((verdict for verdict in verdicts if verdict.met), None)
            reason = first.reason if first else "; ".join(verdict.reason for verdict in verdicts) or "nothing would do"
            return Verdict(first is not None, reason, _merged(verdicts, evidence))
    found = tuple(_look(requirement, subject, each, open_message) for each in evidence)
    met, reason = _decide(requirement, found)
    return Verdict(met, reason, found)


def _look(leaf: Leaf, subject: Subject, evidence: Evidence, open_message: OpenMessage) -> Found:
    if evidence.problem or evidence.kind not in _USABLE[type(leaf)]:
        return evidence.found()
    match leaf:
        case Cosign():
            return cosign.check(leaf, subject.digest, subject.manifest, subject.image, evidence)
        case Sigstore():
            return sigstore.check(leaf, subject.digest, subject.manifest, subject.image, evidence)
        case Attested():
            return attestation.check(leaf, subject.digest, evidence)
        case Gpg():
            return simple.check(leaf, subject.digest, subject.image, evidence, open_message)
    raise AssertionError  # Nothing can use no evidence


def _decide(leaf: Leaf, found: Iterable[Found]) -> tuple[bool, str]:
    if isinstance(leaf, Nothing):
        return True, "the policy asks nothing of it"
    signers = sorted({signer for each in found if each.verified for signer in each.by})
    needed = leaf.threshold if isinstance(leaf, Cosign) else 1
    if len(signers) >= needed > 0:
        return True, f"{leaf}: by {', '.join(signer[:16] if len(signer) == 64 else signer for signer in signers)}"
    problems = list(dict.fromkeys(each.problem for each in found if each.problem and not each.verified))
    told = f" ({'; '.join(problems[:4])}{'; …' if len(problems) > 4 else ''})" if problems else ""
    return False, f"no {leaf}{told}" if not signers else f"only {len(signers)} of {needed} signers: {leaf}{told}"


def _merged(verdicts: Sequence[Verdict], evidence: Sequence[Evidence]) -> tuple[Found, ...]:
    """Of each piece of evidence, what the leaf found of it that it satisfied, else whoever had most to say."""
    if not verdicts:
        return tuple(each.found() for each in evidence)
    return tuple(_best(views) for views in zip(*(verdict.found for verdict in verdicts), strict=True))


def _best(views: tuple[Found, ...]) -> Found:
    held = [view for view in views if view.verified]
    if not held:
        return next((view for view in views if view.problem), views[0])
    by = tuple(dict.fromkeys(signer for view in held for signer in view.by))
    return replace(held[0], by=by)
