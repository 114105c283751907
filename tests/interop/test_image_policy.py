"""Images signed by the real cosign and by the real skopeo are carried, and let in or refused at the far side's gate.

One near registry holds an image for each way to be signed, well or badly. One bundle carries all of them; each test pushes
one of them under a policy. A refused image leaves the far registry as it was: empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests import images
from tests.keyring import Keyring, keyring
from tests.peers import DockerRegistry, attempt, bundler, bundler_path, demand, docker_registry, needs, run, skopeo

pytestmark = needs("cosign", "skopeo", "gpg", "docker-registry")

PASSWORD = {"BUNDLER_PASSWORD": "a password for the key", "COSIGN_PASSWORD": "a password for cosign"}
LOCAL = (
    "--allow-http-registry",
    "--allow-insecure-registry",
    "--use-signing-config=false",
    "--tlog-upload=false",
    "--yes",
)
OLD = "--new-bundle-format=false"
PREDICATES = {
    "slsaprovenance": {"builder": {"id": "b"}, "buildType": "t", "invocation": {}},
    "slsaprovenance1": {"buildDefinition": {"buildType": "t", "externalParameters": {}}, "runDetails": {"builder": {"id": "b"}}},
    "spdxjson": {"spdxVersion": "SPDX-2.3"},
    "cyclonedx": {"bomFormat": "CycloneDX", "specVersion": "1.6"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle of signed images; ``near`` is the registry where they were signed, gone by now."""

    work: Path
    near: str
    fingerprint: str

    @property
    def bundle(self) -> Path:
        """The bundle's directory."""
        return self.work / "out"

    def policy(self, rules: str) -> Path:
        """A policy whose rules fit every image."""
        path = self.work / "trust.yaml"
        path.write_text(
            "apiVersion: bundler/v1\nkind: TrustPolicy\nimages:\n"
            f"- {{match: '{self.near}/**', {rules}}}\n- {{match: '**', nothing: true}}\n"
        )
        return path


class Near:
    """The near side while it is made."""

    def __init__(self, work: Path, registry: DockerRegistry, ring: Keyring, fingerprint: str) -> None:
        self.work, self.host, self.ring, self.fingerprint = work, registry.host, ring, fingerprint
        self.env = {"HOME": str(work / "home"), "GNUPGHOME": str(ring.home), **PASSWORD}
        self.names: list[str] = []

    def push(self, name: str, seed: str | None = None, *, multi: bool = False, sign_by: str = "") -> str:
        """An image of its own under ``name``; its reference by digest."""
        first = images.image(images.layer(f"policy {seed or name}", 500))
        made = (
            images.index(first, images.image(images.layer(f"policy {name} arm", 500), platform="linux/arm64"))
            if multi
            else first
        )
        layout = images.write_layout(self.work / f"layout-{name}", {name: made})
        options = ["--sign-by", sign_by] if sign_by else []
        d = self.work / "registries.d"
        skopeo(
            *("--registries.d", d, "copy", "--all", "--dest-tls-verify=false", *options),
            f"oci:{layout}:{name}",
            f"docker://{self.host}/{name}:1",
            env=self.env,
        )
        self.names.append(name)
        return f"{self.host}/{name}@{made.root.digest}"

    def cosign(self, command: str, reference: str, *options: str, key: str = "cosign") -> None:
        """Sign or attest; without a network but the loopback."""
        run("cosign", command, *LOCAL, "--key", f"{key}.key", *options, reference, cwd=self.work, env=self.env)

    def attest(self, reference: str, kind: str, *options: str) -> None:
        """Attest with a predicate of a kind."""
        path = self.work / f"{kind}.json"
        path.write_text(json.dumps(PREDICATES[kind]))
        self.cosign("attest", reference, "--type", kind, "--predicate", str(path), *options)


