"""The account of what is attached to images, as lock, plan and pull give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.journey.access import Access
from bundler.journey.ends import Ends
from bundler.oci.attached import companion_tags
from bundler.oci.reference import Reference
from tests.attachments import attached_to
from tests.cli.terminal import Terminal
from tests.images import image, layer, load
from tests.workshop import MULTI, WEB, write_manifest

LINE = "3 signatures, 2 attestations, 2 sboms, 1 artifact"


@pytest.fixture
def host(registry: Callable[[str], str]) -> str:
    """A registry with an index, everything attached to its first image, and a signature of its second."""
    host = registry("attached")
    arm = next(
        part
        for part in MULTI.manifests
        if part.descriptor.platform and part.descriptor.platform.architecture == "arm64"
    )
    with Ends(Access(tls_verify=False)) as ends:
        everything = {**attached_to(WEB), companion_tags(arm.descriptor.digest)["signature"]: image(layer("sig", 20))}
        load(ends.repository(Reference(host, "app")), {"1": MULTI, **everything})
    return host


def wish(folder: Path, host: str, *options: str) -> None:
    more = "".join(f"    {option}\n" for option in options)
    write_manifest(
        folder, f"  - image: {host}/app:1\n{more}", head=f"registries: {{'{host}': {{tls-verify: false}}}}\n"
    )


def accounts(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["attachments"]
    return found


@pytest.mark.parametrize(
    ("options", "line"),
    [
        pytest.param((), LINE.replace("3 s", "4 s"), id="all"),
        pytest.param(
            ("platforms: [linux/amd64]",),
            f"{LINE}; left out: 1 signature (about a platform that is not chosen)",
            id="one-platform",
        ),
        pytest.param(
            ("attachments: [sboms]",),
            "2 sboms; left out: 3 signatures, 2 attestations, 1 artifact (not of the kinds that `attachments:` names)",
            id="some-kinds",
        ),
        pytest.param(("attachments: none",), "not looked for: `attachments: none`, so nobody looked", id="none"),
    ],
)
def test_a_line_for_each_image(host: str, bundler: Terminal, options: tuple[str, ...], line: str) -> None:
    wish(bundler.folder, host, *options)
    wanted = f"docker://{host}/app:1: {line}"
    assert wanted in bundler("lock", "bundle.yaml").err.splitlines()
    assert wanted in bundler("plan", "bundle.yaml", "--store", "store").err.splitlines()
    assert wanted in bundler("pull", "bundle.yaml", "--store", "store").err.splitlines()


def test_the_same_as_json(host: str, bundler: Terminal) -> None:
    wish(bundler.folder, host, "platforms: [linux/amd64]")
    lock = json.loads(bundler("lock", "bundle.yaml", "--json").out)
    planned = accounts(bundler("plan", "bundle.yaml", "--store", "store", "--json").out)
    pulled = accounts(bundler("pull", "bundle.yaml", "--store", "store", "--json").out)
    assert planned == pulled
    (account,) = pulled
    (locked,) = lock["images"]
    assert [one["digest"] for one in account["carried"]] == [one["root"]["digest"] for one in locked["attachments"]]
    assert [(one["reason"], one["digest"]) for one in account["leftOut"]] == [
        (one["reason"], one["root"]["digest"]) for one in locked["leftOut"]
    ]
    assert all(one["subjectCarried"] for one in account["carried"])


def test_an_image_with_nothing_attached_takes_no_line(registry: Callable[[str], str], bundler: Terminal) -> None:
    host = registry("attached")
    with Ends(Access(tls_verify=False)) as ends:
        load(ends.repository(Reference(host, "plain")), {"1": WEB})
    write_manifest(bundler.folder, f"  - {host}/plain:1\n", head=f"registries: {{'{host}': {{tls-verify: false}}}}\n")
    assert f"{host}/plain:1: " not in bundler("lock", "bundle.yaml").err
