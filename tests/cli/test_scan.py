"""The command scan."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import ROOT, Terminal

SAMPLE = ROOT / "samples" / "scan" / "kubernetes.yaml"


def test_a_list_that_can_be_used(bundler: Terminal) -> None:
    said = bundler("scan", SAMPLE)
    assert said.out.splitlines()[0] == "docker.io/library/busybox:latest"
    assert f"undecided: {SAMPLE}:55: Application/shop" in said.err
    assert "perhaps: quay.io/acme/proxy:v1.4.2: " in said.err
    assert "moves: docker.io/library/busybox:latest" in said.err
    assert "quay.io/acme/proxy:v1.4.2" in bundler("scan", SAMPLE, "--include-uncertain").out
    assert "moves" not in bundler("--quiet", "scan", SAMPLE).err


def test_json(bundler: Terminal) -> None:
    value = json.loads(bundler("scan", SAMPLE, "--json").out)
    assert {image["image"]: image["certain"] for image in value["images"]}["quay.io/acme/proxy:v1.4.2"] is False
    assert [gap["where"] for gap in value["undecided"]] == [f"{SAMPLE}:55"]


def test_strict_fails_and_writes_nothing(bundler: Terminal) -> None:
    said = bundler("scan", SAMPLE, "--strict", "--output", "b.yaml", expect=2)
    assert said.out == ""
    assert "4 questions are open" in said.err
    assert not (bundler.folder / "b.yaml").exists()
    (bundler.folder / "p.yaml").write_text("apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a:1}]}\n")
    bundler("scan", "p.yaml", "--strict")


def test_a_new_manifest_then_more(bundler: Terminal) -> None:
    bundler("scan", SAMPLE, "-o", "edge.yaml", "--platform", "linux/arm64", "--name", "site")
    text = (bundler.folder / "edge.yaml").read_text()
    assert "name: site\n" in text
    assert "platforms: [linux/arm64]" in text
    said = bundler("scan", SAMPLE, "--extend", "edge.yaml", "--include-uncertain")
    assert "added 3 images" in said.err
    assert "names all of them already" in bundler("scan", SAMPLE, "--extend", "edge.yaml").err
    assert (bundler.folder / "edge.yaml").read_text().startswith(text[:300])


def test_from_a_pipe(bundler: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"services: {a: {image: 'x:${T}'}}")))
    Path(bundler.folder / "vars").write_text("T=5\n")
    assert bundler("scan", "-", "--env-file", "vars").out == "docker.io/library/x:5\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "absent does not exist"),
        ([SAMPLE, "-o", "a", "--extend", "b"], "exclude each other"),
        ([SAMPLE, "--name", "x"], "give --output"),
        ([SAMPLE, "--values", "absent"], "--values: absent does not exist"),
        ([SAMPLE, "--extend", "absent"], "absent does not exist"),
    ],
)
def test_what_is_refused(bundler: Terminal, arguments: list[str | Path], message: str) -> None:
    assert message in bundler("scan", *arguments, expect=2).err
