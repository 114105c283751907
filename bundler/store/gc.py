"""Removing what nobody needs: mark from the index and the leases, then sweep.

The caller holds the store alone, so nothing is being written. A store that lacks something an image needs is not swept:
what else that image needs can't be known then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from bundler.errors import BundlerError, StoreError, quoted
from bundler.oci.digest import Digest
from bundler.store.closure import needs, remembering
from bundler.store.directory import Directory
from bundler.store.incoming import partial_name
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


def gc(
    layout: Layout,
    state: State,
    journal: Journal,
    *,
    discard: Callable[[Digest], None],
    dry_run: bool,
    grace: timedelta,
) -> Collected:
    """Remove unneeded blobs, writes that broke, and partial blobs and leases older than ``grace``.

    Raises :class:`StoreError` where an image is not complete.
    """
    found = dict(layout.blobs())
    kept, old_leases = leased(state.leases, grace=grace)
    needed = set(kept)
    children = remembering(layout)
    for entry in layout.index().entries:
        try:
            for need in needs(entry, present=lambda want: want.digest in found, children=children):
                if not need.present:
                    raise StoreError(f"{need.want.digest} is missing")
                needed.add(need.want.digest)
        except BundlerError as error:
            raise StoreError(
                f"{quoted(layout.path)}: what {entry.label} needs can't be known: {error}",
                hint="pull the image again, or remove it with `bundler store rm`",
            ) from error
    blobs = tuple((digest, size) for digest, size in found.items() if digest not in needed)
    leftovers = [(state.tmp, name) for name in state.tmp.names()]
    leftovers += _old_partials(state.partial, {partial_name(digest) for digest in kept}, grace)
    size = sum(size for _, size in blobs) + sum(_size(directory, name) for directory, name in leftovers)
    if not dry_run:
        for directory, name in leftovers:
            directory.remove(name)
        for name in old_leases:
            state.leases.remove(name)
        for digest, _ in blobs:
            discard(digest)
        journal.compact(found.keys() & needed, via=state.tmp)
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
