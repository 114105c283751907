"""GnuPG at work: simple signatures are OpenPGP messages, and the program that made the format is what reads them here.

Its machine-readable status decides, never its prose: one signature, good, by a key that is valid now. And only a binary
signed message is taken at all (containers-signature(5)): what surrounds the text in armor or a cleartext signature is not
signed.

    message = sign(payload, "FINGERPRINT")
    verified = verify(message)           # .payload, .fingerprint
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from bundler.errors import ConfigError, LimitError, SignatureError, TrustError, UnsupportedError, disk_error, quoted

SECONDS = 120.0
_CAP = 1 << 20
_KEYS_CAP = 16 << 20
_PREFIX = "[GNUPG:] "
_BAD = frozenset(
    ("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "NODATA", "UNEXPECTED", "TRUST_NEVER")
)
_SIGNED_MESSAGE = frozenset((2, 4, 8))
"""Packets that begin one: a signature, a one-pass signature, compressed data (RFC 9580, 5 and 10.3)."""
_FINGERPRINTS = (40, 64)
_KEY_ID = 16
_HEX = frozenset("0123456789ABCDEF")
_VERIFY = ("--no-auto-key-retrieve", "--max-output", str(_CAP), "--output", "-", "--verify")


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose one signature is good. Fingerprints are in upper-case hexadecimal.

    ``fingerprint`` is of the primary key, ``subkey`` of the one that signed, and ``named`` whichever was asked for.
    """

    payload: bytes
    fingerprint: str
    subkey: str
    named: str


def sign(payload: bytes, fingerprint: str, *, passphrase: bytes | None = None) -> bytes:
    """An OpenPGP message that holds ``payload`` and its signature by the key ``fingerprint``.

    Raises :class:`ConfigError` if there is no such key or it can't be opened.
    """
    return _signed(payload, fingerprint, ("--no-armor", "--no-textmode", "--sign"), passphrase)


def sign_detached(content: bytes, fingerprint: str, *, passphrase: bytes | None = None) -> bytes:
    """An armored signature over ``content`` to lie beside it, for ``gpgv``. Raises as :func:`sign` does."""
    return _signed(content, fingerprint, ("--armor", "--no-textmode", "--detach-sign"), passphrase)


def export_key(fingerprint: str) -> bytes:
    """The user's own public key ``fingerprint``, as it is handed to whoever verifies. Raises :class:`ConfigError` if there is none."""
    key = _checked(fingerprint, *_FINGERPRINTS)
    _, _, out = _gpg(["--no-armor", "--export-options", "export-minimal", "--export", key], b"")
    if not out:
        raise ConfigError(f"GPG key {key}: has no public key that could be exported", hint="see gpg --list-keys")
    return out


def _signed(content: bytes, fingerprint: str, how: Sequence[str], passphrase: bytes | None) -> bytes:
    key = _checked(fingerprint, _KEY_ID, *_FINGERPRINTS)
    options = ["--local-user", key, *how]
    with _passphrase(passphrase) as extra:
        _, status, out = _gpg([*extra, *options], content)
    if not any(line.startswith("SIG_CREATED ") for line in status) or not out:
        why = next((line for line in status if line.startswith(("INV_SGNR", "FAILURE", "ERROR"))), "no reason given")
        raise ConfigError(
            f"GPG key {key}: nothing was signed ({quoted(why)})",
            hint="see gpg --list-secret-keys; give the key's passphrase in a file if it has one",
        )
    return out


def verify(
    message: bytes,
    *,
    allowed: Sequence[str] | None = None,
    keys: Path | Sequence[bytes] | None = None,
    now: datetime | None = None,
) -> Verified:
    """What a message says, if it has one good signature. Raises :class:`SignatureError` otherwise.

    ``allowed`` are fingerprints of which one must have signed, else :class:`TrustError`; ``keys`` is a file of public keys
    that are trusted in place of the user's own, or the contents of several. ``now`` is when they must be valid, if that
    is not to be the system clock's business.
    """
    wanted = None if allowed is None else {_checked(each, *_FINGERPRINTS) for each in allowed}
    if _first_packet(message) not in _SIGNED_MESSAGE:
        raise SignatureError(
            "GPG signature: is not a binary signed message", hint="armor is taken off by `gpg --dearmor`"
        )
    with _home(keys) as home:
        ended, status, out = _gpg([*_time(now), *_VERIFY], message, home=home)
    bad = next((line for line in status if line.split(" ", 1)[0] in _BAD), None)
    if bad is not None:
        raise SignatureError(
            f"GPG signature: {quoted(bad)}", hint="is the signer's public key there? see gpg --list-keys"
        )
    good = [line.split() for line in status if line.startswith("GOODSIG ")]
    valid = [line.split() for line in status if line.startswith("VALIDSIG ")]
    plain = [line for line in status if line.startswith("PLAINTEXT ")]
    if len(good) != 1 or len(valid) != 1 or len(plain) != 1 or len(valid[0]) < 10:
        raise SignatureError(f"GPG signature: {len(valid)} valid signatures, and there must be exactly one")
    if ended != 0:
        raise SignatureError(f"GPG signature: gpg ended with status {ended}")
    subkey, primary = valid[0][1].upper(), valid[0][-1].upper()
    if wanted is not None and not {primary, subkey} & wanted:
        raise TrustError(f"GPG signature: made by {primary}, which is not among the keys that were asked for")
    return Verified(out, primary, subkey, subkey if wanted and subkey in wanted else primary)


