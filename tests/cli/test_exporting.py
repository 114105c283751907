"""push with the options that sign images: what is asked for, written and told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.journey.files import write_new
from bundler.oci.attached import companion_tags
from bundler.trust.keyfile import write_private_key
from tests.cli.terminal import Terminal
from tests.workshop import KEY_PASSWORD, WEB, Workshop, key

SIG = companion_tags(WEB.root.digest)["signature"]


@pytest.fixture
def built(place: Workshop) -> Workshop:
    """A bundle ``out``, and private keys of whoever signs images and receipts."""
    place.build()
    for name in ("site", "receipt"):
        write_new(place.folder / f"{name}.key", write_private_key(key(name), KEY_PASSWORD), mode=0o600)
    return place


@pytest.mark.parametrize("option", ["--sign-cosign-key", "--sign-by-sigstore-private-key"])
def test_images_are_signed(
    option: str, built: Workshop, bundler: Terminal, registry: Callable[[str], str], tmp_path: Path
) -> None:
    host = registry(option)
    to = ("--to", f"docker://{host}", "--tls-verify=false")
    bundler("push", "out", "--key", "release.pub", *to, option, "site.key", "--sign-policy", "policy", "--receipt", "r")
    receipt = json.loads((tmp_path / "r").read_text())
    assert receipt["imageSigners"] == [f"cosign:{key('site').public.key_id}"]
    (web,) = (image for image in receipt["images"] if "web" in image["name"])
    assert [each["reference"] for each in web["attachments"]] == [f"{host}/team/web:{SIG}"]
    policy = json.loads((tmp_path / "policy" / "policy.json").read_text())
    assert policy["default"] == [{"type": "reject"}]
    assert [each["type"] for each in policy["transports"]["docker"][host]] == ["sigstoreSigned"]
    bundler("verify", "--receipt", "r", "--tls-verify=false")


def test_one_password_opens_both_keys(
    built: Workshop, bundler: Terminal, registry: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUNDLER_PASSWORD")
    reading, writing = os.pipe()
    os.write(writing, KEY_PASSWORD + b"\n")
    os.close(writing)
    to = ("--to", f"docker://{registry('one')}", "--tls-verify=false")
    keys = ("--sign-cosign-key", "site.key", "--receipt", "r", "--receipt-key", "receipt.key")
    bundler("push", "out", "--key", "release.pub", *to, *keys, "--password-fd", str(reading))
    os.close(reading)
    assert (built.folder / "r.sig").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--lookaside", "d"], "--lookaside needs --sign-by", id="a place for nothing"),
        pytest.param(["--sign-policy", "d"], "--sign-policy needs", id="a policy about nobody"),
        pytest.param(["--sign-cosign-key", "absent.key"], "does not exist", id="no such key"),
        pytest.param(["--sign-cosign-key", "release.pub"], "is a public key", id="a public key"),
        pytest.param(["--sign-by", "ann"], "is not the fingerprint of a GPG key", id="a name for a key"),
    ],
)
def test_mistakes_send_nothing(
    options: list[str], said: str, built: Workshop, bundler: Terminal, registry: Callable[[str], str]
) -> None:
    host = registry("mistakes")
    to = ("--to", f"docker://{host}", "--tls-verify=false")
    assert said in bundler("push", "out", "--key", "release.pub", *to, *options, expect=2).err
    assert "NAME_UNKNOWN" in bundler("list-tags", f"docker://{host}/team/web", "--tls-verify=false", expect=2).err


def test_signing_needs_a_registry(built: Workshop, bundler: Terminal) -> None:
    said = bundler("push", "out", "--key", "release.pub", "--to", "oci:far", "--sign-cosign-key", "site.key", expect=2)
    assert "signed under their names at a registry" in said.err
    assert not (built.folder / "far").exists()
