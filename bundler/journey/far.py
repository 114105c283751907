"""The far side: what a bundle says, whether to trust it, and pushing it on.

demand = Demand.of((Path("release.pub"),), 1, now=now)
verify(directory, demand, executor=executor)
push(directory, demand, Route("docker://registry.local:5000"), Access(), executor=executor)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bundler.bundle.check import verify_contents
from bundler.bundle.framing import check_framing
from bundler.bundle.members import format_time
from bundler.bundle.statement import Statement
from bundler.bundle.unpack import read_documents
from bundler.content import Observer, Outcome, silent
from bundler.errors import ArchiveError, BundlerError, ConfigError, quoted
from bundler.journey.access import Access, Surroundings
from bundler.journey.cargo import fitted
from bundler.journey.demand import Demand
from bundler.journey.destination import Destination
from bundler.journey.destinations import open_destination
from bundler.journey.ends import Ends
from bundler.journey.exporting import ImageSigners, signed
from bundler.journey.gate import STEPS, Findings, gate, judge_images
from bundler.journey.reporting import reported
from bundler.oci.digest import Digest
from bundler.push import Beside, Landed, Receipt, Shipment, Taken, deliver, shipments
from bundler.push.naming import landing, parse_renames
from bundler.report import Report
from bundler.report.report import Clock, Refusal, Step
from bundler.report.text import UNSIGNED, conclusion, lines
from bundler.trust.dsse import parse_envelope
from bundler.trust.verify import accept_unsigned

__all__ = ["UNSIGNED", "Description", "Pushed", "Route", "Verdict", "describe", "examine", "push", "verify"]

Shown = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Description:
    """What a bundle says of itself."""

    statement: Statement
    signers: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The description as JSON values."""
        s = self.statement
        return {
            "name": s.name,
            "channel": s.channel,
            "serial": s.serial,
            "bundleId": s.bundle_id,
            "issued": format_time(s.issued),
            "expires": None if s.expires is None else format_time(s.expires),
            "size": s.total_size,
            "contents": s.blob_count,
            "volumes": [volume.name for volume in s.volumes],
            "signatures": list(self.signers),
            "images": [
                {
                    "name": image.name,
                    "target": image.target,
                    "digest": image.root.digest,
                    "mediaType": image.root.media_type,
                    "platforms": list(image.platforms),
                    "attachments": [{"tag": a.tag, "digest": a.root.digest} for a in image.attachments],
                }
                for image in s.images
            ],
        }

    def figures(self, shown: Shown) -> list[tuple[str, str]]:
        """The release as lines of a table."""
        s = self.statement
        return [
            ("bundle", f"{s.name} {s.channel} serial {s.serial}"),
            ("id", s.bundle_id),
            ("issued", format_time(s.issued) + (f", expires {format_time(s.expires)}" if s.expires else "")),
            ("content", f"{len(s.images)} images, {s.blob_count} contents, {shown(s.total_size)}"),
            ("volumes", str(len(s.volumes))),
            ("signatures", ", ".join(signer[:16] for signer in self.signers) or "none"),
        ]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The images as rows of a table."""
        return [
            (quoted(i.name), i.target, i.root.digest[:19], quoted(", ".join(i.platforms)) or "-")
            for i in self.statement.images
        ]


def describe(directory: Path) -> Description:
    """What a bundle says of itself; its parts agree, and nothing else is verified."""
    documents = read_documents(directory)
    trusted = accept_unsigned(documents)
    envelope = parse_envelope(documents.envelope)
    return Description(trusted.statement, tuple(quoted(each.key_id, 64) for each in envelope.signatures))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a verification: its report, and the error that ended it early, if one did."""

    report: Report
    refusal: BundlerError | None = None

    @property
    def conclusion(self) -> str:
        """The last line."""
        return conclusion(self.report)

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return self.report.verdict not in ("refused", "damaged")

    def document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return self.report.document()

    def lines(self, shown: Shown) -> list[str]:
        """The report as text; ``shown`` writes sizes."""
        return lines(self.report, shown)

    def raise_for_damage(self) -> None:
        """Raise what ended the verification, or :class:`ArchiveError` for damage that was gathered."""
        if self.refusal is not None:
            raise self.refusal
        reading = self.report.reading
        if not self.sound and reading is not None:
            raise ArchiveError(
                f"{len(reading.problems)} places are damaged, {len(reading.lost)} contents lost, "
                f"{len(reading.lost_images)} images incomplete"
            )


