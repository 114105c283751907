"""Progress on stderr: bars on a terminal, a line every few seconds elsewhere, or one JSON event per line.

Each is a context manager giving an :data:`bundler.content.Observer`. Events come from many threads, so each observer
holds a lock while it draws.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Never

from bundler.cli.sizes import human
from bundler.content import Event, Finished, Moved, Note, Observer, Outcome, Planned
from bundler.oci.digest import Digest

INTERVAL = 3.0


@dataclass(slots=True)
class Tally:
    """The figures of one stage. A content that did not have to move counts with its whole size at once."""

    stage: str = ""
    count: int = 0
    size: int = 0
    done: int = 0
    moved: int = 0
    per_content: dict[Digest, int] = field(default_factory=dict)

    def take(self, event: Event) -> int:
        """Count an event; by how many bytes the stage went forward."""
        if isinstance(event, Planned):
            self.stage, self.count, self.size = event.stage, event.count, event.size
            self.done = self.moved = 0
            self.per_content.clear()
            return 0
        if isinstance(event, Moved):
            before = self.per_content.get(event.want.digest, 0)
            after = min(before + event.count, event.want.size)
            self.per_content[event.want.digest] = after
            step = after - before
        elif isinstance(event, Finished):
            self.done += 1
            step = event.want.size - self.per_content.pop(event.want.digest, 0)
        else:
            return 0
        self.moved += step
        return step


@contextmanager
def bars() -> Iterator[Observer]:
    """One bar per stage."""
    from tqdm import tqdm

    lock = threading.Lock()
    tally = Tally()
    bar: tqdm[Never] | None = None

    def observe(event: Event) -> None:
        nonlocal bar
        with lock:
            step = tally.take(event)
            if isinstance(event, Planned):
                if bar is not None:
                    bar.close()
                bar = tqdm(
                    total=event.size, desc=event.stage, unit="B", unit_scale=True, unit_divisor=1024, leave=False
                )
            elif isinstance(event, Note):
                tqdm.write(event.text, file=sys.stderr)
            elif bar is not None:
                bar.update(step)

    try:
        yield observe
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def lines() -> Iterator[Observer]:
    """A line when a stage begins and every few seconds while it lasts."""
    lock = threading.Lock()
    tally = Tally()
    last = time.monotonic()

    def observe(event: Event) -> None:
        nonlocal last
        with lock:
            tally.take(event)
            if isinstance(event, Planned):
                last = time.monotonic()
                sys.stderr.write(f"{event.stage}: {event.count} contents, {human(event.size)}\n")
            elif isinstance(event, Note):
                sys.stderr.write(event.text + "\n")
            elif time.monotonic() - last >= INTERVAL:
                last = time.monotonic()
                whole = f"{human(tally.moved)} of {human(tally.size)}"
                sys.stderr.write(f"{tally.stage}: {whole}, {tally.done} of {tally.count} contents\n")

    yield observe


@contextmanager
def json_lines() -> Iterator[Observer]:
    """One JSON object per event; bytes are gathered to at most one event per content and tenth of a second."""
    lock = threading.Lock()
    pending: dict[Digest, int] = {}
    last = time.monotonic()

    def write(kind: str, **fields: str | int) -> None:
        sys.stderr.write(json.dumps({"event": kind, **fields}) + "\n")
        sys.stderr.flush()

    def drain() -> None:
        for digest, count in pending.items():
            write("moved", digest=digest, bytes=count)
        pending.clear()

    def observe(event: Event) -> None:
        nonlocal last
        with lock:
            if isinstance(event, Moved):
                pending[event.want.digest] = pending.get(event.want.digest, 0) + event.count
                if time.monotonic() - last < 0.1:
                    return
                last = time.monotonic()
                drain()
            elif isinstance(event, Planned):
                drain()
                write("planned", stage=event.stage, count=event.count, bytes=event.size)
            elif isinstance(event, Finished):
                drain()
                write("finished", digest=event.want.digest, outcome=event.outcome.value)
            else:
                write("note", text=event.text)

    try:
        yield observe
    finally:
        with lock:
            drain()


def outcome_counts(outcomes: Mapping[Outcome, int]) -> str:
    """``12 copied, 3 present`` for a closing line."""
    return ", ".join(f"{outcomes[o]} {o.value}" for o in Outcome if outcomes.get(o)) or "nothing to do"
