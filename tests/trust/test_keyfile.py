from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from nacl.secret import SecretBox

from bundler.errors import BundlerError, ConfigError, LimitError
from bundler.trust.keyfile import LABEL, read_private_key, write_private_key
from bundler.trust.pem import read_block, write_block
from bundler.trust.signing import PrivateKey, generate
from tests.peers import needs, run
from tests.trust.papers import key

PASSWORD = "pässword".encode()


def ask() -> bytes:
    return PASSWORD


def never() -> bytes:
    pytest.fail("the password was asked for")


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_round_trip(key_type: str) -> None:
    private = key("one", key_type)
    again = read_private_key(write_private_key(private, PASSWORD), ask)
    assert again.public == private.public
    assert again.sign(b"m") == private.sign(b"m")


def test_what_is_written_is_cosigns_format() -> None:
    """Opened with scrypt and secretbox by hand, as the format's description says."""
    raw = write_private_key(key("one"), PASSWORD)
    lines = raw.decode("ascii").splitlines()
    assert lines[0] == "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"
    assert lines[-1] == "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----"
    assert {len(line) for line in lines[1:-2]} == {64}
    document = json.loads(base64.b64decode("".join(lines[1:-1])))
    kdf, cipher = document["kdf"], document["cipher"]
    assert kdf["name"] == "scrypt"
    assert kdf["params"] == {"N": 65536, "r": 8, "p": 1}
    assert cipher["name"] == "nacl/secretbox"
    salt, nonce = base64.b64decode(kdf["salt"]), base64.b64decode(cipher["nonce"])
    assert (len(salt), len(nonce)) == (32, 24)
    secret = hashlib.scrypt(PASSWORD, salt=salt, n=65536, r=8, p=1, maxmem=1 << 27, dklen=32)
    der = SecretBox(secret).decrypt(base64.b64decode(document["ciphertext"]), nonce)
    assert der == key("one").pkcs8()
    assert load_der_private_key(der, None)


def test_salt_and_nonce_are_fresh() -> None:
    assert write_private_key(key("one"), PASSWORD) != write_private_key(key("one"), PASSWORD)


def test_nothing_is_written_without_a_password() -> None:
    with pytest.raises(ConfigError, match="needs a password"):
        write_private_key(key("one"), b"")


