"""Signatures under certificates and in logs: a current skopeo decides as bundler does, but where it is known to be more lenient.

Debian's skopeo is built without sigstore. Both read the image and its signature from one ``dir:``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.errors import ConfigError
from bundler.policy import read_policy
from bundler.policy.blobs import Attachment, read_attachment
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from bundler.trust.images.cosign import CERTIFICATE, CHAIN, LOG_ENTRY, SIGNATURE
from tests.images import load, write_dir
from tests.interop.deciding import written
from tests.peers import attempt, bundler_path, docker_registry, needs, run
from tests.policy.certified_cases import CASES, IMAGE, cases


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dir(tmp_path_factory.mktemp("certified") / "image", IMAGE)


@needs("skopeo-current")
@pytest.mark.parametrize("name", CASES)
def test_both_decide_the_same(name: str, folder: Path, tmp_path: Path) -> None:
    case = cases()[name]
    (folder / "signature-1").write_bytes(case.blob)
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [case.rule]}))
    done = attempt(
        "skopeo-current", "--policy", policy, "copy", "--remove-signatures", f"dir:{folder}", f"dir:{tmp_path}/out"
    )
    assert done.returncode in (0, 1), done.stderr
    assert (done.returncode == 0) is case.accepted_elsewhere, done.stderr
    if done.returncode:
        assert "source image rejected" in done.stderr.lower(), done.stderr


KEY, CA = {"keyPath": "/k.pub"}, {"caPath": "/ca"}
FULCIO = {**CA, "oidcIssuer": "https://issuer.example", "subjectEmail": "a@b.example"}
PKI = {"caRootsPath": "/ca", "subjectHostname": "b.example"}
REKOR = {"rekorPublicKeyPath": "/r.pub"}
FORMS: list[dict[str, Any]] = [
    KEY, {"keyPaths": ["/a", "/b"]}, {"keyData": "QUFB"}, {"keyDatas": ["QUFB", "QUJD"]}, {**KEY, **REKOR},
    {**KEY, "rekorPublicKeyDatas": ["QUFB"]}, {"fulcio": FULCIO, **REKOR}, {"pki": PKI},
    {"pki": {**PKI, "subjectEmail": "a@b", "caIntermediatesData": "QUFB"}},
    {"fulcio": {"caData": "QUFB", "oidcIssuer": "x", "subjectEmail": "y"}, "rekorPublicKeyPaths": ["/a"]},
    {}, REKOR, {**KEY, "keyData": "QUFB"}, {**KEY, "keyPaths": ["/a"]}, {**KEY, "fulcio": FULCIO, **REKOR},
    {**KEY, "pki": PKI}, {"fulcio": FULCIO}, {"fulcio": FULCIO, "pki": PKI, **REKOR}, {"pki": PKI, **REKOR},
    {"keyPaths": []}, {"keyDatas": []}, {"keyPath": ""}, {"keyData": "!"}, {**KEY, "rekorPublicKeyPaths": []},
    {**KEY, **REKOR, "rekorPublicKeyData": "QUFB"}, {**KEY, "keyType": "GPGKeys"}, {**KEY, "KeyPath": "/k"}, {**KEY, "x": 1},
    {"fulcio": {}, **REKOR}, {"fulcio": CA, **REKOR}, {"fulcio": {**FULCIO, "caData": "QUFB"}, **REKOR},
    {"fulcio": {**FULCIO, "oidcIssuer": ""}, **REKOR}, {"fulcio": {**FULCIO, "subjectEmail": ""}, **REKOR},
    {"fulcio": {**FULCIO, "x": 1}, **REKOR}, {"fulcio": {**FULCIO, "CaPath": "/x"}, **REKOR}, {"fulcio": [FULCIO], **REKOR},
    {"pki": {}}, {"pki": {"caRootsPath": "/ca"}}, {"pki": {"subjectEmail": "a@b"}}, {"pki": {**PKI, "caRootsData": "QUFB"}},
    {"pki": {**PKI, "caIntermediatesPath": "/i", "caIntermediatesData": "QUFB"}}, {"pki": {**PKI, "oidcIssuer": "x"}},
    {"pki": {**PKI, "subjectHostname": ["b"]}}, {**KEY, "signedIdentity": {"type": "matchExact", "prefix": "a"}},
]  # fmt: skip


@needs("skopeo-current")
def test_both_read_the_same_requirements(folder: Path, tmp_path: Path) -> None:
    answers = set()
    for form in FORMS:
        default = [{"type": "sigstoreSigned", **form}, {"type": "reject"}]
        policy = written(tmp_path, default)
        done = attempt("skopeo-current", "--policy", policy, "copy", f"dir:{folder}", f"dir:{tmp_path}/out")
        assert done.returncode == 1, done.stderr
        theirs = "rejected" in done.stderr
        try:
            read_policy(policy.read_bytes())
        except ConfigError:
            ours = False
        else:
            ours = True
        assert ours == theirs, (form, done.stderr)
        answers.add(ours)
    assert answers == {True, False}


@needs("cosign", "docker-registry", "skopeo-current")
@pytest.mark.parametrize("name", ["below an intermediate", "no chain", "another log", "PKI: an intermediate along"])
def test_what_cosign_attached_at_a_registry(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    layer = read_attachment(case.blob)
    with docker_registry(tmp_path) as running:
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            load(registry.repository("team/app"), {"1": IMAGE})
        cosign_attach(f"{running.host}/team/app@{IMAGE.root.digest}", layer, tmp_path)
        folder = tmp_path / "registries.d"
        folder.mkdir()
        (folder / "here.yaml").write_text(f"docker: {{'{running.host}': {{use-sigstore-attachments: true}}}}")
        policy = tmp_path / "policy.json"
        policy.write_text(json.dumps({"default": [case.rule]}))
        for program, refused in ((bundler_path(), 17), (Path("skopeo-current"), 1)):
            done = attempt(
                *(program, "--policy", policy, "--registries.d", folder, "copy", "--remove-signatures"),
                *("--src-tls-verify=false", f"docker://{running.host}/team/app:1", f"dir:{tmp_path}/{program.name}"),
            )
            assert done.returncode == (refused if case.said else 0), done.stderr
            assert case.said in done.stderr or program.name != "bundler"


def cosign_attach(image: str, layer: Attachment, work: Path) -> None:
    """Let cosign attach a payload with its signature and all that comes with it."""
    said = layer.annotations
    files = {"payload": layer.payload, "signature": said[SIGNATURE].encode(), "certificate": said[CERTIFICATE].encode()}
    if CHAIN in said:
        files["certificate-chain"] = said[CHAIN].encode()
    if LOG_ENTRY in said:
        kept = {
            "base64Signature": said[SIGNATURE],
            "cert": said[CERTIFICATE],
            "rekorBundle": json.loads(said[LOG_ENTRY]),
        }
        files["rekor-response"] = json.dumps(kept).encode()
    options = []
    for option, content in files.items():
        (work / option).write_bytes(content)
        options += [f"--{option}", work / option]
    run("cosign", "attach", "signature", "--allow-http-registry", *options, image, env={"HOME": str(work)})
