"""Removing what nobody needs: mark from the index, the leases and what the caller keeps, then sweep.

Who sweeps holds the store alone, so nothing is being published; uploads that are under way have their files locked, and
are left alone. A store that lacks something an image needs is not swept: what else that image needs can't be known then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from bundler.errors import BundlerError, StoreError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.store.closure import Children, Present, needs
from bundler.store.directory import Directory
from bundler.store.incoming import is_abandoned, partial_name
from bundler.store.journal import Journal
from bundler.store.layout import Layout
from bundler.store.leases import leased
from bundler.store.state import State


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be. ``leftovers`` are broken writes and old partial blobs; ``size`` is all of it in bytes."""

    blobs: tuple[tuple[Digest, int], ...]
    leftovers: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What there is, with sizes in bytes, and what of it is needed."""

    found: Mapping[Digest, int]
    needed: frozenset[Digest]


def marked(
    layout: Layout,
    state: State,
    *,
    children: Children,
    keep: Iterable[Descriptor],
    without: Collection[str],
    grace: timedelta,
) -> Marks:
    """What the index, less the images called ``without``, the leases younger than ``grace`` and ``keep`` lead to.

    Raises :class:`StoreError` where an image is not complete.
    """
    found = dict(layout.blobs())
    needed = set(leased(state.leases, grace=grace)[0])

    def present(want: Descriptor) -> bool:
        return want.digest in found

    for entry in layout.index().entries:
        if entry.name and entry.name in without:
            continue
        try:
            for need in needs(entry, present=present, children=children):
                if not need.present:
                    raise StoreError(f"{need.want.digest} is missing")
                needed.add(need.want.digest)
        except BundlerError as error:
            raise StoreError(
                f"{quoted(layout.path)}: what {entry.label} needs can't be known: {error}",
                hint="pull the image again, or remove it with `bundler store rm`",
            ) from error
    for want in keep:
        needed.update(_led_to(want, present, children))
    return Marks(found, frozenset(needed))


def _led_to(root: Descriptor, present: Present, children: Children) -> set[Digest]:
    """``root`` and what it leads to, as far as that is there: nobody has promised that it is complete."""
    led: set[Digest] = set()
    stack = [root]
    while stack:
        want = stack.pop()
        if want.digest in led or not present(want):
            continue
        led.add(want.digest)
        if want.is_manifest:
            try:
                stack.extend(children(want))
            except BundlerError:  # damaged: nothing can be pulled by it
                continue
    return led


def gc(
    marks: Marks,
    state: State,
    journal: Journal,
    *,
    discard: Callable[[Digest], None],
    dry_run: bool,
    grace: timedelta,
) -> Collected:
    """Remove unneeded blobs, writes that broke, and partial blobs and leases older than ``grace``."""
    kept, old_leases = leased(state.leases, grace=grace)
    blobs = tuple((digest, size) for digest, size in marks.found.items() if digest not in marks.needed)
    leftovers = [(state.tmp, name) for name in state.tmp.names() if is_abandoned(state.tmp, name)]
    leftovers += _old_partials(state.partial, {partial_name(digest) for digest in kept}, grace)
    size = sum(size for _, size in blobs) + sum(_size(directory, name) for directory, name in leftovers)
    if not dry_run:
        for directory, name in leftovers:
            directory.remove(name)
        for name in old_leases:
            state.leases.remove(name)
        for digest, _ in blobs:
            discard(digest)
        journal.compact(marks.found.keys() & marks.needed, via=state.tmp)
    return Collected(blobs, tuple(directory.about(name) for directory, name in leftovers), size)


def _old_partials(partial: Directory, kept: set[str], grace: timedelta) -> list[tuple[Directory, str]]:
    oldest = time.time() - grace.total_seconds()
    found = []
    for name in partial.names():
        state = partial.stat(name)
        if name not in kept and state is not None and state.st_mtime < oldest:
            found.append((partial, name))
    return found


def _size(directory: Directory, name: str) -> int:
    found = directory.stat(name)
    return 0 if found is None else found.st_size
