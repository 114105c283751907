"""Signatures between skopeo and bundler: each verifies what the other signed, and refuses what the other refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images
from tests.keyring import Keyring, keyring
from tests.peers import attempt, bundler_path, needs, run

NAME = "registry.example/team/app:1"
SIGNERS = {"skopeo": ["skopeo"], "bundler": [str(bundler_path())]}

pytestmark = needs("skopeo", "gpg")


@pytest.fixture(scope="module")
def ring() -> Iterator[tuple[Keyring, str, str]]:
    with keyring() as made:
        yield made, made.make("ann"), made.make("bob", passphrase="correct horse")


@pytest.fixture
def env(ring: tuple[Keyring, str, str]) -> dict[str, str]:
    return {"GNUPGHOME": str(ring[0].home)}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_bytes(images.image(images.layer("base", 100)).raw)
    return path


def _same(ours: str, theirs: str, fingerprint: str) -> bool:
    """Whether the lines agree; an older skopeo names no fingerprint."""
    older = re.sub(rf" using fingerprint {fingerprint}", "", ours)
    return theirs in (ours, older) and ours.startswith(f"Signature verified using fingerprint {fingerprint}, digest ")


def test_digests_are_the_same(manifest: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"no JSON at all")
    for file in (manifest, other):
        said = {name: run(*command, "manifest-digest", file) for name, command in SIGNERS.items()}
        assert said["skopeo"] == said["bundler"] != ""


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("name", [NAME, "busybox", f"{NAME}@sha256:{'0' * 64}"])
def test_what_one_signs_both_verify(
    signer: str, name: str, manifest: Path, ring: tuple[Keyring, str, str], env: dict[str, str]
) -> None:
    ann, signature = ring[1], manifest.with_name("signature")
    said = run(*SIGNERS[signer], "standalone-sign", manifest, name, ann, "-o", signature, env=env)
    assert said == ""
    verify = ("standalone-verify", manifest, name, ann, signature)
    said_by = {who: run(*command, *verify, env=env) for who, command in SIGNERS.items()}
    assert _same(said_by["bundler"], said_by["skopeo"], ann)


@pytest.mark.parametrize("signer", SIGNERS)
def test_what_one_refuses_both_refuse(
    signer: str, manifest: Path, ring: tuple[Keyring, str, str], env: dict[str, str]
) -> None:
    keys, ann, _ = ring
    signature = manifest.with_name("signature")
    run(*SIGNERS[signer], "standalone-sign", manifest, NAME, ann, "--output", signature, env=env)
    changed, cut, unsigned = (manifest.with_name(name) for name in ("changed", "cut", "unsigned"))
    changed.write_bytes(manifest.read_bytes() + b"\n")
    cut.write_bytes(signature.read_bytes()[:-3])
    unsigned.write_bytes(keys("--store", stdin=keys("--decrypt", stdin=signature.read_bytes())))
    refused = [
        (manifest, "registry.example/team/app:2", ann, signature),
        (manifest, "registry.example/team/app", ann, signature),
        (manifest, NAME, "F" * 40, signature),
        (manifest, NAME, "any", signature),
        (changed, NAME, ann, signature),
        (manifest, NAME, ann, cut),
        (manifest, NAME, ann, unsigned),
        (manifest, NAME, ann, manifest),
    ]
    for case in refused:
        for command in SIGNERS.values():
            done = attempt(*command, "standalone-verify", *case, env=env)
            assert (done.returncode != 0, done.stdout) == (True, ""), (command, case)


def test_signatures_in_a_directory_are_verified_by_the_peers_policy(
    tmp_path: Path, ring: tuple[Keyring, str, str], env: dict[str, str]
) -> None:
    """The signature that bundler makes is enough for skopeo's signedBy, which checks all that containers/image can."""
    import json

    keys, ann, _ = ring
    source = images.write_dir(tmp_path / "image", images.image(images.layer("base", 100)))
    (tmp_path / "ann.gpg").write_bytes(keys.public(ann))
    rule = {
        "type": "signedBy",
        "keyType": "GPGKeys",
        "keyPath": str(tmp_path / "ann.gpg"),
        "signedIdentity": {"type": "exactReference", "dockerReference": NAME},
    }
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [rule]}))
    copy = ("skopeo", "--policy", policy, "copy", f"dir:{source}", f"dir:{tmp_path / 'copy'}")
    assert attempt(*copy, env=env).returncode != 0
    sign = ("standalone-sign", source / "manifest.json", NAME, ann, "-o", source / "signature-1")
    run(bundler_path(), *sign, env=env)
    run(*copy, env=env)
    assert (tmp_path / "copy" / "signature-1").read_bytes() == (source / "signature-1").read_bytes()


