"""`verify` with the network removed: no interface but a loopback that is down (acceptance E)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundler.journey.access import Access
from bundler.journey.ends import Ends
from bundler.journey.rooting import pin
from bundler.oci.reference import Reference
from bundler.registry.process import running
from bundler.trust.keys import PublicKey
from tests.attachments import cosign_image
from tests.cli.terminal import ROOT
from tests.images import load
from tests.peers import hidden, needs
from tests.trust.images.material import key as image_key
from tests.trust.images.material import signature
from tests.trust.roots import ANN, CAT, trusted_root
from tests.workshop import MULTI, WEB, Workshop

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
UNSHARE = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle ``out`` of an image and an index with cosign's signatures, keys, a site, and two policies."""
    folder = tmp_path_factory.mktemp("offline")
    with running(folder / "upstream-registry") as url:
        host = url.removeprefix("http://")
        with Ends(Access(tls_verify=False)) as ends:
            for name, held in (("web", WEB), ("multi", MULTI)):
                target = ends.repository(Reference(host, name))
                piece = signature(held.root.digest, reference=f"{host}/{name}")
                tag = f"{held.root.digest.replace(':', '-')}.sig"
                load(target, {"1": held, tag: cosign_image(piece.content, SIMPLE_SIGNING, piece.annotations)})
        place = Workshop(folder, f"  - {host}/web:1\n  - {host}/multi:1\n", access=Access(tls_verify=False))
        place.pull()
    place.pack("out", ANN, CAT)
    keys: dict[str, PublicKey] = {"ann": ANN.public, "cat": CAT.public, "images": image_key("ann").public}
    for name, public in keys.items():
        (folder / f"{name}.pub").write_bytes(public.pem)
    for name, signer in (("good", "images"), ("other", "cat")):
        (folder / f"{name}.yaml").write_text(
            f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages: [{{match: '**', cosign: {{keys: [{signer}.pub]}}}}]\n"
        )
    root = trusted_root()
    (folder / "root").write_bytes(root.raw)
    pin(folder / "site", folder / "root", root.fingerprint)
    return folder


def offline(folder: Path, *arguments: str, status: int = 0) -> dict[str, object]:
    """The report of a verification in a network namespace of its own."""
    ended = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "bundler", "verify", "out", "--json", *arguments],
        cwd=folder,
        env={**{n: v for n, v in os.environ.items() if not hidden(n)}, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "unshare failed" in ended.stderr or "Operation not permitted" in ended.stderr:
        pytest.skip("this machine lets nobody make network namespaces")
    assert ended.returncode == status, ended.stderr
    found: dict[str, object] = json.loads(ended.stdout)
    return found


KEYS = ("--key", "ann.pub", "--key", "cat.pub", "--threshold", "2")


@needs("unshare")
@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        pytest.param((*KEYS, "--policy", "good.yaml"), "verified", id="keys-and-image-policy"),
        pytest.param((*KEYS, "--quick"), "trusted", id="quick"),
        pytest.param(("--trust", "site", "--policy", "good.yaml"), "verified", id="site-and-image-policy"),
    ],
)
def test_verified_without_a_network(folder: Path, arguments: tuple[str, ...], verdict: str) -> None:
    assert offline(folder, *arguments)["verdict"] == verdict


@needs("unshare")
def test_refused_without_a_network(folder: Path) -> None:
    report = offline(folder, *KEYS, "--policy", "other.yaml", status=17)
    assert report["verdict"] == "refused"
    assert isinstance(report["refused"], dict)
    assert report["refused"]["class"] == "POLICY"
