"""Images signed under certificates by the real cosign, in both of its forms, carried and held against trust.yaml offline.

cosign signs against a certificate authority and a transparency log on this machine. What bundler lets in, cosign verifies;
what cosign refuses, bundler refuses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import images
from tests.peers import DockerRegistry, attempt, bundler, bundler_path, demand, docker_registry, needs, run, skopeo
from tests.sigstore_site import SigstoreSite, sigstore_site
from tests.trust.images.fulcio import ISSUER, Fulcio

pytestmark = [needs("cosign", "skopeo", "docker-registry"), pytest.mark.slow]

ME = "me@site.example"
OLD = "--new-bundle-format=false"
PASSWORD = {"BUNDLER_PASSWORD": "a password for the key"}


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle of signed images; ``verified`` are those that cosign itself let pass, by name."""

    work: Path
    near: str
    verified: dict[str, bool]


def _push(work: Path, near: DockerRegistry, name: str, seed: str = "") -> str:
    made = images.index(
        images.image(images.layer(f"keyless {seed or name}", 500)),
        images.image(images.layer(f"keyless {seed or name} arm", 500), platform="linux/arm64"),
    )
    layout = images.write_layout(work / f"layout-{name}", {name: made})
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:{name}", f"docker://{near.host}/{name}:1")
    return f"{near.host}/{name}@{made.root.digest}"


