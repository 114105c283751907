from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.trust.images import attestation
from bundler.trust.images.attestation import glimpse
from bundler.trust.images.evidence import DSSE, Evidence, Found
from bundler.trust.images.requirement import Attested, is_of_type
from tests.trust.images.fulcio import Fulcio
from tests.trust.images.material import (
    DIGEST,
    IN_TOTO,
    MANIFEST,
    OTHER,
    SPDX,
    b64,
    bundle,
    bundle_document,
    envelope,
    evidence,
    key,
    signature,
    statement,
)
from tests.trust.images.material import attestation as made

ANN = key("ann")


def check(piece: Evidence, wanted: str = "spdx", *keys: Any) -> Found:
    return attestation.check(Attested(wanted, tuple(k.public for k in keys or (ANN,))), DIGEST, piece)


TYPES = [
    ("slsa-provenance", "https://slsa.dev/provenance/v0.2", True),
    ("slsa-provenance", "https://slsa.dev/provenance/v1", True),
    ("slsa-provenance", "https://slsa.dev/provenance", True),
    ("slsa-provenance", "https://slsa.dev/provenance/v1/../../x", False),
    ("slsa-provenance", "https://slsa.dev/provenancex", False),
    ("slsa-provenance", "https://slsa.dev/verification_summary/v1", False),
    ("spdx", "https://spdx.dev/Document", True),
    ("spdx", "https://spdx.dev/Document/v2.3", True),
    ("spdx", "https://SPDX.dev/Document", False),
    ("cyclonedx", "https://cyclonedx.org/bom", True),
    ("cyclonedx", "https://cyclonedx.org/bom/v1.6", True),
    ("cyclonedx", "https://spdx.dev/Document", False),
    ("https://example.com/x", "https://example.com/x", True),
    ("https://example.com/x", "https://example.com/x/v1", False),
]


@pytest.mark.parametrize(("wanted", "given", "fits"), TYPES)
def test_predicate_types(wanted: str, given: str, fits: bool) -> None:
    assert is_of_type(given, wanted) is fits
    assert check(made(predicate_type=given), wanted).verified is fits


@pytest.mark.parametrize("piece", [made(), bundle(statement(predicate_type=SPDX))], ids=["envelope", "bundle"])
def test_an_attestation_by_key(piece: Evidence) -> None:
    found = check(piece)
    assert found.verified
    assert found.by == (ANN.public.key_id,)
    assert found.predicate_type == SPDX


def test_statements_of_cosign_2_are_of_v0_1() -> None:
    content = statement(predicate_type=SPDX, _type="https://in-toto.io/Statement/v0.1")
    assert check(evidence("attestation", DSSE, json.dumps(envelope(content, ANN)).encode())).verified


def test_one_subject_of_several_suffices() -> None:
    algorithm, _, value = DIGEST.partition(":")
    subjects = [{"name": "a", "digest": {"sha256": "0" * 64}}, {"name": "b", "digest": {algorithm: value}}]
    assert check(bundle(statement(predicate_type=SPDX, subject=subjects))).verified


def _raw(document: Any) -> Evidence:
    return evidence("attestation", DSSE, document if isinstance(document, bytes) else json.dumps(document).encode())


GOOD = envelope(statement(predicate_type=SPDX), ANN)
SPOILT: dict[str, tuple[Evidence, str]] = {
    "foreign": (made(signer=key("mallory")), "key"),
    "another digest": (made(OTHER), "another image"),
    "stripped": (_raw({**GOOD, "signatures": []}), "empty"),
    "no signatures member": (_raw({"payload": GOOD["payload"], "payloadType": IN_TOTO}), "missing"),
    "payload swapped": (_raw({**GOOD, "payload": b64(statement(OTHER, SPDX))}), "key"),
    "payload re-serialised": (
        _raw({**GOOD, "payload": b64(json.dumps(json.loads(statement(predicate_type=SPDX)), indent=1).encode())}), "key"
    ),
    "payload type swapped": (_raw({**GOOD, "payloadType": "text/plain"}), "key"),
    "another payload type": (
        _raw(envelope(statement(predicate_type=SPDX), ANN, payload_type="application/json")), "its payload is"
    ),
    "multi-byte payload type": (
        _raw(envelope(statement(predicate_type=SPDX), ANN, payload_type="application/\u00fc")), "its payload is"
    ),
    "100,000 signatures": (_raw({**GOOD, "signatures": [{"sig": "AAAA"}] * 100_000}), ""),
    "65 signatures": (_raw({**GOOD, "signatures": GOOD["signatures"] * 65}), "more than the 64"),
    "signature of 3,000 bytes": (_raw({**GOOD, "signatures": [{"sig": b64(bytes(3000))}]}), "more than the 2048"),
    "a member in capitals": (_raw({**GOOD, "Payload": "x"}), "also as"),
    "only in capitals": (_raw({"Payload": GOOD["payload"], **{k: GOOD[k] for k in ("payloadType", "signatures")}}), "spelled"),
    "a member twice": (_raw(json.dumps(GOOD).replace('{"payload', '{"payload": "", "payload').encode()), "twice"),
    "trailing bytes": (_raw(json.dumps(GOOD).encode() + b"x"), "not JSON"),
    "url-safe base64": (_raw({**GOOD, "payload": "_" + GOOD["payload"][1:]}), "base64"),
    "a list": (_raw([GOOD]), "object"),
    "subject without digest": (bundle(statement(predicate_type=SPDX, subject=[{"name": "reg.io/team/app"}])), "another"),
    "digest in capitals": (
        bundle(statement(predicate_type=SPDX, subject=[{"digest": {"SHA256": DIGEST.partition(":")[2]}}])), "another"
    ),
    "digest is a number": (bundle(statement(predicate_type=SPDX, subject=[{"digest": {"sha256": 1}}])), "text"),
    "predicate type is missing": (bundle(statement(predicateType=None)), "missing"),
    "control characters in its type": (made(predicate_type="https://x\x1b[2J\u202e"), "x1b"),
}  # fmt: skip


@pytest.mark.parametrize("defect", SPOILT)
def test_a_bad_attestation_is_told_and_counts_for_nothing(defect: str) -> None:
    piece, problem = SPOILT[defect]
    found = check(piece)
    assert not found.verified
    assert found.problem
    assert problem in found.problem
    assert found.problem.isprintable()


def test_bundles_that_are_no_attestation_by_key() -> None:
    certified = bundle(document=Fulcio().bundle(statement(predicate_type=SPDX), "me@site"))
    assert "certificate" in check(certified).problem
    bare = bundle_document(statement(), ANN)
    del bare["dsseEnvelope"]
    bare["messageSignature"] = {"signature": b64(ANN.sign(MANIFEST))}
    assert "no attestation" in check(bundle(document=bare)).problem


def test_a_glimpse_never_raises() -> None:
    assert glimpse(made(signer=key("mallory"))) == SPDX
    assert glimpse(_raw(b"\xff")) == ""
    assert glimpse(bundle(document=Fulcio().bundle(statement(predicate_type=SPDX), "me@site"))) == SPDX
    assert glimpse(signature()) == ""
