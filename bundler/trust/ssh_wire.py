"""Keys and signatures in SSH's own encoding (RFC 4251, section 5): what OpenSSH files are made of.

A string is four bytes of length and that many bytes; a whole number is a string with no byte more than it needs. A public
key is the name of its algorithm and its numbers; in a file it stands in base64 on one line:

    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… ann@example
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bundler.errors import ConfigError, quoted

ED25519 = b"ssh-ed25519"
ECDSA = b"ecdsa-sha2-nistp256"
RSA = b"ssh-rsa"
_CURVE = b"nistp256"
_MAX_NUMBER = 16384 // 8 + 1

Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Reader:
    """Strings taken one by one off a document that ``what`` names. Raises :class:`ConfigError` where it is damaged."""

    def __init__(self, raw: bytes, *, what: str) -> None:
        self._rest = raw
        self._what = what

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        if size > len(self._rest):
            raise ConfigError(f"{self._what}: ends too early")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def number(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.take(4))

    def string(self) -> bytes:
        """A string, its length taken off."""
        return self.take(self.number())

    def natural(self) -> int:
        """A whole number above zero, in its only encoding."""
        raw = self.string()
        value = int.from_bytes(raw)
        if len(raw) > _MAX_NUMBER or value == 0 or mpint(value)[4:] != raw:
            raise ConfigError(f"{self._what}: holds a number in an encoding that it may not have")
        return value

    def done(self) -> None:
        """Nothing may follow."""
        if self._rest:
            raise ConfigError(f"{self._what}: {len(self._rest)} bytes follow its end")

    @property
    def rest(self) -> int:
        """How many bytes are left."""
        return len(self._rest)


def string(value: bytes) -> bytes:
    """A string as it is written."""
    return len(value).to_bytes(4) + value


def mpint(value: int) -> bytes:
    """A whole number from 0 up as it is written."""
    return string(value.to_bytes(value.bit_length() // 8 + 1) if value else b"")


def spki_of_line(raw: bytes, *, what: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a ``.pub`` file of OpenSSH, which holds one line.

    Raises :class:`ConfigError` for anything else: options in front, several keys, or base64 in more than its one form.
    """
    lines = raw.decode("latin-1").splitlines()
    words = lines[0].split(" ", 2) if len(lines) == 1 else []
    if len(words) < 2:
        raise ConfigError(f"{what}: holds no single public key of OpenSSH", hint="one line: ALGORITHM BASE64 COMMENT")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if not blob or base64.b64encode(blob).decode("ascii") != words[1]:
        raise ConfigError(f"{what}: its key is not base64")
    if Reader(blob, what=what).string() != words[0].encode("latin-1"):
        raise ConfigError(f"{what}: the line says {quoted(words[0], 40)!r}, and its key is of another kind")
    return spki_of(blob, what=what)


def spki_of(blob: bytes, *, what: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key as SSH encodes it."""
    reader = Reader(blob, what=what)
    algorithm = reader.string()
    try:
        key = _key(algorithm, reader, what)
    except (ValueError, InternalError):
        raise ConfigError(f"{what}: holds no proper key") from None
    reader.done()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key(algorithm: bytes, reader: Reader, what: str) -> Key:
    if algorithm == ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
    if algorithm == ECDSA:
        curve, point = reader.string(), reader.string()
        if curve != _CURVE or len(point) != 65 or point[0] != 4:
            raise ConfigError(f"{what}: its point is not one of P-256 in full")
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    if algorithm == RSA:
        exponent, modulus = reader.natural(), reader.natural()
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    raise ConfigError(
        f"{what}: a kind of SSH key that is not supported: {quoted(algorithm.decode('latin-1'), 60)}",
        hint="ssh-ed25519, ecdsa-sha2-nistp256, or ssh-rsa of 3072 bits and more; keys on security keys sign differently",
    )


def public_blob(spki: bytes) -> tuple[bytes, bytes]:
    """The algorithm's name and the whole public key, as SSH encodes it, of a DER SubjectPublicKeyInfo."""
    match serialization.load_der_public_key(spki):
        case ed25519.Ed25519PublicKey() as key:
            return ED25519, string(ED25519) + string(key.public_bytes_raw())
        case ec.EllipticCurvePublicKey() as key:
            encoded = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            return ECDSA, string(ECDSA) + string(_CURVE) + string(encoded)
        case rsa.RSAPublicKey() as key:
            numbers = key.public_numbers()
            return RSA, string(RSA) + mpint(numbers.e) + mpint(numbers.n)
    raise ConfigError("a kind of key that SSH does not know")


def line_of(spki: bytes, comment: str = "") -> str:
    """A public key as one line of OpenSSH's."""
    algorithm, blob = public_blob(spki)
    return f"{algorithm.decode('ascii')} {base64.b64encode(blob).decode('ascii')} {comment}".rstrip()


def signature_blob(algorithm: bytes, signature: bytes) -> bytes:
    """A signature as SSH encodes it (RFC 5656, 8709, 8332); RSA's are over SHA-256."""
    if algorithm == ECDSA:
        r, s = decode_dss_signature(signature)
        return string(ECDSA) + string(mpint(r) + mpint(s))
    name = b"rsa-sha2-256" if algorithm == RSA else algorithm
    return string(name) + string(signature)