def _fill(work: Path, near: DockerRegistry, site: SigstoreSite, foreign: SigstoreSite) -> dict[str, bool]:
    env = {"HOME": str(work)}
    (work / "bill.json").write_text(json.dumps({"spdxVersion": "SPDX-2.3"}))
    of = {name: _push(work, near, name) for name in ("old", "new", "recursive", "foreign", "attested", "unsigned")}

    def cosign(by: SigstoreSite, command: str, name: str, *options: str) -> None:
        run("cosign", command, *by.sign, *options, of[name], cwd=work, env={**env, **by.env})

    cosign(site, "sign", "old", OLD)
    cosign(site, "sign", "new")
    cosign(site, "sign", "recursive", OLD, "--recursive")
    cosign(foreign, "sign", "foreign", OLD)
    cosign(site, "attest", "attested", OLD, "--type", "spdxjson", "--predicate", "bill.json")
    of["retagged"] = _push(work, near, "retagged", "old")
    tag = of["old"].partition("@")[2].replace(":", "-") + ".sig"
    skopeo(
        *("copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
        f"docker://{near.host}/old:{tag}",
        f"docker://{near.host}/retagged:{tag}",
    )
    verified = {}
    for name, reference in of.items():
        form = [] if name == "new" else [OLD]
        done = attempt("cosign", "verify", *site.verify, *form, reference, cwd=work, env=env)
        verified[name] = done.returncode == 0
    return verified


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    demand("cosign", "skopeo", "docker-registry")
    work = tmp_path_factory.mktemp("keyless")
    (work / "other").mkdir()
    with (
        docker_registry(work, name="near") as near,
        sigstore_site(work, ME) as site,
        sigstore_site(work / "other", ME) as foreign,
    ):
        verified = _fill(work, near, site, foreign)
        names = "".join(f"  - {near.host}/{name}:1\n" for name in verified)
        (work / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: edge\nregistries:\n"
            f"  '{near.host}': {{tls-verify: false}}\nimages:\n{names}"
        )
        env = {"HOME": str(work), **PASSWORD}
        bundler("keygen", "release", cwd=work, env=env)
        bundler("build", "bundle.yaml", "-o", "out", "--key", "release.key", "--store", "store", cwd=work, env=env)
    (work / "stranger.json").write_bytes(Fulcio().trusted_root)
    return Signed(work, near.host, verified)


def rule(subject: str = ME, issuer: str = ISSUER, root: str = "trusted_root.json", more: str = "") -> str:
    return f"sigstore: {{issuer: '{issuer}', subject: {subject}, trusted-root: {root}{more}}}"


CASES: dict[str, tuple[str, str, str]] = {
    # the image, the requirement, what the refusal says (empty: let in)
    "cosign 2": ("old", rule(), ""),
    "cosign 3": ("new", rule(), ""),
    "by a pattern": ("old", rule("{regex: '.*@site[.]example'}"), ""),
    "another subject": ("old", rule("you@site.example"), f"is of {ME}"),
    "another subject, cosign 3": ("new", rule("you@site.example"), f"is of {ME}"),
    "a pattern of a part": ("old", rule("{regex: 'me'}"), f"is of {ME}"),
    "another issuer": ("old", rule(issuer="https://evil.example"), "issuer"),
    "another trusted root": ("old", rule(root="stranger.json"), "sigstore: "),
    "another trusted root, cosign 3": ("new", rule(root="stranger.json"), "sigstore: "),
    "another site": ("foreign", rule(), "sigstore: "),
    "unsigned": ("unsigned", rule(), "nothing is attached"),
    "an index, its children unsigned": ("old", f"{rule()}, children: own", "of its 2 platforms"),
    "an index, signed with its children": ("recursive", f"{rule()}, children: own", ""),
    "re-tagged, and the digest alone decides": ("retagged", rule(), ""),
    "re-tagged": ("retagged", rule(more=", identity: matchRepository"), "/old"),
    "its own name": ("old", rule(more=", identity: matchRepository"), ""),
    "cosign 3 names no image": ("new", rule(more=", identity: matchRepository"), "names no image"),
    "an attestation": ("attested", rule(more=", predicate-type: spdx"), ""),
    "an attestation of another type": ("attested", rule(more=", predicate-type: cyclonedx"), "predicate type"),
    "an attestation is no signature": ("attested", rule(), "no sigstore signature"),
    "a signature is no attestation": ("old", rule(more=", predicate-type: spdx"), "not an attestation"),
    "by a key": ("old", "cosign: {keys: [release.pub]}", "not of a key"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_gate(case: str, signed: Signed, tmp_path: Path) -> None:
    name, requirement, refusal = CASES[case]
    policy = signed.work / "trust.yaml"
    policy.write_text(
        f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n- {{match: '{signed.near}/**', {requirement}}}\n"
    )
    done = attempt(
        bundler_path(),
        *("push", signed.work / "out", "--key", signed.work / "release.pub", "--policy", policy),
        *("--to", f"oci:{tmp_path}/far", "--image", f"{signed.near}/{name}:1"),
        env={"HOME": str(tmp_path)},
    )
    if refusal:
        assert done.returncode == 17, done.stderr
        assert refusal in " ".join(done.stderr.split()), done.stderr
        assert f"{signed.near}/{name}:1" in done.stderr
        assert not (tmp_path / "far").exists()
    else:
        assert done.returncode == 0, done.stderr


def test_cosign_is_of_the_same_opinion(signed: Signed) -> None:
    expected = {name: not CASES[case][2] for case, name in (("cosign 2", "old"), ("cosign 3", "new"))}
    expected |= {"recursive": True, "retagged": True, "foreign": False, "attested": False, "unsigned": False}
    assert signed.verified == expected


@needs("unshare")
def test_nothing_is_asked_of_a_network(signed: Signed) -> None:
    policy = signed.work / "trust.yaml"
    policy.write_text(f"apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n- {{match: '**', {rule()}}}\n")
    verify = (bundler_path(), "verify", signed.work / "out", "--key", signed.work / "release.pub", "--policy", policy)
    plain, alone = (
        attempt(*command, env={"HOME": str(signed.work)}) for command in (verify, ("unshare", "-n", *verify))
    )
    assert (alone.returncode, alone.stderr) == (plain.returncode, plain.stderr)
    assert "3 of 7 images are not let in" in plain.stderr
