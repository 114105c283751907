"""Which images may in: what is attached to each of a bundle's images, held against the site's policy before anything moves.

policy = read_policy(Path("trust.yaml"))
assessed = assess(volumes, statement.images, policy, now=now)     # volumes: a bundle's Volumes, or any content.Source
require(assessed)                                                 # PolicyError names every image that failed

An image's own manifest must meet its rule, and if that is an index, so must each child that is carried: by being listed
in the index, whose signature covers its children by their digests, or, where the rule says ``children: own``, by
signatures of its own. A signed child never covers its index. An image that is carried for one platform is its child's
manifest: what was signed was perhaps the index, which then says nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from bundler import gpg
from bundler.bundle.statement import CarriedImage
from bundler.content import Fetching, read
from bundler.errors import PolicyError, ProtocolError, first_of, quoted
from bundler.journey.files import read_file
from bundler.journey.image_evidence import claimed_by, gather
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.selection.yaml_load import SIZE_CAP
from bundler.trust.images.attestation import glimpse
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.judge import Subject, Verdict, judge
from bundler.trust.images.requirement import Nothing
from bundler.trust.images.simple import OpenMessage
from bundler.trust.policy import Rule, TrustPolicy, parse_policy

Landing = Callable[[CarriedImage], str]
"""What an image is called at the far registry: ``repository[:tag][@digest]``."""
KEYFILE_CAP = 1 << 20
_ATTESTED = ("attestation", "bundle")


@dataclass(frozen=True, slots=True)
class Covered:
    """One child of an image's index; ``reason`` says why it is covered, or what is missing."""

    digest: Digest
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Assessed:
    """One image held against the policy.

    ``image`` and ``target`` are its full name and its name at the far registry, ``rule`` the policy's file and line,
    ``requirement`` what that asks for, in words. ``found`` is all that is attached, good or bad, of its children too.
    """

    image: str
    target: str
    digest: Digest
    requirement: str
    found: tuple[Found, ...]
    passed: bool
    reason: str
    children: tuple[Covered, ...] = ()
    rule: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.image,
            "target": self.target,
            "digest": self.digest,
            "rule": self.rule or None,
            "requirement": self.requirement,
            "passed": self.passed,
            "reason": self.reason,
            "found": [found.document() for found in self.found],
            "children": [
                {"digest": child.digest, "passed": child.passed, "reason": child.reason} for child in self.children
            ],
        }


def read_policy(path: Path) -> TrustPolicy:
    """The policy in a file; the key files that it names are looked for beside it."""
    return parse_policy(
        read_file(path, what="trust policy", cap=SIZE_CAP),
        str(path),
        lambda name: read_file(path.parent / name, what="key file", cap=KEYFILE_CAP),
    )


def assess(
    source: Fetching,
    images: Sequence[CarriedImage],
    policy: TrustPolicy | None,
    *,
    now: datetime,
    landing: Landing = attrgetter("target"),
) -> tuple[Assessed, ...]:
    """Every image against the policy, in their order; ``now`` is when GPG keys must be valid.

    ``landing`` gives the name at the far registry by which a rule is chosen, the image's target unless names are rewritten.

    Without a policy nothing is required, and what is attached is listed. Only ``source`` is read, and what was read is
    verified by digest. Raises :class:`ConfigError` for a key file or trusted root that can't be used,
    :class:`bundler.errors.UnsupportedError` without gpg where it is needed, and what reading an image's manifest raises.
    """
    open_message = _opener(now)
    return tuple(_assess(source, image, policy, open_message, landing(image)) for image in images)


def require(assessed: Sequence[Assessed]) -> None:
    """Raise :class:`PolicyError` naming the images that failed, or the first of many: the report has them all."""
    failed = [each for each in assessed if not each.passed]
    if failed:
        told = first_of([f"{quoted(each.image)}: {each.reason}" for each in failed], joined="; ")
        raise PolicyError(
            f"{len(failed)} of {len(assessed)} images are not let in by the trust policy: {told}",
            hint="ask whoever builds the bundle for signed images, or change the policy",
        )


def _assess(
    source: Fetching, image: CarriedImage, policy: TrustPolicy | None, open_message: OpenMessage, landing: str
) -> Assessed:
    evidence = gather(source, image)
    unchecked = _told(tuple(each.found() for each in evidence), evidence)
    outcome = Assessed(image.name, image.target, image.root.digest, "", unchecked, passed=False, reason="")
    if policy is None:
        return replace(outcome, requirement="nothing: no policy was given", passed=True, reason="no policy was given")
    rule = policy.rule_for(image.name, landing)
    if rule is None:
        reason = f"no rule of {policy.name} fits this name{'' if landing == image.name else f', or {landing}'}"
        return replace(outcome, requirement="refused, as no rule fits", reason=reason)
    outcome = replace(outcome, requirement=str(rule.requirement), rule=rule.where)
    for each in image.attachments:
        if each.tag and claimed_by(each.tag) is None:
            reason = (
                f"{each.root.digest} is said to be attached to it, but has the tag {quoted(each.tag)}, as an image has: "
                "it would be let in unseen"
            )
            return replace(outcome, reason=reason)
    if isinstance(rule.requirement, Nothing):
        return replace(outcome, passed=True, reason="the policy asks nothing of it")
    judging = _Judging(source, image, rule, evidence, open_message)
    return judging.outcome(outcome)


