"""The far side: what a bundle says, whether to trust it, and pushing it on.

demand = Demand.of((Path("release.pub"),), 1, now=now)
verify(directory, demand, executor=executor)
push(directory, demand, Route("docker://registry.local:5000"), Access(), executor=executor)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bundler.bundle.check import Report, verify_contents
from bundler.bundle.framing import check_framing
from bundler.bundle.statement import Statement, format_time
from bundler.bundle.unpack import Volumes, read_documents
from bundler.content import Observer, Outcome, silent
from bundler.errors import ArchiveError, ConfigError, quoted
from bundler.journey.access import Access, Surroundings
from bundler.journey.cargo import fitted
from bundler.journey.destinations import Destination, open_destination
from bundler.journey.ends import Ends
from bundler.journey.keys import read_public_keys
from bundler.oci.digest import Digest
from bundler.push import Delivery, Landed, Receipt, Shipment, deliver, shipments
from bundler.push.naming import parse_renames
from bundler.trust.dsse import parse_envelope
from bundler.trust.keys import PublicKey
from bundler.trust.verify import Trusted, accept_unsigned
from bundler.trust.verify import verify as verify_documents

Shown = Callable[[int], str]
UNSIGNED = "no signature was checked (--unsafe-no-signature)"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a bundle must satisfy. Without keys it is taken unsigned, which every report then says."""

    keys: tuple[PublicKey, ...]
    threshold: int
    now: datetime
    allow_expired: bool = False

    @classmethod
    def of(
        cls,
        paths: Sequence[Path],
        threshold: int,
        *,
        now: datetime,
        allow_expired: bool = False,
        unsafe: bool = False,
    ) -> Demand:
        """The demand of a command line. Raises :class:`ConfigError` unless either keys or ``unsafe`` are given."""
        if unsafe and paths:
            raise ConfigError("--key and --unsafe-no-signature exclude each other")
        if not unsafe and not paths:
            raise ConfigError(
                "no --key given: nothing says whose bundles to trust",
                hint="give the public key of the builder; it must not come from the bundle's own medium",
            )
        return cls(read_public_keys(paths), threshold, now, allow_expired)

    def trust(self, directory: Path) -> Trusted:
        """The bundle's statement and inventory, if they satisfy the demand; no volume is read."""
        documents = read_documents(directory)
        if not self.keys:
            return accept_unsigned(documents, now=self.now, allow_expired=self.allow_expired)
        return verify_documents(
            documents, keys=self.keys, threshold=self.threshold, now=self.now, allow_expired=self.allow_expired
        )


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
    """The end of a verification that no error cut short. ``report`` is missing where volumes were not read."""

    trusted: Trusted
    demand: Demand
    report: Report | None

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong."""
        return self.report is None or self.report.sound

    @property
    def losses(self) -> list[str]:
        """What is wrong and what is lost, a line each."""
        if self.report is None:
            return []
        problems = [str(problem.error) for problem in self.report.problems]
        return [*problems, *self.report.lost, *(f"image {name}" for name in self.report.lost_images)]

    @property
    def conclusion(self) -> str:
        """The last line."""
        if not self.sound:
            return "DAMAGED"
        if not self.trusted.signed:
            return f"{'UNREAD' if self.report is None else 'INTACT'}, and anyone could have made it: {UNSIGNED}"
        if self.report is None:
            return "TRUSTED; the volumes' contents were not read (--quick)"
        return "VERIFIED"

    def figures(self, shown: Shown) -> list[tuple[str, str]]:
        """The release, its signers and what was read, as lines of a table."""
        signers = ", ".join(signer[:16] for signer in self.trusted.signers)
        needed = f"{self.demand.threshold} of {len(self.demand.keys)} keys needed"
        lines = Description(self.trusted.statement, ()).figures(shown)[:-1]
        lines.append(("signed by", f"{signers} ({needed})" if signers else "NOT CHECKED (--unsafe-no-signature)"))
        if self.report is not None:
            lines.append(("read", f"{shown(self.report.size)} in {self.report.volumes} volumes, every digest compared"))
        return lines

    def rows(self) -> list[tuple[str, str, str]]:
        """The images as rows of a table."""
        return [
            (quoted(i.name), i.root.digest, quoted(", ".join(i.platforms)) or "-")
            for i in self.trusted.statement.images
        ]

    def document(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        report = self.report
        return {
            "verdict": self.conclusion.partition(";")[0].partition(",")[0],
            "signed": self.trusted.signed,
            "signers": list(self.trusted.signers),
            "threshold": self.demand.threshold,
            "contentsRead": report is not None,
            "problems": []
            if report is None
            else [
                {"volume": p.number, "offset": p.offset, "digest": p.digest, "error": str(p.error)}
                for p in report.problems
            ],
            "lost": [] if report is None else list(report.lost),
            "lostImages": [] if report is None else list(report.lost_images),
            "bundle": Description(self.trusted.statement, self.trusted.signers).document(),
        }

    def raise_for_damage(self) -> None:
        """Raise :class:`ArchiveError` if something was wrong."""
        if not self.sound and self.report is not None:
            raise ArchiveError(
                f"{len(self.report.problems)} places are damaged, {len(self.report.lost)} contents lost, "
                f"{len(self.report.lost_images)} images incomplete"
            )


def verify(
    directory: Path,
    demand: Demand,
    *,
    quick: bool = False,
    damage: bool = False,
    executor: Executor,
    observer: Observer = silent,
) -> Verdict:
    """Verify a bundle. The first thing wrong is raised, or with ``damage`` all of it gathered once the signature held.

    ``quick`` leaves the contents of the volumes unread; that they are there, and as long as they should be, is seen.
    """
    trusted = demand.trust(directory)
    with Volumes(directory, trusted, tolerant=damage) as volumes:
        report = None
        if not quick:
            report = verify_contents(volumes, executor=executor, observer=observer, damage=damage)
    return Verdict(trusted, demand, report)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a push goes: ``to`` is a registry, or a place of any other transport; see :mod:`bundler.push.naming` for the rest."""

    to: str
    scoped: bool = False
    renames: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


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
    surroundings: Surroundings | None = None,
    executor: Executor,
    observer: Observer = silent,
) -> Pushed:
    """Verify a bundle and deliver its images, in one read of its volumes; tags come last."""
    trusted = demand.trust(directory)
    with Ends(access, surroundings=surroundings, observer=observer) as ends:
        destination = open_destination(route.to, ends)
        loads = shipments(
            trusted.statement.images,
            prefix=destination.prefix,
            scoped=route.scoped,
            renames=parse_renames(route.renames),
            patterns=route.patterns,
        )
        with Volumes(directory, trusted) as volumes, destination.at_work():
            order: dict[Digest, int] = {row.digest: n for n, row in enumerate(trusted.inventory.rows)}
            with fitted(volumes, loads, destination, ends, executor=executor, observer=observer) as cargo:
                delivery = deliver(
                    cargo.source_of,
                    cargo.shipments,
                    destination.target,
                    order=order,
                    check=lambda: check_framing(volumes),
                    executor=executor,
                    observer=observer,
                )
                landed = cargo.landed
            destination.keep((load.repository, load.root) for load in landed if load.tag is None)
    receipt = _receipt(trusted, demand.now, destination, landed, delivery)
    return Pushed(receipt, delivery.outcomes, sum(not s.attached for s in delivery.unchanged))


def _receipt(
    trusted: Trusted, now: datetime, destination: Destination, loads: Sequence[Shipment], delivery: Delivery
) -> Receipt:
    statement = trusted.statement
    return Receipt(
        bundle_id=statement.bundle_id,
        name=statement.name,
        channel=statement.channel,
        serial=statement.serial,
        pushed=now,
        destination=destination.name,
        images=tuple(
            Landed(load.source, f"{destination.name}/{load.name}", load.root.digest)
            for load in loads
            if not load.attached
        ),
        outcomes=delivery.outcomes,
        signers=trusted.signers,
    )
