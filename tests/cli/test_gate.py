"""verify and push as commands: reports to the screen and to a file, receipts that are signed and held against a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has none

from bundler.errors import SpaceError
from bundler.journey.files import write_new
from bundler.journey.rooting import pin
from bundler.trust.keyfile import write_private_key
from tests.cli.terminal import Terminal
from tests.peers import needs, run
from tests.trust.roots import trusted_root
from tests.workshop import API, IMAGES, KEY_PASSWORD, Workshop, key

BY = ("--key", "release.pub")
SCHEMAS = Path(__file__).parents[2] / "schemas"
REPORTS = Draft202012Validator(json.loads((SCHEMAS / "report" / "schema.json").read_text()))


@pytest.fixture
def built(place: Workshop) -> Workshop:
    """A bundle ``out``, a policy that asks nothing and one that no image meets, and a pair of keys for receipts."""
    place.build()
    for name, rule in (("open", "nothing: true"), ("strict", "cosign: {keys: [release.pub]}")):
        (place.folder / f"{name}.yaml").write_text(
            f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages: [{{match: '**', {rule}}}]\n"
        )
    receipts = key("receipts")
    write_new(place.folder / "receipt.key", write_private_key(receipts, KEY_PASSWORD), mode=0o600)
    (place.folder / "receipt.pub").write_bytes(receipts.public.pem)
    return place


def test_a_policy(built: Workshop, bundler: Terminal) -> None:
    assert bundler("verify", "out", *BY, "--policy", "open.yaml").out.endswith("\nVERIFIED\n")
    said = bundler("verify", "out", *BY, "--policy", "strict.yaml", expect=17)
    assert said.out.endswith("\nREFUSED (POLICY)\n")
    assert "4 of 4 images are not let in" in said.err
    assert bundler("push", "out", *BY, "--policy", "strict.yaml", "--to", "oci:far", expect=17).out == ""
    assert not (built.folder / "far").exists()
    bundler("push", "out", *BY, "--policy", "open.yaml", "--to", "oci:far")


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_refusal_is_reported_as_far_as_the_gate_got(built: Workshop, bundler: Terminal, option: str) -> None:
    more = ["--json"] if option == "--json" else ["--report", "report.json"]
    said = bundler("verify", "out", "--key", "stranger.pub", *more, expect=16)
    report = json.loads(said.out if option == "--json" else (built.folder / "report.json").read_text())
    assert (report["kind"], report["verdict"], report["bundle"]) == ("Report", "refused", None)
    assert report["refused"]["class"] == "TRUST"
    assert report["refused"]["message"] in said.err
    missing = bundler("verify", "absent", *BY, "--json", expect=2)
    assert json.loads(missing.out)["refused"]["class"] == "CONFIG"


def test_a_report_beside_the_text(built: Workshop, bundler: Terminal) -> None:
    said = bundler("verify", "out", *BY, "--report", "report.json")
    report = json.loads((built.folder / "report.json").read_text())
    assert report["verdict"] == "verified"
    assert all(len(line) <= 100 for line in said.out.splitlines())
    again = json.loads(bundler("verify", "out", *BY, "--json").out)
    assert {name for name in report if report[name] != again[name]} <= {"time"}


def test_a_site(built: Workshop, bundler: Terminal) -> None:
    root = trusted_root(targets=(key("release"),), threshold=1)
    (built.folder / "root").write_bytes(root.raw)
    pin(built.folder / "site", built.folder / "root", root.fingerprint)
    assert "first contact" in bundler("verify", "out", "--trust", "site").out
    assert "--accept needs --trust" in bundler("verify", "out", *BY, "--accept", expect=2).err
    bundler("verify", "out", "--trust", "site", "--accept")
    assert "last accepted 1, the same bundle" in bundler("verify", "out", "--trust", "site").out
    (built.folder / "site" / "trust.yaml").write_bytes((built.folder / "strict.yaml").read_bytes())
    (built.folder / "site" / "release.pub").write_bytes((built.folder / "release.pub").read_bytes())
    bundler("push", "out", "--trust", "site", "--to", "oci:far", expect=17)
    bundler("push", "out", "--trust", "site", "--policy", "open.yaml", "--to", "oci:far")


# Receipts


@needs("openssl")
def test_a_signed_receipt(built: Workshop, bundler: Terminal) -> None:
    told = bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json", "--receipt-key", "receipt.key")
    assert told.err
    checked = run(
        "openssl", "dgst", "-sha256", "-verify", "receipt.pub", "-signature", "r.json.sig", "r.json", cwd=built.folder
    )
    assert checked == "Verified OK\n"
    said = bundler("verify", "--receipt", "r.json", "--key", "receipt.pub")
    assert said.out.endswith("\nUNCHANGED: all 4\n")
    assert key("receipts").public.key_id in said.out
    assert "not checked" in bundler("verify", "--receipt", "r.json").err
    assert json.loads(bundler("verify", "--receipt", "r.json", "--key", "receipt.pub", "--json").out)["signed"] is True
    bundler("verify", "--receipt", "r.json", "--key", "stranger.pub", expect=15)
    assert bundler("diff", "r.json", "out").out == ""


def test_the_site_s_key_signs_receipts(built: Workshop, bundler: Terminal) -> None:
    root = trusted_root(targets=(key("release"),), threshold=1)
    (built.folder / "root").write_bytes(root.raw)
    pin(built.folder / "site", built.folder / "root", root.fingerprint)
    for name in ("receipt.key", "receipt.pub"):
        (built.folder / name).rename(built.folder / "site" / name)
    bundler("push", "out", "--trust", "site", "--to", "oci:far", "--receipt", "r.json")
    assert bundler("verify", "--receipt", "r.json", "--trust", "site").err == ""
    (built.folder / "site" / "receipt.pub").unlink()
    assert "holds no receipt.pub" in bundler("verify", "--receipt", "r.json", "--trust", "site", expect=2).err


def test_a_receipt_that_nobody_signs_is_told(built: Workshop, bundler: Terminal) -> None:
    """A site whose key got lost would otherwise find out when the receipt is needed."""
    root = trusted_root(targets=(key("release"),), threshold=1)
    (built.folder / "root").write_bytes(root.raw)
    pin(built.folder / "site", built.folder / "root", root.fingerprint)
    said = bundler("push", "out", "--trust", "site", "--to", "oci:far", "--receipt", "r.json").err
    assert "r.json is not signed: the trust directory holds no receipt.key" in said
    assert (
        "r.json is not signed: give --receipt-key"
        in bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json").err
    )
    (built.folder / "site" / "receipt.key").symlink_to("absent")
    said = bundler("push", "out", "--trust", "site", "--to", "oci:far2", "--receipt", "r.json", expect=2).err
    assert "receipt.key does not exist" in said
    assert not (built.folder / "far2").exists()


@pytest.mark.parametrize("path", ["absent/r.json", "out", "/dev/null", "release.pub/r.json", "/proc/r.json", "taken"])
def test_a_receipt_that_can_not_be_written_is_found_out_before_the_push(
    built: Workshop, bundler: Terminal, path: str
) -> None:
    (built.folder / "taken.sig").mkdir()  # where the signature would be
    before = sorted(each.name for each in built.folder.iterdir())
    said = bundler("push", "out", *BY, "--to", "oci:far", "--receipt", path, expect=2).err
    assert said.startswith(f"bundler: CONFIG: --receipt {path}")
    assert sorted(each.name for each in built.folder.iterdir()) == before
    assert Path("/dev/null").is_char_device()


def test_a_receipt_that_fails_to_be_written(
    built: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads this must know that it is not the push that failed."""

    def full(*_: object) -> None:
        raise SpaceError("write r.json: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bundler.journey.receipts.write_over", full)
        said = bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json", expect=11).err
    assert "all images have arrived, and the receipt is missing: write r.json: No space left" in said
    bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json")
    assert bundler("verify", "--receipt", "r.json").out.endswith("\nUNCHANGED: all 4\n")


