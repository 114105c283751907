"""Fits the images of a bundle to a destination that can't hold everything: an archive for ``docker load``, a daemon.

Most destinations hold everything, and then nothing happens here. Otherwise each image is cut down to one platform or
converted where it must be, which the operator hears of; attachments that can't be kept stay behind, and that is said too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bundler.content import Note, Observer, Source
from bundler.errors import UnsupportedError, quoted
from bundler.journey.destination import Destination
from bundler.journey.ends import Ends
from bundler.journey.fitting import Chosen, Fitted, Instances, Wanted, choose, fit
from bundler.journey.host import running_platform
from bundler.medium import EVERYTHING, Holds
from bundler.push import Shipment
from bundler.scratch import Spool


@dataclass(frozen=True, slots=True)
class Cargo:
    """``shipments`` as they are to be delivered; ``landed`` the same under the names that the destination shows."""

    shipments: tuple[Shipment, ...]
    landed: tuple[Shipment, ...]
    source_of: Callable[[Shipment], Source]


@contextmanager
def fitted(
    source: Source,
    loads: Sequence[Shipment],
    destination: Destination,
    ends: Ends,
    *,
    executor: Executor,
    observer: Observer,
) -> Iterator[Cargo]:
    """The cargo; what conversions wrote lasts as long as the block."""
    holds = destination.holds()
    if holds == EVERYTHING:
        yield Cargo(tuple(map(destination.berth, loads)), tuple(loads), lambda _: source)
        return
    wanted = Wanted(ends.surroundings.platform or running_platform())
    sources: dict[Shipment, Source] = {}
    landed: list[Shipment] = []
    with Spool.open(ends.surroundings.tmp) as scratch:
        for load in loads:
            if load.attached and not holds.artifacts:
                observer(Note(f"{quoted(load.source)}: {load.name} is left out: {holds.medium} can't hold it"))
                continue
            chosen = _chosen(source, load, wanted, holds)
            made: Fitted = fit(
                source, chosen, wanted, holds, scratch=scratch, executor=executor, observer=observer, what=load.source
            )
            for change in made.changes:
                observer(Note(f"{quoted(load.source)}: {change}"))
            fits = replace(load, root=made.root, chosen=made.children)
            landed.append(fits)
            sources[destination.berth(fits)] = made.source
        if not landed:
            raise UnsupportedError(f"{holds.medium} can hold none of the images")
        yield Cargo(tuple(sources), tuple(landed), sources.__getitem__)


def _chosen(source: Source, load: Shipment, wanted: Wanted, holds: Holds) -> Chosen:
    if holds.indexes:
        return Chosen(load.root, load.chosen)
    return choose(source, load.root, replace(wanted, instances=Instances.SYSTEM), what=load.source)
