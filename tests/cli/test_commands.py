"""Each command as an operator types it: what it prints, as text and as JSON."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundler.selection import read_wishes
from tests.cli.terminal import Terminal, ended, process
from tests.images import write_layout
from tests.store.invariants import assert_sound
from tests.workshop import API, IMAGES, KEY_PASSWORD, WEB, Workshop, contents, key, write_manifest

TARGETS = {name.partition("/")[2] for name in IMAGES}


def parsed(text: str) -> Any:
    return json.loads(text)


# init


def test_init(bundler: Terminal) -> None:
    assert "bundler lock bundle.yaml" in bundler("init").err
    wishes = read_wishes((bundler.folder / "bundle.yaml").read_bytes(), "bundle.yaml")
    assert wishes.name == "edge-platform"
    bundler("init", "other.yaml")
    assert (bundler.folder / "other.yaml").read_bytes() == (bundler.folder / "bundle.yaml").read_bytes()


def test_init_overwrites_nothing(bundler: Terminal) -> None:
    (bundler.folder / "bundle.yaml").write_text("precious")
    assert "exists already" in bundler("init", expect=2).err
    assert (bundler.folder / "bundle.yaml").read_text() == "precious"


# Keys


@pytest.mark.parametrize("kind", [[], ["--type", "ed25519"]])
def test_keygen_and_sign(kind: list[str], place: Workshop, bundler: Terminal) -> None:
    (bundler.folder / "word").write_text("hunter two\n")
    made = bundler("keygen", "second", *kind, "--password-file", "word")
    assert len(made.out.strip()) == 64
    assert stat.S_IMODE((bundler.folder / "second.key").stat().st_mode) == 0o600
    place.build()
    signed = bundler("sign", "out", "--key", "second.key", "--password-file", "word")
    assert signed.out == made.out
    assert "signed out" in signed.err
    said = bundler("verify", "out", "--key", "second.pub", "--key", "release.pub", "--threshold", "2")
    assert "VERIFIED" in said.out
    assert "2 of 2 keys needed" in said.out
    assert "password does not open" in bundler("sign", "out", "--key", "second.key", expect=2).err


def test_a_password_by_descriptor(tmp_path: Path, bundler: Terminal) -> None:
    (tmp_path / "word").write_text("by descriptor")
    with (tmp_path / "word").open() as file:
        bundler("keygen", "release", "--password-fd", str(file.fileno()))
    assert (tmp_path / "release.key").exists()


def test_no_password_without_a_terminal(bundler: Terminal) -> None:
    said = bundler("keygen", "release", expect=2)
    assert "no terminal to ask on" in said.err
    assert contents(bundler.folder) == {}


def test_no_prompt_as_a_process_either(tmp_path: Path) -> None:
    said = ended(process("keygen", "release", cwd=tmp_path))
    assert said.code == 2
    assert "give --password-file, --password-fd or BUNDLER_PASSWORD" in said.err


# Near side


def test_lock(place: Workshop, bundler: Terminal) -> None:
    said = bundler("lock", "bundle.yaml")
    assert "edge stable serial 1: 4 images" in said.err
    assert "wrote bundle.lock.json" in said.err
    assert said.out.splitlines()[0].split() == ["image", "digest", "platforms"]
    assert "linux/amd64, linux/arm64" in said.out
    as_json = bundler("lock", "bundle.yaml", "--json").out
    assert parsed(as_json) == parsed(place.lock_path.read_text())
    assert "is what the registries hold" in bundler("lock", "bundle.yaml", "--check").err


def test_lock_update_serial_and_validity(place: Workshop, bundler: Terminal) -> None:
    bundler("lock", "bundle.yaml")
    write_layout(place.upstream, {**IMAGES, "reg.io/team/web:1.0": API})
    bundler("lock", "bundle.yaml", "--check", expect=17)
    assert parsed(bundler("lock", "bundle.yaml", "--json").out)["serial"] == 1
    assert parsed(bundler("lock", "bundle.yaml", "--json", "--update", "*web*").out)["serial"] == 2
    renewed = parsed(bundler("lock", "bundle.yaml", "--json", "--valid-for", "30").out)
    assert renewed["serial"] == 3
    assert renewed["expires"] > renewed["issued"]
    assert parsed(bundler("lock", "bundle.yaml", "--json", "--serial", "9").out)["serial"] == 9
    assert "no image" in bundler("lock", "bundle.yaml", "--update", "nonsense", expect=2).err


def test_plan(place: Workshop, bundler: Terminal) -> None:
    said = bundler("plan", "bundle.yaml", "--store", "store", "--volume-size", "1MiB")
    for word in ("to carry", "saved by sharing", "to fetch", "disk, far side", "only here"):
        assert word in said.out
    figures = parsed(bundler("plan", "bundle.yaml", "--store", "store", "--json").out)
    assert len(figures["images"]) == 4
    assert figures["toFetch"] == figures["size"]
    bundler("pull", "bundle.yaml", "--store", "store")
    assert parsed(bundler("plan", "bundle.yaml", "--store", "store", "--json").out)["toFetch"] == 0


def test_pull_pack_and_store(place: Workshop, bundler: Terminal) -> None:
    pulled = bundler("pull", "bundle.yaml", "--store", "store")
    assert pulled.out == ""
    assert "4 images in store: " in pulled.err
    assert "copied" in pulled.err
    again = bundler("pull", "bundle.yaml", "--store", "store").err
    assert "copied" not in again
    assert "present" in again
    packed = bundler("pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key")
    assert packed.out == "out\n"
    assert f"signed by {key('release').public.key_id[:16]}" in packed.err
    unsigned = bundler("pack", "bundle.yaml", "--store", "store", "--json", "--serial", "7")
    assert parsed(unsigned.out)["directory"] == "edge-stable-000007"
    assert parsed(unsigned.out)["signers"] == []
    assert "not signed yet" in bundler("pack", "bundle.yaml", "--store", "store", "-o", "x").err


def test_the_user_s_own_store(place: Workshop, bundler: Terminal) -> None:
    bundler("pull", "bundle.yaml")
    store = Path(os.environ["HOME"]) / ".local" / "share" / "bundler" / "store"
    assert set(assert_sound(store)) == {f"oci:upstream:{name}" for name in IMAGES}
    assert len(bundler("store", "ls").out.splitlines()) == 5


def test_build(place: Workshop, bundler: Terminal) -> None:
    for name, options in (("one", ["--store", "store"]), ("two", ["--no-store"])):
        said = bundler("build", "bundle.yaml", "-o", name, "--key", "release.key", *options, "--json")
        assert parsed(said.out)["directory"] == name
    assert contents(place.folder / "one") == contents(place.folder / "two")
    assert not (Path(os.environ["HOME"]) / ".local").exists()


def test_build_refuses_before_it_begins(place: Workshop, bundler: Terminal) -> None:
    (place.folder / "word").write_text("another\n")
    for options in (
        [],
        ["--key", "absent.key"],
        ["--key", "release.key", "--volume-size", "1KiB"],
        ["--key", "release.key", "--store", "store", "--no-store"],
        ["--key", "release.pub"],
        ["--key", "release.key", "--password-file", "word"],
    ):
        bundler("build", "bundle.yaml", "-o", "out", *options, expect=2)
        assert not (place.folder / "out").exists()


# Far side


def test_show(place: Workshop, bundler: Terminal) -> None:
    place.build()
    said = bundler("show", "out")
    assert "edge stable serial 1" in said.out
    assert "not verified" in said.err
    assert {image["target"] for image in parsed(bundler("show", "out", "--json").out)["images"]} == TARGETS


def test_diff(place: Workshop, bundler: Terminal) -> None:
    place.build("one")
    write_manifest(place.folder, "  - oci:upstream:reg.io/team/web:1.0\n")
    place.build("two")
    said = bundler("diff", "one", "two")
    assert said.out.count("gone") == 3
    assert "3 differences" in said.err
    assert {change["change"] for change in parsed(bundler("diff", "one", "two", "--json").out)} == {"gone"}
    assert bundler("diff", "one", "bundle.lock.json").out.count("gone") == 3
    same = bundler("diff", "two", "two")
    assert (same.out, same.err) == ("", "0 differences\n")


def damage(place: Workshop) -> None:
    path = place.folder / "out" / "volume-0001.tar.zst"
    raw = bytearray(path.read_bytes())
    raw[raw.find(API.blobs[1].raw[2600:2640])] ^= 1
    path.write_bytes(raw)


def test_verify(place: Workshop, bundler: Terminal) -> None:
    place.build()
    said = bundler("verify", "out", "--key", "release.pub")
    assert said.out.splitlines()[-1] == "VERIFIED"
    assert parsed(bundler("verify", "out", "--key", "release.pub", "--json").out)["verdict"] == "verified"
    quick = bundler("verify", "out", "--key", "release.pub", "--quick").out.splitlines()[-1]
    assert quick.startswith("TRUSTED; ")
    unsafe = bundler("verify", "out", "--unsafe-no-signature").out
    assert "NOT CHECKED" in unsafe
    assert unsafe.splitlines()[-1].startswith("INTACT, and anyone")
    assert (
        "exclude each other" in bundler("verify", "out", "--key", "release.pub", "--unsafe-no-signature", expect=2).err
    )


def test_verify_damage(place: Workshop, bundler: Terminal) -> None:
    place.build()
    damage(place)
    said = bundler("verify", "out", "--key", "release.pub", "--damage", expect=14)
    assert "VERIFIED" not in said.out
    assert "DAMAGED" in said.out.splitlines()
    assert f"LOST {API.blobs[1].descriptor.digest}" in said.out
    assert "image oci:upstream:reg.io/team/api:2.0" in said.out
    document = parsed(bundler("verify", "out", "--key", "release.pub", "--damage", "--json", expect=14).out)
    assert document["verdict"] == "damaged"
    assert document["contents"]["lost"] == [API.blobs[1].descriptor.digest]


def test_an_expired_bundle(place: Workshop, bundler: Terminal) -> None:
    place.lock(datetime(2020, 1, 31, tzinfo=UTC), valid_for=1)
    place.build()
    assert "--allow-expired" in bundler("verify", "out", "--key", "release.pub", expect=17).err
    bundler("verify", "out", "--key", "release.pub", "--allow-expired")


def test_push_to_a_layout(place: Workshop, bundler: Terminal) -> None:
    place.build()
    said = bundler("push", "out", "--key", "release.pub", "--to", "oci:far", "--receipt", "receipt.json")
    assert set(assert_sound(place.folder / "far")) == TARGETS
    assert len(said.out.splitlines()) == len(TARGETS)
    assert "4 images at oci:far: " in said.err
    receipt = parsed((place.folder / "receipt.json").read_text())
    assert {image["digest"] for image in receipt["images"]} == {held.root.digest for held in IMAGES.values()}
    again = bundler("push", "out", "--key", "release.pub", "--to", "oci:far", "--json")
    assert parsed(again.out)["images"] == receipt["images"]
    told = bundler("push", "out", "--key", "release.pub", "--to", "oci:far").err
    assert "4 were there already" in told
    unsafe = bundler("push", "out", "--unsafe-no-signature", "--to", "oci:far", "--image", "*web*")
    assert "WARNING: anyone could have made this bundle" in unsafe.err
    assert len(unsafe.out.splitlines()) == 1
    quiet = bundler("-q", "push", "out", "--unsafe-no-signature", "--to", "oci:far", "--json")
    assert "WARNING: anyone could have made this bundle" in quiet.err
    assert json.loads(quiet.out)["signed"] is False


def test_push_routes(place: Workshop, bundler: Terminal) -> None:
    place.build()
    options = ["--scoped", "--map", "team=mirror", "--image", "*web*"]
    bundler("push", "out", "--key", "release.pub", "--to", "oci:far", *options)
    assert set(assert_sound(place.folder / "far")) == {"oci/mirror/web:1.0"}
    assert "FROM=TO" in bundler("push", "out", "--key", "release.pub", "--to", "oci:far", "--map", "x", expect=2).err


def test_push_to_a_registry(place: Workshop, bundler: Terminal, registry: Callable[[str], str]) -> None:
    place.build()
    to = ["--to", f"docker://{registry('commands')}/site", "--tls-verify=false"]
    said = bundler("push", "out", "--key", "release.pub", *to)
    assert f"{registry('commands')}/site/team/web:1.0  {WEB.root.digest}" in said.out
    assert "4 were there already" in bundler("push", "out", "--key", "release.pub", *to).err


# Progress


@pytest.mark.parametrize("when", ["pull", "verify", "push"])
def test_progress_as_json(when: str, place: Workshop, bundler: Terminal) -> None:
    place.lock()
    if when != "pull":
        place.build()
    command = {
        "pull": ["pull", "bundle.yaml", "--store", "store"],
        "verify": ["verify", "out", "--key", "release.pub", "--json"],
        "push": ["push", "out", "--key", "release.pub", "--to", "oci:far", "--json"],
    }[when]
    said = bundler("-q", "--progress", "json", *command)
    events = [parsed(line) for line in said.err.splitlines()]
    assert events[0]["event"] == "planned"
    assert {event["event"] for event in events} <= {"planned", "moved", "finished", "note"}
    planned = {event["stage"]: event["count"] for event in events if event["event"] == "planned"}
    assert planned.keys() == {when}
    assert sum(event["event"] == "finished" for event in events) > 0
    assert when != "verify" or parsed(said.out)["verdict"] == "verified"


def test_progress_modes(place: Workshop, bundler: Terminal) -> None:
    lines = bundler("--progress", "lines", "pull", "bundle.yaml", "--store", "one").err.splitlines()
    assert lines[0].startswith("pull: ")
    assert "contents" in lines[0]
    none = bundler("--progress", "none", "pull", "bundle.yaml", "--store", "two").err.splitlines()
    assert len(none) == 1
    quiet = bundler("-q", "pull", "bundle.yaml", "--store", "three")
    assert (quiet.out, quiet.err) == ("", "")
    bars = bundler("--progress", "bars", "pull", "bundle.yaml", "--store", "four").err
    assert "pull" in bars


# The store


def test_store_commands(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    here = ["--store", "store"]
    listed = parsed(bundler("store", "ls", *here, "--json").out)
    assert {image["name"] for image in listed} == {f"oci:upstream:{name}" for name in IMAGES}
    assert all(image["missing"] == 0 for image in listed)
    assert "4 images" in bundler("store", "ls", *here).err
    assert "0 bad, 0 missing" in bundler("store", "check", *here).out
    assert parsed(bundler("store", "check", *here, "--json").out)["bad"] == []
    assert "removed 1 names" in bundler("store", "rm", "oci:upstream:reg.io/team/api:2.0", *here).err
    bundler("store", "rm", "absent", *here, expect=2)
    gone = API.digests() - WEB.digests()
    dry = parsed(bundler("store", "gc", *here, "--dry-run", "--json").out)
    assert dry["dryRun"] is True
    assert {blob["digest"] for blob in dry["blobs"]} == gone
    freed = bundler("store", "gc", *here)
    assert freed.err.startswith("freed ")
    assert {line.split()[0] for line in freed.out.splitlines()} == gone
    assert "would free 0 B" in bundler("store", "gc", *here, "--dry-run").err
    assert len(assert_sound(place.store)) == 3


def test_store_check_finds_and_repairs(place: Workshop, bundler: Terminal) -> None:
    place.pull()
    here = ["--store", "store"]
    bad, missing = WEB.blobs[1].descriptor.digest, API.blobs[1].descriptor.digest
    folder = place.store / "blobs" / "sha256"
    (folder / missing.partition(":")[2]).unlink()
    path = folder / bad.partition(":")[2]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    said = bundler("store", "check", *here, expect=9)
    assert f"BAD      {bad}" in said.out
    assert f"MISSING  {missing}" in said.out
    assert "1 blobs are bad" in said.err
    document = parsed(bundler("store", "check", *here, "--json", expect=9).out)
    assert [each["digest"] for each in document["bad"]] == [bad]
    assert "pull again" in bundler("store", "check", *here, "--repair", expect=9).err
    bundler("pull", "bundle.yaml", *here)
    assert "0 bad, 0 missing" in bundler("store", "check", *here).out


@pytest.mark.parametrize("command", ["ls", "check", "gc"])
def test_a_store_that_is_not_there(command: str, bundler: Terminal) -> None:
    assert "absent" in bundler("store", command, "--store", "absent", expect=2).err


# Other inputs


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("list.txt", "# a list\noci:upstream:reg.io/team/web:1.0\n", id="a-list"),
        pytest.param(
            "sync.yaml",
            "{host}:\n  tls-verify: false\n  images:\n    site/team/web: ['1.0']\n  images-by-tag-regex:\n    site/team/api: ^2\n",
            id="skopeo-s-sync-yaml",
        ),
    ],
)
def test_other_documents(
    name: str, text: str, place: Workshop, bundler: Terminal, registry: Callable[[str], str]
) -> None:
    host = registry("documents")
    place.build()
    bundler("push", "out", "--key", "release.pub", "--to", f"docker://{host}/site", "--tls-verify=false")
    (place.folder / name).write_text(text.replace("{host}", host))
    bundler("build", name, "-o", "again", "--key", "release.key", "--store", "other")
    assert place.verify("again").conclusion == "VERIFIED"


def test_credentials_in_an_argument_are_not_echoed(place: Workshop, bundler: Terminal) -> None:
    place.build()
    write_manifest(place.folder, "  - a.example/x:1\n  - b.example/y:1\n")
    said = bundler("lock", "bundle.yaml", "--creds", "ann:s3cret", expect=2)
    assert "s3cret" not in said.out + said.err
    said = bundler("push", "out", "--key", "release.pub", "--to", "ostree:x", "--creds", "ann:s3cret", expect=8)
    assert "s3cret" not in said.out + said.err
    assert KEY_PASSWORD.decode() not in said.out + said.err


# registry serve


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--listen", "0.0.0.0:0"], "--insecure", id="reachable-from-outside"),
        pytest.param(["--listen", "nonsense"], "host:port", id="no-address"),
        pytest.param(["--tls-cert", "x"], "--tls-key", id="half-a-key-pair"),
        pytest.param(["--read-only"], "store", id="nothing-to-serve"),
    ],
)
def test_serving_is_refused(options: list[str], said: str, bundler: Terminal) -> None:
    assert said in bundler("registry", "serve", "store", *options, expect=2).err


def test_serving(place: Workshop) -> None:
    place.pull()
    started = process("registry", "serve", "store", "--listen", "127.0.0.1:0", "--read-only", cwd=place.folder)
    assert started.stderr is not None
    address = started.stderr.readline()
    assert address.startswith("serving store at http://127.0.0.1:")
    started.terminate()
    assert ended(started).code in (0, -15, 143)
