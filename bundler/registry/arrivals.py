"""What came to which repository, and when: what a repository holds before a name leads there, and after one was moved.

A blob that was uploaded belongs to its repository before any manifest lists it, and a manifest whose tag was moved stays
there until garbage is collected. So each arrival is noted with its time; gc leaves the young ones alone, which is what
makes it safe beside pushes. SQLite keeps the notes, in a file of the store's private directory or, on a medium that can't
be written, in memory. They may be lost: then a client uploads a blob again that was here already.

    arrivals.note("team/app", [layer])
    arrivals.find("team/app", layer.digest)       # the descriptor that was noted
"""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from bundler.errors import DiskError, SpaceError, StoreError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.registry.layers import BLOB
from bundler.store.directory import Directory

NAME = "registry.sqlite"
_TABLE = """
create table if not exists arrivals (
    repository text not null, digest text not null, media_type text not null, size integer not null, at real not null,
    primary key (repository, digest)
) without rowid
"""
_BY_DIGEST = "create index if not exists arrivals_by_digest on arrivals (digest)"
_NOTE = f"""
insert into arrivals values (?, ?, ?, ?, ?) on conflict do update
set at = excluded.at, size = excluded.size,
    media_type = case excluded.media_type when '{BLOB}' then media_type else excluded.media_type end
where at < excluded.at - 60 or media_type != excluded.media_type
"""  # noqa: S608 - a constant
_RENEW = "update arrivals set at = :now where repository = :repository and at between :now - 3600 and :now - 60"
"""A push may take longer than the grace; as long as it goes on, its first blobs stay young."""


class Arrivals:
    """The notes. Threads may share one, and processes the file."""

    def __init__(self, directory: Directory | None) -> None:
        """``directory`` is the store's private one, or nothing to keep the notes in memory."""
        self._where = "the registry's notes" if directory is None else directory.about(NAME)
        self._lock = threading.Lock()
        with self._trouble():
            self._database = sqlite3.connect(
                ":memory:" if directory is None else _path(directory), isolation_level=None, check_same_thread=False
            )
            # Without a sync for each note: a power cut may take some, which costs uploads and nothing else.
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = normal")
            self._database.execute(_TABLE)
            self._database.execute(_BY_DIGEST)

    def note(self, repository: str, contents: Iterable[Descriptor]) -> None:
        """Contents that are in ``repository`` from now on, or still. What came as a manifest stays one if it is asked for as a blob."""
        now = time.time()
        rows = [(repository, each.digest, each.media_type, each.size, now) for each in contents]
        with self._lock, self._trouble():
            self._database.executemany(_NOTE, rows)
            self._database.execute(_RENEW, {"now": now, "repository": repository})

    def find(self, repository: str, digest: Digest) -> Descriptor | None:
        """A content that was noted in that repository, whether or not it is still there."""
        rows = self._rows("select * from arrivals where repository = ? and digest = ?", repository, digest)
        return next((found for _, found, _ in rows), None)

    def holding(self, digest: Digest) -> list[str]:
        """The repositories that a content was noted in."""
        with self._lock, self._trouble():
            rows = self._database.execute(
                "select repository from arrivals where digest = ? order by repository", (digest,)
            )
            return [name for (name,) in rows]

    def all(self, *, since: float = 0.0) -> list[tuple[str, Descriptor, float]]:
        """``(repository, content, time)`` of every note from ``since`` on, in seconds since the epoch."""
        return self._rows("select * from arrivals where at >= ?", since)

    def forget(self, repository: str, digest: Digest) -> None:
        """A content is no longer in that repository."""
        with self._lock, self._trouble():
            self._database.execute("delete from arrivals where repository = ? and digest = ?", (repository, digest))

    def forget_before(self, time: float) -> None:
        """Drop notes that are older than ``time``."""
        with self._lock, self._trouble():
            self._database.execute("delete from arrivals where at < ?", (time,))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _rows(self, query: str, *values: object) -> list[tuple[str, Descriptor, float]]:
        with self._lock, self._trouble():
            found = self._database.execute(query, values).fetchall()
        return [
            (repository, Descriptor(media_type, Digest(digest), size), at)
            for repository, digest, media_type, size, at in found
        ]

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise SpaceError(f"{self._where}: {error}") from error
            raise DiskError(
                f"{self._where}: {error}", hint="if it is damaged, stop the registry and remove it"
            ) from error


def _path(directory: Directory) -> str:
    """Where the file is; a link there, or in place of what SQLite writes beside it, is refused."""
    for name in (NAME, *(f"{NAME}-{kind}" for kind in ("wal", "shm", "journal"))):
        found = directory.stat(name)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{directory.about(name)}: not a regular file", hint="remove it")
    return f"{directory.path}/{NAME}"
