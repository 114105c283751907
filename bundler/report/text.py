"""The report as text for people: aligned, in a hundred columns, without colour; the last line is the verdict.

Long values go on below where they began. Only what has no space in it, a digest behind a long name, may stand out.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from bundler.bundle.members import format_time
from bundler.errors import quoted
from bundler.report.report import Assessment, Attached, ImageLine, Last, Reading, Release, Report, Signing

Shown = Callable[[int], str]
"""Bytes as people read them."""

WIDTH = 100
UNSIGNED = "no signature was checked (--unsafe-no-signature)"
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_INDENT = 2
_SHORT = 19  # of an attachment's digest; the JSON has all of it
_VERDICTS = {
    "verified": "VERIFIED",
    "trusted": "TRUSTED; the volumes' contents were not read (--quick)",
    "intact": f"INTACT, and anyone could have made it: {UNSIGNED}",
    "unread": f"UNREAD, and anyone could have made it: {UNSIGNED}",
    "damaged": "DAMAGED",
    "refused": "REFUSED",
}
_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "not reached": "-"}


def conclusion(report: Report) -> str:
    """The last line: the verdict, and of a refusal its class."""
    said = _VERDICTS[report.verdict]
    return said if report.refused is None else f"{said} ({report.refused.error})"


def lines(report: Report, shown: Shown) -> list[str]:
    """All lines of the report."""
    found = [*_figures(report, shown)]
    for override in sorted(report.overrides):
        because = f": {quoted(override.reason, 500)}" if override.reason else ""
        found.append(("OVERRIDE", f"{override.option}{because}"))
    found.append(("gate", ", ".join(f"{step.what} {_MARKS[step.outcome]}" for step in report.steps)))
    out = list(_aligned(found))
    for image in sorted(report.images, key=lambda image: (image.name, image.target)):
        out += ["", quoted(image.name, 1024), *_aligned(_image(image, report.policy, shown), indent=_INDENT)]
    if report.last is not None:
        out += ["", *_changes(report, report.last)]
    out += _losses(report.reading)
    if report.refused is not None:
        out += ["", *_wrapped(f"{report.refused.error}: {report.refused.message}")]
        out += _wrapped(report.refused.hint or "", indent=_INDENT)
    return [*out, "", conclusion(report)]


def _figures(report: Report, shown: Shown) -> Iterator[tuple[str, str]]:
    release = report.release
    if release is not None:
        yield "bundle", f"{release.name} {release.channel} serial {_serial(report, release)}"
        yield "id", release.bundle_id
        yield "statement", release.statement
        yield "issued", format_time(release.issued)
        yield "expires", _expiry(report, release)
    if report.time.floor:
        used, system = format_time(report.time.used), format_time(report.time.system)
        yield "clock", f"{used} taken for now, by {report.time.floor}; this machine says {system}"
    if release is not None:
        yield "signed by", "NOT CHECKED (--unsafe-no-signature)" if report.signing is None else _signers(report.signing)
        if report.signing is not None and report.signing.others:
            yield "also known", ", ".join(map(str, sorted(report.signing.others)))
        if report.signing is not None and report.signing.root_expires is not None:
            yield "by root", f"{report.signing.root}, which expires {format_time(report.signing.root_expires)}"
        yield "policy", report.policy or "none: nothing is required of the images"
        yield "content", f"{len(report.images)} images, {release.contents} contents, {shown(release.size)}"
        unread = f"{release.volumes}, contents not read"
        yield "volumes", unread if report.reading is None else _read(report.reading, shown)


def _serial(report: Report, release: Release) -> str:
    epoch = f" of epoch {release.epoch}" if release.epoch or (report.last and report.last.epoch) else ""
    serial = f"{release.serial}{epoch}"
    if not report.managed:
        return serial
    if report.last is None:
        return f"{serial}, first contact"
    before = f"{report.last.serial} of epoch {report.last.epoch}" if epoch else f"{report.last.serial}"
    same = ", the same bundle" if report.last.statement == release.statement else ""
    return f"{serial}, last accepted {before}{same}"


def _expiry(report: Report, release: Release) -> str:
    if release.expires is None or report.days_left is None:
        return "never"
    left = report.days_left
    if report.time.used >= release.expires:
        when = f"EXPIRED {-left} days ago" if left < -1 else "EXPIRED"
    else:
        when = f"in {left} days" if left > 1 else "in a day" if left else "within a day"
    return f"{format_time(release.expires)}, {when}"


def _signers(signing: Signing) -> str:
    known = len(signing.signed) + len(signing.others)
    return f"{', '.join(map(str, sorted(signing.signed)))} ({signing.threshold} of {known} keys needed)"


def _read(reading: Reading, shown: Shown) -> str:
    if reading.problems or reading.lost:
        return f"{reading.volumes}, read as far as they can be, and NOT SOUND: see what is lost below"
    return f"{reading.volumes}, {shown(reading.size)} read, every digest compared"


def _image(image: ImageLine, policy: str, shown: Shown) -> Iterator[tuple[str, str]]:
    if image.target != image.name:
        yield "target", image.target
    yield "digest", image.digest
    yield "platforms", quoted(", ".join(image.platforms), 500) or "-"
    yield "size", "unknown" if image.size is None else shown(image.size)
    if image.assessment is None:
        for each in sorted(image.attached, key=lambda a: (a.digest, a.tag)):
            yield "carries", _attachment(each)
        return
    yield from _evidence(image.assessment, image.attached)
    if policy:
        yield from _judgement(image.assessment)


def _evidence(assessment: Assessment, attached: Sequence[Attached]) -> Iterator[tuple[str, str]]:
    seen = set()
    kinds = {other.digest: other.kind for other in attached}
    for each in sorted(assessment.evidence, key=lambda e: (e.manifest, e.digest, e.kind)):
        seen.add(each.manifest)
        by = f", verified by {', '.join(map(_by, each.by))}" if each.verified else ""
        what = f", {quoted(each.what)}" if each.what else ""
        problem = f"; {quoted(each.problem, 500)}" if each.problem else ""
        kind = kinds.get(each.manifest, each.kind) if each.kind == "other" else each.kind
        yield "carries", f"{kind} {each.manifest[:_SHORT]}{what}{by}{problem}"
    for other in sorted(attached, key=lambda a: (a.digest, a.tag)):
        if other.digest not in seen:
            yield "carries", _attachment(other)


def _judgement(assessment: Assessment) -> Iterator[tuple[str, str]]:
    yield "requires", quoted(assessment.requirement, 1000)
    reason = assessment.reason.removeprefix(f"{assessment.requirement}: ")
    yield ("ok" if assessment.passed else "FAILED"), quoted(reason, 1000) or "-"
    for cover in sorted(assessment.covered, key=lambda c: c.digest):
        if not cover.passed:
            yield "FAILED", f"{cover.digest}: {quoted(cover.reason, 500)}"


def _by(who: str) -> str:
    """Whose signature: keys as in the rest of the report, by the beginning of their id."""
    return who[:16] if _KEY_ID.fullmatch(who) else quoted(who)


def _attachment(attached: Attached) -> str:
    return f"{attached.kind} {attached.digest[:_SHORT]}"


def _changes(report: Report, last: Last) -> Iterator[str]:
    if last.compared is None:
        yield "what changed is not known: the statement of the last accepted bundle is not there any more"
        return
    yield f"since serial {last.compared}, the last accepted:"
    if not report.changes:
        yield "  nothing changed"
    for change in report.changes:
        yield f"  {change.kind.ljust(8)}{quoted(change.name, 1024)}"
        if change.kind == "changed" and change.was != change.now:
            yield f"          was {quoted(change.was)}"
        if change.now and change.was != change.now:
            yield f"          {'now ' if change.was else ''}{quoted(change.now)}"
        if change.platforms is not None:
            was, now = (quoted(", ".join(platforms), 500) or "-" for platforms in change.platforms)
            yield f"          platforms were {was}, now {now}"
        yield from (f"          carries no more {quoted(each)}" for each in change.left)
        yield from (f"          carries as well {quoted(each)}" for each in change.arrived)


def _losses(reading: Reading | None) -> Iterator[str]:
    if reading is None or not (reading.problems or reading.lost or reading.lost_images):
        return
    yield ""
    for text in (
        *(damage.error for damage in reading.problems),
        *sorted(reading.lost),
        *(f"image {name}" for name in sorted(reading.lost_images)),
    ):
        yield f"LOST {quoted(text, 500)}"


def _aligned(pairs: Iterable[tuple[str, str]], *, indent: int = 0) -> Iterator[str]:
    """Names in a column and their values beside them, folded; a name in capitals is said each time."""
    pairs = list(pairs)
    column = max(len(name) for name, _ in pairs) + 2
    last = ""
    for name, value in pairs:
        head = " " * indent + ("" if name == last and name.islower() else name).ljust(column)
        yield from textwrap.wrap(
            value,
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        last = name


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    """A message of ours, which may have lines of its own; what it repeats of others' should be safe, and is made so."""
    lead = " " * indent
    return [
        folded
        for line in text.split("\n")
        for folded in textwrap.wrap(
            quoted(line, len(line)),
            WIDTH,
            initial_indent=lead,
            subsequent_indent=lead,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