@dataclass(frozen=True, slots=True)
class _Judging:
    """One image under one rule."""

    source: Fetching
    image: CarriedImage
    rule: Rule
    evidence: tuple[Evidence, ...]
    open_message: OpenMessage

    def outcome(self, outcome: Assessed) -> Assessed:
        """``outcome`` with the verdict."""
        # (1) The image's own manifest meets the rule.
        manifest = read(self.source, self.image.root)
        verdict = self._verdict(self.image.root.digest, manifest)
        found = list(verdict.found)
        covered: list[Covered] = []
        # (2) Each child that is carried is listed in it, and (3) meets the rule by itself if it has to.
        for child, is_attestation in _children(self.image, manifest):
            each = verdict
            if self.rule.children == "own" and not is_attestation:
                each = self._verdict(child.digest, read(self.source, child))
                found = [_better(one, other) for one, other in zip(found, each.found, strict=True)]
            reason = "is listed in the index" if each is verdict and verdict.met else each.reason
            covered.append(Covered(child.digest, each.met, reason))
        lacking = [each for each in covered if not each.passed]
        reason = verdict.reason
        if verdict.met and lacking:
            reason = f"{len(lacking)} of its {len(covered)} platforms: {lacking[0].digest}: {lacking[0].reason}"
        return replace(
            outcome,
            found=_told(tuple(found), self.evidence),
            passed=verdict.met and not lacking,
            reason=reason,
            children=tuple(covered),
        )

    def _verdict(self, digest: Digest, manifest: bytes) -> Verdict:
        """The verdict on what claims to be about a manifest; the rest is told as it was found."""
        is_about = [each.subject in (None, digest) for each in self.evidence]
        about = [each for each, fits in zip(self.evidence, is_about, strict=True) if fits]
        subject = Subject(digest, manifest, self.image.name)
        verdict = judge(self.rule.requirement, subject, about, self.open_message)
        judged = iter(verdict.found)
        found = [next(judged) if fits else each.found() for each, fits in zip(self.evidence, is_about, strict=True)]
        elsewhere = "" if verdict.met or any(each.kind != "other" for each in about) else self._elsewhere(digest)
        return replace(verdict, reason=verdict.reason + elsewhere, found=tuple(found))

    def _elsewhere(self, digest: Digest) -> str:
        """What there is instead of something that claims to be about a manifest, as words to end a reason with."""
        others = list(dict.fromkeys(each.subject for each in self.evidence if each.kind != "other"))
        if not others:
            return "; nothing of that kind is attached" if self.evidence else "; nothing is attached"
        more = f" and {len(others) - 1} others" if len(others) > 1 else ""
        return f"; what is attached is about {others[0]}{more}, not about {digest}"


def _children(image: CarriedImage, manifest: bytes) -> list[tuple[Descriptor, bool]]:
    """The children that are carried: those that the statement chose, or all. Each must be in the index.

    Beside each stands whether the index lists it as an attestation, and as nothing else.
    """
    if not is_index(image.root.media_type):
        return []
    listed = parse_manifest(manifest, image.root.media_type, what=image.root.digest).manifests
    by_digest = {child.digest: child for child in listed}
    strangers = [digest for digest in image.children or () if digest not in by_digest]
    if strangers:
        raise ProtocolError(f"{quoted(image.name)}: its index {image.root.digest} does not list {strangers[0]}")
    runnable = {child.digest for child in listed if not _is_attestation(child)}
    chosen = by_digest if image.children is None else image.children
    return [(by_digest[digest], digest not in runnable) for digest in chosen]


def _is_attestation(child: Descriptor) -> bool:
    """Whether an index's entry is no image but what BuildKit attests about one: it has the platform unknown/unknown."""
    return child.platform is not None and child.platform.os == child.platform.architecture == "unknown"


def _better(one: Found, other: Found) -> Found:
    return other if other.verified or (not one.verified and not one.problem) else one


def _told(found: tuple[Found, ...], evidence: Sequence[Evidence]) -> tuple[Found, ...]:
    """The same with the predicate types that unverified attestations claim, for the report."""
    return tuple(
        replace(each, predicate_type=glimpse(piece))
        if each.kind in _ATTESTED and not each.predicate_type and piece.content
        else each
        for each, piece in zip(found, evidence, strict=True)
    )


def _opener(now: datetime) -> OpenMessage:
    """What opens GPG messages."""

    def open_message(message: bytes, keys: Sequence[bytes]) -> tuple[bytes, str]:
        verified = gpg.verify(message, keys=keys, now=now)
        return verified.payload, verified.fingerprint

    return open_message
