"""Key pairs on disk, and adding signatures to a bundle that lies there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, NotFoundError
from bundler.journey.files import read_file, write_new

if TYPE_CHECKING:
    from bundler.trust.dsse import Envelope
    from bundler.trust.keyfile import Password
    from bundler.trust.keys import PublicKey
    from bundler.trust.signing import PrivateKey

KEY_CAP = 64 << 10


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
    raws = [(read_file(path, what="key", cap=KEY_CAP), str(path)) for path in paths]
    word = password() if raws else b""

    def derive() -> tuple[PrivateKey, ...]:
        from bundler.trust.keyfile import read_private_key

        return tuple(read_private_key(raw, lambda: word, what=what) for raw, what in raws)

    return executor.submit(derive)


def read_public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Read trusted public keys."""
    from bundler.trust.keys import read_public_key

    return tuple(read_public_key(read_file(path, what="key", cap=KEY_CAP), what=str(path)) for path in paths)


def sign_bundle(directory: Path, keys: Sequence[PrivateKey]) -> tuple[str, ...]:
    """Add a signature of each key to a packed bundle; the ids of the keys. Signing again with one key changes nothing.

    What is signed is checked first, so far as that goes without reading volumes: the statement, the inventory,
    SHA256SUMS and VERIFY.txt must agree with each other.
    """
    from bundler.bundle.directory import locked
    from bundler.bundle.pack import write_signed
    from bundler.bundle.unpack import read_documents
    from bundler.trust.dsse import parse_envelope
    from bundler.trust.verify import accept_unsigned

    if not directory.is_dir():
        raise NotFoundError(f"{directory}: no such bundle directory", hint="check the path")
    with locked(directory):
        documents = read_documents(directory)
        accept_unsigned(documents)
        envelope = parse_envelope(documents.envelope)
        write_signed(directory, *signed(envelope, documents.sums, keys))
    return tuple(key.public.key_id for key in keys)


def signed(envelope: Envelope, sums: bytes, keys: Sequence[PrivateKey]) -> tuple[bytes, dict[str, bytes]]:
    """The envelope with one more signature per key, serialised, and the detached signatures over SHA256SUMS by key id."""
    from bundler.trust.dsse import serialise
    from bundler.trust.signing import sign_envelope

    detached = {}
    for key in keys:
        envelope = sign_envelope(envelope, key)
        detached[key.public.key_id] = key.sign(sums)
    return serialise(envelope), detached
