"""Signatures for other tools, read here by hand from the formats' descriptions; the tools themselves judge in interop."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from bundler.errors import ConfigError
from bundler.trust.minisign import minisign_key, minisign_signature
from bundler.trust.pem import read_block
from bundler.trust.signing import PrivateKey
from bundler.trust.sigstore_bundle import sigstore_bundle
from bundler.trust.ssh_wire import Reader, spki_of
from bundler.trust.sshsig import sshsig
from bundler.trust.sums import COMPANIONS, companion_name, is_companion, signature_name, signer_of
from tests.trust.papers import key

MESSAGE = "0123  ä file\n".encode()
ED = key("one", "ed25519")
KEYS = pytest.mark.parametrize("signer", [key("one"), ED], ids=["ecdsa-p256", "ed25519"])


@KEYS
def test_a_sigstore_bundle(signer: PrivateKey) -> None:
    value = json.loads(sigstore_bundle(signer, MESSAGE))
    assert value == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": base64.b64encode(bytes.fromhex(signer.public.key_id)).decode()}},
        "messageSignature": {
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": base64.b64encode(hashlib.sha256(MESSAGE).digest()).decode(),
            },
            "signature": base64.b64encode(signer.sign(MESSAGE)).decode(),
        },
    }


@KEYS
def test_an_ssh_signature(signer: PrivateKey) -> None:
    label, blob = read_block(sshsig(signer, MESSAGE), what="s")
    assert label == "SSH SIGNATURE"
    reader = Reader(blob, what="s")
    assert (reader.take(6), reader.number()) == (b"SSHSIG", 1)
    assert spki_of(reader.string(), what="s") == signer.public.spki
    assert [reader.string() for _ in range(3)] == [b"file", b"", b"sha512"]
    inner = Reader(reader.string(), what="s")
    reader.done()
    assert inner.string() in (b"ssh-ed25519", b"ecdsa-sha2-nistp256")
    if signer is ED:
        signed = b"SSHSIG\0\0\0\x04file\0\0\0\0\0\0\0\x06sha512\0\0\0\x40" + hashlib.sha512(MESSAGE).digest()
        signer.public.verify(signed, inner.string())


def test_a_minisign_signature() -> None:
    untrusted, first, trusted, second = minisign_signature(ED, MESSAGE, "SHA256SUMS").decode().splitlines()
    assert untrusted.startswith("untrusted comment: ")
    assert trusted == "trusted comment: file:SHA256SUMS\thashed"
    raw, number = base64.b64decode(first), bytes.fromhex(ED.public.key_id)[:8]
    assert raw[:10] == b"ED" + number
    ED.public.verify(hashlib.blake2b(MESSAGE).digest(), raw[10:])
    ED.public.verify(raw[10:] + b"file:SHA256SUMS\thashed", base64.b64decode(second))
    public = base64.b64decode(minisign_key(ED.public))
    assert public[:10] == b"Ed" + number
    ed25519.Ed25519PublicKey.from_public_bytes(public[10:]).verify(raw[10:], hashlib.blake2b(MESSAGE).digest())


def test_minisign_knows_only_ed25519() -> None:
    for make in (lambda: minisign_signature(key("one"), MESSAGE, "x"), lambda: minisign_key(key("one").public)):
        with pytest.raises(ConfigError, match="minisign knows only Ed25519 keys") as caught:
            make()
        assert "--type ed25519" in caught.value.hint


@KEYS
def test_they_are_the_same_every_time(signer: PrivateKey) -> None:
    assert sigstore_bundle(signer, MESSAGE) == sigstore_bundle(signer, MESSAGE)
    assert sshsig(signer, MESSAGE) == sshsig(signer, MESSAGE)


def test_names() -> None:
    key_id = "0123456789abcdef" * 4
    names = {form: companion_name(key_id, form) for form in COMPANIONS}
    assert names == {
        "cosign-bundle": "SHA256SUMS.0123456789abcdef.sigstore.json",
        "sshsig": "SHA256SUMS.0123456789abcdef.sshsig",
        "minisign": "SHA256SUMS.0123456789abcdef.minisig",
        "gpg": "SHA256SUMS.0123456789abcdef.asc",
    }
    for name in names.values():
        assert is_companion(name)
        assert signer_of(name) is None
    for other in (signature_name(key_id), "SHA256SUMS", "SHA256SUMS.asc", names["gpg"] + "\n", names["sshsig"].upper()):
        assert not is_companion(other)
