"""Whether a password is right, without telling by time whether its user exists.

    passwords = Passwords.open("site.htpasswd")      # bcrypt lines, as `htpasswd -B` writes them
    passwords.check("ann", "secret")                 # a quarter of a second at cost 12; at once when just seen

Every failure costs what the file's dearest hash costs. A right password is remembered for five minutes as an HMAC under a
key that this process drew, bound to user and hash: a changed file counts at once, and a wrong password is never remembered.
Two are computed at a time and 64 wait; whoever comes then is asked to come again, so that guessing takes no machine down.
"""

from __future__ import annotations

import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from bundler.registry.access.files import LiveFile
from bundler.registry.access.htpasswd import (
    PASSWORD_BYTES,
    WHAT,
    cost_of,
    parse_passwords,
    remove_user,
    set_password,
)
from bundler.registry.failure import Failure

__all__ = ["Passwords", "remove_user", "set_password"]

AT_ONCE = 2
"""Hashes computed at the same time."""
WAITING = 64
"""Log-ins that may wait for that."""
REMEMBERED_SECONDS = 300.0
MOST_REMEMBERED = 1024
RETRY_SECONDS = 5

_DUMMY_TAIL = "abcdefghijklmnopqrstuu" + "abcdefghijklmnopqrstuvwxyz1234."


class Passwords:
    """A file of passwords, read again when it changes. Threads may share one."""

    def __init__(self, file: LiveFile[dict[str, str]]) -> None:
        self._file = file
        self._right = _Remembered()
        self._turns = _Turns(AT_ONCE, WAITING)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Passwords:
        """Read and check a file; :class:`ConfigError` or :class:`LimitError` naming its line otherwise."""
        return cls(LiveFile(path, parse_passwords, what=WHAT))

    @property
    def name(self) -> str:
        """The file, for messages."""
        return self._file.name

    def users(self) -> frozenset[str]:
        """Who has a password now."""
        return frozenset(self._file.current())

    def remembers(self, user: str, password: str) -> bool:
        """Whether the password was right a short while ago and the hash is the same; computes and waits for nothing."""
        hashed = self._file.current().get(user)
        return hashed is not None and self._right.has(user, hashed, _bytes(password))

    def check(self, user: str, password: str) -> bool:
        """Whether this is the user's password now. Blocks for one computation, and for those in front of it.

        Like Apache, it looks at no more than 72 bytes. Raises :class:`Failure` 429 if too many are waiting.
        """
        hashes = self._file.current()
        hashed, raw = hashes.get(user), _bytes(password)
        if hashed is not None and self._right.has(user, hashed, raw):
            return True
        with self._turns.take():
            if hashed is not None and self._right.has(user, hashed, raw):
                return True  # a client with many connections: the first of them has computed it
            right = _computed(hashed, raw, most=max(map(cost_of, hashes.values())))
            if right and hashed is not None:
                self._right.add(user, hashed, raw)
        return right


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _computed(hashed: str | None, raw: bytes, *, most: int) -> bool:
    """Whether ``raw`` is what was hashed; if not, the time of a hash of cost ``most`` has passed."""
    import bcrypt

    # bcrypt repeats a password with a NUL after it, so "a" and "a\0a" are one to it. No file was made with either kind.
    usable = bool(raw) and b"\0" not in raw
    cut = raw[:PASSWORD_BYTES]
    if bcrypt.checkpw(cut, (hashed or _dummy(most)).encode("ascii")) and usable and hashed is not None:
        return True
    for cost in range(cost_of(hashed) if hashed else most, most):  # 2^c and 2^c … 2^(most-1) make 2^most
        bcrypt.checkpw(cut, _dummy(cost).encode("ascii"))
    return False


def _dummy(cost: int) -> str:
    return f"$2b${cost:02d}${_DUMMY_TAIL}"


class _Remembered:
    """Right passwords of the last minutes: HMACs and when they end, the oldest first."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, user: str, hashed: str, raw: bytes) -> bool:
        ticket = self._ticket(user, hashed, raw)
        with self._lock:
            return self._until.get(ticket, 0.0) > time.monotonic()

    def add(self, user: str, hashed: str, raw: bytes) -> None:
        ticket, now = self._ticket(user, hashed, raw), time.monotonic()
        with self._lock:
            self._until[ticket] = now + REMEMBERED_SECONDS
            self._until.move_to_end(ticket)
            while self._until and (len(self._until) > MOST_REMEMBERED or next(iter(self._until.values())) <= now):
                self._until.popitem(last=False)

    def _ticket(self, user: str, hashed: str, raw: bytes) -> bytes:
        # Neither a user's name nor a hash holds a colon.
        return hmac.digest(self._key, f"{user}:{hashed}:".encode("utf-8", "surrogatepass") + raw, "sha256")


class _Turns:
    """At most ``at_once`` inside, at most ``waiting`` before the door."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._inside = threading.Semaphore(at_once)
        self._all = threading.Semaphore(at_once + waiting)

    @contextmanager
    def take(self) -> Iterator[None]:
        if not self._all.acquire(blocking=False):
            raise Failure(
                429,
                "TOOMANYREQUESTS",
                "too many log-ins are being checked; try again in a moment",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        try:
            with self._inside:
                yield
        finally:
            self._all.release()
