"""The table: each step with the peer's cost, ours, the ratio reached and the target."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Cost, median

MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """A step measured several times. ``target`` is a ratio to the peer's seconds, or seconds where there is no peer."""

    name: str
    peer_name: str
    target: float
    ours: Sequence[Cost]
    peer: Sequence[Cost] = ()

    @property
    def reached(self) -> float:
        """The ratio of the medians, or our median in seconds."""
        own = median(self.ours).seconds
        return own / median(self.peer).seconds if self.peer else own

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.reached <= self.target

    def document(self) -> dict[str, Any]:
        """As JSON values, every single measurement included."""
        value: dict[str, Any] = {
            "step": self.name, "peer": self.peer_name, "target": self.target, "reached": round(self.reached, 4),
            "met": self.met, "ours": [_cost(cost) for cost in self.ours],
        }  # fmt: skip
        if self.peer:
            value["theirs"] = [_cost(cost) for cost in self.peer]
        return value


def _cost(cost: Cost) -> dict[str, float]:
    return {"seconds": round(cost.seconds, 4), "cpu": round(cost.cpu, 4), "rss": cost.rss}


HEADINGS = (
    "step",
    "against",
    "peer s",
    "ours s",
    "peer CPU",
    "ours CPU",
    "peer MiB",
    "ours MiB",
    "reached",
    "target",
    "",
)


def rendered(steps: Sequence[Step]) -> str:
    """The table as text; ratios end in x, seconds in s."""
    rows = [HEADINGS]
    for step in steps:
        own = median(step.ours)
        unit = "x" if step.peer else "s"
        theirs = median(step.peer) if step.peer else None
        rows.append(
            (
                step.name,
                step.peer_name or "-",
                f"{theirs.seconds:.2f}" if theirs else "-",
                f"{own.seconds:.2f}",
                f"{theirs.cpu:.2f}" if theirs else "-",
                f"{own.cpu:.2f}",
                f"{theirs.rss / MiB:.0f}" if theirs else "-",
                f"{own.rss / MiB:.0f}",
                f"{step.reached:.2f}{unit}",
                f"{step.target:.2f}{unit}",
                "met" if step.met else "MISSED",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if n < 2 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    peak = max(cost.rss for step in steps for cost in step.ours)
    lines.append(f"largest resident set of any of our steps: {peak / MiB:.0f} MiB (at most 100 here, 256 ever)")
    return "\n".join(lines) + "\n"


def write_json(file: Path, steps: Sequence[Step], *, corpus_size: int, rounds: int) -> None:
    """Everything that was measured, with what it was measured on."""
    document = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "corpus_bytes": corpus_size,
        "rounds": rounds,
        "steps": [step.document() for step in steps],
    }
    file.write_text(json.dumps(document, indent=2) + "\n")