def _fill(near: Near) -> None:
    near.cosign("sign", near.push("old"), OLD)
    near.cosign("sign", near.push("new"))
    near.push("unsigned")
    near.cosign("sign", near.push("foreign"), OLD, key="other")
    near.cosign("sign", near.push("foreign-new"), key="other")
    near.cosign("sign", near.push("index", multi=True), OLD)
    near.cosign("sign", near.push("recursive", multi=True), OLD, "--recursive")
    both = near.push("both")
    near.cosign("sign", both, OLD, key="other")
    near.cosign("sign", both, OLD)
    # The same image under another name, its signature copied after it: what a re-tag looks like.
    signed = near.push("original")
    near.cosign("sign", signed, OLD)
    near.push("retagged", seed="original")
    tag = signed.partition("@")[2].replace(":", "-") + ".sig"
    skopeo(
        *("copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
        f"docker://{near.host}/original:{tag}",
        f"docker://{near.host}/retagged:{tag}",
        env=near.env,
    )
    attested = near.push("attested")
    for number, kind in enumerate(PREDICATES):
        near.attest(attested, kind, *([OLD] if number % 2 else []))
    near.push("gpg", sign_by=near.fingerprint)
    near.push("gpg-foreign", sign_by=near.ring.make("mallory"))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    demand("cosign", "skopeo", "gpg", "gpgconf", "docker-registry")
    work = tmp_path_factory.mktemp("policy")
    (work / "home").mkdir()
    with keyring() as ring, docker_registry(work, name="near") as registry:
        near = Near(work, registry, ring, ring.make("ann"))
        (work / "site.asc").write_bytes(ring("--armor", "--export", "ann"))
        folder = work / "registries.d"
        folder.mkdir()
        lookaside = (work / "lookaside").as_uri()
        (folder / "near.yaml").write_text(
            f"docker:\n  {near.host}:\n    lookaside: {lookaside}\n    sigstore: {lookaside}\n"
            f"    lookaside-staging: {lookaside}\n    sigstore-staging: {lookaside}\n"
        )
        for key in ("cosign", "other"):
            run("cosign", "generate-key-pair", "--output-key-prefix", key, cwd=work, env=near.env)
        _fill(near)
        (work / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: edge\nregistries:\n"
            f"  '{near.host}': {{tls-verify: false}}\nimages:\n"
            + "".join(f"  - {near.host}/{name}:1\n" for name in near.names)
        )
        bundler("keygen", "release", cwd=work, env=near.env)
        bundler(
            *("--registries.d", folder, "build", "bundle.yaml", "-o", "out", "--key", "release.key"),
            *("--store", "store"),
            cwd=work,
            env=near.env,
        )
        yield Signed(work, near.host, near.fingerprint)


KEY = "cosign: {keys: [cosign.pub]}"
ANY_NAME = "cosign: {keys: [cosign.pub], identity: any}"
GPG = "gpg: {keys: [site.asc]}"
CASES: dict[str, tuple[str, str, str]] = {
    # the image, the requirement, what the refusal says (empty: let in)
    "cosign 2": ("old", KEY, ""),
    "cosign 3": ("new", ANY_NAME, ""),
    "cosign 3 names no image": ("new", KEY, "identity: any"),
    "unsigned": ("unsigned", KEY, "no cosign signature"),
    "unsigned, for any": ("unsigned", f"any: [{{{KEY}}}, {{{GPG}}}]", "no GPG signature"),
    "another key": ("foreign", KEY, "not of a key"),
    "another key, cosign 3": ("foreign-new", ANY_NAME, "not signed by a key"),
    "re-tagged": ("retagged", KEY, "/original"),
    "re-tagged, and the digest alone decides": ("retagged", ANY_NAME, ""),
    "re-tagged, and said so": ("retagged", "cosign: {keys: [cosign.pub], identity: {exactRepository: NEAR/original}}", ""),
    "a foreign signature beside a good one": ("both", KEY, ""),
    "both of two": ("both", "cosign: {keys: [cosign.pub, other.pub], threshold: 2}", ""),
    "only one of two": ("old", "cosign: {keys: [cosign.pub, other.pub], threshold: 2}", "only 1 of 2"),
    "an index": ("index", KEY, ""),
    "an index, its children unsigned": ("index", f"{KEY}, children: own", "of its 2 platforms"),
    "an index, signed with its children": ("recursive", f"{KEY}, children: own", ""),
    "provenance": ("attested", "attestation: {predicate-type: slsa-provenance, keys: [cosign.pub]}", ""),
    "provenance of one version": (
        "attested", "attestation: {predicate-type: 'https://slsa.dev/provenance/v1', keys: [cosign.pub]}", ""
    ),
    "SPDX": ("attested", "attestation: {predicate-type: spdx, keys: [cosign.pub]}", ""),
    "CycloneDX": ("attested", "attestation: {predicate-type: cyclonedx, keys: [cosign.pub]}", ""),
    "SPDX by another key": ("attested", "attestation: {predicate-type: spdx, keys: [other.pub]}", "no attestation spdx"),
    "no such attestation": (
        "attested", "attestation: {predicate-type: 'https://openvex.dev/ns', keys: [cosign.pub]}", "no attestation"
    ),
    "an attestation is no signature": ("attested", ANY_NAME, "no cosign signature"),
    "a signature is no attestation": ("new", "attestation: {predicate-type: spdx, keys: [cosign.pub]}", "no attestation"),
    "GPG": ("gpg", GPG, ""),
    "GPG by another key": ("gpg-foreign", GPG, "no GPG signature"),
    "GPG is not there": ("old", GPG, "no GPG signature"),
}  # fmt: skip


@pytest.fixture
def far(tmp_path: Path) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path, name="far") as registry:
        yield registry


