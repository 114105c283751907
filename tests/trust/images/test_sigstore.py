from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from bundler.errors import ConfigError
from bundler.trust.images import sigstore
from bundler.trust.images.evidence import Found
from bundler.trust.images.identity import Identity
from bundler.trust.images.requirement import Sigstore, Subject
from tests.trust.images.fulcio import ISSUER, NOW, Fulcio
from tests.trust.images.material import DIGEST, MANIFEST, OTHER, SPDX, b64, bundle, signature, statement

ME = "me@site.example"
NAME = "reg.io/team/app:1"
WORKFLOW = "https://forge.example/acme/app/.forge/release.yml@refs/tags/v1"


@cache
def site(name: str = "site") -> Fulcio:
    return Fulcio()


def check(
    document: dict[str, Any],
    *,
    subject: Subject | str = ME,
    issuer: str = ISSUER,
    predicate_type: str = "",
    root: bytes | None = None,
) -> Found:
    subject = Subject(subject) if isinstance(subject, str) else subject
    requirement = Sigstore(issuer, subject, root or site().trusted_root, predicate_type)
    return sigstore.check(requirement, DIGEST, MANIFEST, NAME, bundle(document=document))


@cache
def signed() -> dict[str, Any]:
    return site().bundle(statement(), ME)


def test_a_signature_under_a_certificate() -> None:
    found = check(signed())
    assert found.problem == ""
    assert found.verified
    assert found.by == (ME,)


def test_a_signature_over_the_manifest() -> None:
    found = check(site().bundle(MANIFEST, ME, enveloped=False))
    assert found.problem == ""
    assert found.verified


def test_an_attestation_under_a_certificate() -> None:
    document = site().bundle(statement(predicate_type=SPDX), ME)
    assert check(document, predicate_type="spdx").verified
    assert "predicate type" in check(document, predicate_type="cyclonedx").problem
    assert "predicate type" in check(document).problem, "an attestation is no signature"
    bare = site().bundle(MANIFEST, ME, enveloped=False)
    assert "not an attestation" in check(bare, predicate_type="spdx").problem


def test_a_subject_by_pattern() -> None:
    document = site().bundle(statement(), WORKFLOW)
    good = Subject(r"https://forge\.example/acme/.*@refs/tags/v[0-9]+", is_pattern=True)
    assert check(document, subject=good).by == (WORKFLOW,)
    assert not check(document, subject=Subject("https://forge", is_pattern=True)).verified, "the whole name must match"
    assert not check(document, subject=good.text).verified, "an exact subject is no pattern"


