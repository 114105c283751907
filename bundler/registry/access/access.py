"""The visitor behind a request, what he may do, and how he is refused.

    visitor = await access.admit(request.headers.get("authorization"))       # or authenticate(), in a thread
    if not access.may(visitor, Right.PULL, "team/app"):
        raise access.refusal(visitor, Right.PULL, "team/app")                # 401 with a challenge, or 403

docker, podman and skopeo learn from `GET /v2/` how to log in, and send no password if it is answered without a challenge.
So where there are passwords (``challenges_base``) it is 401 for every visitor without one, even if some may pull. podman and
skopeo then ask for a public image with an empty name and password, which is taken for no log-in at all; docker doesn't ask.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, quoted
from bundler.registry.access.passwords import AT_ONCE, WAITING, Passwords
from bundler.registry.access.rights import Right, Rights
from bundler.registry.failure import Failure

if TYPE_CHECKING:
    import anyio

CHALLENGE = {"WWW-Authenticate": 'Basic realm="bundler", charset="UTF-8"'}
HEADER_LENGTH = 4096
"""The longest Authorization header that is looked at."""
REFUSED_SECONDS = 1.0
"""How much longer it takes to be told that a password is wrong, or that too many are being checked."""

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever asks: the name of a user whose password was right, or "" for a visitor without one."""

    name: str = ""


class Access:
    """Access control of a registry. Threads may share one."""

    def __init__(self, passwords: Passwords | None, rights: Rights | None = None) -> None:
        self._passwords = passwords
        self._rights = rights or Rights.of_a_site()
        self._limiter: anyio.CapacityLimiter | None = None

    @classmethod
    def everyone(cls) -> Access:
        """No access control: every visitor may do everything, administer included."""
        return cls(None)

    @classmethod
    def of_files(cls, passwords: str | os.PathLike[str] | None, rights: str | os.PathLike[str] | None = None) -> Access:
        """Access by a file of passwords and, if given, one of rights; without either it is :meth:`everyone`'s.

        Raises :class:`ConfigError` and its like for what is wrong in a file, or a user of the one who isn't in the other.
        """
        if passwords is None:
            if rights is not None:
                raise ConfigError(
                    f"{quoted(os.fspath(rights))}: rights are of no use without passwords",
                    hint="give a password file too; `bundler registry passwd` makes one",
                )
            return cls.everyone()
        read = Passwords.open(passwords)
        granted = None if rights is None else Rights.open(rights)
        if granted is not None:
            granted.check_users(read.users(), of=read.name)
        return cls(read, granted)

    @property
    def open(self) -> bool:
        """Whether there is no access control at all."""
        return self._passwords is None

    @property
    def challenges_base(self) -> bool:
        """Whether `GET /v2/` of a visitor without a password must be answered with 401 and the challenge."""
        return not self.open

    def authenticate(self, authorization: str | None) -> Visitor:
        """Who asks, by the Authorization header. May block for seconds: for a thread that nothing else waits for.

        Raises :class:`Failure` 401 for a header that is malformed or wrong, 429 if too many wait.
        """
        if self._passwords is None or authorization is None:
            return Visitor()
        user, password = parse_basic(authorization)
        if not user and not password:
            return Visitor()
        if not self._passwords.check(user, password):
            raise _unauthorized("user name or password is wrong")
        return Visitor(user)

    def recall(self, authorization: str | None) -> Visitor | None:
        """The same if it can be told without computing anything; None if :meth:`authenticate` must be asked."""
        if self._passwords is None or authorization is None:
            return Visitor()
        user, password = parse_basic(authorization)
        if not user and not password:
            return Visitor()
        return Visitor(user) if self._passwords.remembers(user, password) else None

    async def admit(self, authorization: str | None) -> Visitor:
        """:meth:`authenticate` for a coroutine: what blocks does so in threads that are kept for this alone."""
        known = self.recall(authorization)
        if known is not None:
            return known
        import anyio
        import anyio.to_thread

        if self._limiter is None:  # one thread beyond those that may wait, to tell the next visitor so
            self._limiter = anyio.CapacityLimiter(AT_ONCE + WAITING + 1)
        try:
            return await anyio.to_thread.run_sync(self.authenticate, authorization, limiter=self._limiter)
        except Failure:  # who guesses without pause would take each turn before anybody else comes to it
            await anyio.sleep(REFUSED_SECONDS)
            raise

    def may(self, visitor: Visitor, right: Right, repository: str) -> bool:
        """Whether the visitor has the right over a repository; ADMIN is asked with repository ""."""
        return self.open or self._rights.may(visitor.name or None, right, repository)

    def refusal(self, visitor: Visitor, right: Right, repository: str) -> Failure:
        """The answer to a visitor who has not: 401 with the challenge if he gave no password, else 403."""
        action = f"{_ACTIONS[right]} {quoted(repository) or 'this registry'}"
        if not visitor.name:
            return _unauthorized(f"log in to {action}")
        return Failure(403, "DENIED", f"{quoted(visitor.name)} may not {action}")

    def challenge(self) -> Failure:
        """The answer to `GET /v2/` where :attr:`challenges_base` holds and the visitor has no name."""
        return _unauthorized("log in to this registry")


_ACTIONS = {
    Right.PULL: "pull from",
    Right.PUSH: "push to",
    Right.DELETE: "delete from",
    Right.ADMIN: "administer",
}


def parse_basic(authorization: str) -> tuple[str, str]:
    """User and password of a Basic header (RFC 7617, UTF-8); :class:`Failure` 401 for anything else."""
    match = _BASIC.fullmatch(authorization) if len(authorization) <= HEADER_LENGTH else None
    if match is None:
        raise _malformed()
    try:
        raw = binascii.a2b_base64(match[1])
        user, colon, password = raw.decode().partition(":")
    except ValueError:  # binascii's and UTF-8's are both
        raise _malformed() from None
    if base64.b64encode(raw).decode() != match[1] or not colon or _CONTROL.search(user + password):
        raise _malformed()
    if not user and password:
        raise _malformed()
    return user, password


def _malformed() -> Failure:
    return _unauthorized("the Authorization header is not Basic with user name and password in UTF-8")


def _unauthorized(message: str) -> Failure:
    return Failure(401, "UNAUTHORIZED", message, headers=CHALLENGE)
