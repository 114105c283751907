"""A managed site as its people run it: several machines (directories), real commands, and a clock set wrong by faketime."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers import attempt, bundler_path, needs
from tests.workshop import IMAGES, write_layout, write_manifest

pytestmark = [needs("faketime"), pytest.mark.slow]

TODAY = "2030-06-01 12:00:00"
PASSWORD = {"BUNDLER_PASSWORD": "a password for tests", "TZ": "UTC"}
PEOPLE = ("ann", "bob", "cat", "dan", "eve", "boss", "chief")


@dataclass(frozen=True, slots=True)
class Machines:
    """A folder in which every folder is a machine; what travels is copied from one to the other."""

    folder: Path

    def at(self, when: str, *args: str | Path, machine: str = "far") -> subprocess.CompletedProcess[str]:
        """``bundler`` at a time of day."""
        return attempt("faketime", when, bundler_path(), *args, cwd=self.folder / machine, env=PASSWORD)

    def run(self, *args: str | Path, machine: str = "far", status: int = 0, when: str = TODAY) -> str:
        """The same, which must end so; what it said, on both streams."""
        done = self.at(when, *args, machine=machine)
        said = done.stdout + done.stderr
        assert done.returncode == status, f"bundler {' '.join(map(str, args))}: {done.returncode}\n{said}"
        return said

    def carry(self, what: str, start: str, *ends: str) -> None:
        """Copy a file or a directory from one machine to others."""
        for end in ends:
            source, target = self.folder / start / what, self.folder / end / what
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            else:
                target.parent.mkdir(exist_ok=True)
                shutil.copy(source, target)

    def sign(self, out: str, *people: str) -> None:
        """Let each sign on their own machine, and bring it to the far side."""
        before = "near"
        for who in people:
            self.carry(out, before, who)
            self.run("sign", out, "--key", f"{who}.key", machine=who)
            before = who
        self.carry(out, before, "far")

    @property
    def state(self) -> bytes:
        return (self.folder / "far" / "site" / "state.json").read_bytes()

    def refused(self, status: int, *args: str | Path, when: str = TODAY) -> str:
        """A command that fails and leaves the site's memory alone."""
        before = self.state
        said = self.run(*args, status=status, when=when)
        assert "Traceback" not in said
        assert self.state == before
        return said


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys on their machines, a 2-of-3 site pinned on the far side, and three bundles that nobody has signed."""
    folder = tmp_path_factory.mktemp("machines")
    machines = Machines(folder)
    for name in ("near", "far", *PEOPLE):
        (folder / name).mkdir()
    for who in PEOPLE:
        machines.run("keygen", who, machine=who)
        machines.carry(f"{who}.pub", who, *({"near", "boss"} - {who}))
    signers = [word for who in ("ann", "bob", "cat") for word in ("--key", f"{who}.pub")]
    machines.run("trust", "init", "site", *signers, "--threshold", "2", "--root-key", "boss.key", machine="boss")
    shown = json.loads(machines.at(TODAY, "trust", "show", "site", "--json", machine="boss").stdout)
    machines.carry("site", "boss", "near")
    machines.run(
        "trust", "init", "site", "--root", folder / "near/site/1.root.json", "--fingerprint", shown["roots"][0]["fingerprint"]
    )  # fmt: skip
    write_layout(folder / "near" / "upstream", IMAGES)
    name = next(iter(IMAGES))
    manifest = write_manifest(folder / "near", f"  - oci:upstream:{name}\n").name
    machines.run("lock", manifest, "--valid-for", "90", machine="near")
    machines.run("pull", manifest, "--store", "store", machine="near")
    for serial in (1, 2):
        pack(machines, f"out{serial}", serial)
    other = list(IMAGES)[1]
    manifest = write_manifest(folder / "near", f"  - oci:upstream:{other}\n").name
    machines.run("lock", manifest, "--update", "*", machine="near")
    machines.run("pull", manifest, "--store", "store", machine="near")
    pack(machines, "other2", 2)
    return folder


def pack(machines: Machines, out: str, serial: int) -> None:
    machines.run(
        "pack", "bundle.yaml", "--store", "store", "-o", out, "--serial", str(serial), "--trust", "site", machine="near"
    )


@pytest.fixture
def machines(template: Path, tmp_path: Path) -> Iterator[Machines]:
    shutil.copytree(template, tmp_path / "m", symlinks=True)
    return Machines(tmp_path / "m")


VERIFY = ("--trust", "site")


def test_two_of_three(machines: Machines) -> None:
    machines.sign("out1", "ann")
    said = machines.refused(16, "verify", "out1", *VERIFY)
    assert "TRUST" in said
    missing = said.rpartition("missing: ")[2].partition("\n")[0]
    assert "bob (" in missing
    assert "cat (" in missing
    assert "ann (" not in missing
    machines.run("sign", "out1", "--key", "ann.key", machine="ann")  # a second time: it counts once
    machines.carry("out1", "ann", "far")
    machines.refused(16, "verify", "out1", *VERIFY)
    machines.sign("out1", "ann", "cat")
    machines.run("verify", "out1", *VERIFY)
    machines.run("push", "out1", *VERIFY, "--to", "oci:landed")


def test_rotation_over_two_roots_from_a_bundle_alone(machines: Machines) -> None:
    new = ("--key", "dan.pub", "--key", "eve.pub")
    said = machines.run(
        "trust", "rotate", "site", *new, "--root-pub", "chief.pub", "--root-key", "boss.key", machine="boss"
    )
    assert "waits for 1 more by root 2's root keys, of: chief (" in said
    machines.carry("site", "boss", "chief")
    machines.run("trust", "sign", "site", "--root-key", "chief.key", machine="chief")
    machines.run("trust", "rotate", "site", "--threshold", "1", "--root-key", "chief.key", machine="chief")
    machines.carry("site", "chief", "near")
    pack(machines, "out3", 3)
    assert sorted(p.name for p in (machines.folder / "near/out3").glob("*.root.json")) == [
        f"{n}.root.json" for n in (1, 2, 3)
    ]
    machines.sign("out3", "dan")
    machines.run("verify", "out3", *VERIFY)
    assert sorted(p.name for p in (machines.folder / "far/site").glob("*.root.json")) == [
        f"{n}.root.json" for n in (1, 2, 3)
    ]
    machines.sign("out1", "ann", "cat")  # whose keys are no longer trusted
    assert "root 3, targets: signed by 0" in machines.refused(16, "verify", "out1", *VERIFY)


def test_a_skipped_root_and_a_self_made_one(machines: Machines) -> None:
    for _ in range(2):
        machines.run("trust", "rotate", "site", "--root-key", "boss.key", machine="boss")
    machines.carry("site", "boss", "near")
    pack(machines, "out3", 3)
    machines.sign("out3", "ann", "cat")
    (machines.folder / "far/out3/2.root.json").unlink()
    assert "3.root.json: root 2 is missing" in machines.refused(16, "verify", "out3", *VERIFY)
    machines.run(
        "trust", "init", "mine", "--key", machines.folder / "near/eve.pub", "--root-key", "eve.key", machine="eve"
    )
    machines.sign("out1", "eve")
    shutil.copy(machines.folder / "eve/mine/1.root.json", machines.folder / "far/out1/1.root.json")
    assert "1.root.json: is another root" in machines.refused(16, "verify", "out1", *VERIFY)
    machines.run("trust", "rotate", "mine", "--root-key", "eve.key", machine="eve")
    shutil.copy(machines.folder / "near/site/1.root.json", machines.folder / "far/out1/1.root.json")
    shutil.copy(machines.folder / "eve/mine/2.root.json", machines.folder / "far/out1/2.root.json")
    assert "2.root.json: signed by 0 of the root keys" in machines.refused(16, "verify", "out1", *VERIFY)


def test_another_fingerprint(machines: Machines) -> None:
    said = machines.run("trust", "init", "again", "--root", "site/1.root.json", "--fingerprint", "0" * 64, status=16)
    assert "is not the root that you were told of" in said
    assert not (machines.folder / "far/again").exists()


def test_an_older_bundle_and_the_same_serial_with_other_content(machines: Machines) -> None:
    for out in ("out1", "out2", "other2"):
        machines.sign(out, "ann", "bob")
    machines.run("push", "out2", *VERIFY, "--to", "oci:landed")
    assert "rollback" in machines.refused(17, "verify", "out1", *VERIFY)
    assert "rollback" in machines.refused(17, "push", "out1", *VERIFY, "--to", "oci:landed")
    for command in (("verify", "other2"), ("push", "other2", "--to", "oci:landed")):
        assert "ALARM: equivocation" in machines.refused(17, *command, *VERIFY)
    machines.run("push", "out2", *VERIFY, "--to", "oci:landed")
    machines.run("push", "out1", *VERIFY, "--to", "oci:landed", "--allow-rollback", "the new one does not start")
    assert "the new one does not start" in machines.run("trust", "show", "site")
    assert "rollback" in machines.refused(17, "verify", "out1", *VERIFY)


def test_a_first_contact(machines: Machines) -> None:
    machines.sign("out1", "ann", "bob")
    assert "below the serial 2" in machines.refused(17, "push", "out1", *VERIFY, "--min-serial", "2", "--to", "oci:l")
    assert not (machines.folder / "far/l").exists()
    machines.run("verify", "out1", *VERIFY, "--accept", "--min-serial", "1")
    shown = json.loads(machines.at(TODAY, "trust", "show", "site", "--json").stdout)
    assert [(line["name"], line["serial"]) for line in shown["state"]["lines"]] == [("edge", 1)]


def test_clocks_set_wrong(machines: Machines) -> None:
    """The bundle was issued on the first of June 2030 and expires 90 days later."""
    machines.sign("out1", "ann", "bob")
    machines.sign("out2", "ann", "bob")
    for when in ("2030-08-31 00:00:00", "2099-01-01 00:00:00"):
        assert "expired" in machines.refused(17, "verify", "out1", *VERIFY, when=when)
    machines.run("push", "out1", *VERIFY, "--to", "oci:landed", when="1970-01-02 00:00:00")
    machines.run("push", "out2", *VERIFY, "--to", "oci:landed")
    shown = json.loads(machines.at(TODAY, "trust", "show", "site", "--json").stdout)
    assert shown["state"]["clockFloor"].startswith("2030-06-01T12:00:")
    assert "expired" in machines.refused(17, "verify", "out2", *VERIFY, when="2099-01-01 00:00:00")
    machines.run("verify", "out2", *VERIFY, when="1970-01-02 00:00:00")


def test_expired_stays_expired_when_the_clock_goes_back(machines: Machines) -> None:
    """A good run late in August; then the other line's bundle expires, and the clock is set back."""
    late = "2030-08-29 00:00:00"
    machines.sign("out2", "ann", "bob")
    machines.run("verify", "out2", *VERIFY, when=late)
    machines.run("lock", "bundle.yaml", "--update", "*", "--valid-for", "1", "--serial", "3", machine="near")
    pack(machines, "short3", 3)
    machines.sign("short3", "ann", "bob")
    for when in (late, TODAY, "1970-01-02 00:00:00"):
        assert "expired" in machines.refused(17, "verify", "short3", *VERIFY, when=when)


@needs("unshare")
def test_with_the_network_removed(machines: Machines) -> None:
    if attempt("unshare", "-r", "-n", "true").returncode:
        pytest.skip("no network namespaces here")
    machines.sign("out1", "ann", "bob")
    before = machines.state
    done = attempt(
        "unshare", "-r", "-n", "faketime", TODAY, bundler_path(), "verify", "out1", *VERIFY,
        cwd=machines.folder / "far", env=PASSWORD,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert machines.state != before  # a good run: the clock's floor


def test_help_names_every_command(machines: Machines) -> None:
    said = machines.run("trust", "--help")
    for command in ("init", "add", "remove", "rotate", "sign", "show"):
        assert f"  {command} " in said
    assert "Example: bundler trust rotate" in machines.run("trust", "rotate", "--help")
