from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ConfigError, LimitError, SignatureError
from bundler.trust.keys import P256_ORDER, PublicKey, public_key_of, read_public_key
from bundler.trust.pem import write_block
from bundler.trust.signing import generate
from tests.peers import needs, run
from tests.trust.papers import key

MESSAGE = "what was signed, ünd exactly that\n".encode()
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def rsa_pair(bits: int) -> tuple[rsa.RSAPrivateKey, PublicKey]:
    private = rsa.generate_private_key(65537, bits)
    return private, read_public_key(private.public_key().public_bytes(PEM, SPKI))


@pytest.fixture(scope="module")
def big_rsa() -> tuple[rsa.RSAPrivateKey, PublicKey]:
    return rsa_pair(3072)


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_a_key_verifies_what_it_signed_and_nothing_else(key_type: str) -> None:
    private = key("one", key_type)
    signature = private.sign(MESSAGE)
    private.public.verify(MESSAGE, signature)
    for message, bad in [
        (MESSAGE + b"\n", signature),
        (MESSAGE[:-1], signature),
        (b"", signature),
        (MESSAGE, signature[:-1]),
        (MESSAGE, signature + b"\0"),
        (MESSAGE, b""),
        (MESSAGE, bytes(len(signature))),
    ]:
        with pytest.raises(SignatureError, match=private.public.short_id):
            private.public.verify(message, bad)


def test_rsa_verifies_only_pkcs1_with_sha256(big_rsa: tuple[rsa.RSAPrivateKey, PublicKey]) -> None:
    private, public = big_rsa
    assert public.algorithm == "rsa"
    good = private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    public.verify(MESSAGE, good)
    pss = private.sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    sha1 = private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1())
    for bad in (pss, sha1, b"\0" + good, good + b"\0", good[1:], bytes(384), b"\xff" * 384):
        with pytest.raises(SignatureError):
            public.verify(MESSAGE, bad)


def test_algorithm_confusion(big_rsa: tuple[rsa.RSAPrivateKey, PublicKey]) -> None:
    """A signature of one algorithm is not tried with another: the key alone decides."""
    signers = [key("one"), key("one", "ed25519")]
    signatures = [signer.sign(MESSAGE) for signer in signers]
    signatures.append(big_rsa[0].sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()))
    publics = [*(signer.public for signer in signers), big_rsa[1]]
    for n, public in enumerate(publics):
        for m, signature in enumerate(signatures):
            if n != m:
                with pytest.raises(SignatureError):
                    public.verify(MESSAGE, signature)


def test_key_id_is_the_sha256_of_the_der() -> None:
    public = key("one").public
    assert public.key_id == hashlib.sha256(public.spki).hexdigest()
    assert public.key_id.startswith(public.short_id)
    assert len(public.short_id) == 16


@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_pem_round_trip(key_type: str) -> None:
    public = key("one", key_type).public
    assert read_public_key(public.pem) == public
    assert read_public_key(b"made on Tuesday\r\n" + public.pem.replace(b"\n", b"\r\n")) == public
    assert len({public, read_public_key(public.pem), key("two", key_type).public}) == 2


def integer(value: bytes) -> bytes:
    return b"\x02" + bytes([len(value)]) + value


