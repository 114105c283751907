"""The family ``trust`` in this process: what it says, and what it takes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bundler.journey.files import write_new
from bundler.trust.keyfile import write_private_key
from tests.cli.terminal import Terminal
from tests.trust.roots import ANN, BOB, CHIEF, NAMES
from tests.workshop import KEY_PASSWORD, Workshop

MAKE = ("--key", "ann.pub", "--key", "bob.pub", "--root-key", "boss.key")


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private: dict[str, bytes]) -> None:
    for name, key in NAMES.items():
        (tmp_path / f"{name}.pub").write_bytes(key.public.pem)
    for name, raw in private.items():
        write_new(tmp_path / f"{name}.key", raw, mode=0o600)
    monkeypatch.setenv("BUNDLER_PASSWORD", KEY_PASSWORD.decode())


@pytest.fixture(scope="module")
def private() -> dict[str, bytes]:
    return {name: write_private_key(NAMES[name], KEY_PASSWORD) for name in ("boss", "chief")}


def shown(bundler: Terminal, site: str = "site") -> dict[str, Any]:
    said: dict[str, Any] = json.loads(bundler("trust", "show", site, "--json").out)
    return said


def test_init_show_and_pin(bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bundler("trust", "init", "site", *MAKE, "--threshold", "2")
    assert made.out.splitlines()[0] == "site/1.root.json"
    fingerprint = shown(bundler)["roots"][0]["fingerprint"]
    assert fingerprint in made.out
    text = bundler("trust", "show", "site").out
    for word in ("targets: 2 of 2", "root: 1 of 1", "ann", BOB.public.key_id, fingerprint):
        assert word in text
    monkeypatch.setenv("BUNDLER_KEY", "release.pub")  # for other commands
    bundler("trust", "init", "far", "--root", "site/1.root.json", "--fingerprint", fingerprint)
    assert shown(bundler, "far")["state"]["pinned"] == {"version": 1, "sha256": fingerprint}


def test_json_of_what_was_made(bundler: Terminal) -> None:
    made = json.loads(bundler("trust", "init", "site", *MAKE, "--json").out)
    assert (made["version"], made["complete"], made["lacks"]) == (1, True, [])
    pinned = json.loads(
        bundler("trust", "init", "f", "--root", "site/1.root.json", "--fingerprint", made["fingerprint"], "--json").out
    )
    assert pinned == {**made, "file": "f/1.root.json"}


def test_rounds_say_who_is_missing(bundler: Terminal) -> None:
    said = bundler("trust", "init", "site", *MAKE, "--root-pub", "chief.pub", "--root-threshold", "2")
    assert said.out.splitlines() == ["site/1.root.json.part"]
    assert f"waits for 1 more by root 1's root keys, of: chief ({CHIEF.public.short_id})" in said.err
    assert "chief" in bundler("trust", "show", "site").err
    assert "still waits" in bundler("pack", "bundle.yaml", "--trust", "site", expect=16).err
    bundler("trust", "sign", "site", "--root-key", "chief.key")
    assert shown(bundler)["waiting"] is None


def test_a_root_that_waits_is_shown_before_it_is_signed(bundler: Terminal) -> None:
    """Whoever adds a signature can read what it will say."""
    bundler("trust", "init", "site", *MAKE)
    bundler("trust", "rotate", "site", "--key", "eve.pub", "--deny-key", ANN.public.key_id)
    text = bundler("trust", "show", "site").out
    before, _, waiting = text.partition("root that waits")
    assert "2, would expire" in waiting
    assert "targets: 1 of 1" in waiting
    assert "eve" in waiting
    assert "eve" not in before
    assert f"denied key  ann ({ANN.public.short_id})" in waiting


@pytest.mark.parametrize("name", ["a\nb", os.fsdecode(b"a\xff"), "a" * 150], ids=["newline", "no-utf-8", "long"])
def test_files_whose_names_no_root_can_hold(bundler: Terminal, name: str) -> None:
    shutil.copyfile("ann.pub", f"{name}.pub")
    Path("boss.key").rename(f"{name}.key")
    bundler("trust", "init", "site", "--key", f"{name}.pub", "--root-key", f"{name}.key")
    assert shown(bundler)["root"]["targets"]["keys"][0]["name"] == ("a" * 100 if name.startswith("aa") else "")


def test_add_remove_and_rotate(bundler: Terminal) -> None:
    bundler("trust", "init", "site", *MAKE)
    bundler("trust", "add", "site", "--key", "cat.pub", "--root-key", "boss.key")
    bundler("trust", "add", "site", "--key", "dan.pub", "--channel", "beta", "--root-key", "boss.key")
    bundler("trust", "remove", "site", "--key-id", ANN.public.short_id, "--root-key", "boss.key")
    root = shown(bundler)["root"]
    assert root["version"] == 4
    assert {key["name"] for key in root["targets"]["keys"]} == {"bob", "cat"}
    assert [key["name"] for key in root["channels"]["beta"]["keys"]] == ["dan"]
    said = bundler("trust", "rotate", "site", "--key", "eve.pub", "--deny-key", BOB.public.key_id)
    assert "waits for 1 more by root 4's root keys, of: boss" in said.err
    said = bundler("trust", "rotate", "site", "--deny-statement", f"sha256:{'0' * 64}", "--root-key", "boss.key")
    root = shown(bundler)["root"]
    assert (root["version"], [key["name"] for key in root["targets"]["keys"]]) == (5, ["eve"])
    assert root["denied"] == {"keys": [BOB.public.key_id], "statements": [f"sha256:{'0' * 64}"]}
    assert "denied statement" in bundler("trust", "show", "site").out


def test_a_change_to_a_waiting_root_is_said_to_drop_signatures(bundler: Terminal) -> None:
    bundler("trust", "init", "site", *MAKE)
    bundler("trust", "rotate", "site", "--root-pub", "boss.pub", "--root-pub", "chief.pub", "--root-threshold", "2",
            "--root-key", "boss.key")  # fmt: skip
    assert "signatures it had are gone" in bundler("trust", "add", "site", "--key", "cat.pub").err


WRONG = {
    "nothing": (("init", "site"), 2, "whose bundles are to be trusted"),
    "no-root-key": (("init", "site", "--key", "ann.pub"), 2, "role root: no key is left or given"),
    "root-without-fingerprint": (("init", "site", "--root", "r"), 2, "need each other"),
    "fingerprint-without-root": (("init", "site", "--fingerprint", "0" * 64), 2, "need each other"),
    "root-and-keys": (("init", "site", "--root", "r", "--fingerprint", "0", "--key", "ann.pub"), 2, "choose"),
    "private-key-as-signer": (("init", "site", "--key", "boss.key", "--root-key", "boss.key"), 2, "private key"),
    "one-key-twice": (("init", "site", *MAKE, "--key", "ann.pub"), 2, "a key is given twice"),
    "threshold-above-n": (("init", "site", *MAKE, "--threshold", "3"), 2, "a threshold of 3 with 2 keys"),
    "no-site": (("show", "nowhere"), 2, "is no trust directory"),
    "add-nothing": (("add", "nowhere"), 2, "no --key given"),
    "sign-nothing": (("sign", "nowhere"), 2, "neither --root-key nor --from given"),
}


@pytest.mark.parametrize(("words", "status", "message"), WRONG.values(), ids=WRONG)
def test_wrong(bundler: Terminal, words: tuple[str, ...], status: int, message: str) -> None:
    assert message in bundler("trust", *words, expect=status).err
    assert not Path("site").exists()


def test_the_roots_travel_with_a_bundle(bundler: Terminal, place: Workshop) -> None:
    bundler("trust", "init", "site", "--key", "release.pub", "--root-key", "boss.key")
    bundler("pull", place.manifest, "--store", "store")
    bundler("pack", place.manifest, "--store", "store", "-o", "out", "--key", "release.key", "--trust", "site")
    assert Path("out/1.root.json").read_bytes() == Path("site/1.root.json").read_bytes()
    bundler("sign", "out", "--key", "boss.key")
    assert Path("out/1.root.json").exists()
    assert "VERIFIED" in bundler("verify", "out", "--trust", "site").out
