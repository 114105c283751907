"""From what the gate found to the report: names for keys, sizes for images, and what changed since the last bundle.

report = reported(findings, demand)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bundler.bundle.unpack import Volumes
from bundler.errors import BundlerError
from bundler.graph import walk
from bundler.journey.circumstances import circumstances
from bundler.report.changes import changed_images
from bundler.report.report import (
    Assessment,
    Attached,
    Cover,
    Damage,
    Evidence,
    ImageLine,
    Reading,
    Refusal,
    Release,
    Report,
    Step,
    Verdict,
)

if TYPE_CHECKING:
    from bundler.bundle.check import Report as Contents
    from bundler.bundle.statement import CarriedImage
    from bundler.journey.demand import Demand
    from bundler.journey.gate import Findings
    from bundler.journey.image_gate import Assessed
    from bundler.trust.verify import Trusted


def reported(findings: Findings, demand: Demand, *, sizes: bool = True) -> Report:
    """The report, as far as the gate got. Of a bundle whose signatures did not hold, nothing is repeated.

    Without ``sizes``, those of the images are left out, and their manifests are not read for them.
    """
    trusted, refusal = findings.trusted, findings.refusal
    found = circumstances(demand, trusted, warns_of_expiry=findings.warns_of_expiry, supersedes=findings.supersedes)
    return Report(
        time=found.clock,
        verdict=_verdict(findings),
        steps=tuple(Step(what, outcome) for what, outcome in findings.steps.items()),
        managed=demand.site is not None,
        refused=None if refusal is None else Refusal(refusal.label, str(refusal), refusal.hint),
        release=None if trusted is None else _release(trusted),
        last=found.last,
        signing=found.signing,
        overrides=found.overrides,
        policy=findings.policy,
        images=() if trusted is None else _images(trusted, findings, sizes=sizes),
        changes=()
        if trusted is None or found.last is None or found.last.compared is None
        else tuple(changed_images(found.before, trusted.statement.images)),
        reading=None if findings.contents is None else _reading(findings.contents),
    )


def _verdict(findings: Findings) -> Verdict:
    contents = findings.contents
    if contents is not None and not contents.sound:
        return "damaged"
    if findings.refusal is not None or findings.trusted is None:
        return "refused"
    if findings.trusted.signed:
        return "trusted" if contents is None else "verified"
    return "unread" if contents is None else "intact"


def _release(trusted: Trusted) -> Release:
    statement = trusted.statement
    return Release(
        name=statement.name,
        channel=statement.channel,
        epoch=statement.epoch,
        serial=statement.serial,
        bundle_id=statement.bundle_id,
        statement=trusted.statement_digest,
        issued=statement.issued,
        expires=statement.expires,
        size=statement.total_size,
        contents=statement.blob_count,
        volumes=len(statement.volumes),
    )


def _images(trusted: Trusted, findings: Findings, *, sizes: bool) -> tuple[ImageLine, ...]:
    assessed = {(each.image, each.target): each for each in findings.assessed}
    volumes = findings.volumes if sizes else None
    return tuple(_image(image, volumes, assessed) for image in trusted.statement.images)


def _image(image: CarriedImage, volumes: Volumes | None, assessed: Mapping[tuple[str, str], Assessed]) -> ImageLine:
    found = assessed.get((image.name, image.target))
    return ImageLine(
        name=image.name,
        target=image.target,
        digest=image.root.digest,
        platforms=image.platforms,
        size=None if volumes is None else _size(volumes, image),
        attached=tuple(Attached(a.kind or "other", a.root.digest, a.tag, a.subject or "") for a in image.attachments),
        assessment=None if found is None else _assessment(found),
    )


def _size(volumes: Volumes, image: CarriedImage) -> int | None:
    """Bytes of all that an image needs, as its manifests say it."""
    try:
        return walk(volumes, image.root, chosen=image.children).size
    except BundlerError:  # that is told where the contents are checked
        return None


def _assessment(assessed: Assessed) -> Assessment:
    return Assessment(
        requirement=assessed.requirement,
        passed=assessed.passed,
        reason=assessed.reason,
        rule=assessed.rule,
        evidence=tuple(
            Evidence(
                kind=found.kind,
                manifest=found.origin,
                digest=found.digest,
                verified=found.verified,
                by=tuple(sorted(found.by)),
                what=found.predicate_type or found.name,
                problem=found.problem,
            )
            for found in assessed.found
        ),
        covered=tuple(Cover(child.digest, child.passed, child.reason) for child in assessed.children),
    )


def _reading(contents: Contents) -> Reading:
    return Reading(
        volumes=contents.volumes,
        size=contents.size,
        problems=tuple(Damage(p.number, p.offset, p.digest, str(p.error)) for p in contents.problems),
        lost=contents.lost,
        lost_images=contents.lost_images,
    )
