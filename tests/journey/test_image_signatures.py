"""Signing and verifying manifests by name; the keys are a throwaway's, the program is the real one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler import __version__, gpg
from bundler.errors import BundlerError, ConfigError, LimitError, SignatureError, TrustError
from bundler.journey import image_signatures
from bundler.journey.image_signatures import Signer, passphrase_of, read_manifest, signer_of, verify_signature
from bundler.oci.digest import digest_of
from bundler.trust.simple_signing import parse_payload
from tests.keyring import Keyring, keyring
from tests.peers import needs

FPR = "A" * 40
MANIFEST = b'{"schemaVersion": 2}'
NAME = "registry.example/app:1"


@pytest.fixture(scope="module")
def ring() -> Iterator[tuple[Keyring, str, str]]:
    with keyring() as made:
        yield made, made.make("ann"), made.make("bob")


@pytest.fixture
def keys(ring: tuple[Keyring, str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Keyring, str, str]:
    monkeypatch.setenv("GNUPGHOME", str(ring[0].home))
    return ring


@needs("gpg")
def test_a_signature_says_what_was_signed_and_when(keys: tuple[Keyring, str, str]) -> None:
    before = int(time.time())
    payload = parse_payload(gpg.verify(Signer(keys[1], "busybox").sign(MANIFEST)).payload)
    assert (payload.digest, payload.reference) == (digest_of(MANIFEST), "busybox")
    assert payload.creator == f"bundler {__version__}"
    assert payload.timestamp is not None
    assert before <= payload.timestamp <= time.time()


@needs("gpg")
@pytest.mark.parametrize(
    ("signed", "wanted"),
    [
        (NAME, NAME),
        ("busybox", "docker.io/library/busybox"),
        ("docker.io/library/busybox:1", "busybox:1"),
        (f"{NAME}@{digest_of(MANIFEST)}", f"{NAME}@{digest_of(MANIFEST)}"),
    ],
)
def test_names_are_compared_as_they_are_meant(keys: tuple[Keyring, str, str], signed: str, wanted: str) -> None:
    signature = Signer(keys[1], signed).sign(MANIFEST)
    assert verify_signature(MANIFEST, wanted, [keys[1]], signature) == (keys[1], digest_of(MANIFEST))


@needs("gpg")
@pytest.mark.parametrize(
    ("signed", "wanted"),
    [
        (NAME, "registry.example/app:2"),
        (NAME, "registry.example/app"),
        (NAME, "other.example/app:1"),
        (NAME, f"{NAME}@{digest_of(MANIFEST)}"),
        ("busybox", "busybox:latest"),
        ("UPPER/case", NAME),
        ("registry.example/app:1\n", NAME),
        (f"docker://{NAME}", NAME),
    ],
)
def test_a_signature_for_another_name_is_refused(keys: tuple[Keyring, str, str], signed: str, wanted: str) -> None:
    signature = Signer(keys[1], signed).sign(MANIFEST)
    with pytest.raises(SignatureError) as refused:
        verify_signature(MANIFEST, wanted, [keys[1]], signature)
    assert str(refused.value).isprintable()


@needs("gpg")
@pytest.mark.parametrize("manifest", [MANIFEST + b"\n", b"", b"{}"])
def test_a_signature_of_another_manifest_is_refused(keys: tuple[Keyring, str, str], manifest: bytes) -> None:
    signature = Signer(keys[1], NAME).sign(MANIFEST)
    with pytest.raises(SignatureError, match=digest_of(MANIFEST)):
        verify_signature(manifest, NAME, [keys[1]], signature)


@needs("gpg")
@pytest.mark.parametrize("payload", [b"", b"{}", b"hello", b'{"critical": {}, "optional": {}}'])
def test_a_good_signature_of_anything_else_is_refused(keys: tuple[Keyring, str, str], payload: bytes) -> None:
    with pytest.raises(SignatureError, match="signed payload"):
        verify_signature(MANIFEST, NAME, [keys[1]], keys[0].sign(payload, keys[1]))


@needs("gpg")
def test_who_may_have_signed(keys: tuple[Keyring, str, str], tmp_path: Path) -> None:
    ring, ann, bob = keys
    signature, file = Signer(ann, NAME).sign(MANIFEST), tmp_path / "keys.gpg"
    file.write_bytes(ring.public(ann, bob))
    assert verify_signature(MANIFEST, NAME, [bob, ann], signature)[0] == ann
    assert verify_signature(MANIFEST, NAME, ["any"], signature, keys=file)[0] == ann
    with pytest.raises(TrustError):
        verify_signature(MANIFEST, NAME, [bob], signature)
    with pytest.raises(TrustError):
        verify_signature(MANIFEST, NAME, [bob], signature, keys=file)
    file.write_bytes(ring.public(bob))
    with pytest.raises(SignatureError):
        verify_signature(MANIFEST, NAME, ["any"], signature, keys=file)


@pytest.mark.parametrize("fingerprints", [["any"], [""], ["any", FPR], [FPR, ""], ["ann"], ["F" * 16]])
def test_any_key_of_the_users_own_is_never_enough(fingerprints: list[str]) -> None:
    with pytest.raises(ConfigError):
        verify_signature(MANIFEST, NAME, fingerprints, b"\x90")


@needs("gpg")
def test_schema_1_is_signed_without_its_own_signatures(keys: tuple[Keyring, str, str]) -> None:
    from base64 import urlsafe_b64encode

    body = b'{\n   "schemaVersion": 1\n}'
    protected = urlsafe_b64encode(
        json.dumps({"formatLength": len(body) - 2, "formatTail": urlsafe_b64encode(b"\n}").decode()}).encode()
    ).decode()
    document: dict[str, Any] = {"signatures": [{"protected": protected}]}
    raw = body[:-2] + b"," + json.dumps(document).encode()[1:]
    signature = Signer(keys[1], NAME).sign(raw)
    assert verify_signature(raw, NAME, [keys[1]], signature) == (keys[1], digest_of(body))
    assert verify_signature(body, NAME, [keys[1]], signature) == (keys[1], digest_of(body))


# Who signs, by the command line


@pytest.mark.parametrize(
    ("identity", "to", "reference"),
    [
        (None, "docker://registry.example/app:1", NAME),
        (None, "docker://busybox", "docker.io/library/busybox:latest"),
        (NAME, "dir:out", NAME),
        ("busybox:1", "docker://registry.example/app:1", "docker.io/library/busybox:1"),
        (f"busybox@{digest_of(b'')}", "oci:out", f"docker.io/library/busybox@{digest_of(b'')}"),
    ],
)
def test_the_name_to_sign_under(identity: str | None, to: str, reference: str) -> None:
    assert signer_of(FPR, identity, None, to) == Signer(FPR, reference)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((FPR, None, None, "dir:out"), "--sign-by"),
        ((FPR, "busybox", None, "dir:out"), "neither tag nor digest"),
        ((FPR, "UPPER", None, "dir:out"), "--sign-identity"),
        ((None, NAME, None, "dir:out"), "need --sign-by"),
        ((None, None, Path("file"), "dir:out"), "need --sign-by"),
        ((FPR, NAME, Path("file"), "dir:out"), "passphrase file"),
    ],
)
def test_what_can_not_be_signed_is_said(arguments: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        signer_of(*arguments)


def test_nobody_signs_unasked() -> None:
    assert signer_of(None, None, None, "dir:out") is None


def test_passphrases_are_first_lines_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse\nsecond line\n")
    signer = signer_of(FPR, NAME, file, "dir:out")
    assert signer is not None
    assert signer.passphrase == passphrase_of(file) == b"correct horse"
    assert "correct" not in repr(signer)
    assert passphrase_of(None) is None


@pytest.mark.parametrize(
    ("read", "size"),
    [
        (read_manifest, 4 << 20),
        (image_signatures.read_signature, image_signatures.SIGNATURE_CAP),
        (passphrase_of, 4096),
    ],
)
def test_files_are_bounded(tmp_path: Path, read: Callable[[Path], object], size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with file.open("r+b") as sparse:
        sparse.truncate(size + 1)
    with pytest.raises(LimitError, match="file"):
        read(file)
    with pytest.raises(BundlerError, match="missing"):
        read(tmp_path / "missing")
