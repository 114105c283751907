"""mirror-config on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.mirrors.receipts import FAR, KEPT, receipt


@pytest.fixture(autouse=True)
def written(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_bytes(receipt(KEPT))


def test_files_are_printed_under_their_names(bundler: Terminal) -> None:
    said = bundler("mirror-config", "receipt.json", "--for", "docker", "--for", "k3s")
    heads = [line for line in said.out.splitlines() if line.startswith("==> ")]
    assert heads == [
        "==> docker/etc/docker/daemon.json <==",
        "==> k3s/etc/rancher/k3s/registries.yaml <==",
    ]
    assert f'"registry-mirrors": [\n    "https://{FAR}"' in said.out
    assert said.err.startswith("NOTE: docker has mirrors of Docker Hub only, none of quay.io;")


def test_files_are_written(bundler: Terminal) -> None:
    said = bundler("mirror-config", "receipt.json", "--for=containerd", "-o", "out", "--insecure")
    names = [f"out/containerd/etc/containerd/certs.d/{host}/hosts.toml" for host in ("docker.io", "quay.io")]
    assert (said.out.splitlines(), said.err) == (names, "")
    assert all((bundler.folder / name).is_file() for name in names)


def test_json(bundler: Terminal) -> None:
    said = json.loads(bundler("mirror-config", "receipt.json", "--for=docker", "--json").out)
    assert list(said["files"]) == ["docker/etc/docker/daemon.json"]
    assert len(said["notes"]) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["receipt.json", "--for", "nomad"], "--for nomad: unknown"),
        (["other.json"], "other.json does not exist"),
        (["receipt.json", "--ca", "other.pem"], "other.pem does not exist"),
    ],
)
def test_what_is_wrong_is_said(bundler: Terminal, arguments: list[str], problem: str) -> None:
    assert problem in bundler("mirror-config", *arguments, expect=2).err
