"""Key pairs on disk, and adding signatures to a bundle that lies there.

    keys = open_private_keys((Path("release.key"),), password, executor).result()
    sign_bundle(Path("edge-000001"), keys)

A private key's file is its owner's alone: one that others can read is refused, encrypted or not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, NotFoundError, disk_error
from bundler.journey.files import read_file, write_new

if TYPE_CHECKING:
    from bundler.trust.dsse import Envelope
    from bundler.trust.keyfile import Password
    from bundler.trust.keys import PublicKey
    from bundler.trust.signing import PrivateKey, Signer

KEY_CAP = 64 << 10
_NO_PRIVATE = "check the path; `bundler keygen PREFIX` makes a pair, of which PREFIX.key belongs here"
_NO_PUBLIC = "check the path; the file that belongs here is the PREFIX.pub that `bundler keygen PREFIX` wrote"


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair that was written; ``key_id`` is the SHA-256 of the public key's SPKI, hexadecimal."""

    private: Path
    public: Path
    key_id: str


def generate(prefix: Path, key_type: str, password: bytes) -> Pair:
    """Make a key pair and write ``PREFIX.key`` (mode 0600) and ``PREFIX.pub``; neither may exist."""
    from bundler.trust.keyfile import write_private_key
    from bundler.trust.signing import generate as make

    if not prefix.name:
        raise ConfigError(f"{prefix}: names no file", hint="write it like `bundler keygen release`")
    private, public = prefix.with_name(prefix.name + ".key"), prefix.with_name(prefix.name + ".pub")
    if public.exists():
        raise ConfigError(f"{public} exists already", hint="choose another name, or remove it first")
    key = make(key_type)
    write_new(private, write_private_key(key, password), mode=0o600)
    try:
        write_new(public, key.public.pem)
    except BaseException:
        private.unlink(missing_ok=True)
        raise
    return Pair(private, public, key.public.key_id)


def open_private_keys(paths: Sequence[Path], password: Password, executor: Executor) -> Future[tuple[PrivateKey, ...]]:
    """Open private keys, each with the same password, beside other work: deriving a key is slow on purpose.

    The files are read and the password is asked for before this returns.
    """
    return executor.submit(private_keys(paths, password))


def private_keys(paths: Sequence[Path], password: Password) -> Callable[[], tuple[PrivateKey, ...]]:
    """The same for the caller to run: what it calls derives the keys, from files and a password got by now."""
    raws = [(_read_private(path), str(path)) for path in paths]
    word = password() if raws else b""

    def derive() -> tuple[PrivateKey, ...]:
        from bundler.trust.keyfile import read_private_key

        return tuple(read_private_key(raw, lambda: word, what=what) for raw, what in raws)

    return derive


def _read_private(path: Path) -> bytes:
    """A private key's file. One that others may read or change is refused; a pipe or a descriptor has no such others."""
    raw = read_file(path, what="key", cap=KEY_CAP, hint=_NO_PRIVATE)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # follows a link, as reading did
    except OSError as problem:
        raise disk_error(problem, f"read {path}") from problem
    if stat.S_ISREG(mode) and mode & 0o077 and b"PRIVATE KEY-----" in raw:
        raise ConfigError(
            f"{path}: a private key that others can read: its mode is {stat.S_IMODE(mode):04o}",
            hint=f"chmod 600 {path}; and if others did, make a new key",
        )
    return raw


def read_public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Read trusted public keys."""
    from bundler.trust.keys import read_public_key

    raws = [(read_file(path, what="key", cap=KEY_CAP, hint=_NO_PUBLIC), str(path)) for path in paths]
    return tuple(read_public_key(raw, what=what) for raw, what in raws)


def sign_bundle(directory: Path, keys: Sequence[Signer], *, add: bool = False) -> tuple[str, ...]:
    """Add a signature of each key to a packed bundle; the ids of the keys. Signing again with one key changes nothing.

    With ``add`` set, a key that has signed already is an error. What is signed is checked first, so far as that goes
    without reading volumes: the statement, the inventory, SHA256SUMS and VERIFY.txt must agree with each other.
    """
    from bundler.bundle.directory import locked
    from bundler.bundle.pack import write_signed
    from bundler.bundle.unpack import read_documents
    from bundler.trust.dsse import parse_envelope
    from bundler.trust.rounds import has_signed
    from bundler.trust.verify import accept_unsigned

    with locked(existing(directory)):
        documents = read_documents(directory)
        accept_unsigned(documents)
        envelope = parse_envelope(documents.envelope)
        for key in keys if add else ():
            if has_signed(envelope, key.public):
                raise ConfigError(
                    f"{directory}: key {key.public.key_id} has signed it already",
                    hint="who is missing: `bundler sign --status` with the signers' public keys",
                )
        write_signed(directory, *signed(envelope, documents.sums, keys))
    return tuple(key.public.key_id for key in keys)


def existing(directory: Path) -> Path:
    """The directory of a bundle, or :class:`NotFoundError`."""
    if not directory.is_dir():
        raise NotFoundError(f"{directory}: no such bundle directory", hint="check the path")
    return directory


def signed(envelope: Envelope, sums: bytes, keys: Sequence[Signer]) -> tuple[bytes, dict[str, bytes]]:
    """The envelope with one more signature per key, serialised, and the detached signatures over SHA256SUMS by key id."""
    from bundler.trust.dsse import serialise
    from bundler.trust.signing import sign_envelope

    detached = {}
    for key in keys:
        envelope = sign_envelope(envelope, key)
        detached[key.public.key_id] = key.sign(sums, purpose="sums")
    return serialise(envelope), detached
