"""manifest-digest, standalone-sign and standalone-verify on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.oci.digest import digest_of
from tests.cli.terminal import Terminal
from tests.keyring import Keyring, keyring
from tests.peers import needs

MANIFEST = b'{"schemaVersion": 2}'
NAME = "registry.example/app:1"


@pytest.fixture(scope="module")
def ring() -> Iterator[tuple[Keyring, str, str]]:
    with keyring() as made:
        yield made, made.make("ann"), made.make("bob", passphrase="correct horse")


@pytest.fixture
def keys(ring: tuple[Keyring, str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Keyring, str, str]:
    monkeypatch.setenv("GNUPGHOME", str(ring[0].home))
    return ring


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_bytes(MANIFEST)
    return path


def test_the_digest_is_printed(bundler: Terminal, tmp_path: Path) -> None:
    assert bundler("manifest-digest", "manifest.json").out == f"{digest_of(MANIFEST)}\n"
    (tmp_path / "other").write_bytes(b"no JSON at all")
    assert bundler("manifest-digest", "other").out == f"{digest_of(b'no JSON at all')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("manifest-digest", "missing"),
        ("manifest-digest", "."),
        ("manifest-digest",),
        ("standalone-sign", "manifest.json", NAME, "A" * 40),
        ("standalone-sign", "missing", NAME, "A" * 40, "-o", "out"),
        ("standalone-sign", "manifest.json", "UPPER", "A" * 40, "-o", "out"),
        ("standalone-sign", "manifest.json", NAME, "ann", "-o", "out"),
        ("standalone-sign", "manifest.json", NAME, "A" * 40, "-o", "out", "--passphrase-file", "missing"),
        ("standalone-verify", "manifest.json", NAME, "A" * 40, "missing"),
        ("standalone-verify", "manifest.json", NAME, "any", "manifest.json"),
        ("standalone-verify", "manifest.json", "UPPER", "A" * 40, "manifest.json"),
    ],
)
def test_wrong_usage(bundler: Terminal, arguments: tuple[str, ...]) -> None:
    said = bundler(*arguments, expect=2)
    assert said.out == ""
    assert not (bundler.folder / "out").exists()


def test_what_is_no_signature(bundler: Terminal) -> None:
    assert "SIG" in bundler("standalone-verify", "manifest.json", NAME, "A" * 40, "manifest.json", expect=15).err


@needs("gpg")
def test_there_and_back(bundler: Terminal, keys: tuple[Keyring, str, str]) -> None:
    ring, ann, _ = keys
    said = bundler("standalone-sign", "manifest.json", NAME, ann, "--output", "app.signature")
    assert (said.out, said.err) == ("", "wrote app.signature\n")
    line = f"Signature verified using fingerprint {ann}, digest {digest_of(MANIFEST)}\n"
    assert bundler("standalone-verify", "manifest.json", NAME, ann, "app.signature").out == line
    several = f"{'F' * 40},{ann}"
    assert bundler("standalone-verify", "manifest.json", NAME, several, "app.signature").out == line
    (bundler.folder / "ann.gpg").write_bytes(ring.public(ann))
    by_file = ("--public-key-file", "ann.gpg")
    assert bundler("standalone-verify", "manifest.json", NAME, "any", "app.signature", *by_file).out == line


@needs("gpg")
@pytest.mark.parametrize(
    ("name", "fingerprint", "code"), [("registry.example/app:2", "", 15), (NAME, "F" * 40, 16), (NAME, "any", 2)]
)
def test_what_is_not_verified(
    bundler: Terminal, keys: tuple[Keyring, str, str], name: str, fingerprint: str, code: int
) -> None:
    bundler("standalone-sign", "manifest.json", NAME, keys[1], "-o", "app.signature")
    said = bundler("standalone-verify", "manifest.json", name, fingerprint or keys[1], "app.signature", expect=code)
    assert said.out == ""


@needs("gpg")
def test_a_changed_manifest_is_not_verified(bundler: Terminal, keys: tuple[Keyring, str, str], manifest: Path) -> None:
    bundler("standalone-sign", "manifest.json", NAME, keys[1], "-o", "app.signature")
    manifest.write_bytes(MANIFEST + b" ")
    assert bundler("standalone-verify", "manifest.json", NAME, keys[1], "app.signature", expect=15).out == ""


@needs("gpg")
def test_the_passphrase_comes_from_a_file(bundler: Terminal, keys: tuple[Keyring, str, str]) -> None:
    ring, _, bob = keys
    ring.forget_passphrases()
    (bundler.folder / "wrong").write_text("battery staple\n")
    (bundler.folder / "right").write_text("correct horse\n")
    command = ("standalone-sign", "manifest.json", NAME, bob, "-o", "app.signature", "--passphrase-file")
    assert "battery" not in bundler(*command, "wrong", expect=2).err
    assert not (bundler.folder / "app.signature").exists()
    assert "horse" not in bundler(*command, "right").err
    assert bundler("standalone-verify", "manifest.json", NAME, bob, "app.signature").out