def document(password: bytes = PASSWORD, cost: int = 1 << 15, plain: bytes | None = None) -> dict[str, Any]:
    """A key file's JSON, made here and not by the code under test."""
    salt, nonce = bytes(range(32)), bytes(range(24))
    secret = hashlib.scrypt(password, salt=salt, n=cost, r=8, p=1, maxmem=1 << 28, dklen=32)
    plain = key("one").pkcs8() if plain is None else plain
    return {
        "kdf": {"name": "scrypt", "params": {"N": cost, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(SecretBox(secret).encrypt(plain, nonce).ciphertext).decode(),
    }


def pem(value: Any, label: str = LABEL) -> bytes:
    return write_block(label, value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize(
    ("label", "cost"), [(LABEL, 1 << 16), (LABEL, 1 << 17), ("ENCRYPTED COSIGN PRIVATE KEY", 1 << 15)]
)
def test_costs_and_labels_that_cosign_has_written(label: str, cost: int) -> None:
    assert read_private_key(pem(document(cost=cost), label), ask).public == key("one").public


def test_cosign_allows_an_empty_password() -> None:
    assert read_private_key(pem(document(b"")), lambda: b"").public == key("one").public


def test_a_wrong_password() -> None:
    with pytest.raises(ConfigError, match=r"^k\.key: the password does not open this key"):
        read_private_key(pem(document()), lambda: b"wrong", what="k.key")


Change = Callable[[dict[str, Any]], Any]


def changed(*path: str, to: Any) -> Change:
    def change(value: dict[str, Any]) -> Any:
        part = value
        for name in path[:-1]:
            part = part[name]
        if to is None:
            del part[path[-1]]
        else:
            part[path[-1]] = to
        return value

    return change


REFUSED: dict[str, tuple[Change, str]] = {
    "n-huge": (changed("kdf", "params", "N", to=1 << 30), "scrypt parameters N=1073741824"),
    "n-tiny": (changed("kdf", "params", "N", to=2), "scrypt parameters"),
    "n-no-power-of-two": (changed("kdf", "params", "N", to=65535), "scrypt parameters"),
    "n-zero": (changed("kdf", "params", "N", to=0), "scrypt parameters"),
    "n-negative": (changed("kdf", "params", "N", to=-65536), "N must be between"),
    "n-a-fraction": (changed("kdf", "params", "N", to=65536.0), "N must be a whole number"),
    "n-text": (changed("kdf", "params", "N", to="65536"), "N must be a whole number"),
    "n-true": (changed("kdf", "params", "N", to=True), "N must be a whole number"),
    "r-huge": (changed("kdf", "params", "r", to=1 << 20), "scrypt parameters"),
    "p-huge": (changed("kdf", "params", "p", to=1 << 20), "scrypt parameters"),
    "p-absent": (changed("kdf", "params", "p", to=None), "p is missing"),
    "other-kdf": (changed("kdf", "name", to="pbkdf2"), "encrypted with pbkdf2/nacl"),
    "other-cipher": (changed("cipher", "name", to="none"), "encrypted with scrypt/none"),
    "salt-empty": (changed("kdf", "salt", to=""), "wrong length"),
    "salt-huge": (changed("kdf", "salt", to=base64.b64encode(bytes(1000)).decode()), "wrong length"),
    "salt-not-base64": (changed("kdf", "salt", to="%"), "salt must be base64"),
    "nonce-short": (changed("cipher", "nonce", to="AAAA"), "wrong length"),
    "ciphertext-absent": (changed("ciphertext", to=None), "ciphertext is missing"),
    "unknown-key": (changed("hint", to="x"), "hint is not a known key"),
    "unknown-parameter": (changed("kdf", "params", "dklen", to=16), "dklen is not a known key"),
    "not-an-object": (lambda _: [], "must be an object"),
    "keys-in-two-cases": (lambda v: json.dumps(v).replace('"kdf"', '"KDF": {}, "kdf"').encode(), "appears also as"),
    "a-parameter-twice": (lambda v: json.dumps(v).replace('"N"', '"N": 2, "N"').encode(), "appears twice"),
    "not-json": (lambda _: b"\0", "not JSON"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_key_files_that_are_refused_before_the_password_is_asked(change: Change, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_private_key(pem(change(json.loads(DOCUMENT))), never, what="k.key")
    assert str(caught.value).startswith("k.key: ")


DOCUMENT = json.dumps(document())


def test_a_damaged_ciphertext_is_not_told_from_a_wrong_password() -> None:
    for value in ("", "AAAA", base64.b64encode(bytes(200)).decode()):
        with pytest.raises(ConfigError, match="does not open this key"):
            read_private_key(pem({**json.loads(DOCUMENT), "ciphertext": value}), ask)


def test_the_right_password_and_no_key() -> None:
    with pytest.raises(ConfigError, match="does not hold a private key"):
        read_private_key(pem(document(plain=b"hello")), ask)


def test_other_files() -> None:
    plain = load_der_private_key(key("one").pkcs8(), None)
    cases = {
        "not encrypted": [
            plain.private_bytes(Encoding.PEM, form, NoEncryption())
            for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL, PrivateFormat.OpenSSH)
        ],
        "is a public key": [key("one").public.pem],
        "holds a 'CERTIFICATE'": [write_block("CERTIFICATE", b"x")],
        "no PEM block": [b"", b"hello"],
        "2 PEM blocks": [pem(document()) + key("one").public.pem],
        # What `openssl ec -aes256` writes: the headers inside the block are the old way of encryption.
        "encrypted in the way of old": [
            plain.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"pw"))
        ],
    }
    for message, files in cases.items():
        for raw in files:
            with pytest.raises(ConfigError, match=message) as caught:
                read_private_key(raw, never, what="k.key")
            assert str(caught.value).startswith("k.key: ")


def pkcs8(private: PrivateKey, password: bytes = PASSWORD) -> bytes:
    plain = load_der_private_key(private.pkcs8(), None)
    return plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_encrypted_pkcs8_is_read(key_type: str) -> None:
    private = key("one", key_type)
    assert read_private_key(pkcs8(private), ask).public == private.public


@pytest.mark.parametrize("password", [b"", b"wrong"])
def test_a_wrong_password_for_pkcs8(password: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^k\.key: the password does not open this key"):
        read_private_key(pkcs8(key("one")), lambda: password, what="k.key")


OPENSSL: dict[str, list[str]] = {
    "pbkdf2": ["-v2", "aes-256-cbc"],
    "pbkdf2-many-rounds": ["-v2", "aes-256-cbc", "-iter", "100000"],
    "scrypt": ["-scrypt"],
}


@needs("openssl")
@pytest.mark.parametrize("options", OPENSSL.values(), ids=OPENSSL)
def test_keys_that_openssl_encrypted(options: list[str], tmp_path: Path) -> None:
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "p", cwd=tmp_path)
    run("openssl", "pkcs8", "-topk8", "-in", "p", "-out", "k", *options, "-passout", "pass:pw", cwd=tmp_path)
    run("openssl", "pkey", "-in", "p", "-pubout", "-out", "k.pub", cwd=tmp_path)
    private = read_private_key((tmp_path / "k").read_bytes(), lambda: b"pw")
    assert private.public.pem == (tmp_path / "k.pub").read_bytes()


def element(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([tag, len(body)]) + body if len(body) < 128 else bytes([tag, 0x81, len(body)]) + body


def number(value: int) -> bytes:
    return element(2, value.to_bytes(value.bit_length() // 8 + 1))


def encrypted(scheme: str, kdf: str, *parameters: bytes, cipher: str = "60864801650304012a") -> bytes:
    """An EncryptedPrivateKeyInfo with any scheme and key derivation."""
    oid = bytes.fromhex
    derive = element(0x30, element(6, oid(kdf)), element(0x30, element(4, bytes(16)), *parameters))
    encrypt = element(0x30, element(6, oid(cipher)), element(4, bytes(16)))
    algorithm = element(0x30, element(6, oid(scheme)), element(0x30, derive, encrypt))
    return element(0x30, algorithm, element(4, bytes(32)))


PBES2, PBKDF2, SCRYPT = "2a864886f70d01050d", "2a864886f70d01050c", "2b06010401da47040b"
AFFORDABLE: dict[str, bytes] = {
    "pbkdf2": encrypted(PBES2, PBKDF2, number(2048)),
    "scrypt": encrypted(PBES2, SCRYPT, number(1 << 14), number(8), number(1)),
    "unknown-cipher": encrypted(PBES2, PBKDF2, number(2048), cipher="60864801650304017f"),
}
TOO_MUCH: dict[str, bytes] = {
    "pbkdf2-endless": encrypted(PBES2, PBKDF2, number(10_000_001)),
    "pbkdf2-without-rounds": encrypted(PBES2, PBKDF2),
    "scrypt-256-mib": encrypted(PBES2, SCRYPT, number(1 << 18), number(8), number(1)),
    "scrypt-wide": encrypted(PBES2, SCRYPT, number(1 << 14), number(1 << 20), number(1)),
    "scrypt-many-lanes": encrypted(PBES2, SCRYPT, number(2), number(8), number(1 << 30)),
    "scrypt-without-p": encrypted(PBES2, SCRYPT, number(1 << 14), number(8)),
    "unknown-kdf": encrypted(PBES2, "2a864886f70d01050e", number(1)),
    "pbes1": encrypted("2a864886f70d01050a", PBKDF2, number(1)),
}


@pytest.mark.parametrize("der", AFFORDABLE.values(), ids=AFFORDABLE)
def test_affordable_parameters_reach_the_password(der: bytes) -> None:
    for password in (bytes, ask):
        with pytest.raises(ConfigError, match="does not open this key"):
            read_private_key(write_block("ENCRYPTED PRIVATE KEY", der), password)


@pytest.mark.parametrize("der", TOO_MUCH.values(), ids=TOO_MUCH)
def test_parameters_that_cost_too_much_are_refused_before_the_password(der: bytes) -> None:
    with pytest.raises(ConfigError, match="not supported, or that costs more than allowed"):
        read_private_key(write_block("ENCRYPTED PRIVATE KEY", der), never)


BROKEN = [
    b"",
    b"\x30",
    b"\x30\x00",
    b"\x30\x02\x30\x00",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x80\x00\x00",
    b"\x04\x01a",
]


@pytest.mark.parametrize("der", BROKEN, ids=[der.hex() or "empty" for der in BROKEN])
def test_damaged_pkcs8(der: bytes) -> None:
    with pytest.raises(ConfigError):
        read_private_key(write_block("ENCRYPTED PRIVATE KEY", der), never)


def test_every_cut_of_a_pkcs8_file_is_an_error_of_ours() -> None:
    _, der = read_block(pkcs8(key("one")), what="k")
    for end in range(90):
        with pytest.raises(BundlerError):
            read_private_key(write_block("ENCRYPTED PRIVATE KEY", der[:end]), ask)


def test_an_encrypted_rsa_key_does_not_sign() -> None:
    raw = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)
    )
    with pytest.raises(ConfigError, match="a kind of key that bundles are not signed with"):
        read_private_key(raw, ask)


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(LimitError):
        read_private_key(b" " * ((64 << 10) + 1), never)


@needs("openssl")
def test_the_key_inside_is_one_that_openssl_reads(tmp_path: Path) -> None:
    private = generate()
    (tmp_path / "k.der").write_bytes(private.pkcs8())
    assert (
        run("openssl", "pkey", "-inform", "DER", "-in", "k.der", "-pubout", cwd=tmp_path).encode() == private.public.pem
    )


def in_pkcs8(made: Any, tail: bytes = b"") -> bytes:
    raw = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD))
    return write_block("ENCRYPTED PRIVATE KEY", read_block(raw, what="k")[1] + tail)


def in_cosign(made: Any, tail: bytes = b"") -> bytes:
    return pem(document(plain=made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) + tail))


GOOD = load_der_private_key(key("one").pkcs8(), None)
NO_SIGNERS: dict[str, tuple[bytes, str]] = {
    "pkcs8-trailing-byte": (in_pkcs8(GOOD, b"\0"), "does not open this key"),
    "cosign-trailing-byte": (in_cosign(GOOD, b"\0"), "does not hold a private key"),
    "weak-rsa": (in_cosign(rsa.generate_private_key(65537, 1024)), "kind of key that bundles are not signed with"),
    "strong-rsa": (in_cosign(rsa.generate_private_key(65537, 3072)), "kind of key that bundles are not signed with"),
    "another-curve": (in_pkcs8(ec.generate_private_key(ec.SECP384R1())), "kind of key that bundles are not"),
    "a-curve-of-the-same-size": (in_pkcs8(ec.generate_private_key(ec.SECP256K1())), "kind of key that bundles are"),
    "ed448": (in_cosign(ed448.Ed448PrivateKey.generate()), "kind of key that bundles are not signed with"),
    "x25519": (in_cosign(x25519.X25519PrivateKey.generate()), "kind of key that bundles are not signed with"),
    "pbkdf2-no-rounds": (
        write_block("ENCRYPTED PRIVATE KEY", encrypted(PBES2, PBKDF2, number(0))),
        "does not open this key",
    ),
    "scrypt-of-no-power-of-two": (
        write_block("ENCRYPTED PRIVATE KEY", encrypted(PBES2, SCRYPT, number(1000), number(8), number(1))),
        "does not open this key",
    ),
    "scrypt-without-blocks": (
        write_block("ENCRYPTED PRIVATE KEY", encrypted(PBES2, SCRYPT, number(1 << 60), number(0), number(1))),
        "does not open this key",
    ),
}


@pytest.mark.parametrize(("raw", "message"), NO_SIGNERS.values(), ids=NO_SIGNERS)
def test_what_the_right_password_opens_is_no_key_to_sign_with(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_private_key(raw, ask, what="k.key")
    assert str(caught.value).startswith("k.key: ")
