"""A signature over SHA256SUMS in minisign's form, of the kind that hashes first (BLAKE2b); for Ed25519 keys alone.

    untrusted comment: …
    BASE64("ED", key number, signature over the hash)
    trusted comment: …
    BASE64(signature over the signature and the trusted comment)

A key's number is eight bytes that minisign draws at random and that only help to find the key: here they are the first
of the key's id. The comment tells no time, so that the same key signs the same bytes in the same way.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bundler.errors import ConfigError
from bundler.trust.keys import PublicKey
from bundler.trust.signing import Signer

_NUMBER = 8


def minisign_signature(signer: Signer, message: bytes, name: str) -> bytes:
    """The signature's file for ``message``, the content of the file ``name``."""
    _raw(signer.public)
    signature = signer.sign(hashlib.blake2b(message).digest(), purpose="minisign")
    comment = f"file:{name}\thashed"
    overall = signer.sign(signature + comment.encode(), purpose="minisign")
    lines = [
        f"untrusted comment: signature of key {signer.public.short_id}",
        _text(b"ED" + _number(signer.public) + signature),
        f"trusted comment: {comment}",
        _text(overall),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def minisign_key(public: PublicKey) -> str:
    """The public key as ``minisign -P`` takes it. Raises :class:`ConfigError` for a key that is not Ed25519."""
    return _text(b"Ed" + _number(public) + _raw(public))


def _number(public: PublicKey) -> bytes:
    return bytes.fromhex(public.key_id)[:_NUMBER]


def _raw(public: PublicKey) -> bytes:
    key = load_der_public_key(public.spki)
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ConfigError(
            f"key {public.short_id}: minisign knows only Ed25519 keys, and this is {public.algorithm}",
            hint="sign with a key of `bundler keygen --type ed25519`, or leave out --also minisign",
        )
    return key.public_bytes_raw()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