@pytest.mark.parametrize("path", ["absent/r.json", "out", "/dev/null"])
def test_a_report_that_can_not_be_written_is_found_out_before_all_is_read(
    built: Workshop, bundler: Terminal, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.journey.far.examine", None)
    for what in (("out", *BY), ("--receipt", "r.json")):
        said = bundler("verify", *what, "--report", path, expect=2).err
        assert said.startswith(f"bundler: CONFIG: --report {path}")


def test_a_report_that_fails_to_be_written_is_printed_all_the_same(
    built: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SpaceError("write report.json: No space left on device")

    bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json")
    monkeypatch.setattr("bundler.journey.files.write_over", full)
    assert bundler("verify", "out", *BY, "--report", "report.json", expect=11).out.endswith("\nVERIFIED\n")
    said = bundler("verify", "--receipt", "r.json", "--report", "report.json", expect=11)
    assert said.out.endswith("\nUNCHANGED: all 4\n")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--key", "absent.pub"], 2),
        (["--key", "upstream"], 2),
        ([], 2),
        (["--trust", "absent"], 2),
        (["--trust", "forgetful"], 16),
        ([*BY, "--accept"], 2),
        ([*BY, "--quick", "--damage"], 2),
        ([*BY, "--threshold", "2"], 2),
    ],
)
def test_whoever_reads_reports_gets_one_whatever_was_wrong(
    built: Workshop, bundler: Terminal, arguments: list[str], status: int
) -> None:
    root = trusted_root(targets=(key("release"),), threshold=1)
    (built.folder / "root").write_bytes(root.raw)
    pin(built.folder / "forgetful", built.folder / "root", root.fingerprint)
    (built.folder / "forgetful" / "state.json").unlink()
    said = bundler("verify", "out", *arguments, "--json", "--report", "report.json", expect=status)
    report = json.loads(said.out)
    REPORTS.validate(report)
    assert report == json.loads((built.folder / "report.json").read_text())
    assert (report["verdict"], report["bundle"]) == ("refused", None)
    assert f"{report['refused']['class']}: {report['refused']['message']}" in said.err
    assert bundler("verify", "out", *arguments, expect=status).err == said.err


