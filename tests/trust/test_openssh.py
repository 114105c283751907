from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from bundler.errors import BundlerError, ConfigError
from bundler.trust.keyfile import read_private_key
from bundler.trust.openssh import LABEL, MAX_ROUNDS
from bundler.trust.pem import read_block, write_block
from bundler.trust.signing import PrivateKey
from bundler.trust.ssh_wire import public_blob, string
from tests.peers import needs, run
from tests.trust.papers import key

PASSWORD = "pässword".encode()
FEW = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(1).build(PASSWORD)


def never() -> bytes:
    pytest.fail("the password was asked for")


def content(private: PrivateKey) -> bytes:
    plain = load_der_private_key(private.pkcs8(), None)
    return read_block(plain.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, FEW), what="k")[1]


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
def test_an_encrypted_key_is_read(kind: str) -> None:
    private = key("one", kind)
    again = read_private_key(write_block(LABEL, content(private)), lambda: PASSWORD)
    assert again.sign(b"m") == private.sign(b"m")


@pytest.mark.parametrize("password", [b"", b"wrong"], ids=["empty", "wrong"])
def test_a_wrong_password(password: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^k: the password does not open this key"):
        read_private_key(write_block(LABEL, content(key("one"))), lambda: password, what="k")


def frame(
    *,
    cipher: bytes = b"aes256-ctr",
    kdf: bytes = b"bcrypt",
    salt: bytes = bytes(16),
    rounds: int = 16,
    options: bytes | None = None,
    count: int = 1,
    public: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    options = string(salt) + rounds.to_bytes(4) if options is None else options
    public = public_blob(key("one").public.spki)[1] if public is None else public
    keys = string(public) * count + string(bytes(64))
    return b"openssh-key-v1\0" + string(cipher) + string(kdf) + string(options) + count.to_bytes(4) + keys + tail


REFUSED: dict[str, tuple[bytes, str]] = {
    "not-encrypted": (frame(cipher=b"none", kdf=b"none", options=b""), "is not encrypted"),
    "cipher-none-under-a-kdf": (frame(cipher=b"none"), "is not encrypted"),
    "kdf-none-over-a-cipher": (frame(kdf=b"none"), "is not encrypted"),
    "other-kdf": (frame(kdf=b"argon2"), "encrypted with aes256-ctr and argon2"),
    "weak-cipher": (frame(cipher=b"3des-cbc"), "encrypted with 3des-cbc and bcrypt"),
    "cipher-with-control-characters": (frame(cipher=b"\x1b[2J"), r"encrypted with \\x1b\[2J"),
    "rounds-endless": (frame(rounds=0xFFFFFFFF), "4294967295 rounds of bcrypt"),
    "rounds-one-too-many": (frame(rounds=MAX_ROUNDS + 1), f"{MAX_ROUNDS + 1} rounds"),
    "rounds-none": (frame(rounds=0), "0 rounds"),
    "salt-empty": (frame(salt=b""), "a salt of 0 bytes"),
    "salt-huge": (frame(salt=bytes(65)), "a salt of 65 bytes"),
    "options-cut": (frame(options=b"\0\0"), "ends too early"),
    "options-continued": (frame(options=string(bytes(16)) + bytes(4) + b"x"), "1 bytes follow its end"),
    "two-keys": (frame(count=2), "holds 2 keys"),
    "no-keys": (frame(count=0), "holds 0 keys"),
    "trailing-bytes": (frame(tail=b"\0"), "1 bytes follow its end"),
    "tag-missing": (frame(cipher=b"aes256-gcm@openssh.com"), "0 bytes follow its end"),
    "tag-too-long": (frame(cipher=b"aes256-gcm@openssh.com", tail=bytes(17)), "17 bytes follow its end"),
    "public-key-damaged": (frame(public=b"ssh-ed25519"), "ends too early"),
    "public-key-of-low-order-rest": (frame(public=string(b"ssh-ed25519") + string(b"x")), "no proper key"),
    "other-magic": (b"openssh-key-v2\0" + frame()[15:], "not a key of OpenSSH"),
    "empty": (b"", "not a key of OpenSSH"),
    "only-magic": (b"openssh-key-v1\0", "ends too early"),
    "length-huge": (b"openssh-key-v1\0\xff\xff\xff\xff", "ends too early"),
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_are_refused_before_the_password_is_asked(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_private_key(write_block(LABEL, raw), never, what="k")
    assert str(caught.value).startswith("k: ")


def test_a_public_key_that_is_not_the_private_one_s() -> None:
    mine, other = (public_blob(key(name, "ed25519").public.spki)[1] for name in ("one", "two"))
    swapped = content(key("one", "ed25519")).replace(mine, other, 1)
    with pytest.raises(ConfigError, match=r"does not open this key|not that of its private key"):
        read_private_key(write_block(LABEL, swapped), lambda: PASSWORD)


def test_a_frame_of_the_right_form_with_nothing_in_it() -> None:
    with pytest.raises(ConfigError, match="does not open this key"):
        read_private_key(write_block(LABEL, frame(rounds=1)), lambda: PASSWORD)


def test_every_cut_is_an_error_of_ours() -> None:
    whole = content(key("one", "ed25519"))
    for end in range(len(whole)):
        with pytest.raises(BundlerError):
            read_private_key(write_block(LABEL, whole[:end]), lambda: PASSWORD)


def test_keys_that_do_not_sign() -> None:
    for made in (rsa.generate_private_key(65537, 3072), ec.generate_private_key(ec.SECP384R1())):
        raw = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, FEW)
        with pytest.raises(ConfigError, match=r"kind of key that bundles are not signed with|kind of SSH key"):
            read_private_key(raw, lambda: PASSWORD)


def test_an_open_key_is_told_how_to_get_a_password() -> None:
    plain = load_der_private_key(key("one", "ed25519").pkcs8(), None)
    with pytest.raises(ConfigError, match="is not encrypted") as caught:
        read_private_key(plain.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), never)
    assert "ssh-keygen -p" in caught.value.hint


def test_without_bcrypt_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.serialization import ssh

    monkeypatch.setattr(ssh, "_bcrypt_supported", False)

    def absent(*_: object, **__: object) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm

        raise UnsupportedAlgorithm("Need bcrypt module")

    monkeypatch.setattr(ssh, "_bcrypt_kdf", absent)
    with pytest.raises(ConfigError, match="package bcrypt"):
        read_private_key(write_block(LABEL, content_now), lambda: PASSWORD)


content_now = content(key("one"))


@needs("ssh-keygen")
@pytest.mark.parametrize("cipher", ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com"])
@pytest.mark.parametrize("kind", [["ed25519"], ["ecdsa", "-b", "256"]], ids=lambda kind: kind[0])
def test_keys_that_ssh_keygen_encrypted(kind: list[str], cipher: str, tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", *kind, "-N", "a word", "-a", "2", "-Z", cipher, "-f", "k", cwd=tmp_path)
    private = read_private_key((tmp_path / "k").read_bytes(), lambda: b"a word")
    assert public_blob(private.public.spki)[1] == base64.b64decode((tmp_path / "k.pub").read_text().split()[1])
    with pytest.raises(ConfigError, match="does not open this key"):
        read_private_key((tmp_path / "k").read_bytes(), lambda: b"another word")
