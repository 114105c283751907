"""The manifests that were resolved or pushed just now, so that fetching or tagging them costs no request.

One for all repositories of a registry, bounded in bytes: the oldest go first.
"""

from __future__ import annotations

import threading

from bundler.oci.digest import Digest

KEPT = 32 << 20
"""Bytes of manifests that are kept."""


class Recent:
    """Contents by digest, each kept for the repository that it came from. Safe to share among threads."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Digest], bytes] = {}
        self._size = 0
        self._lock = threading.Lock()

    def get(self, repository: str, digest: Digest) -> bytes | None:
        """What was kept, if it still is."""
        return self._kept.get((repository, digest))

    def keep(self, repository: str, digest: Digest, raw: bytes) -> None:
        """Keep ``raw``, and let go of the oldest if there is too much."""
        with self._lock:
            self._size += len(raw) - len(self._kept.pop((repository, digest), b""))
            self._kept[repository, digest] = raw
            while self._size > KEPT:
                self._size -= len(self._kept.pop(next(iter(self._kept))))
