"""``.bundler/``: what is the store's own business, beside what every OCI tool reads.

.bundler/
  lock  index.lock     who is at work (locks)
  journal              which blobs were verified (journal)
  leases/              what pulls will need (leases)
  tmp/                 writes under way
  partial/             large blobs that broke off, to be continued
  quarantine/          blobs that were not what their names said
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import ReadOnlyError
from bundler.store.directory import Directory

NAME = ".bundler"


@dataclass(frozen=True, slots=True)
class State:
    """The directories, open."""

    root: Directory
    tmp: Directory
    partial: Directory
    leases: Directory
    quarantine: Directory


def open_state(layout: Directory) -> State | None:
    """The private directories, made where they lack; nothing on a medium that can't be written and never was."""
    try:
        root = layout.make(NAME)
        return State(root, *(root.make(name) for name in ("tmp", "partial", "leases", "quarantine")))
    except ReadOnlyError:
        return None
