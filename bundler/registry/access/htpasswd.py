"""The file of passwords, as Apache's ``htpasswd -B`` writes it: ``user:bcrypt-hash`` lines, ``#`` comments, empty lines.

    # the site's users
    ann:$2y$12$…            $2a$ and $2b$ are taken too; nothing but bcrypt is

Reading is strict. Changing one user is not: other lines stay byte for byte as they are, even those that reading refuses, so
that a file full of older hashes can be mended one user after the other. The file is replaced in one step, under its
directory's lock, and a symbolic link to it stays one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

from bundler.errors import BundlerError, ConfigError, LimitError, NotFoundError, quoted
from bundler.registry.access.files import changing, read_file, write_whole

WHAT = "password file"
LEAST_COST, MOST_COST, DEFAULT_COST = 4, 14, 12
"""bcrypt's cost is the binary logarithm of its rounds: 12 takes about a quarter of a second, 14 a whole one."""
PASSWORD_BYTES = 72
"""What bcrypt looks at."""
USER_BYTES = 255

_BCRYPT = re.compile(r"\$2[aby]\$([0-3][0-9])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")
_BOM = "\ufeff"
_MAKE_ONE = "make it with `htpasswd -B` or `bundler registry passwd`"
_log = logging.getLogger(__name__)


def parse_passwords(raw: bytes, name: str) -> dict[str, str]:
    """The hash of every user; :class:`ConfigError` or :class:`LimitError` naming file and line."""
    hashes: dict[str, str] = {}
    for number, line in enumerate(raw.split(b"\n"), 1):
        text = _text(line, f"{name}:{number}", first=number == 1)
        if text and not text.startswith("#"):
            user, hashed = _entry(text, f"{name}:{number}")
            if user in hashes:
                raise ConfigError(
                    f"{name}:{number}: user {quoted(user)!r} was given before", hint="keep one line of them"
                )
            hashes[user] = hashed
    if not hashes:
        raise ConfigError(f"{name}: holds no user", hint="add one with `htpasswd -B` or `bundler registry passwd`")
    return hashes


def cost_of(hashed: str) -> int:
    """The cost of a hash that :func:`parse_passwords` took."""
    return int(hashed[4:6])


def _text(line: bytes, where: str, *, first: bool) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: not UTF-8", hint="save the file as UTF-8") from None
    return (text.removeprefix(_BOM) if first else text).strip(" \t\r")


def _entry(text: str, where: str) -> tuple[str, str]:
    user, colon, hashed = text.partition(":")
    if not colon:
        raise ConfigError(f"{where}: is not `user:hash`", hint=_MAKE_ONE)
    if problem := user_problem(user):
        raise ConfigError(f"{where}: {problem}")
    match = _BCRYPT.fullmatch(hashed)
    if match is None or int(match[1]) < LEAST_COST:
        raise ConfigError(f"{where}: the hash of {quoted(user)!r} is not bcrypt", hint=_MAKE_ONE)
    if int(match[1]) > MOST_COST:
        raise LimitError(
            f"{where}: the hash of {quoted(user)!r} has cost {int(match[1])}, more than the {MOST_COST} allowed",
            hint=f"every log-in would take seconds; make it with `htpasswd -B -C {DEFAULT_COST}`",
        )
    return user, hashed


def user_problem(user: str) -> str:
    """What keeps ``user`` from being the name of one; empty if nothing does."""
    said = f"{quoted(user)!r} is not a user's name: "
    if not user:
        return "the user's name is empty"
    if ":" in user or not user.isprintable():
        return f"{said}it holds a colon or a control character"
    if user != user.strip() or user.startswith("#"):
        return f"{said}it starts with # or a space, or ends with a space"
    if user == "*":
        return f"{said}it stands for everybody in a file of rights"
    if len(user.encode()) > USER_BYTES:
        return f"{said}it is longer than {USER_BYTES} bytes"
    return ""


def set_password(path: str | os.PathLike[str], user: str, password: str, *, cost: int = DEFAULT_COST) -> None:
    """Give a user a password, in a file that is made if it isn't there.

    Raises :class:`ConfigError` or :class:`LimitError` for a name, a password or a cost that can't be, and disk errors.
    """
    if problem := user_problem(user):
        raise ConfigError(problem, hint="a name has no colon and no control character")
    if not LEAST_COST <= cost <= MOST_COST:
        raise ConfigError(f"cost {cost} is not from {LEAST_COST} to {MOST_COST}", hint=f"{DEFAULT_COST} is a good one")
    hashed = _hash(_usable(password, user), cost)

    def changed(lines: list[bytes]) -> list[bytes]:
        places = [number for number, line in enumerate(lines) if _user_of(line) == user]
        if not places:
            if lines and not lines[-1]:
                lines.pop()
            return [*lines, f"{user}:{hashed}".encode(), b""]
        new = [line for number, line in enumerate(lines) if number not in places[1:]]
        new[places[0]] = f"{user}:{hashed}".encode()
        return new

    _change(path, changed, create=True)


def remove_user(path: str | os.PathLike[str], user: str) -> None:
    """Take a user out of the file. Raises :class:`NotFoundError` if he isn't in it, :class:`ConfigError` if he is alone.

    A running registry keeps to the last file that was whole, and one without users isn't: he would still get in.
    """

    def changed(lines: list[bytes]) -> list[bytes]:
        left = [line for line in lines if _user_of(line) != user]
        if len(left) == len(lines):
            raise NotFoundError(
                f"{quoted(os.fspath(path))}: there is no user {quoted(user)!r}", hint="check the spelling"
            )
        if not any(_user_of(line) for line in left):
            raise ConfigError(
                f"{quoted(os.fspath(path))}: {quoted(user)!r} is the only user, and a file without users is refused",
                hint="add another user first, or change this one's password",
            )
        return left

    _change(path, changed, create=False)


def _usable(password: str, user: str) -> bytes:
    try:
        raw = password.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"the password of {quoted(user)!r} is not UTF-8", hint="choose another one") from None
    if not raw:
        raise ConfigError(f"the password of {quoted(user)!r} is empty", hint="choose another one")
    if any(byte < 0x20 or byte == 0x7F for byte in raw):
        raise ConfigError(f"the password of {quoted(user)!r} holds a control character", hint="choose another one")
    if len(raw) > PASSWORD_BYTES:
        raise LimitError(
            f"the password of {quoted(user)!r} is longer than the {PASSWORD_BYTES} bytes that bcrypt looks at",
            hint="choose a shorter one; letters outside ASCII count two to four bytes",
        )
    return raw


def _hash(raw: bytes, cost: int) -> str:
    import bcrypt

    return bcrypt.hashpw(raw, bcrypt.gensalt(cost)).decode("ascii")


def _user_of(line: bytes) -> str:
    """The user whose line this is, whatever else is wrong with it; empty for a comment."""
    text = line.decode(errors="surrogateescape").removeprefix(_BOM).strip(" \t\r")
    user, colon, _ = text.partition(":")
    return user if colon and not text.startswith("#") else ""


def _change(path: str | os.PathLike[str], changed: Callable[[list[bytes]], list[bytes]], *, create: bool) -> None:
    real = Path(os.path.realpath(path))  # Path.resolve raises on a loop
    with changing(real.parent):
        before, found = b"", None
        if not create or os.path.lexists(real):
            before, found = read_file(real, what=WHAT)
        raw = b"\n".join(changed(before.split(b"\n") if before else []))
        write_whole(real, raw, like=found)
    try:
        parse_passwords(raw, quoted(os.fspath(path)))
    except BundlerError as problem:
        _log.warning("%s; the registry refuses the file until that is mended", problem)
