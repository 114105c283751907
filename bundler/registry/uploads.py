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
PATIENCE_SECONDS = 30.0
"""How long an upload or a change waits for garbage to be collected."""
IDLE_SECONDS = 3600.0
MOST_BLOB_BYTES = 1 << 40


class Upload:
    """One session. Whoever changes it holds ``turn``."""

    def __init__(self, repository: str, visitor: str, file: Incoming, *, algorithm: str = "sha256") -> None:
        self.repository = repository
        self.visitor = visitor
        self.id = secrets.token_hex(16)
        self.file = file
        self.turn = asyncio.Lock()
        self.touched = time.monotonic()
        self._algorithm = algorithm
        self._state = hasher(algorithm)

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
            self._state.update(chunk)
        self.touched = time.monotonic()

    def check(self, digest: Digest) -> None:
        """:class:`DigestError` unless what arrived is ``digest``."""
        state = self._state
        if algorithm_of(digest) != self._algorithm:  # rare, and said only now: so it is read again
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
        self._guard = threading.Lock()  # held for moments only: the event loop asks for it too
        self._open: dict[str, Upload] = {}
        self._beginning = 0

    def begin(self, repository: str, visitor: str, *, algorithm: str = "sha256") -> Upload:
        """A new session, of ``visitor`` alone; 429 if there are too many. ``algorithm`` is the digest's that is expected."""
        self.purge()
        with self._guard:
            if len(self._open) + self._beginning >= self._most:
                message = f"{self._most} uploads are open already; try again later"
                raise Failure(429, "TOOMANYREQUESTS", message, headers={"Retry-After": "5"})
            self._beginning += 1
        upload = None
        try:
            with self._store.shared("registry serve", patience=PATIENCE_SECONDS):  # gc counts on files being locked
                upload = Upload(repository, visitor, self._store.incoming(), algorithm=algorithm)
        finally:
            with self._guard:
                self._beginning -= 1
                if upload is not None:
                    self._open[upload.id] = upload
        return upload

    def find(self, repository: str, visitor: str, session: str) -> Upload:
        """The session with that id in that repository; 404 if it is over, or was never handed out to that visitor."""
        with self._guard:
            upload = self._open.get(session)
            if upload is None or (upload.repository, upload.visitor) != (repository, visitor):
                raise Failure(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload; begin a new one")
            upload.touched = time.monotonic()
            return upload

    def drop(self, upload: Upload) -> None:
        """End a session; its file is thrown away unless it was committed."""
        with self._guard:
            self._open.pop(upload.id, None)
        upload.file.discard()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """End all sessions."""
        with self._guard:
            uploads = list(self._open.values())
        for upload in uploads:
            self.drop(upload)

    def purge(self) -> None:
        """End the sessions that nothing has come to for long."""
        limit = time.monotonic() - self._idle
        with self._guard:
            idle = [upload for upload in self._open.values() if upload.touched < limit and not upload.turn.locked()]
            for upload in idle:  # so that nobody can find one whose file is about to go
                del self._open[upload.id]
        for upload in idle:
            self.drop(upload)
