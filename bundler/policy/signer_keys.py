"""The keys of those who sign images and of the logs that list them: bundler's own kinds, and what else authorities issue.

ECDSA on P-256, Ed25519, RSA of 3072 bits      bundler's own, see :mod:`bundler.trust.keys`
ECDSA on P-384 and P-521, RSA of 2048 bits     what a policy.json may name besides: other programs made it

All of them with SHA-256, whatever the curve: so the programs sign that this is for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from bundler.errors import ConfigError, SignatureError
from bundler.trust.keys import RSA_BITS, public_key_of, read_public_key
from bundler.trust.pem import read_block

_LEAST_BITS, _LEAST_EXPONENT = 2048, 65537


class SignerKey(Protocol):
    """A key to verify with; ``spki`` is its only encoding, DER."""

    @property
    def spki(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        ...

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` over ``message`` is this key's; else raise :class:`SignatureError`."""
        ...


@dataclass(frozen=True, slots=True)
class OtherKey:
    """A key that bundler does not sign bundles with."""

    spki: bytes = field(repr=False)

    def verify(self, message: bytes, signature: bytes) -> None:
        """As the protocol says. OpenSSL refuses an r or s out of range, and every DER but the one of their pair."""
        key: Any = load_der_public_key(self.spki)
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            else:
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            raise SignatureError("the signature is not one of this key over these bytes") from None


def holds(key: SignerKey, message: bytes, signature: bytes) -> bool:
    """Whether a signature is the key's."""
    try:
        key.verify(message, signature)
    except SignatureError:
        return False
    return True


def read_signer_key(raw: bytes, *, what: str) -> SignerKey:
    """The key in a file, which ``what`` names. Raises :class:`ConfigError` as :func:`read_public_key` does."""
    if b"-----BEGIN PUBLIC KEY-----" in raw:
        return signer_key_of(read_block(raw, what=what)[1], what=what)
    return read_public_key(raw, what=what)


def signer_key_of(der: bytes, *, what: str) -> SignerKey:
    """The key in a SubjectPublicKeyInfo. Raises :class:`ConfigError` if it is damaged, weak or of another kind."""
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return public_key_of(der, what=what)  # which says what is wrong
    if _is_other(key) and key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == der:
        return OtherKey(der)
    return public_key_of(der, what=what)


def read_log_key(raw: bytes, *, what: str) -> SignerKey:
    """The key of a Rekor log, which is one for ECDSA. Raises :class:`ConfigError`."""
    found = read_signer_key(raw, what=what)
    if not isinstance(load_der_public_key(found.spki), ec.EllipticCurvePublicKey):
        raise ConfigError(f"{what}: is not the key of a Rekor log, which is one for ECDSA")
    return found


def _is_other(key: object) -> bool:
    match key:
        case ec.EllipticCurvePublicKey():
            return isinstance(key.curve, (ec.SECP384R1, ec.SECP521R1))
        case rsa.RSAPublicKey():
            return _LEAST_BITS <= key.key_size < RSA_BITS[0] and key.public_numbers().e >= _LEAST_EXPONENT
    return False
