"""A bundle without bundler. VERIFY.txt is followed to the letter; what it claims is checked on its own too."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.peers import attempt, bundler, needs, openssl, run
from tests.verify_txt import blocks

pytestmark = [needs("skopeo", "docker-registry", "openssl", "zstd", "tar", "sha256sum"), pytest.mark.slow]
KEY_ID = "KEY=$(openssl pkey -pubin -in KEY.pub -outform DER | sha256sum | cut -c1-16)"
ED25519 = "openssl pkeyutl -verify"


@pytest.fixture
def carried(built: Any, tmp_path: Path) -> Path:
    """The bundle as it arrived, with the signer's public key beside it."""
    shutil.copytree(built.bundle, tmp_path / "bundle")
    shutil.copy(built.work / "release.pub", tmp_path / "bundle/KEY.pub")
    return tmp_path / "bundle"


def commands(bundle: Path) -> list[str]:
    """The lines of VERIFY.txt that are commands for what every site has."""
    return "\n".join(blocks(bundle)).splitlines()


def is_docker(command: str) -> bool:
    """Whether a command looks at the Docker schema 2 image, which skopeo's ``oci:`` doesn't read."""
    return command.startswith("skopeo inspect") and "/docker:" in command


def test_verify_txt_works_to_the_letter(carried: Path, built: Any) -> None:
    script = [line for line in commands(carried) if not line.startswith(ED25519) and not is_docker(line)]
    said = run("bash", "-euo", "pipefail", "-c", "\n".join(script), cwd=carried)
    assert "Verified OK" in said
    assert "FAILED" not in said
    assert sum(line.startswith("skopeo inspect") for line in script) == len(built.corpus.digests) - 1


def test_what_it_unpacks_is_a_whole_layout(carried: Path, built: Any) -> None:
    script = [line for line in commands(carried) if line.startswith(("mkdir", "tar", "cat", "rm", "echo"))]
    assert any(line.startswith("cat") for line in script), "no blob was cut; the volume size is too large for this test"
    run("bash", "-euo", "pipefail", "-c", "\n".join(script[:]).replace("echo $KEY", ":"), cwd=carried)
    layout = carried / "layout"
    for blob in (layout / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    named = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    for name, digest in built.corpus.digests.items():
        assert next(held for full, held in named.items() if f"/{name}:" in full) == digest


def test_every_volume_is_an_archive_by_itself(carried: Path, tmp_path: Path) -> None:
    volumes = sorted(carried.glob("volume-*.tar.zst"))
    for volume in volumes:
        run("zstd", "-q", "-t", volume)
        listed = run("tar", "--zstd", "-tf", volume).splitlines()
        assert len(listed) == len(set(listed))
        assert not [name for name in listed if name.startswith("/") or ".." in name.split("/")]


def test_the_order_of_the_volumes_does_not_matter(carried: Path, tmp_path: Path) -> None:
    ways = []
    for way, volumes in (
        ("forward", sorted(carried.glob("volume-*"))),
        ("back", sorted(carried.glob("volume-*"))[::-1]),
    ):
        (tmp_path / way).mkdir()
        for volume in volumes:
            run("tar", "--zstd", "-xf", volume, "-C", tmp_path / way)
        ways.append(
            {str(path.relative_to(tmp_path / way)): path.stat().st_size for path in (tmp_path / way).rglob("*")}
        )
    assert ways[0] == ways[1]


@pytest.mark.parametrize("spoil", ["volume", "sums", "signature"])
def test_openssl_and_coreutils_see_a_change(carried: Path, spoil: str) -> None:
    target = {
        "volume": next(carried.glob("volume-0001*")),
        "sums": carried / "SHA256SUMS",
        "signature": next(carried.glob("SHA256SUMS.*.sig")),
    }[spoil]
    raw = bytearray(target.read_bytes())
    raw[len(raw) // 2] ^= 1
    target.write_bytes(raw)
    signature = next(carried.glob("SHA256SUMS.*.sig"))
    checks = (
        attempt("sha256sum", "--status", "-c", "SHA256SUMS", cwd=carried),
        attempt("openssl", "dgst", "-sha256", "-verify", "KEY.pub", "-signature", signature, "SHA256SUMS", cwd=carried),
    )
    assert any(check.returncode for check in checks)


def test_an_ed25519_signature_by_its_own_command(carried: Path, built: Any) -> None:
    bundler("keygen", "second", "--type", "ed25519", cwd=carried.parent, env=built.env)
    bundler("sign", carried, "--key", "second.key", cwd=carried.parent, env=built.env)
    shutil.copy(carried.parent / "second.pub", carried / "KEY.pub")
    command = next(line for line in commands(carried) if line.startswith(ED25519))
    said = run("bash", "-euo", "pipefail", "-c", f"{KEY_ID}\n{command}", cwd=carried)
    assert "Verified Successfully" in said


def test_the_statement_s_signature_is_over_its_exact_payload(carried: Path) -> None:
    """DSSE's pre-authentication encoding, written out by hand."""
    envelope = json.loads((carried / "bundle.dsse.json").read_text())
    run("bash", "-c", 'printf "%s" "$1" | base64 -d >payload', "-", envelope["payload"], cwd=carried)
    payload, kind = (carried / "payload").read_bytes(), envelope["payloadType"].encode()
    (carried / "signed").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    run("bash", "-c", 'printf "%s" "$1" | base64 -d >sig', "-", envelope["signatures"][0]["sig"], cwd=carried)
    said = openssl("dgst", "-sha256", "-verify", "KEY.pub", "-signature", "sig", "signed", cwd=carried)
    assert "Verified OK" in said