def turned_away(problem: BundlerError, *, now: datetime, managed: bool) -> Verdict:
    """The verdict where something was wrong before the gate could be asked: keys, a trust directory, or the command."""
    refused = Refusal(problem.label, str(problem), problem.hint)
    steps = tuple(Step(name, "not reached") for name in STEPS)
    return Verdict(Report(Clock(now, now), "refused", steps, managed, refused), problem)


def verify(
    directory: Path,
    demand: Demand,
    *,
    policy: Path | None = None,
    quick: bool = False,
    damage: bool = False,
    accept: bool = False,
    executor: Executor,
    observer: Observer = silent,
) -> Verdict:
    """As :func:`examine`; the first thing wrong is raised, but for what ``damage`` gathers."""
    verdict = examine(
        directory,
        demand,
        policy=policy,
        quick=quick,
        damage=damage,
        accept=accept,
        executor=executor,
        observer=observer,
    )
    if verdict.refusal is not None:
        raise verdict.refusal
    return verdict


def examine(
    directory: Path,
    demand: Demand,
    *,
    policy: Path | None = None,
    quick: bool = False,
    damage: bool = False,
    accept: bool = False,
    executor: Executor,
    observer: Observer = silent,
) -> Verdict:
    """The gate, every volume with it, and a verdict, whatever that is; see :mod:`bundler.journey.gate` for the steps.

    ``quick`` leaves the volumes unread but for manifests and signatures; that all are there, and as long as they should
    be, is seen. ``damage`` goes on after the first bad byte, once the signatures held. ``policy`` is the file that says
    what images must have, in place of the site's. With ``accept`` the site remembers the bundle, if all was well.
    """
    if quick and damage:
        raise ConfigError("--quick and --damage exclude each other: what is lost is found by reading")
    if accept and (quick or demand.site is None):
        raise ConfigError(
            "--accept needs --trust, and all of the bundle read",
            hint="leave out --quick; without a site, nothing is remembered",
        )
    findings = Findings()
    try:
        with gate(directory, demand, findings=findings, policy=policy, tolerant=damage) as volumes:
            if volumes.problems:
                findings.steps["volumes"] = "failed"
            if quick:
                findings.steps["contents"] = "skipped"
            else:
                # 5  Contents
                with findings.step("contents"):
                    findings.contents = verify_contents(volumes, executor=executor, observer=observer, damage=damage)
                if not findings.contents.sound:
                    findings.steps["contents"] = "failed"
            if damage and findings.contents is not None and findings.contents.sound:
                judge_images(volumes.statement.images, demand, findings=findings)
    except BundlerError as problem:
        findings.refusal = problem
    report = reported(findings, demand)
    verdict = Verdict(report, findings.refusal)
    if not verdict.sound or findings.trusted is None:
        return verdict
    # 6  Accepted, or at least seen
    try:
        if accept:
            demand.accepted(findings.trusted)
        elif not quick:
            demand.saw(findings.trusted)
    except BundlerError as problem:
        refusal = Refusal(problem.label, str(problem), problem.hint)
        return Verdict(replace(report, verdict="refused", refused=refusal), problem)
    return verdict


@dataclass(frozen=True, slots=True)
class Route:
    """Where a push goes: ``to`` is a registry, or a place of any other transport; see :mod:`bundler.push.naming` for the rest.

    With ``repair``, every content is looked for at the destination, even of images that seem to be there.
    """

    to: str
    scoped: bool = False
    renames: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """A finished push: its receipt, counts per outcome, and how many images were there already."""

    receipt: Receipt
    outcomes: Mapping[Outcome, int] = field(default_factory=Counter)
    unchanged: int = 0