def _time(now: datetime | None) -> list[str]:
    """The options that stop gpg's clock. What is from its future then counts: clocks differ, and keys don't travel in time."""
    if now is None:
        return []
    return ["--faked-system-time", f"{int(now.timestamp())}!", "--ignore-time-conflict"]


def _first_packet(message: bytes) -> int:
    """The type of a message's first packet, or -1 if that is none (RFC 9580, 4.2)."""
    first = message[0] if message else 0
    if not first & 0x80:
        return -1
    return first & 0x3F if first & 0x40 else first >> 2 & 0xF


def _checked(fingerprint: str, *lengths: int) -> str:
    """Its hexadecimal alone. A key's short ID may name a key to sign with; to trust one it takes a fingerprint."""
    plain = fingerprint.replace(" ", "").upper().removeprefix("0X")
    if len(plain) not in lengths or not _HEX.issuperset(plain):
        raise ConfigError(
            f"{quoted(fingerprint)!r} is not the fingerprint of a GPG key",
            hint="see gpg --list-keys; 40 hexadecimal characters, as a rule",
        )
    return plain


def _gpg(options: Sequence[str], data: bytes, *, home: Path | None = None) -> tuple[int, list[str], bytes]:
    """The exit status, the status lines and the output of one call."""
    program = shutil.which("gpg")
    if program is None:
        raise UnsupportedError(
            "GPG signatures: need the program gpg, which is not installed", hint="install the package gnupg"
        )
    with tempfile.TemporaryFile() as status:
        command = [program, "--batch", "--no-tty", "--no-greeting", "--status-fd", str(status.fileno())]
        environment = {**os.environ, "LC_ALL": "C"}
        if home is not None:
            environment["GNUPGHOME"] = str(home)
        try:
            done = subprocess.run(
                [*command, *options],
                input=data,
                capture_output=True,
                env=environment,
                pass_fds=[status.fileno(), *_passed(options)],
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SignatureError(f"gpg gave no answer within {SECONDS:g} s") from None
        except OSError as problem:
            raise disk_error(problem, "start gpg") from problem
        status.seek(0)
        said = status.read(_CAP + 1)
        if len(said) > _CAP:
            raise SignatureError("gpg says more than can be read; do not trust this signature")
        lines = said.decode("utf-8", "replace").split("\n")  # user IDs may hold what else ends a line
    return done.returncode, [line.removeprefix(_PREFIX) for line in lines if line.startswith(_PREFIX)], done.stdout


def _passed(options: Sequence[str]) -> list[int]:
    return [int(value) for name, value in pairwise(options) if name == "--passphrase-fd"]


@contextmanager
def _passphrase(passphrase: bytes | None) -> Iterator[list[str]]:
    """The options that give a passphrase by a descriptor, where no other process sees it."""
    if passphrase is None:
        yield []
        return
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(passphrase + b"\n")
        yield ["--pinentry-mode", "loopback", "--passphrase-fd", str(reading)]
    finally:
        os.close(reading)


@contextmanager
def _home(keys: Path | Sequence[bytes] | None) -> Iterator[Path | None]:
    """A home of gpg's that knows only ``keys``; None for the user's own."""
    if keys is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bundler-gpg-") as folder:
        home = Path(folder)
        contents = {quoted(str(keys)): _keys_of(keys)} if isinstance(keys, Path) else _numbered(keys)
        try:
            for name, raw in contents.items():
                if len(raw) > _KEYS_CAP:
                    raise LimitError(f"{name}: holds more than {_KEYS_CAP} bytes of public keys")
                _, status, _ = _gpg(["--import"], raw, home=home)
                if not any(line.startswith("IMPORT_OK ") for line in status):
                    raise ConfigError(f"{name}: holds no public key of GPG")
            yield home
        finally:
            stop = shutil.which("gpgconf")
            if stop is not None:
                subprocess.run([stop, "--homedir", folder, "--kill", "all"], capture_output=True, check=False)


def _keys_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEYS_CAP + 1)
    except OSError as problem:
        raise ConfigError(f"{quoted(str(path))}: the public keys can't be read: {problem.strerror}") from None


def _numbered(contents: Sequence[bytes]) -> dict[str, bytes]:
    return {f"key {number}": raw for number, raw in enumerate(contents, 1)}