def sequence(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return b"\x30" + bytes([len(body)]) + body


def raw(number: int) -> bytes:
    """The minimal DER content of a positive integer."""
    return number.to_bytes(number.bit_length() // 8 + 1)


def test_non_canonical_ecdsa_signatures_are_refused() -> None:
    private = key("one")
    good = private.sign(MESSAGE)
    r, s = decode_dss_signature(good)
    assert sequence(integer(raw(r)), integer(raw(s))) == good
    body = good[2:]
    bad = {
        "r-0": encode_dss_signature(0, s),
        "s-0": encode_dss_signature(r, 0),
        "both-0": encode_dss_signature(0, 0),
        "r-n": encode_dss_signature(P256_ORDER, s),
        "r-plus-n": encode_dss_signature(r + P256_ORDER, s),
        "s-plus-n": encode_dss_signature(r, s + P256_ORDER),
        "s-n": encode_dss_signature(r, P256_ORDER),
        "r-negative": sequence(integer(b"\xff" + raw(r)[1:]), integer(raw(s))),
        "r-padded": sequence(integer(b"\0" + raw(r)), integer(raw(s))),
        "s-padded": sequence(integer(raw(r)), integer(b"\0\0" + raw(s))),
        "long-form-length": b"\x30\x81" + good[1:2] + body,
        "longer-form-length": b"\x30\x82\0" + good[1:2] + body,
        "indefinite-length": b"\x30\x80" + body + b"\0\0",
        "trailing-byte": good + b"\0",
        "trailing-byte-inside": sequence(body, b"\0"),
        "third-integer": sequence(body, integer(b"\1")),
        "only-one-integer": sequence(integer(raw(r))),
        "empty-integer": sequence(integer(b""), integer(raw(s))),
        "raw-r-and-s": r.to_bytes(32) + s.to_bytes(32),
        "set-not-sequence": b"\x31" + good[1:],
        "swapped": encode_dss_signature(s, r),
        "empty": b"",
    }
    for name, signature in bad.items():
        with pytest.raises(SignatureError):
            private.public.verify(MESSAGE, signature)
            pytest.fail(f"{name} was accepted")


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_verifies(position: int, bit: int) -> None:
    for key_type in ("ecdsa-p256", "ed25519"):
        private = key("one", key_type)
        signature = bytearray(private.sign(MESSAGE))
        signature[position % len(signature)] ^= 1 << bit
        with pytest.raises(SignatureError):
            private.public.verify(MESSAGE, bytes(signature))


def test_ed25519_s_beyond_the_order_is_refused() -> None:
    private = key("one", "ed25519")
    signature = private.sign(MESSAGE)
    order = 2**252 + 27742317777372353535851937790883648493
    forged = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(SignatureError):
        private.public.verify(MESSAGE, forged)


P = 2**255 - 19
ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
LOW_ORDER = {
    "order-1": (1, 0),
    "order-2": (P - 1, 0),
    "order-4": (0, 0),
    "order-4-negative": (0, 1),
    "order-8-a": (int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16), 0),
    "order-8-b": (int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16), 1),
    "order-8-c": (int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16), 0),
    "order-8-d": (int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16), 1),
    "order-1-not-canonical": (P + 1, 0),
    "order-1-negative-zero": (1, 1),
    "order-4-not-canonical": (P, 0),
}


@pytest.mark.parametrize(("y", "sign"), LOW_ORDER.values(), ids=LOW_ORDER)
def test_low_order_points_are_refused(y: int, sign: int) -> None:
    point = (y | sign << 255).to_bytes(32, "little")
    with pytest.raises(ConfigError):
        read_public_key(write_block("PUBLIC KEY", ED25519_PREFIX + point), what="k.pub")


def test_ed25519_points_off_the_curve_are_refused() -> None:
    point = (2).to_bytes(32, "little")
    with pytest.raises(ConfigError, match=r"k\.pub"):
        read_public_key(write_block("PUBLIC KEY", ED25519_PREFIX + point), what="k.pub")


def test_the_same_ecdsa_key_in_another_encoding_is_refused() -> None:
    """A compressed point is the same key under another id: it would count twice."""
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    header = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    der = sequence(header, b"\x03" + bytes([len(point) + 1]) + b"\0" + point)
    with pytest.raises(ConfigError, match="unusual encoding"):
        public_key_of(der)


def test_an_ecdsa_point_off_the_curve_is_refused() -> None:
    spki = bytearray(key("one").public.spki)
    spki[-1] ^= 1
    with pytest.raises(ConfigError, match="not a public key that can be used"):
        public_key_of(bytes(spki))


def pem_of(private: object) -> bytes:
    public = private.public_key()  # type: ignore[attr-defined] # any kind of private key, or the numbers of a public one
    return bytes(public.public_bytes(PEM, SPKI))


