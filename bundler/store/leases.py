"""Leases: what a pull will need, said before anything in the index leads there.

A lease is a file with digests, locked while its process lives. gc needs the store alone, so it never meets a running
pull; it meets what broken ones left behind, and leaves those digests for a week, so that the same pull can go on. A
pull that succeeds removes its lease, and those of dead ones that wanted nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from bundler.errors import BundlerError, LimitError, ProtocolError, StoreError
from bundler.oci.digest import Digest, parse_digest
from bundler.oci.strict_json import Fields, loads
from bundler.store.directory import Directory, disk, temporary_name
from bundler.store.locks import try_lock

GRACE = timedelta(days=7)
"""How long the work of a broken pull is kept for its next try."""

_CAP = 64 << 20
_SUFFIX = ".json"


@contextmanager
def lease(leases: Directory, digests: Iterable[Digest], *, via: Directory) -> Iterator[None]:
    """Keep ``digests`` from gc; given up at the end, and kept for the next try if the block raises or dies."""
    wanted = frozenset(digests)
    name = temporary_name() + _SUFFIX
    leases.write(name, json.dumps({"digests": sorted(wanted)}).encode(), via=via)
    with disk(f"open {leases.about(name)}"):
        fd = leases.open(name, os.O_RDONLY)
    try:
        try_lock(fd, fcntl.LOCK_EX)
        yield
        leases.remove(name)
        _clear(leases, wanted)
    finally:
        os.close(fd)


def leased(leases: Directory, *, grace: timedelta = GRACE) -> tuple[frozenset[Digest], list[str]]:
    """The digests that may not be removed, and the names of the lease files that have outlived ``grace``."""
    found: set[Digest] = set()
    old = []
    oldest = time.time() - grace.total_seconds()
    for name in _names(leases):
        state = leases.stat(name)
        if state is not None and state.st_mtime < oldest:
            old.append(name)
        else:
            found |= _digests(leases, name)
    return frozenset(found), old


def _clear(leases: Directory, done: frozenset[Digest]) -> None:
    for name in _names(leases):
        try:
            digests = _digests(leases, name)
        except StoreError:  # gc says so; a pull that is done has no business with it
            continue
        if digests <= done and _abandoned(leases, name):
            leases.remove(name)


def _abandoned(leases: Directory, name: str) -> bool:
    with disk(f"open {leases.about(name)}"):
        try:
            fd = leases.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return False
    try:
        return try_lock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def _names(leases: Directory) -> list[str]:
    return [name for name in leases.names() if name.endswith(_SUFFIX)]


def _digests(leases: Directory, name: str) -> frozenset[Digest]:
    """What a lease names; :class:`StoreError` if that can't be told."""
    what = leases.about(name)
    try:
        raw = leases.read(name, cap=_CAP)
        if raw is None:  # its owner was just done
            return frozenset()
        fields = Fields(loads(raw, what=what, cap=_CAP, error=_damaged), what=what, error=_damaged)
        return frozenset(parse_digest(text, what=what) for text in fields.texts("digests"))
    except (LimitError, ProtocolError) as problem:  # from readers that know no store
        raise _damaged(str(problem)) from None


def _damaged(message: str) -> BundlerError:
    return StoreError(message, hint="if no pull is at work, remove this file: what a broken pull left is then not kept")
