"""Who signs, and in which forms, as an operator says it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from bundler.trust.signing import PrivateKey
from tests.cli.terminal import Terminal
from tests.workshop import Workshop, contents, key

OUTSIDE = key("outside")


def program(folder: Path, private: PrivateKey = OUTSIDE, *, fail: bool = False) -> str:
    """A signer outside: it signs with a key of its own, and notes what for."""
    (folder / "outside.pub").write_bytes(OUTSIDE.public.pem)
    (folder / "outside.der").write_bytes(private.pkcs8())
    (folder / "outside.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from bundler.trust.signing import private_key_of\n"
        "raw = sys.stdin.buffer.read()\n"
        "with open('asked', 'a') as file: file.write(os.environ['BUNDLER_SIGN_FOR'] + ' ' + str(len(raw)) + '\\n')\n"
        "sys.stdout.buffer.write(private_key_of(Path('outside.der').read_bytes(), what='k').sign(raw))\n"
        f"sys.exit({int(fail)})\n"
    )
    return f"{shlex.quote(sys.executable)} outside.py"


@pytest.fixture
def out(place: Workshop) -> Path:
    return place.build()


def outside(command: str) -> tuple[str, ...]:
    return ("--sign-command", command, "--sign-command-key", "outside.pub")


def test_a_program_signs_the_statement_and_the_sums(out: Path, bundler: Terminal) -> None:
    signed = bundler("sign", "out", *outside(program(bundler.folder)), "--json")
    assert json.loads(signed.out) == {"directory": "out", "signers": [OUTSIDE.public.key_id]}
    asked = [line.split() for line in (bundler.folder / "asked").read_text().splitlines()]
    assert [purpose for purpose, _ in asked] == ["statement", "sums"]
    assert int(asked[1][1]) == (out / "SHA256SUMS").stat().st_size
    found = json.loads(bundler("sign", "out", "--status", "--key", "outside.pub", "--json").out)
    assert found["complete"]


@pytest.mark.parametrize("command", ["pack", "build"])
def test_a_bundle_signed_by_a_program_alone(command: str, place: Workshop, bundler: Terminal) -> None:
    place.pull()
    words = ("bundle.yaml", "--store", "store", "-o", "out", *outside(program(bundler.folder)), "--also", "sshsig")
    said = bundler(command, *words)
    assert f"signed by {OUTSIDE.public.short_id}" in said.err
    assert "ssh-keygen -Y verify" in said.err
    assert (bundler.folder / f"out/SHA256SUMS.{OUTSIDE.public.short_id}.sshsig").exists()
    status = json.loads(bundler("sign", "out", "--status", "--key", "outside.pub", "--json").out)
    assert (status["valid"], status["others"]) == (1, [])


@pytest.mark.parametrize(
    ("private", "fail", "message"),
    [
        pytest.param(key("stranger"), False, "is no signature of key", id="another-key"),
        pytest.param(OUTSIDE, True, "ended with status 1", id="a-bad-end"),
    ],
)
def test_what_a_program_gets_wrong_is_not_written(
    private: PrivateKey, fail: bool, message: str, out: Path, bundler: Terminal
) -> None:
    before = contents(out)
    said = bundler("sign", "out", *outside(program(bundler.folder, private, fail=fail)), "--also", "sshsig", expect=15)
    assert message in said.err
    assert contents(out) == before


def test_add(out: Path, bundler: Terminal) -> None:
    assert "has signed it already" in bundler("sign", "out", "--add", "--key", "release.key", expect=2).err
    bundler("sign", "out", "--add", *outside(program(bundler.folder)))
    assert "has signed it already" in bundler("sign", "out", "--add", *outside(program(bundler.folder)), expect=2).err


def test_status(out: Path, bundler: Terminal) -> None:
    (bundler.folder / "outside.pub").write_bytes(OUTSIDE.public.pem)
    command = ("sign", "out", "--status", "--key", "release.pub", "--key", "outside.pub", "--threshold", "2")
    said = bundler(*command)
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[1] == ["release.pub", key("release").public.short_id, "ecdsa-p256", "valid"]
    assert rows[2] == ["outside.pub", OUTSIDE.public.short_id, "ecdsa-p256", "missing"]
    assert "1 of 2 have signed, 2 are needed; missing: outside.pub" in said.err
    bundler("sign", "out", *outside(program(bundler.folder)))
    assert "2 of 2 have signed, 2 are needed\n" in bundler(*command).err
    assert "others that signed" in bundler("sign", "out", "--status", "--key", "stranger.pub").err
    next(out.glob("SHA256SUMS.*.sig")).write_bytes(b"x")
    assert "wrong: SHA256SUMS." in bundler(*command).out


def test_forms(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    bundler("keygen", "second", "--type", "ed25519")
    forms = ("--also", "minisign", "--also", "sshsig", "--also", "cosign-bundle")
    said = bundler("build", "bundle.yaml", "--store", "store", "-o", "out", "--key", "second.key", *forms)
    for form in ("minisign -V -P ", "ssh-keygen -Y verify", "cosign verify-blob"):
        assert form in said.err
    assert {path.suffix for path in (bundler.folder / "out").glob("SHA256SUMS.*")} == {
        ".json",
        ".minisig",
        ".sig",
        ".sshsig",
    }


def test_a_form_that_the_key_can_not_make_stops_before_the_bundle(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    command = ("pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key", "--also", "minisign")
    assert "minisign knows only Ed25519 keys" in bundler(*command, expect=2).err
    assert not (bundler.folder / "out/bundle.dsse.json").exists()


WRONG = {
    "nobody": ((), "nobody to sign with"),
    "half-a-program": (("--sign-command", "x"), "need each other"),
    "the-other-half": (("--key", "release.key", "--sign-command-key", "x"), "need each other"),
    "gpg-without-a-key": (("--key", "release.key", "--also", "gpg"), "need each other"),
    "status-that-signs": (("--status", "--key", "release.pub", "--add"), "--status signs nothing"),
    "status-of-nobody": (("--status",), "whose signatures are wanted"),
    "threshold-of-a-signer": (("--key", "release.key", "--threshold", "2"), "--threshold goes with --status"),
    "trust-of-a-signer": (("--key", "release.key", "--trust", "."), "--trust goes with --status"),
    "threshold-above-n": (("--status", "--key", "release.pub", "--threshold", "2"), "a threshold of 2"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_go_together(options: tuple[str, ...], message: str, out: Path, bundler: Terminal) -> None:
    before = contents(out)
    assert message in bundler("sign", "out", *options, expect=2).err
    assert contents(out) == before


def test_a_site_in_the_environment_does_not_keep_from_signing(
    out: Path, bundler: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLER_TRUST", "site")
    monkeypatch.setenv("BUNDLER_THRESHOLD", "2")
    assert key("release").public.key_id in bundler("sign", "out", "--key", "release.key").out