def test_passphrases(manifest: Path, ring: tuple[Keyring, str, str], env: dict[str, str]) -> None:
    keys, _, bob = ring
    passphrase = manifest.with_name("passphrase")
    passphrase.write_text("correct horse\n")
    for signer, command in SIGNERS.items():
        keys.forget_passphrases()
        signature = manifest.with_name(signer)
        sign = ("standalone-sign", manifest, NAME, bob, "-o", signature, "--passphrase-file", passphrase)
        assert run(*command, *sign, env=env) == ""
        for other in SIGNERS.values():
            assert run(*other, "standalone-verify", manifest, NAME, bob, signature, env=env)


def test_any_key_of_a_file(manifest: Path, ring: tuple[Keyring, str, str], env: dict[str, str], tmp_path: Path) -> None:
    if "--public-key-file" not in run("skopeo", "standalone-verify", "--help"):
        pytest.skip("this skopeo is too old for --public-key-file")
    keys = ring[0]
    old, stranger = keys.make("old", kind="rsa2048"), keys.make("stranger", kind="rsa2048")  # any build reads RSA
    signature, trusted, strangers = (tmp_path / name for name in ("signature", "trusted", "strangers"))
    run(bundler_path(), "standalone-sign", manifest, NAME, old, "-o", signature, env=env)
    trusted.write_bytes(keys.public(old, stranger))
    strangers.write_bytes(keys.public(stranger))
    for fingerprints in ("any", old, f"{'F' * 40},{old}"):
        verify = ("standalone-verify", manifest, NAME, fingerprints, signature, "--public-key-file")
        said = {run(*command, *verify, trusted) for command in SIGNERS.values()}
        assert len(said) == 1
        for command in SIGNERS.values():
            assert attempt(*command, *verify, strangers).returncode != 0


def _copied(program: str, *arguments: str | Path, env: dict[str, str]) -> None:
    policy = ["--insecure-policy"] if program == "skopeo" else []
    run(SIGNERS[program][0], *policy, "copy", *arguments, env=env)


@pytest.mark.parametrize("signer", SIGNERS)
def test_an_image_that_one_signs_while_copying(
    signer: str, tmp_path: Path, ring: tuple[Keyring, str, str], env: dict[str, str]
) -> None:
    """Both verify its signature, and both carry it on into another directory."""
    ann = ring[1]
    source = images.write_dir(tmp_path / "source", images.image(images.layer("base", 100)))
    sign = ("--sign-by", ann, "--sign-identity", NAME)
    _copied(signer, *sign, f"dir:{source}", f"dir:{tmp_path / 'signed'}", env=env)
    for carrier in SIGNERS:
        _copied(carrier, f"dir:{tmp_path / 'signed'}", f"dir:{tmp_path / carrier}", env=env)
        signature = tmp_path / carrier / "signature-1"
        assert signature.read_bytes() == (tmp_path / "signed" / "signature-1").read_bytes()
        assert not signature.with_name("signature-2").exists()
        verify = ("standalone-verify", tmp_path / carrier / "manifest.json", NAME, ann, signature)
        assert _same(*(run(*SIGNERS[who], *verify, env=env) for who in ("bundler", "skopeo")), ann)


def test_a_second_signature_stands_beside_the_first(
    tmp_path: Path, ring: tuple[Keyring, str, str], env: dict[str, str]
) -> None:
    ann = ring[1]
    image = images.write_dir(tmp_path / "0", images.image(images.layer("base", 100)))
    for n, signer in enumerate(SIGNERS, 1):
        sign = ("--sign-by", ann, "--sign-identity", f"{NAME}.{n}")
        _copied(signer, *sign, f"dir:{image}", f"dir:{tmp_path / str(n)}", env=env)
        image = tmp_path / str(n)
    for n in (1, 2):
        verify = ("standalone-verify", image / "manifest.json", f"{NAME}.{n}", ann, image / f"signature-{n}")
        for command in SIGNERS.values():
            assert run(*command, *verify, env=env)
    _copied("bundler", "--remove-signatures", f"dir:{image}", f"dir:{tmp_path / 'bare'}", env=env)
    assert not list((tmp_path / "bare").glob("*signature*"))
