"""What a bundle will cost, before any layer is fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bundler.journey.near import Run, ensure_lock
from bundler.oci.reference import parse_reference, split_transport
from bundler.plan import Share
from bundler.pull.carry import survey
from bundler.selection.account import account
from bundler.selection.lock import LockedImage

Shown = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Sizes are in bytes.

    ``size`` is what the bundle carries, ``naive`` what its images would take one by one; ``missing`` is what the store
    lacks, and so what a pull fetches. ``volumes`` holds the most that each volume can take. ``pulls`` counts the manifests
    that a pull asks each registry for, and ``limits`` what those registries say is left, with the window in seconds.
    ``images`` are those of the lock that this follows from.
    """

    shares: tuple[Share, ...]
    size: int
    naive: int
    missing: int
    largest: int
    volumes: tuple[int, ...]
    pulls: Mapping[str, int]
    limits: Mapping[str, tuple[int, int]]
    images: tuple[LockedImage, ...] = ()

    def document(self) -> dict[str, Any]:
        """The forecast as JSON values."""
        return {
            "images": [{"name": s.name, "size": s.size, "unique": s.unique} for s in self.shares],
            "attachments": [account(image) for image in self.images],
            "size": self.size,
            "savedBySharing": self.naive - self.size,
            "toFetch": self.missing,
            "largestBlob": self.largest,
            "volumes": list(self.volumes),
            "disk": {"near": self.missing + sum(self.volumes), "far": self.size},
            "registries": {
                host: {"pulls": count, **_limit_document(self.limits.get(host))} for host, count in self.pulls.items()
            },
        }

    def figures(self, shown: Shown) -> list[tuple[str, str]]:
        """The forecast as lines of a table."""
        whole = max(self.volumes, default=0)
        cut = f"{shown(self.largest)}" + (", larger than a volume: cut into parts" if self.largest > whole else "")
        lines = [
            ("to carry", shown(self.size)),
            ("saved by sharing", shown(self.naive - self.size)),
            ("to fetch", shown(self.missing)),
            ("largest blob", cut),
            ("volumes", f"{len(self.volumes)}, at most {shown(whole)}"),
            ("disk, this side", f"{shown(self.missing + sum(self.volumes))} more"),
            ("disk, far side", shown(self.size)),
        ]
        for host, count in self.pulls.items():
            limit = self.limits.get(host)
            left = f", {limit[0]} left" + (f" in {limit[1] // 3600} h" if limit[1] else "") if limit else ""
            lines.append((f"pulls from {host}", f"{count}{left}"))
        return lines


def _limit_document(limit: tuple[int, int] | None) -> dict[str, int]:
    return {} if limit is None else {"remaining": limit[0], "windowSeconds": limit[1]}


def forecast(run: Run, *, limit: int, store: Path, now: datetime) -> Forecast:
    """Resolve if need be, read manifests, and reckon. The lock is made if there is none; no layer is fetched."""
    from bundler.bundle.layout import layout
    from bundler.journey.packing import index_of

    lock = ensure_lock(run, now=now)
    surveyed = survey(
        lock.images,
        lambda image: run.ends.locked(image.source, image.origin.digest),
        executor=run.executor,
        known=run.known,
        signed=run.signed,
    )
    plan = surveyed.plan
    volumes = layout(plan.order, limit, index_size=len(index_of(lock)))
    pulls: Counter[str] = Counter()
    for item in plan.items:
        transport, rest = split_transport(item.name)
        if transport == "docker":
            pulls[parse_reference(rest).registry] += len(item.graph.manifests)
    return Forecast(
        shares=plan.shares(),
        size=plan.size,
        naive=plan.naive_size,
        missing=_missing(store, plan.order),
        largest=max((want.size for want in plan.order), default=0),
        volumes=tuple(volume.bound for volume in volumes),
        pulls=dict(pulls),
        limits=run.ends.rate_limits(),
        images=lock.images,
    )


def _missing(directory: Path, wants: Any) -> int:
    if not (directory / "oci-layout").exists():
        return sum(want.size for want in wants)
    from bundler.store import Store

    store = Store.open(str(directory))
    return sum(want.size for want in wants if not store.has(want))
