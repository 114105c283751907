"""Public keys: each owns its algorithm, so that nothing in a bundle can choose how it is checked.

    ECDSA on P-256 with SHA-256      signatures are DER, canonical, with 1 <= r, s < n
    Ed25519 (RFC 8032)               points outside the prime-order subgroup are refused
    RSA of 3072 bits and more        PKCS #1 v1.5 with SHA-256; to verify only

A key is known by its id, the SHA-256 of its DER, which is what
``openssl pkey -pubin -in KEY.pub -outform DER | sha256sum`` prints. A key has only one encoding here: another one of the
same key is refused, because it would count as another key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from bundler.errors import ConfigError, SignatureError, quoted
from bundler.trust.pem import PEM_CAP, read_block, write_block
from bundler.trust.ssh_wire import spki_of_line

Algorithm = Literal["ecdsa-p256", "ed25519", "rsa"]

RSA_BITS = (3072, 16384)
"""The least modulus that is trusted, and the greatest that OpenSSL verifies with."""

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to verify with. Two are equal if their SubjectPublicKeyInfo (``spki``, DER) is."""

    algorithm: Algorithm = field(compare=False)
    spki: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """64 hexadecimal characters."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def short_id(self) -> str:
        """The id's first 16 characters: for file names and tables, never for a decision."""
        return self.key_id[:16]

    @property
    def pem(self) -> bytes:
        """The key as a file holds it: SPKI PEM."""
        return write_block("PUBLIC KEY", self.spki)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` over ``message`` is this key's; else raise :class:`SignatureError`."""
        key: Any = serialization.load_der_public_key(self.spki)
        try:
            match self.algorithm:
                case "ecdsa-p256":
                    _check_ecdsa(signature)
                    key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
                case "ed25519":
                    key.verify(signature, message)
                case "rsa":
                    key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise SignatureError(f"the signature is not one of key {self.short_id} over these bytes") from None


def _check_ecdsa(signature: bytes) -> None:
    """Refuse a pair outside its range, and every DER but the one that this pair has."""
    r, s = decode_dss_signature(signature)
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER) or encode_dss_signature(r, s) != signature:
        raise ValueError("not a canonical ECDSA signature")


def read_public_key(raw: bytes, *, what: str = "public key") -> PublicKey:
    """The key in a PEM file with one ``PUBLIC KEY`` block (RFC 7468, section 13), or in a ``.pub`` file of OpenSSH.

    ``what`` names the file. Raises :class:`ConfigError` for anything else, above all for private and for weak keys.
    """
    if len(raw) <= PEM_CAP and raw.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        return public_key_of(spki_of_line(raw, what=what), what=what)
    label, der = read_block(raw, what=what)
    if label.endswith("PRIVATE KEY"):
        raise ConfigError(
            f"{what}: is a private key, where a public key is wanted",
            hint="give the .pub file beside it, and keep the private key to yourself",
        )
    if label != "PUBLIC KEY":
        raise ConfigError(
            f"{what}: holds a {label!r}, where a PUBLIC KEY is wanted",
            hint="`openssl x509 -pubkey -noout -in FILE` takes the key out of a certificate"
            if label == "CERTIFICATE"
            else "`openssl pkey -pubin -in FILE -pubout` may convert it",
        )
    return public_key_of(der, what=what)


def public_key_of(der: bytes, *, what: str = "public key") -> PublicKey:
    """The key in a DER SubjectPublicKeyInfo. Raises :class:`ConfigError` if it is damaged, weak or of another kind."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm, InternalError) as problem:
        raise ConfigError(f"{what}: not a public key that can be used: {quoted(str(problem))}") from None
    algorithm = _algorithm(key, what)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if spki != der:
        raise ConfigError(
            f"{what}: an unusual encoding of its key", hint="convert it with `openssl pkey -pubin -in FILE -pubout`"
        )
    return PublicKey(algorithm, spki)


def _algorithm(key: object, what: str) -> Algorithm:
    match key:
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return "ecdsa-p256"
        case ed25519.Ed25519PublicKey():
            if not _in_subgroup(key.public_bytes_raw()):
                raise ConfigError(f"{what}: not a proper Ed25519 key: its point is not of prime order")
            return "ed25519"
        case rsa.RSAPublicKey():
            least, most = RSA_BITS
            if not least <= key.key_size <= most:
                raise ConfigError(f"{what}: an RSA key of {key.key_size} bits, where {least} to {most} are wanted")
            if key.public_numbers().e < _EXPONENT:
                raise ConfigError(
                    f"{what}: an RSA key with the exponent {key.public_numbers().e}; {_EXPONENT} is usual"
                )
            return "rsa"
    raise ConfigError(
        f"{what}: a kind of key that is not supported", hint="ECDSA P-256, Ed25519, or RSA of 3072 bits and more"
    )


def _in_subgroup(point: bytes) -> bool:
    """Canonical, on the curve, and of prime order: with a point of low order, one signature fits many messages."""
    from nacl.bindings import crypto_core_ed25519_is_valid_point

    return bool(crypto_core_ed25519_is_valid_point(point))
