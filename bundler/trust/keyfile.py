"""Private key files: cosign's encrypted PEM, written and read; encrypted PKCS #8 and OpenSSH's own, read.

cosign's block holds JSON: a password goes through scrypt to a key for NaCl's secretbox, in which lies a PKCS #8 DER.

    {"kdf": {"name": "scrypt", "params": {"N": 65536, "r": 8, "p": 1}, "salt": BASE64},
     "cipher": {"name": "nacl/secretbox", "nonce": BASE64}, "ciphertext": BASE64}

A key file's own parameters decide how much memory and time a password costs, so they are bounded. A key that is not
encrypted is refused: whoever reads the disk or its backup could sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator

from bundler.errors import ConfigError, quoted
from bundler.oci.strict_json import Fields, loads
from bundler.trust.openssh import open_openssh, wrong_password
from bundler.trust.pem import PEM_CAP, read_block, write_block
from bundler.trust.signing import PrivateKey, checked, private_key_of

Password = Callable[[], bytes]
"""Asked only once the file has proved to be an encrypted key."""

LABEL = "ENCRYPTED SIGSTORE PRIVATE KEY"

SCRYPT_N = 1 << 16
SCRYPT_COSTS = (1 << 15, 1 << 16, 1 << 17)
"""The costs that cosign and its library have written over the years; r is 8 and p is 1, so 128 MiB at most."""
SCRYPT_MEMORY = 160 << 20
PBKDF2_ITERATIONS = 10_000_000

_OID_PBES2 = bytes.fromhex("2a864886f70d01050d")
_OID_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_OID_SCRYPT = bytes.fromhex("2b06010401da47040b")


def write_private_key(key: PrivateKey, password: bytes) -> bytes:
    """The key as an encrypted PEM that cosign reads as well. The caller writes it with mode 0600."""
    from nacl.secret import SecretBox

    if not password:
        raise ConfigError("a private key needs a password", hint="choose one; an empty one protects nothing")
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(SecretBox.NONCE_SIZE)
    box = SecretBox(_scrypt(password, salt, SCRYPT_N))
    document = {
        "kdf": {"name": "scrypt", "params": {"N": SCRYPT_N, "r": 8, "p": 1}, "salt": _text(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": _text(nonce)},
        "ciphertext": _text(box.encrypt(key.pkcs8(), nonce).ciphertext),
    }
    return write_block(LABEL, json.dumps(document, separators=(",", ":")).encode("ascii"))


def read_private_key(raw: bytes, password: Password, *, what: str = "private key") -> PrivateKey:
    """The key in an encrypted PEM file. ``what`` names the file.

    Raises :class:`ConfigError` for a wrong password and for anything that is not an encrypted key to sign with.
    """
    label, content = read_block(raw, what=what)
    match label:
        case "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY":  # the second is older
            return private_key_of(_open_cosign(content, password, what), what=what)
        case "ENCRYPTED PRIVATE KEY":
            return checked(_open_pkcs8(content, password, what), what=what)
        case "OPENSSH PRIVATE KEY":
            return open_openssh(content, password, what=what)
        case "PUBLIC KEY" | "RSA PUBLIC KEY":
            raise ConfigError(f"{what}: is a public key, where a private key is wanted", hint="give the .key file")
        case _ if label.endswith("PRIVATE KEY"):
            raise ConfigError(
                f"{what}: the private key is not encrypted, or in an old way ({label})",
                hint="encrypt it with `openssl pkcs8 -topk8 -in FILE -out NEW`",
            )
    raise ConfigError(f"{what}: holds a {label!r}, where an encrypted private key is wanted")


def _open_cosign(content: bytes, password: Password, what: str) -> bytes:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    fields = Fields(loads(content, what=what, cap=PEM_CAP, error=ConfigError), what=what, error=ConfigError)
    kdf, cipher = fields.object("kdf"), fields.object("cipher")
    params = kdf.object("params")
    names = kdf.text("name"), cipher.text("name")
    cost = params.size("N"), params.size("r"), params.size("p")
    salt, nonce = _bytes(kdf, "salt"), _bytes(cipher, "nonce")
    ciphertext = _bytes(fields, "ciphertext")
    for each in (params, kdf, cipher, fields):
        each.done()
    if names != ("scrypt", "nacl/secretbox"):
        raise ConfigError(f"{what}: encrypted with {quoted('/'.join(names))}, not with scrypt and nacl/secretbox")
    if cost[0] not in SCRYPT_COSTS or cost[1:] != (8, 1):
        raise ConfigError(
            f"{what}: the scrypt parameters N={cost[0]}, r={cost[1]}, p={cost[2]} are not among those in use",
            hint=f"N may be one of {', '.join(map(str, SCRYPT_COSTS))}, with r=8 and p=1",
        )
    if not 16 <= len(salt) <= 64 or len(nonce) != SecretBox.NONCE_SIZE:
        raise ConfigError(f"{what}: the salt or the nonce has the wrong length")
    try:
        return SecretBox(_scrypt(password(), salt, cost[0])).decrypt(ciphertext, nonce)
    except CryptoError:
        raise wrong_password(what) from None


def _scrypt(password: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=cost, r=8, p=1, maxmem=SCRYPT_MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(fields: Fields, name: str) -> bytes:
    try:
        return base64.b64decode(fields.text(name), validate=True)
    except (binascii.Error, ValueError):
        raise fields.fail(name, "must be base64") from None


def _open_pkcs8(content: bytes, password: Password, what: str) -> object:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    _bound_pkcs8(content, what)
    secret = password()
    if not secret:
        raise wrong_password(what)
    try:
        return load_der_private_key(content, secret)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InternalError,
    ):  # of an unknown cipher, the library says the same
        raise wrong_password(what) from None


def _bound_pkcs8(content: bytes, what: str) -> None:
    """Refuse an EncryptedPrivateKeyInfo (RFC 5958) but for PBES2 (RFC 8018) with affordable parameters."""
    try:
        scheme = list(_members(next(_members(next(_members(content))))))
        kdf = list(_members(next(_members(scheme[1])))) if scheme[0] == _OID_PBES2 else []
        numbers = [int.from_bytes(value) for tag, value in _elements(kdf[1]) if tag == _INTEGER] if kdf else []
    except (IndexError, StopIteration):
        raise ConfigError(f"{what}: the encrypted private key is damaged") from None
    if kdf and kdf[0] == _OID_PBKDF2 and numbers and numbers[0] <= PBKDF2_ITERATIONS:
        return
    if kdf and kdf[0] == _OID_SCRYPT and len(numbers) >= 3:
        cost, block, parallel = numbers[:3]
        if cost * block * 128 <= SCRYPT_MEMORY and parallel <= 16:
            return
    raise ConfigError(
        f"{what}: encrypted in a way that is not supported, or that costs more than allowed",
        hint="convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`",
    )


_INTEGER = 0x02


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER element in a row, one level deep."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start = 2 + (length & 0x7F)
            length = int.from_bytes(der[2:start])
        if start + length > len(der):
            raise IndexError("an element beyond its frame")
        yield tag, der[start : start + length]
        der = der[start + length :]


def _members(der: bytes) -> Iterator[bytes]:
    for _, value in _elements(der):
        yield value
