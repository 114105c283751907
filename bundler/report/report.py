"""The report on one bundle at the gate: what `bundler verify` prints and a security officer signs off.

It holds what was found as far as the gate got. Whatever depends on the clock stands in the one member ``time``; all else
is equal for two runs over the same bundle, policy and site. Its format is specified in ``schemas/report/``.

    Report
    ├── time         what the clocks say, what was taken for now, days left
    ├── verdict      one word; refused: class, message, hint
    ├── gate[]       the steps in their order, and how far they came
    ├── bundle       name, channel, serial, id, …      ├── last       the last one accepted
    ├── signatures   threshold, who signed, who else   ├── overrides  which checks were given up
    ├── images[]     each with what it carries, and what it must carry
    ├── changes[]    new, changed, gone                └── contents   what was read, what is lost
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bundler.bundle.members import format_time
from bundler.errors import quoted
from bundler.report.changes import Change

API_VERSION = "bundler/v1"
KIND = "Report"

Verdict = Literal["verified", "trusted", "intact", "unread", "damaged", "refused"]
"""``trusted`` and ``unread`` are what ``verified`` and ``intact`` are where contents were not read; the latter two are
of bundles whose signatures nobody checked."""
Outcome = Literal["passed", "failed", "skipped", "not reached"]


@dataclass(frozen=True, slots=True)
class Clock:
    """``system`` is this machine's time, ``used`` what was taken for now; ``floor`` says why if they differ."""

    system: datetime
    used: datetime
    floor: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the gate; ``what`` is its name, ``outcome`` how it ended."""

    what: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Release:
    """What the statement says of the bundle. ``statement`` is the digest of its exact bytes; sizes are bytes."""

    name: str
    channel: str
    epoch: int
    serial: int
    bundle_id: str
    statement: str
    issued: datetime
    expires: datetime | None
    size: int
    contents: int
    volumes: int


@dataclass(frozen=True, slots=True)
class Last:
    """How far the channel had come: None in a report of a site means that nothing of it was accepted before.

    ``compared`` is the serial of the bundle that was taken last, which ``changes`` count from; None if its statement is
    not there any more.
    """

    epoch: int
    serial: int
    statement: str
    compared: int | None


@dataclass(frozen=True, slots=True, order=True)
class Signer:
    """A known key: its name at the site, if it has one, and its id."""

    name: str
    key_id: str

    def __str__(self) -> str:
        return f"{quoted(self.name)} ({self.key_id[:16]})" if self.name else self.key_id[:16]

    def document(self) -> dict[str, Any]:
        """The key as JSON values."""
        return {"name": self.name or None, "keyId": self.key_id}


@dataclass(frozen=True, slots=True)
class Signing:
    """``signed`` are the keys that were counted towards the ``threshold``, ``others`` those that could have been.

    ``root`` is the version of the site's root; 0 where keys were given by hand, and then nothing expires.
    """

    threshold: int
    signed: tuple[Signer, ...]
    others: tuple[Signer, ...] = ()
    root: int = 0
    root_expires: datetime | None = None


@dataclass(frozen=True, slots=True, order=True)
class Override:
    """A check that the operator gave up: the option, and the reason if one was asked for."""

    option: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """A manifest that came with an image: what it is (``signature``, ``attestation``, ``sbom``, ``other``), and of what.

    ``tag`` is empty for what is found by its ``subject``, and that where nothing says it.
    """

    kind: str
    digest: str
    tag: str = ""
    subject: str = ""

    def document(self) -> dict[str, Any]:
        """The attachment as JSON values."""
        return {"kind": self.kind, "digest": self.digest, "tag": self.tag or None, "subject": self.subject or None}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A content of an attached manifest: ``verified`` if the policy asked for it and it held, ``by`` whom then.

    ``what`` adds the predicate type or the name that it gives, ``problem`` what was wrong.
    """

    kind: str
    manifest: str
    digest: str
    verified: bool = False
    by: tuple[str, ...] = ()
    what: str = ""
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """The evidence as JSON values."""
        return {
            "kind": self.kind,
            "manifest": self.manifest,
            "digest": self.digest,
            "verified": self.verified,
            "by": list(self.by),
            "what": self.what or None,
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True)
class Cover:
    """A child of an image's index, and why the requirement is met for it, or why not."""

    digest: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """An image held against the policy: what it must have, in words, and why that is met or not.

    ``rule`` says where in the policy that stands.
    """

    requirement: str
    passed: bool
    reason: str
    rule: str = ""
    evidence: tuple[Evidence, ...] = ()
    covered: tuple[Cover, ...] = ()

    def document(self) -> dict[str, Any]:
        """The assessment as JSON values."""
        return {
            "required": self.requirement,
            "rule": self.rule or None,
            "passed": self.passed,
            "reason": self.reason,
            "found": [e.document() for e in sorted(self.evidence, key=lambda e: (e.manifest, e.digest, e.kind))],
            "covered": [
                {"digest": c.digest, "passed": c.passed, "reason": c.reason}
                for c in sorted(self.covered, key=lambda c: c.digest)
            ],
        }


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One image. ``size`` counts all that it needs once, in bytes; None where that could not be read.

    ``assessment`` is missing if the gate did not come to it.
    """

    name: str
    target: str
    digest: str
    platforms: tuple[str, ...]
    size: int | None = None
    attached: tuple[Attached, ...] = ()
    assessment: Assessment | None = None

    def document(self) -> dict[str, Any]:
        """The image as JSON values."""
        return {
            "name": self.name,
            "target": self.target,
            "digest": self.digest,
            "platforms": list(self.platforms),
            "size": self.size,
            "attached": [a.document() for a in sorted(self.attached, key=lambda a: (a.digest, a.tag))],
            "assessment": self.assessment and self.assessment.document(),
        }


@dataclass(frozen=True, slots=True)
class Damage:
    """Something wrong in volume ``volume``, at ``offset`` of its file if that is known, by which ``digest`` is lost."""

    volume: int
    offset: int | None
    digest: str | None
    error: str

    def document(self) -> dict[str, Any]:
        """The damage as JSON values."""
        return {"volume": self.volume, "offset": self.offset, "digest": self.digest, "error": self.error}


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of the volumes, every digest compared: their number and bytes; and what was wrong."""

    volumes: int
    size: int
    problems: tuple[Damage, ...] = ()
    lost: tuple[str, ...] = ()
    lost_images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the gate stayed shut: the class of the error as the README lists them, what it says, and what to do."""

    error: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """See the module. What the gate did not come to is None or empty; ``managed`` says whether a site directory decided.

    ``policy`` is the digest of the image policy's file, empty without one.
    """

    time: Clock
    verdict: Verdict
    steps: tuple[Step, ...]
    managed: bool = False
    refused: Refusal | None = None
    release: Release | None = None
    last: Last | None = None
    signing: Signing | None = None
    overrides: tuple[Override, ...] = ()
    policy: str = ""
    images: tuple[ImageLine, ...] = ()
    changes: tuple[Change, ...] = ()
    reading: Reading | None = None

    @property
    def days_left(self) -> int | None:
        """Whole days until the bundle expires, negative if it has; None if it never does."""
        if self.release is None or self.release.expires is None:
            return None
        return (self.release.expires - self.time.used).days

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        reading, refused = self.reading, self.refused
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "time": {
                "clock": format_time(self.time.system),
                "used": format_time(self.time.used),
                "floor": self.time.floor or None,
                "daysLeft": self.days_left,
            },
            "verdict": self.verdict,
            "refused": refused and {"class": refused.error, "message": refused.message, "hint": refused.hint},
            "gate": [{"step": step.what, "outcome": step.outcome} for step in self.steps],
            "bundle": None if self.release is None else _release(self.release),
            "managed": self.managed,
            "last": self.last
            and {
                "epoch": self.last.epoch,
                "serial": self.last.serial,
                "statement": self.last.statement,
                "compared": self.last.compared,
            },
            "signed": self.signing is not None,
            "signatures": None if self.signing is None else _signing(self.signing),
            "overrides": [{"option": o.option, "reason": o.reason or None} for o in sorted(self.overrides)],
            "policy": self.policy or None,
            "images": [image.document() for image in _sorted(self.images)],
            "changes": [change.document() for change in self.changes],
            "contents": None
            if reading is None
            else {
                "volumes": reading.volumes,
                "size": reading.size,
                "problems": [damage.document() for damage in reading.problems],
                "lost": sorted(reading.lost),
                "lostImages": sorted(reading.lost_images),
            },
        }


def _sorted(images: Sequence[ImageLine]) -> list[ImageLine]:
    return sorted(images, key=lambda image: (image.name, image.target))


def _release(release: Release) -> dict[str, Any]:
    return {
        "name": release.name,
        "channel": release.channel,
        "epoch": release.epoch,
        "serial": release.serial,
        "bundleId": release.bundle_id,
        "statement": release.statement,
        "issued": format_time(release.issued),
        "expires": None if release.expires is None else format_time(release.expires),
        "size": release.size,
        "contents": release.contents,
        "volumes": release.volumes,
    }


def _signing(signing: Signing) -> dict[str, Any]:
    return {
        "threshold": signing.threshold,
        "root": signing.root or None,
        "rootExpires": None if signing.root_expires is None else format_time(signing.root_expires),
        "by": [signer.document() for signer in sorted(signing.signed)],
        "others": [signer.document() for signer in sorted(signing.others)],
    }