def push(
    directory: Path,
    demand: Demand,
    route: Route,
    access: Access,
    *,
    policy: Path | None = None,
    signers: ImageSigners | None = None,
    surroundings: Surroundings | None = None,
    executor: Executor,
    observer: Observer = silent,
) -> Pushed:
    """Verify a bundle and deliver its images, in one read of its volumes; tags come last.

    The first four steps of :mod:`bundler.journey.gate` pass as a whole before the destination is asked anything.
    ``signers`` sign each image for the far side, as :mod:`bundler.journey.exporting` does.
    """
    findings = Findings()
    with Ends(access, surroundings=surroundings, observer=observer) as ends:
        destination = open_destination(route.to, ends)  # asked nothing before the gate was passed
        renames = parse_renames(route.renames)
        lands = partial(landing, prefix=destination.prefix, scoped=route.scoped, renames=renames)
        # 1-4  Signatures, volumes, closure, images
        with gate(
            directory, demand, findings=findings, policy=policy, patterns=route.patterns, landing=lands
        ) as volumes:
            trusted = findings.trusted
            assert trusted is not None
            if signers is not None and not trusted.signed:
                raise ConfigError(
                    "images of a bundle that anyone could have made are not signed on",
                    hint="give the bundle's keys with --key or --trust, or push without signing",
                )
            report = reported(findings, demand, sizes=False)
            accepted = False
            loads = shipments(
                trusted.statement.images,
                prefix=destination.prefix,
                scoped=route.scoped,
                renames=renames,
                patterns=route.patterns,
            )
            with destination.at_work():
                order: dict[Digest, int] = {row.digest: n for n, row in enumerate(trusted.inventory.rows)}
                with fitted(volumes, loads, destination, ends, executor=executor, observer=observer) as cargo:
                    export = signed(cargo, destination.name, ends, signers, now=demand.now, executor=executor)

                    def accept() -> None:
                        nonlocal accepted
                        # 5  Contents: each was verified as it was sent, and this is what lies between them
                        check_framing(volumes)
                        export.write()
                        # 6  Accepted
                        demand.accepted(trusted)
                        accepted = True

                    delivery = deliver(
                        export.cargo.source_of,
                        export.cargo.shipments,
                        destination.target,
                        order=order,
                        check=accept,
                        repair=route.repair,
                        executor=executor,
                        observer=observer,
                    )
                    landed = export.cargo.landed
                if not accepted:  # everything was there before, and nothing of the volumes was needed
                    export.write()
                    demand.accepted(trusted)
                destination.keep((load.repository, load.root) for load in landed if load.tag is None)
        demand.check_last(trusted)
    statement = trusted.statement
    receipt = Receipt(
        bundle_id=statement.bundle_id,
        statement=trusted.statement_digest,
        name=statement.name,
        channel=statement.channel,
        epoch=statement.epoch,
        serial=statement.serial,
        pushed=demand.now,
        destination=destination.name,
        taken=Taken(route.to, route.scoped, route.renames, route.patterns),
        images=_landed(statement, destination, landed, export.attached),
        outcomes=delivery.outcomes,
        signers=trusted.signers,
        image_signers=export.signers,
        policy=Digest(report.policy) if report.policy else None,
        overrides=tuple((override.option, override.reason) for override in report.overrides),
    )
    return Pushed(receipt, delivery.outcomes, sum(not s.attached for s in delivery.unchanged))


def _landed(
    statement: Statement,
    destination: Destination,
    loads: Sequence[Shipment],
    made: Mapping[str, frozenset[Digest]],
) -> tuple[Landed, ...]:
    """Images with what is attached to them, ``made`` here or carried, under their names at the destination."""
    platforms = {(image.name, image.root.digest): image.platforms for image in statement.images}
    attached: dict[str, set[Digest]] = {}
    for image in statement.images:
        attached.setdefault(image.name, set(made.get(image.name, ()))).update(a.root.digest for a in image.attachments)
    beside: dict[str, list[Shipment]] = {}
    for load in loads:
        if load.attached:
            beside.setdefault(load.repository, []).append(load)
    return tuple(
        Landed(
            name=load.source,
            reference=f"{destination.name}/{load.name}",
            digest=load.root.digest,
            media_type=load.root.media_type,
            size=load.root.size,
            platforms=platforms.get((load.source, load.root.digest), ()),  # none of an image that was converted
            children=None if load.chosen is None else tuple(sorted(load.chosen)),
            attachments=tuple(
                Beside(f"{destination.name}/{each.name}", each.root)
                for each in beside.get(load.repository, ())
                if each.root.digest in attached[load.source]
            ),
        )
        for load in loads
        if not load.attached
    )
