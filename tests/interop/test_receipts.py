"""Receipts against Debian's docker-registry, where skopeo moves, adds and deletes; openssl verifies the signature."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import Built
from tests.peers import DockerRegistry, attempt, bundler, bundler_path, docker_registry, needs, openssl, run, skopeo

pytestmark = needs("skopeo", "docker-registry", "openssl")
HTTP = "--tls-verify=false"


@pytest.fixture
def far(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path, name="far") as registry:
        yield registry


def pushed(built: Built, far: DockerRegistry, folder: Path, bundle: Path | None = None) -> Path:
    """A signed receipt of a push into ``site``."""
    bundler("keygen", folder / "receipt", env=built.env, cwd=folder)
    to = ("--to", f"docker://{far.host}/site", HTTP)
    receipt = ("--receipt", folder / "r.json", "--receipt-key", folder / "receipt.key")
    bundler(
        "push", bundle or built.bundle, "--key", built.work / "release.pub", *to, *receipt, env=built.env, cwd=folder
    )
    return folder / "r.json"


def checked(built: Built, receipt: Path, *, status: int = 0) -> dict[str, Any]:
    done = attempt(
        *(bundler_path(), "verify", "--receipt", receipt, "--key", receipt.with_name("receipt.pub"), HTTP, "--json"),
        env=built.env,
        cwd=receipt.parent,
    )
    assert done.returncode == status, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def again(built: Built, found: dict[str, Any], bundle: Path | None = None) -> list[str]:
    """What it says to push again, as somebody would type it who knows where the bundle and the builder's key are."""
    known = {"OUT": str(bundle or built.bundle), "PUB": str(built.work / "release.pub")}
    return [known.get(word, word) for word in shlex.split(found["again"])][1:]


def test_openssl_verifies_it(built: Built, far: DockerRegistry, tmp_path: Path) -> None:
    receipt = pushed(built, far, tmp_path)
    told = openssl("dgst", "-sha256", "-verify", "receipt.pub", "-signature", "r.json.sig", receipt, cwd=tmp_path)
    assert told == "Verified OK\n"
    found = checked(built, receipt)
    assert (found["verdict"], found["added"], found["signed"]) == ("unchanged", [], True)


def test_drift_and_what_puts_it_back(built: Built, far: DockerRegistry, tmp_path: Path) -> None:
    receipt = pushed(built, far, tmp_path)
    one, other, third = sorted(image["reference"] for image in json.loads(receipt.read_text())["images"])[:3]
    skopeo(
        "copy",
        "-q",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        f"docker://{one}",
        f"docker://{other}",
    )
    skopeo(
        *("copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"docker://{one}", f"docker://{one.rpartition(':')[0]}:mine"),
    )
    skopeo("delete", HTTP, f"docker://{third}")
    found = checked(built, receipt, status=17)
    states = {row["reference"]: row["state"] for row in found["images"] if row["state"] != "ok"}
    assert states == {other: "moved", third: "missing"}
    assert found["added"] == [f"{one.rpartition(':')[0]}:mine"]
    bundler(*again(built, found), env=built.env, cwd=tmp_path)
    assert checked(built, receipt)["verdict"] == "unchanged"


def test_a_layer_that_the_disk_lost(built: Built, far: DockerRegistry, tmp_path: Path) -> None:
    """The registry still answers for the tag; only asking for every content finds it out, and only --repair mends it."""
    receipt = pushed(built, far, tmp_path)
    (image, *_) = json.loads(receipt.read_text())["images"]
    manifest = json.loads(skopeo("inspect", "--raw", HTTP, f"docker://{image['reference']}"))
    while "manifests" in manifest:
        name = f"{image['reference'].rpartition(':')[0]}@{manifest['manifests'][0]['digest']}"
        manifest = json.loads(skopeo("inspect", "--raw", HTTP, f"docker://{name}"))
    lost = manifest["layers"][0]["digest"].partition(":")[2]
    shutil.rmtree(next(far.root.rglob(f"blobs/sha256/{lost[:2]}/{lost}")))
    found = checked(built, receipt, status=17)
    assert "incomplete" in {row["state"] for row in found["images"]}
    assert lost in json.dumps(found)
    assert again(built, found)[-1] == "--repair"
    bundler(*again(built, found), env=built.env, cwd=tmp_path)
    assert checked(built, receipt)["verdict"] == "unchanged"


@needs("oras")
def test_the_list_of_referrers_that_clients_keep(built: Built, far: DockerRegistry, tmp_path: Path) -> None:
    """docker-registry has no referrers API: the list is a tag, which is bundler's own doing, and can get lost."""
    name = next(iter(built.corpus.digests))
    source = f"{far.host}/near/app:1"
    skopeo(
        *("copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *(f"docker://{built.host}/corpus/{name}:1.0", f"docker://{source}"),
    )
    (tmp_path / "sbom.json").write_text("{}")
    attach = ("attach", "--plain-http", source, "--artifact-type", "application/spdx+json", "sbom.json")
    run("oras", *attach, cwd=tmp_path)
    (tmp_path / "bundle.yaml").write_text(
        f"apiVersion: bundler/v1\nkind: Bundle\nname: app\nimages: ['{source}']\n"
        f"registries: {{'{far.host}': {{tls-verify: false}}}}\n"
    )
    build = ("build", "bundle.yaml", "-o", "app", "--no-store", "--key", built.work / "release.key")
    bundler(*build, env=built.env, cwd=tmp_path)
    bundle = tmp_path / "app"
    receipt = pushed(built, far, tmp_path, bundle)
    assert checked(built, receipt)["added"] == []
    (landed,) = json.loads(receipt.read_text())["images"]
    tag = landed["digest"].replace(":", "-")
    skopeo("delete", HTTP, f"docker://{far.host}/site/near/app:{tag}")
    found = checked(built, receipt, status=17)
    assert [row["state"] for row in found["images"] if row["state"] != "ok"] == ["unlisted"]
    bundler(*again(built, found, bundle), env=built.env, cwd=tmp_path)
    assert checked(built, receipt)["verdict"] == "unchanged"
    assert "spdx" in run("oras", "discover", "--plain-http", f"{far.host}/site/near/app:1")
