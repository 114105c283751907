"""Upload sessions: files of the store that grow, hashed as they grow.

A session's id is random and known only to this process: one that was not handed out here finds nothing. Sessions are
capped in number, and dropped when nothing has come for an hour. What a broken connection brought stays, so that a client
can ask how far it came and send the rest.

Everything here blocks; the routes call it in worker threads, in turns for each session.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence

from bundler.errors import DigestError, LimitError
from bundler.oci.digest import Digest, algorithm_of, hasher, hex_of
from bundler.registry.failure import Failure
from bundler.store import Store
from bundler.store.incoming import Incoming

MOST_SESSIONS = 256
IDLE_SECONDS = 3600.0
MOST_BLOB_BYTES = 1 << 40


class Upload:
    """One session. Whoever changes it holds ``turn``."""

    def __init__(self, repository: str, file: Incoming) -> None:
        self.repository = repository
        self.id = secrets.token_hex(16)
        self.file = file
        self.turn = asyncio.Lock()
        self.touched = time.monotonic()
        self._sha256 = hasher("sha256")

    @property
    def offset(self) -> int:
        """How many bytes have arrived."""
        return self.file.size

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append what arrived; :class:`LimitError` beyond a blob's cap."""
        for chunk in chunks:
            if self.offset + len(chunk) > MOST_BLOB_BYTES:
                raise LimitError(f"upload: more than {MOST_BLOB_BYTES} bytes")
            self.file.write(chunk)
            self._sha256.update(chunk)
        self.touched = time.monotonic()

    def check(self, digest: Digest) -> None:
        """:class:`DigestError` unless what arrived is ``digest``."""
        state = self._sha256
        if algorithm_of(digest) != "sha256":  # rare, and said only now: so it is read again
            state = hasher(algorithm_of(digest))
            for chunk in self.file.chunks():
                state.update(chunk)
        if state.hexdigest() != hex_of(digest):
            raise DigestError(f"{digest}: the {self.offset} bytes received hash to {state.hexdigest()}")


class Uploads:
    """The sessions of one server: at most ``most``, none silent for longer than ``idle`` seconds."""

    def __init__(self, store: Store, *, most: int = MOST_SESSIONS, idle: float = IDLE_SECONDS) -> None:
        self._store = store
        self._most = most
        self._idle = idle
        self._guard = threading.Lock()
        self._open: dict[str, Upload] = {}

    def begin(self, repository: str) -> Upload:
        """A new session; 429 if there are too many."""
        self._purge()
        with self._guard:
            if len(self._open) >= self._most:
                raise Failure(429, "TOOMANYREQUESTS", f"{self._most} uploads are open already; try again later")
            upload = Upload(repository, self._store.incoming())
            self._open[upload.id] = upload
            return upload

    def find(self, repository: str, session: str) -> Upload:
        """The session with that id in that repository; 404 if it was never handed out, or is over."""
        with self._guard:
            upload = self._open.get(session)
            if upload is None or upload.repository != repository:
                raise Failure(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; begin a new one")
            upload.touched = time.monotonic()
            return upload

    def drop(self, upload: Upload) -> None:
        """End a session; its file is thrown away unless it was committed."""
        with self._guard:
            self._open.pop(upload.id, None)
        upload.file.discard()

    def close(self) -> None:
        """End all sessions."""
        with self._guard:
            uploads = list(self._open.values())
        for upload in uploads:
            self.drop(upload)

    def _purge(self) -> None:
        limit = time.monotonic() - self._idle
        with self._guard:
            idle = [upload for upload in self._open.values() if upload.touched < limit and not upload.turn.locked()]
        for upload in idle:
            self.drop(upload)