def test_a_receipt_can_not_speak_to_the_terminal(built: Workshop, bundler: Terminal) -> None:
    """Nor print a line that reads as a verdict."""
    bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json")
    path = built.folder / "r.json"
    for name, value in (("name", "edge\nUNCHANGED: all 4"), ("channel", "\x1b[2J"), ("route", {"map": ["a=\nb"]})):
        document = json.loads(path.read_text())
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
        (built.folder / "t.json").write_text(json.dumps(document))
        said = bundler("verify", "--receipt", "t.json", expect=2)
        assert said.out == ""
        assert all(line.isprintable() for line in said.err.splitlines())


def test_a_wrong_password_is_found_out_before_the_push(
    built: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUNDLER_PASSWORD", "wrong")
    bundler("push", "out", *BY, "--to", "oci:far", "--receipt", "r.json", "--receipt-key", "receipt.key", expect=2)
    assert not (built.folder / "far").exists()
    assert not (built.folder / "r.json").exists()


def test_drift(built: Workshop, bundler: Terminal, registry: Callable[[str], str]) -> None:
    to = f"docker://{registry('drift')}/site"
    bundler("push", "out", *BY, "--to", to, "--tls-verify=false", "--receipt", "r.json")
    bundler("copy", f"{to}/team/web:1.0", f"{to}/team/api:2.0", "--src-tls-verify=false", "--dest-tls-verify=false")
    bundler("copy", f"{to}/team/web:1.0", f"{to}/team/api:mine", "--src-tls-verify=false", "--dest-tls-verify=false")
    said = bundler("verify", "--receipt", "r.json", "--tls-verify=false", "--report", "drift.json", expect=17)
    assert said.out.endswith("\nDRIFTED: 1 of 4\n")
    assert "moved" in said.out
    assert "added  " in said.out
    drift = json.loads((built.folder / "drift.json").read_text())
    assert drift["verdict"] == "drifted"
    assert drift["again"] in said.err
    again = drift["again"].replace("OUT", "out").replace("PUB", "release.pub")
    assert "--tls-verify=false" in again  # as it was checked
    bundler(*again.split()[1:])
    assert json.loads(bundler("verify", "--receipt", "r.json", "--tls-verify=false", "--json").out)["again"] is None
    moved = next(row for row in drift["images"] if row["state"] == "moved")
    assert moved["digest"] == API.root.digest
    assert len(drift["images"]) == len(IMAGES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify"], "one of them"),
        (["verify", "out", "--receipt", "r.json"], "one of them"),
        (["verify", "--receipt", "r.json", "--accept"], "checks no bundle"),
        (["verify", "--receipt", "r.json", "--unsafe-no-signature"], "checks no bundle"),
        (["verify", "--receipt", "r.json"], "does not exist"),
        (["push", "out", *BY, "--to", "oci:far", "--receipt-key", "receipt.key"], "none is written"),
        (["verify", "out", *BY, "--policy", "absent.yaml"], "does not exist"),
    ],
)
def test_usage(built: Workshop, bundler: Terminal, arguments: list[str], said: str) -> None:
    assert said in bundler(*arguments, expect=2).err


def test_a_push_s_receipt_in_the_environment_is_not_verify_s(
    built: Workshop, bundler: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BUNDLER_RECEIPT", str(tmp_path / "r.json"))
    bundler("push", "out", *BY, "--to", "oci:far")
    assert (tmp_path / "r.json").exists()
    assert bundler("verify", "out", *BY).out.endswith("\nVERIFIED\n")