def _catalog(registry: DockerRegistry) -> list[str]:
    with urlopen(f"{registry.url}/v2/_catalog") as answer:
        found: list[str] = json.load(answer)["repositories"]
        return found


@pytest.mark.parametrize("case", CASES)
def test_the_gate(case: str, signed: Signed, far: DockerRegistry) -> None:
    name, rule, refusal = CASES[case]
    policy = signed.policy(rule.replace("NEAR", signed.near))
    done = attempt(
        bundler_path(),
        *("push", signed.bundle, "--key", signed.work / "release.pub", "--policy", policy),
        *("--to", f"docker://{far.host}", "--tls-verify=false", "--image", f"{signed.near}/{name}:1"),
        env={"HOME": str(signed.work / "home")},
    )
    if refusal:
        assert done.returncode == 17, done.stderr
        assert refusal in " ".join(done.stderr.split()), done.stderr
        assert f"{signed.near}/{name}:1" in done.stderr
        assert _catalog(far) == []
    else:
        assert done.returncode == 0, done.stderr
        assert name in _catalog(far)


def test_verify_names_every_image_that_failed(signed: Signed) -> None:
    done = attempt(
        bundler_path(),
        *("verify", signed.bundle, "--key", signed.work / "release.pub", "--policy", signed.policy(ANY_NAME)),
        env={"HOME": str(signed.work / "home")},
    )
    assert done.returncode == 17
    for name in ("unsigned", "foreign", "foreign-new", "attested", "gpg", "gpg-foreign"):
        assert f"/{name}:1" in done.stderr
    for name in ("old", "new", "both", "index", "recursive", "retagged"):
        assert f"/{name}:1:" not in done.stderr


@needs("unshare")
def test_verify_needs_no_network(signed: Signed) -> None:
    policy = signed.policy(
        f"any: [{{{ANY_NAME}}}, {{{GPG}}}, {{attestation: {{predicate-type: spdx, keys: [other.pub]}}}}]"
    )
    verify = (bundler_path(), "verify", signed.bundle, "--key", signed.work / "release.pub", "--policy", policy)
    plain, alone = (
        attempt(*command, env={"HOME": str(signed.work / "home")}) for command in (verify, ("unshare", "-n", *verify))
    )
    assert alone.returncode == plain.returncode == 17
    assert alone.stderr == plain.stderr
