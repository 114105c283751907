"""Which repository of a registry holds which blob, remembered between runs, so that it is mounted and not sent again.

A row is a hint and no more: a registry that declines a mount costs one request, and the row is forgotten. The file is a
cache that anything may happen to: where it can't be written nothing is remembered, and one that is damaged is removed, so
that the next run begins anew.

    places = Places(user_cache_path("bundler") / "places.db")
    places.origins("registry.local:5000", digest)      # ("library/debian",)
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.oci.digest import Digest

if TYPE_CHECKING:
    import sqlite3

MOST = 200_000
"""Rows to keep; the oldest go first."""
OFFERED = 2
"""Repositories to try for one blob."""
BUSY_SECONDS = 2.0
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_log = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS places (
    host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, seen INTEGER NOT NULL,
    PRIMARY KEY (host, digest, repository)) WITHOUT ROWID;
"""


class Places:
    """The cache. Threads may share one; what they note is written when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = False
        self._database: sqlite3.Connection | None = None
        self._noted: dict[tuple[str, Digest], dict[str, bool]] = {}
        self._lock = threading.Lock()

    def _open(self) -> sqlite3.Connection | None:
        """The file, opened when it is first needed; None where that can't be."""
        import sqlite3

        if not self._opened:
            self._opened = True
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                database = sqlite3.connect(
                    self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._database = database
                database.execute("PRAGMA synchronous = OFF")  # a cache need not outlive a power cut
                database.executescript(_SCHEMA)
            except (OSError, sqlite3.Error) as problem:
                self._give_up(problem)
        return self._database

    def _give_up(self, problem: Exception) -> None:
        """Go without: a cache is no reason for a failure."""
        _log.debug("%s: not used: %s", self._path, problem)
        if self._database is not None:
            self._database.close()
        self._database = None
        if getattr(problem, "sqlite_errorname", "").startswith(_DAMAGED):
            with suppress(OSError):
                self._path.unlink()

    def origins(self, host: str, digest: Digest) -> tuple[str, ...]:
        """Repositories at ``host`` that may hold a blob, the one that was seen last first."""
        import sqlite3

        with self._lock:
            noted = self._noted.get((host, digest), {})
            found = list(reversed(noted))
            database = self._open()
            if database is not None:
                query = "SELECT repository FROM places WHERE host = ? AND digest = ? ORDER BY seen DESC LIMIT ?"
                try:
                    found += [row[0] for row in database.execute(query, (host, digest, OFFERED))]
                except sqlite3.Error as problem:
                    self._give_up(problem)
            good = [place for place in dict.fromkeys(found) if noted.get(place, True)]
        return tuple(good[:OFFERED])

    def note(self, host: str, digest: Digest, repository: str) -> None:
        """Remember that a repository holds a blob."""
        self._remember(host, digest, repository, holds=True)

    def forget(self, host: str, digest: Digest, repository: str) -> None:
        """It does not, or may not be mounted from."""
        self._remember(host, digest, repository, holds=False)

    def _remember(self, host: str, digest: Digest, repository: str, *, holds: bool) -> None:
        with self._lock:
            noted = self._noted.setdefault((host, digest), {})
            noted.pop(repository, None)  # the last one noted comes last
            noted[repository] = holds

    def close(self) -> None:
        """Write down what was noted."""
        import sqlite3

        with self._lock:
            database = self._open() if self._noted else self._database
            try:
                if database is not None and self._noted:
                    self._write(database)
            except sqlite3.Error as problem:
                self._give_up(problem)
            if self._database is not None:
                self._database.close()
            self._database, self._noted = None, {}

    def _write(self, database: sqlite3.Connection) -> None:
        database.execute("BEGIN IMMEDIATE")
        (newest,) = database.execute("SELECT COALESCE(MAX(seen), 0) FROM places").fetchone()
        noted = [((*key, place), holds) for key, places in self._noted.items() for place, holds in places.items()]
        gone = [row for row, holds in noted if not holds]
        kept = [(*row, newest + 1) for row, holds in noted if holds]
        database.executemany("DELETE FROM places WHERE host = ? AND digest = ? AND repository = ?", gone)
        database.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", kept)
        (count,) = database.execute("SELECT COUNT(*) FROM places").fetchone()
        if count > MOST:
            oldest = "SELECT seen FROM places ORDER BY seen DESC LIMIT 1 OFFSET ?"
            (limit,) = database.execute(oldest, (MOST // 2,)).fetchone()
            database.execute("DELETE FROM places WHERE seen < ?", (limit,))
        database.execute("COMMIT")
