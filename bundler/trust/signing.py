"""Private keys and what they make. Verification never imports this module.

ECDSA signatures are deterministic (RFC 6979), as Ed25519's are by nature: two builds of one lock give the same bytes,
and no weak random number can give the key away. Each signature is verified before it is handed out.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.trust.dsse import Envelope, Signature
from bundler.trust.keys import PublicKey, public_key_of

KEY_TYPES: Final = ("ecdsa-p256", "ed25519")

Purpose = Literal["statement", "sums", "receipt", "root", "sshsig", "minisign", "image"]
"""What bytes to sign belong to, for a signer outside that may treat them differently; the bytes themselves say it too."""


class Signer(Protocol):
    """Whoever can sign for a public key: a private key that was opened, or a program that has one elsewhere."""

    @property
    def public(self) -> PublicKey:
        """The key that verifies."""
        ...

    def sign(self, message: bytes, *, purpose: Purpose = "sums") -> bytes:
        """A signature over exactly ``message`` that ``public`` has verified: DER for ECDSA, 64 bytes for Ed25519."""
        ...


class PrivateKey:
    """A key to sign with. It has no ``repr`` that shows anything secret, and is equal only to itself."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, *, what: str = "key") -> None:
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key = key
        self._public = public_key_of(public, what=what)

    @property
    def public(self) -> PublicKey:
        """The public key of the pair."""
        return self._public

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.algorithm}, {self.public.short_id})"

    def sign(self, message: bytes, *, purpose: Purpose = "sums") -> bytes:  # noqa: ARG002  # a key signs anything
        """The signature over ``message``: DER for ECDSA (with SHA-256), 64 bytes for Ed25519."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            signature = self._key.sign(message)
        else:
            try:
                signature = self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
            except UnsupportedAlgorithm:
                raise UnsupportedError(
                    "this machine's OpenSSL can't make deterministic ECDSA signatures",
                    hint="OpenSSL 3.2 can, and the cryptography package's own wheels bring a newer one",
                ) from None
        self.public.verify(message, signature)
        return signature

    def pkcs8(self) -> bytes:
        """The key itself, unencrypted DER: for :mod:`bundler.trust.keyfile`, not for a disk."""
        return self._key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def generate(key_type: str = "ecdsa-p256") -> PrivateKey:
    """A new key of one of :data:`KEY_TYPES`."""
    match key_type:
        case "ecdsa-p256":
            return PrivateKey(ec.generate_private_key(ec.SECP256R1()))
        case "ed25519":
            return PrivateKey(ed25519.Ed25519PrivateKey.generate())
    raise ConfigError(f"{quoted(key_type)!r} is not a type of key", hint=f"choose one of {', '.join(KEY_TYPES)}")


def private_key_of(der: bytes, *, what: str) -> PrivateKey:
    """The key in an unencrypted PKCS #8 DER. Raises :class:`ConfigError` for a damaged one or another kind of key."""
    try:
        key = serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        raise ConfigError(f"{what}: does not hold a private key that can be used") from None
    return checked(key, what=what)


def checked(key: object, *, what: str) -> PrivateKey:
    """A loaded key, if it is one to sign bundles with."""
    match key:
        case ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1):
            return PrivateKey(key, what=what)
        case ed25519.Ed25519PrivateKey():
            return PrivateKey(key, what=what)
    raise ConfigError(
        f"{what}: a kind of key that bundles are not signed with",
        hint="make an ECDSA P-256 or Ed25519 key with `bundler keygen`",
    )


def sign_envelope(envelope: Envelope, key: Signer) -> Envelope:
    """The envelope with one signature more; signing twice with one key changes nothing."""
    value = key.sign(envelope.signed_bytes, purpose="statement")
    return envelope.with_signature(Signature(key.public.key_id, value))