REFUSED = {
    "rsa-2048": lambda: pem_of(rsa.generate_private_key(65537, 2048)),
    "rsa-exponent-3": lambda: pem_of(rsa.RSAPublicNumbers(3, (1 << 3071) + 1)),
    "p-384": lambda: pem_of(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": lambda: pem_of(ec.generate_private_key(ec.SECP256K1())),
    "ed448": lambda: pem_of(ed448.Ed448PrivateKey.generate()),
    "x25519": lambda: pem_of(x25519.X25519PrivateKey.generate()),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_weak_and_other_keys_are_refused(make: object) -> None:
    with pytest.raises(ConfigError, match=r"^k\.pub: "):
        read_public_key(make(), what="k.pub")  # type: ignore[operator] # a lambda of the table


def private_pem(form: serialization.PrivateFormat) -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, form, serialization.NoEncryption())


PRIVATE = {
    "pkcs8": lambda: private_pem(serialization.PrivateFormat.PKCS8),
    "sec1": lambda: private_pem(serialization.PrivateFormat.TraditionalOpenSSL),
    "openssh": lambda: private_pem(serialization.PrivateFormat.OpenSSH),
    "cosign": lambda: write_block("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}"),
}


@pytest.mark.parametrize("make", PRIVATE.values(), ids=PRIVATE)
def test_a_private_key_is_named_as_such(make: object) -> None:
    with pytest.raises(ConfigError, match="is a private key") as caught:
        read_public_key(make(), what="k.pub")  # type: ignore[operator] # a lambda of the table
    assert ".pub" in caught.value.hint


BAD_FILES = {
    "empty": (b"", "no PEM block"),
    "two-keys": (key("one").public.pem + key("two").public.pem, "2 PEM blocks"),
    "the-same-key-twice": (key("one").public.pem * 2, "2 PEM blocks"),
    "certificate": (write_block("CERTIFICATE", b"x"), "CERTIFICATE"),
    "pkcs1": (write_block("RSA PUBLIC KEY", b"x"), "RSA PUBLIC KEY"),
    "no-end": (key("one").public.pem.partition(b"-----END")[0], "damaged"),
    "other-end": (key("one").public.pem.replace(b"END PUBLIC", b"END OTHER"), "damaged"),
    "not-base64": (key("one").public.pem.replace(b"M", b"*", 1), "damaged"),
    "cut-base64": (b"-----BEGIN PUBLIC KEY-----\nMFkwE\n-----END PUBLIC KEY-----\n", "not base64"),
    "escape-sequence-in-label": (b"-----BEGIN \x1b[31m-----\n", r"\\x1b\[31m"),
    "empty-content": (b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "not a public key"),
    "trailing-der": (write_block("PUBLIC KEY", key("one").public.spki + b"\0"), "not a public key"),
    "binary": (bytes(range(256)), "no PEM block"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_are_no_public_key(content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_public_key(content, what="k.pub")
    assert str(caught.value).startswith("k.pub: ")


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(LimitError):
        read_public_key(b" " * ((64 << 10) + 1))


@needs("openssl")
@pytest.mark.parametrize("key_type", ["ecdsa-p256", "ed25519"])
def test_openssl_verifies_our_signatures(key_type: str, tmp_path: Path) -> None:
    private = generate(key_type)
    (tmp_path / "k.pub").write_bytes(private.public.pem)
    (tmp_path / "m").write_bytes(MESSAGE)
    (tmp_path / "s").write_bytes(private.sign(MESSAGE))
    if key_type == "ed25519":
        said = run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "k.pub", "-rawin", "-in", "m", "-sigfile", "s", cwd=tmp_path)  # fmt: skip
        assert "Signature Verified Successfully" in said
    else:
        said = run("openssl", "dgst", "-sha256", "-verify", "k.pub", "-signature", "s", "m", cwd=tmp_path)
        assert said == "Verified OK\n"
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "k.pub", "-outform", "DER"], capture_output=True, check=True
    )
    assert hashlib.sha256(der.stdout).hexdigest() == private.public.key_id


@needs("openssl")
@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_we_verify_openssls_signatures(kind: str, tmp_path: Path) -> None:
    options = {
        "ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
        "ed25519": ["ED25519"],
    }
    (tmp_path / "m").write_bytes(MESSAGE)
    run("openssl", "genpkey", "-out", "k", "-algorithm", *options[kind], cwd=tmp_path)
    run("openssl", "pkey", "-in", "k", "-pubout", "-out", "k.pub", cwd=tmp_path)
    if kind == "ed25519":
        run("openssl", "pkeyutl", "-sign", "-inkey", "k", "-rawin", "-in", "m", "-out", "s", cwd=tmp_path)
    else:
        run("openssl", "dgst", "-sha256", "-sign", "k", "-out", "s", "m", cwd=tmp_path)
    public = read_public_key((tmp_path / "k.pub").read_bytes())
    public.verify(MESSAGE, (tmp_path / "s").read_bytes())


def test_ed25519_test_vector() -> None:
    """RFC 8032, section 7.1, TEST 2."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    public = public_key_of(private.public_key().public_bytes(DER, SPKI))
    public.verify(
        b"\x72",
        bytes.fromhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    )
