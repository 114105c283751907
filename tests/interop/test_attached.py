"""What cosign and oras attach to an image comes along, and is found at the far side by the tools that attached it.

Near is a docker-registry without the referrers API, where clients keep lists under tags. Far is another one of that kind,
or bundler's own registry, which has the API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundler.oci.attached import SIMPLE_SIGNATURES, companion_tags, referrers_tag
from bundler.oci.digest import Digest, digest_of
from tests.images import image, index, layer, write_layout
from tests.keyring import keyring
from tests.peers import bundler, docker_registry, needs, run, skopeo
from tests.roundtrip import PASSWORD
from tests.serving import serving

pytestmark = pytest.mark.slow

AMD, ARM = image(layer("amd", 500)), image(layer("arm", 500), platform="linux/arm64")
BOTH = index(AMD, ARM)
SCAN = "application/vnd.example.scan"
_ANYWHERE = ("--allow-insecure-registry", "--allow-http-registry")
_OFFLINE = ("--tlog-upload=false", "--use-signing-config=false")
_OLD = "--new-bundle-format=false"


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder with a cosign key, a bundle key and a manifest; programs run from there."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "COSIGN_PASSWORD": "for tests", "COSIGN_YES": "true", **PASSWORD}

    def run(self, *command: str) -> str:
        return run(*command, cwd=self.folder, env=self.env)

    def bundler(self, *command: str) -> str:
        return bundler(*command, cwd=self.folder, env=self.env)

    def cosign(self, command: str, *options: str) -> str:
        return self.run("cosign", command, *options, *_ANYWHERE)

    def lock(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "bundle.lock.json").read_text())
        return found

    def referrers(self, name: str) -> set[tuple[str, str]]:
        """Artifact types and digests by two clients that agree."""
        said = json.loads(self.run("oras", "discover", "--plain-http", "--depth", "1", "--format", "json", name))
        found = {
            (each["artifactType"], each["digest"]) for each in said.get("referrers") or said.get("manifests") or []
        }
        host = name.partition("/")[0]
        other = json.loads(
            self.run("regctl", "--host", f"reg={host},tls=disabled", "artifact", "list", "--format", "{{json .}}", name)
        )
        assert {(each["artifactType"], each["digest"]) for each in other["descriptors"] or ()} == found
        return found


@contextmanager
def far_side(kind: str, work: Path) -> Iterator[str]:
    if kind == "own":
        (work / "own").mkdir()
        with serving(work / "own" / "store", work=work / "own") as site:
            yield site.host
    else:
        with docker_registry(work, name="far") as far:
            yield far.host


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    write_layout(tmp_path / "layout", {"both": BOTH})
    made.bundler("keygen", "release")
    return made


def wish(desk: Desk, host: str, more: str = "") -> None:
    (desk.folder / "bundle.yaml").write_text(
        f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\nregistries:\n  {host}: {{tls-verify: false}}\n"
        f"images:\n  - image: {host}/team/app:1\n{more}"
    )


def upstream(desk: Desk, host: str) -> str:
    """The image at the near side; its name there by digest."""
    desk.run("oras", "cp", "--to-plain-http", "--from-oci-layout", "layout:both", f"{host}/team/app:1")
    return f"{host}/team/app@{BOTH.root.digest}"


def carry(desk: Desk, near: str, far: str) -> None:
    """From near to far by the real commands, step by step."""
    desk.bundler("lock", "bundle.yaml")
    desk.bundler("pull", "bundle.yaml", "--store", "store")
    desk.bundler("pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key")
    desk.bundler("build", "bundle.yaml", "--no-store", "-o", "again", "--key", "release.key")
    assert (desk.folder / "out" / "SHA256SUMS").read_bytes() == (desk.folder / "again" / "SHA256SUMS").read_bytes()
    desk.bundler("push", "out", "--to", f"docker://{far}", "--key", "release.pub", "--tls-verify=false")


@needs("cosign", "oras", "regctl", "docker-registry")
@pytest.mark.parametrize("kind", ["docker-registry", "own"])
def test_signatures_and_attestations_of_cosign_hold_at_the_far_side(desk: Desk, kind: str) -> None:
    with docker_registry(desk.folder) as near, far_side(kind, desk.folder) as far:
        name = upstream(desk, near.host)
        desk.run("cosign", "generate-key-pair")
        (desk.folder / "bill.json").write_text('{"spdxVersion": "SPDX-2.3"}')
        for form in ((_OLD,), ()):
            desk.cosign("sign", "--key", "cosign.key", "-r", *_OFFLINE, *form, name)
            desk.cosign(
                "attest",
                "--key",
                "cosign.key",
                "--predicate",
                "bill.json",
                "--type",
                "spdxjson",
                *_OFFLINE,
                *form,
                name,
            )
        desk.cosign("attach", "sbom", "--sbom", "bill.json", "--type", "spdx", name)
        wish(desk, near.host)
        carry(desk, near.host, far)
        there = f"{far}/team/app@{BOTH.root.digest}"
        for form in ((_OLD,), ()):
            for digest in (BOTH.root.digest, AMD.root.digest, ARM.root.digest):
                said = desk.cosign(
                    "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", *form, f"{far}/team/app@{digest}"
                )
                assert digest in said
            desk.cosign(
                "verify-attestation",
                "--key",
                "cosign.pub",
                "--insecure-ignore-tlog",
                "--type",
                "spdxjson",
                *form,
                there,
            )
        assert desk.cosign("download", "sbom", there).strip() == (desk.folder / "bill.json").read_text()
        assert desk.referrers(there) == desk.referrers(name)
    kinds = [one["kind"] for one in desk.lock()["images"][0]["attachments"]]
    assert sorted(kinds) == ["attestation"] * 2 + ["sbom"] + ["signature"] * 6
    assert "leftOut" not in desk.lock()["images"][0]


@needs("oras", "regctl", "docker-registry")
@pytest.mark.parametrize("kind", ["docker-registry", "own"])
def test_what_oras_attaches_is_discovered_and_what_is_attached_to_that(desk: Desk, kind: str) -> None:
    with docker_registry(desk.folder) as near, far_side(kind, desk.folder) as far:
        name = upstream(desk, near.host)
        (desk.folder / "report.txt").write_text("all is well")
        desk.run("oras", "attach", "--plain-http", "--artifact-type", SCAN, name, "report.txt")
        [(_, scan)] = desk.referrers(name)
        desk.run(
            "oras",
            "attach",
            "--plain-http",
            "--artifact-type",
            f"{SCAN}.note",
            f"{near.host}/team/app@{scan}",
            "report.txt",
        )
        wish(desk, near.host)
        carry(desk, near.host, far)
        assert desk.referrers(f"{far}/team/app@{BOTH.root.digest}") == {(SCAN, scan)}
        assert {kind for kind, _ in desk.referrers(f"{far}/team/app@{scan}")} == {f"{SCAN}.note"}
        if kind == "docker-registry":
            tags = set(desk.run("oras", "repo", "tags", "--plain-http", f"{far}/team/app").split())
            assert tags == {"1", referrers_tag(BOTH.root.digest), referrers_tag(Digest(scan))}
            desk.run(
                "oras", "manifest", "delete", "--plain-http", "-f", f"{far}/team/app:{referrers_tag(Digest(scan))}"
            )
            assert desk.referrers(f"{far}/team/app@{scan}") == set()
            desk.bundler("push", "out", "--to", f"docker://{far}", "--key", "release.pub", "--tls-verify=false")
            assert {kind for kind, _ in desk.referrers(f"{far}/team/app@{scan}")} == {f"{SCAN}.note"}


@needs("oras", "regctl", "docker-registry")
def test_the_site_s_own_referrers_stay_in_the_list(desk: Desk) -> None:
    with docker_registry(desk.folder) as near, docker_registry(desk.folder, name="far") as far:
        (desk.folder / "report.txt").write_text("all is well")
        for host, kind in ((near.host, SCAN), (far.host, f"{SCAN}.site")):
            desk.run("oras", "attach", "--plain-http", "--artifact-type", kind, upstream(desk, host), "report.txt")
        wish(desk, near.host)
        carry(desk, near.host, far.host)
        kinds = {kind for kind, _ in desk.referrers(f"{far.host}/team/app@{BOTH.root.digest}")}
        assert kinds == {SCAN, f"{SCAN}.site"}


@needs("cosign", "oras", "docker-registry")
def test_the_signature_of_a_platform_that_is_not_chosen_is_left_out_and_said(desk: Desk) -> None:
    arm7 = image(layer("arm7", 500), platform="linux/arm/v7")
    three = index(AMD, ARM, arm7)
    write_layout(desk.folder / "layout3", {"three": three})
    with docker_registry(desk.folder) as near:
        desk.run("oras", "cp", "--to-plain-http", "--from-oci-layout", "layout3:three", f"{near.host}/team/app:1")
        desk.run("cosign", "generate-key-pair")
        for form in ((_OLD,), ()):
            desk.cosign(
                "sign", "--key", "cosign.key", "-r", *_OFFLINE, *form, f"{near.host}/team/app@{three.root.digest}"
            )
        wish(desk, near.host, "    platforms: [linux/amd64, linux/arm64]\n")
        pulled = json.loads(desk.bundler("pull", "bundle.yaml", "--store", "store", "--json"))
    (account,) = pulled["attachments"]
    carried = {one["subject"] for one in account["carried"]}
    assert carried == {three.root.digest, AMD.root.digest, ARM.root.digest}
    assert {(one["reason"], one["kind"], one["subject"]) for one in account["leftOut"]} == {
        ("platform", "signature", arm7.root.digest)
    }
    assert {one.get("tag", "") for one in account["leftOut"]} == {companion_tags(arm7.root.digest)["signature"], ""}
    assert all(one["digest"] and one["size"] for one in account["leftOut"])


@needs("skopeo", "gpg", "oras", "regctl", "docker-registry")
def test_signatures_that_skopeo_keeps_beside_a_registry_travel_as_an_artifact(desk: Desk) -> None:
    with keyring() as keys, docker_registry(desk.folder) as near, docker_registry(desk.folder, name="far") as far:
        ann = keys.make("ann")
        stores, rules = desk.folder / "stores", desk.folder / "registries.d"
        rules.mkdir()
        (rules / "near.yaml").write_text(f"docker:\n  {near.host}:\n    lookaside: file://{stores}\n")
        for _ in range(2):
            skopeo(
                *("--registries.d", rules, "copy", "--all", "--dest-tls-verify=false", "--sign-by", ann),
                *(f"oci:{desk.folder}/layout:both", f"docker://{near.host}/team/app:1"),
                env={**desk.env, "GNUPGHOME": str(keys.home)},
            )
        kept = {path.parent.name: path.read_bytes() for path in stores.rglob("signature-*")}
        assert set(kept) == {f"app@{held.root.digest.replace(':', '=')}" for held in (BOTH, AMD, ARM)}
        wish(desk, near.host)
        run_with = ("--registries.d", str(rules))
        desk.bundler(*run_with, "lock", "bundle.yaml")
        desk.bundler(*run_with, "pull", "bundle.yaml", "--store", "store")
        desk.bundler("pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key")
        desk.bundler(*run_with, "build", "bundle.yaml", "--no-store", "-o", "again", "--key", "release.key")
        assert (desk.folder / "out" / "SHA256SUMS").read_bytes() == (desk.folder / "again" / "SHA256SUMS").read_bytes()
        desk.bundler("push", "out", "--to", f"docker://{far.host}", "--key", "release.pub", "--tls-verify=false")
        for held in (BOTH, AMD, ARM):
            there = desk.referrers(f"{far.host}/team/app@{held.root.digest}")
            [(artifact_type, made)] = there
            assert artifact_type == SIMPLE_SIGNATURES
            manifest = json.loads(desk.run("oras", "manifest", "fetch", "--plain-http", f"{far.host}/team/app@{made}"))
            files = sorted((stores / "team" / f"app@{held.root.digest.replace(':', '=')}").iterdir())
            wanted = {digest_of(path.read_bytes()) for path in files}
            assert {layer["digest"] for layer in manifest["layers"]} == wanted
            for layer in manifest["layers"]:
                name = f"{far.host}/team/app@{layer['digest']}"
                desk.run("oras", "blob", "fetch", "--plain-http", "--output", "signature", name)
                said = json.loads(keys("--decrypt", str(desk.folder / "signature")))
                assert said["critical"]["image"]["docker-manifest-digest"] == held.root.digest


def _by_oras(desk: Desk, near: str, name: str) -> None:
    """Referrers come without names; cosign's tags are images of their own."""
    desk.run("oras", "cp", "-r", "--from-plain-http", "--to-oci-layout", name, "away:1")
    for digest in (BOTH.root.digest, AMD.root.digest, ARM.root.digest):
        tag = companion_tags(digest)["signature"]
        desk.run("oras", "cp", "--from-plain-http", "--to-oci-layout", f"{near}/team/app:{tag}", f"away:{tag}")


