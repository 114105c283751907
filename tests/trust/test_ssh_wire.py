from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bundler.errors import BundlerError, ConfigError
from bundler.trust.keys import read_public_key
from bundler.trust.ssh_wire import Reader, line_of, mpint, public_blob, signature_blob, string
from tests.peers import needs, run
from tests.trust.papers import key

OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
BIG = rsa.generate_private_key(65537, 3072).public_key()


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
@pytest.mark.parametrize("tail", ["", "\n", " ann@example\n", " two words\r\n"])
def test_a_line_of_openssh_s_is_the_same_key(kind: str, tail: str) -> None:
    public = key("one", kind).public
    assert read_public_key((line_of(public.spki) + tail).encode()) == public


def test_lines_are_those_of_the_library() -> None:
    for public in (BIG, ec.generate_private_key(ec.SECP256R1()).public_key(), ed25519.Ed25519PrivateKey.generate().public_key()):  # fmt: skip
        line = public.public_bytes(*OPENSSH)
        assert line_of(public.public_bytes(*SPKI)).encode() == line
        assert read_public_key(line).spki == public.public_bytes(*SPKI)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, ""), (1, "01"), (0x7F, "7f"), (0x80, "0080"), (0x1234, "1234"), (0xFF00, "00ff00")],
)
def test_numbers_have_one_encoding(value: int, written: str) -> None:
    assert mpint(value) == string(bytes.fromhex(written))
    if value:
        assert Reader(mpint(value), what="n").natural() == value


def test_an_ecdsa_signature_is_two_numbers() -> None:
    blob = signature_blob(b"ecdsa-sha2-nistp256", key("one").sign(b"m"))
    reader = Reader(blob, what="s")
    assert reader.string() == b"ecdsa-sha2-nistp256"
    numbers = Reader(reader.string(), what="s")
    assert numbers.natural() > 0
    assert numbers.natural() > 0
    numbers.done()
    reader.done()


def line(blob: bytes, name: str = "ssh-ed25519") -> bytes:
    return f"{name} {base64.b64encode(blob).decode()}\n".encode()


def point(which: bytes) -> bytes:
    return string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(which)


ED = string(b"ssh-ed25519")
ONE = public_blob(key("one", "ed25519").public.spki)[1]
EC = "ecdsa-sha2-nistp256"
ON_CURVE = public_blob(key("one").public.spki)[1][-65:]
LOW_ORDER = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
]
P384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*OPENSSH) + b"\n"

REFUSED: dict[str, tuple[bytes, str]] = {
    "no-key": (b"ssh-ed25519\n", "holds no single public key"),
    "two-keys": (line(ONE) * 2, "holds no single public key"),
    "two-keys-behind-a-vertical-tab": (line(ONE).strip() + b"\x0b" + line(ONE), "holds no single public key"),
    "not-base64": (b"ssh-ed25519 %%%%\n", "is not base64"),
    "base64-unpadded": (line(ONE[:-1]).replace(b"=", b""), "is not base64"),
    "base64-with-stray-bits": (b"ssh-ed25519 AAAAB3==\n", "is not base64"),
    "algorithm-confusion": (line(ONE, "ssh-rsa"), "its key is of another kind"),
    "trailing-bytes": (line(ONE + b"\0"), "1 bytes follow its end"),
    "cut": (line(ONE[:-1]), "ends too early"),
    "length-huge": (line(ED + b"\xff\xff\xff\xff"), "ends too early"),
    "short-point": (line(ED + string(bytes(31))), "no proper key"),
    "long-point": (line(ED + string(bytes(33))), "no proper key"),
    **{f"low-order-{n}": (line(ED + string(raw)), "not of prime order") for n, raw in enumerate(LOW_ORDER)},
    "ecdsa-compressed-point": (line(point(b"\2" + ON_CURVE[1:33]), EC), "not one of P-256 in full"),
    "ecdsa-off-the-curve": (line(point(b"\4" + bytes(64)), EC), "no proper key"),
    "ecdsa-infinity": (line(point(b"\0"), EC), "not one of P-256 in full"),
    "another-curve": (P384, "not supported: ecdsa-sha2-nistp384"),
    "security-key": (
        line(string(b"sk-ssh-ed25519@openssh.com"), "sk-ssh-ed25519@openssh.com"),
        "not supported: sk-ssh",
    ),
    "certificate": (line(string(b"ssh-ed25519-cert-v01@openssh.com"), "ssh-ed25519-cert-v01@openssh.com"), "not supp"),
    "weak-rsa": (
        rsa.generate_private_key(65537, 1024).public_key().public_bytes(*OPENSSH),
        "an RSA key of 1024 bits",
    ),
    "rsa-modulus-negative": (
        line(string(b"ssh-rsa") + mpint(65537) + string(b"\xff" * 384), "ssh-rsa"),
        "an encoding that it may not have",
    ),
    "rsa-exponent-padded": (
        line(string(b"ssh-rsa") + string(b"\0\0\1") + mpint(BIG.public_numbers().n), "ssh-rsa"),
        "an encoding that it may not have",
    ),
    "rsa-exponent-1": (line(string(b"ssh-rsa") + mpint(1) + mpint(BIG.public_numbers().n), "ssh-rsa"), "k.pub: "),
    "rsa-modulus-huge": (line(string(b"ssh-rsa") + mpint(65537) + mpint(1 << 30000), "ssh-rsa"), "may not have"),
    "options-in-front": (b'command="x" ' + line(ONE), "no PEM block"),
    "control-characters": (line(string(b"ssh-\x1b[31m"), "ssh-\x1b[31m"), r"ssh-\\x1b\[31m"),
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED)
def test_lines_that_are_no_key(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_public_key(raw, what="k.pub")
    assert str(caught.value).startswith("k.pub: ")


def test_every_cut_of_a_line_is_an_error_of_ours() -> None:
    whole = line(ONE)
    for end in range(len(whole) - 2):
        with pytest.raises(BundlerError):
            read_public_key(whole[:end])


@needs("ssh-keygen")
@pytest.mark.parametrize("kind", [["ed25519"], ["ecdsa", "-b", "256"], ["rsa", "-b", "3072"]], ids=lambda kind: kind[0])
def test_what_ssh_keygen_writes(kind: list[str], tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "ann@example", "-f", "k", cwd=tmp_path)
    public = read_public_key((tmp_path / "k.pub").read_bytes())
    assert (tmp_path / "k.pub").read_text() == line_of(public.spki, "ann@example") + "\n"
    if kind[0] == "ed25519":  # which ssh-keygen does not convert
        return
    converted = run("ssh-keygen", "-e", "-m", "PKCS8", "-f", "k.pub", cwd=tmp_path)
    assert read_public_key(converted.encode()) == public
