from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from bundler.errors import ConfigError, UnsupportedError
from bundler.trust.keys import P256_ORDER
from bundler.trust.signing import KEY_TYPES, PrivateKey, checked, generate, private_key_of
from tests.trust.papers import key


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_generate(key_type: str) -> None:
    one, two = generate(key_type), generate(key_type)
    assert one.public.algorithm == key_type
    assert one.public != two.public
    assert one.sign(b"m") == one.sign(b"m")
    one.public.verify(b"m", one.sign(b"m"))


def test_the_default_is_ecdsa() -> None:
    assert generate().public.algorithm == "ecdsa-p256"


def test_other_types_are_refused() -> None:
    with pytest.raises(ConfigError, match="'rsa' is not a type of key") as caught:
        generate("rsa")
    assert "ecdsa-p256, ed25519" in caught.value.hint


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_pkcs8_round_trip(key_type: str) -> None:
    private = key("one", key_type)
    assert private_key_of(private.pkcs8(), what="k").sign(b"m") == private.sign(b"m")


def test_repr_shows_only_the_public_id() -> None:
    assert repr(key("one")) == f"PrivateKey(ecdsa-p256, {key('one').public.short_id})"


def rfc6979_k(secret: int, message: bytes) -> int:
    """RFC 6979, section 3.2, for P-256 and SHA-256, as an independent judge."""
    digest = hashlib.sha256(message).digest()
    seed = secret.to_bytes(32) + (int.from_bytes(digest) % P256_ORDER).to_bytes(32)
    mac, v = bytes(32), b"\1" * 32
    for separator in (b"\0", b"\1"):
        mac = hmac.digest(mac, v + separator + seed, "sha256")
        v = hmac.digest(mac, v, "sha256")
    v = hmac.digest(mac, v, "sha256")
    k = int.from_bytes(v)
    assert 0 < k < P256_ORDER, "one chance in 2**32 to need another round"
    return k


@pytest.mark.parametrize("message", [b"", b"sample", "ünd".encode() * 99])
def test_ecdsa_is_deterministic_as_rfc_6979_says(message: bytes) -> None:
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    private = PrivateKey(ec.derive_private_key(secret, ec.SECP256R1()))
    r, _ = decode_dss_signature(private.sign(message))
    point = ec.derive_private_key(rfc6979_k(secret, message), ec.SECP256R1()).public_key().public_numbers()
    assert r == point.x % P256_ORDER


def test_ecdsa_test_vector() -> None:
    """RFC 6979, appendix A.2.5, SHA-256, message "sample"."""
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    r, s = decode_dss_signature(PrivateKey(ec.derive_private_key(secret, ec.SECP256R1())).sign(b"sample"))
    assert r == 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    assert s in (t := 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8, P256_ORDER - t)


def test_an_openssl_without_deterministic_signatures_is_named() -> None:
    class Old:
        def public_key(self) -> ec.EllipticCurvePublicKey:
            return ec.generate_private_key(ec.SECP256R1()).public_key()

        def sign(self, *_: object) -> bytes:
            raise UnsupportedAlgorithm("no")

    with pytest.raises(UnsupportedError, match="deterministic"):
        PrivateKey(Old()).sign(b"m")  # type: ignore[arg-type] # a stand-in for a key of an old library


OTHERS = {
    "rsa": lambda: rsa.generate_private_key(65537, 3072),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_other_kinds_do_not_sign(make: object) -> None:
    private = make()  # type: ignore[operator] # a lambda of the table
    with pytest.raises(ConfigError, match=r"k\.key: a kind of key"):
        checked(private, what="k.key")
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigError, match=r"k\.key: a kind of key"):
        private_key_of(der, what="k.key")


@pytest.mark.parametrize("der", [b"", b"x", bytes(range(32))], ids=["empty", "short", "a raw key"])
def test_damaged_keys(der: bytes) -> None:
    with pytest.raises(ConfigError, match=r"k\.key: does not hold a private key"):
        private_key_of(der, what="k.key")