def _by_regctl(desk: Desk, near: str, name: str) -> None:
    """Lists of referrers come under their tags, as in a registry without the API."""
    tls = ("--host", f"reg={near},tls=disabled")
    desk.run("regctl", *tls, "image", "copy", "--referrers", "--digest-tags", name, "ocidir://away:1")


def _by_bundler(desk: Desk, near: str, name: str) -> None:
    """Full names, and names by digest where there is no tag."""
    wish(desk, near)
    desk.bundler("build", "bundle.yaml", "--store", "first", "-o", "before", "--key", "release.key")
    desk.bundler("push", "before", "--to", "oci:away", "--key", "release.pub")


@needs("cosign", "oras", "regctl", "docker-registry")
@pytest.mark.parametrize(
    ("filled", "image"), [(_by_oras, "oci:away:1"), (_by_regctl, "oci:away:1"), (_by_bundler, "oci:away:team/app:1")]
)
@pytest.mark.parametrize("archived", [False, True], ids=["layout", "archive"])
def test_a_layout_that_others_have_filled(desk: Desk, filled: Any, image: str, archived: bool) -> None:
    """A signed image goes to a layout by other tools, from there into a bundle, and is still signed at the far side."""
    with docker_registry(desk.folder) as near, docker_registry(desk.folder, name="far") as far:
        name = upstream(desk, near.host)
        desk.run("cosign", "generate-key-pair")
        for form in ((_OLD,), ()):
            desk.cosign("sign", "--key", "cosign.key", "-r", *_OFFLINE, *form, name)
        filled(desk, near.host, name)
        if archived:
            desk.run("tar", "-cf", "away.tar", "-C", "away", ".")
            image = image.replace("oci:away", "oci-archive:away.tar")
        (desk.folder / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: edge\nimages:\n"
            f"  - image: {image}\n    as: team/app\n    index: keep\n"
        )
        (desk.folder / "trust.yaml").write_text(
            "apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n"
            "- {match: '**', children: own, cosign: {keys: [cosign.pub], identity: any}}\n"
        )
        desk.bundler("build", "bundle.yaml", "--store", "store", "-o", "out", "--key", "release.key")
        kinds = [one["kind"] for one in desk.lock()["images"][0]["attachments"]]
        assert kinds.count("signature") == 6
        desk.bundler(
            *("push", "out", "--to", f"docker://{far.host}", "--key", "release.pub", "--tls-verify=false"),
            *("--policy", "trust.yaml"),
        )
        for digest in (BOTH.root.digest, AMD.root.digest, ARM.root.digest):
            for form in ((_OLD,), ()):
                there = f"{far.host}/team/app@{digest}"
                desk.cosign("verify", "--key", "cosign.pub", "--insecure-ignore-tlog", *form, there)