def _set(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *above, last = path.split(".")
    node: Any = changed
    for step in above:
        node = node[int(step) if step.isdigit() else step]
    if value is None:
        del node[last]
    else:
        node[int(last) if last.isdigit() else last] = value
    return changed


ENTRY = "verificationMaterial.tlogEntries.0"
SPOILT: dict[str, Callable[[], dict[str, Any]]] = {
    "foreign site": lambda: site("other").bundle(statement(), ME),
    "another image": lambda: site().bundle(statement(OTHER), ME),
    "another manifest": lambda: site().bundle(MANIFEST + b" ", ME, enveloped=False),
    "another subject": lambda: site().bundle(statement(), "mallory@site.example"),
    "another issuer": lambda: site().bundle(statement(), ME, issuer="https://evil.example"),
    "two subjects": lambda: site().bundle(statement(), ME, "mallory@site.example"),
    "subject in capitals": lambda: site().bundle(statement(), ME.upper()),
    "another payload type": lambda: site().bundle(statement(), ME, payload_type="text/plain"),
    "no SCT": lambda: site().bundle(statement(), ME, sct=False),
    "payload swapped": lambda: _set(signed(), "dsseEnvelope.payload", b64(statement(OTHER))),
    "payload type swapped": lambda: _set(signed(), "dsseEnvelope.payloadType", "text/plain"),
    "certificate swapped": lambda: _set(
        signed(),
        "verificationMaterial.certificate",
        site().bundle(statement(), ME)["verificationMaterial"]["certificate"],
    ),
    "certificate is rubbish": lambda: _set(signed(), "verificationMaterial.certificate", {"rawBytes": "AAAA"}),
    "certificate is the root's": lambda: _set(
        signed(),
        "verificationMaterial.certificate",
        json.loads(site().trusted_root)["certificateAuthorities"][0]["certChain"]["certificates"][0],
    ),
    "log entry swapped": lambda: _set(
        signed(), ENTRY, site().bundle(statement(), ME)["verificationMaterial"]["tlogEntries"][0]
    ),
    "no log entry": lambda: _set(signed(), "verificationMaterial.tlogEntries", []),
    "two log entries": lambda: _set(
        signed(), "verificationMaterial.tlogEntries", signed()["verificationMaterial"]["tlogEntries"] * 2
    ),
    "no inclusion proof": lambda: _set(signed(), f"{ENTRY}.inclusionProof", None),
    "no promise": lambda: _set(signed(), f"{ENTRY}.inclusionPromise", None),
    "proof of another tree": lambda: _set(signed(), f"{ENTRY}.inclusionProof.treeSize", "3"),
    "negative tree": lambda: _set(signed(), f"{ENTRY}.inclusionProof.treeSize", "-1"),
    "checkpoint stripped": lambda: _set(signed(), f"{ENTRY}.inclusionProof.checkpoint", {"envelope": "x\n\ny\n"}),
    "integrated at another time": lambda: _set(
        signed(), f"{ENTRY}.integratedTime", str(int((NOW + timedelta(minutes=1)).timestamp()))
    ),
    "entry of another kind": lambda: _set(signed(), f"{ENTRY}.kindVersion", {"kind": "intoto", "version": "0.0.2"}),
    "signature emptied": lambda: _set(signed(), "dsseEnvelope.signatures", [{"sig": ""}]),
    "signed twice": lambda: _set(signed(), "dsseEnvelope.signatures", signed()["dsseEnvelope"]["signatures"] * 2),
    "unknown member": lambda: _set(signed(), "verificationMaterial.extra", {"x": 1}),
}


@pytest.mark.parametrize("defect", SPOILT)
def test_a_bad_bundle_is_told_and_counts_for_nothing(defect: str) -> None:
    found = check(SPOILT[defect]())
    assert not found.verified, defect
    assert found.problem
    assert found.problem.isprintable()


def test_signed_outside_of_the_certificates_life() -> None:
    late = site()
    moved = Fulcio(NOW + timedelta(days=1))
    moved.ca, moved.ct, moved.rekor, moved.root = late.ca, late.ct, late.rekor, late.root
    assert not check(moved.bundle(statement(), ME)).verified


def test_what_is_signed_by_a_key_is_not_taken() -> None:
    requirement = Sigstore(ISSUER, Subject(ME), site().trusted_root)
    assert "by a key" in sigstore.check(requirement, DIGEST, MANIFEST, NAME, bundle()).problem
    assert "by a key" in sigstore.check(requirement, DIGEST, MANIFEST, NAME, signature()).problem


def test_a_bundle_names_no_image_so_only_the_digest_can_decide() -> None:
    named = Sigstore(ISSUER, Subject(ME), site().trusted_root, identity=Identity("matchRepository"))
    for document in (signed(), site().bundle(MANIFEST, ME, enveloped=False)):
        found = sigstore.check(named, DIGEST, MANIFEST, NAME, bundle(document=document))
        assert not found.verified
        assert "names no image" in found.problem


@pytest.mark.parametrize(
    "root",
    [b"", b"{}", b"[]", b'{"mediaType": "x", "tlogs": []}', b'{"tlogs": [], "Tlogs": []}', b"\xff"],
    ids=["empty", "no members", "list", "other type", "case-folded", "not UTF-8"],
)
def test_a_bad_trusted_root_is_the_sites_own_error(root: bytes) -> None:
    requirement = Sigstore(ISSUER, Subject(ME), root)
    with pytest.raises(ConfigError, match="trusted root"):
        sigstore.check(requirement, DIGEST, MANIFEST, NAME, bundle(document=signed()))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    sigstore.verifier_of.cache_clear()
    with pytest.raises(ConfigError) as caught:
        check(signed())
    assert "oci-bundler[trust]" in caught.value.hint
