from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from bundler.errors import BundlerError, SignatureError, TrustError
from bundler.trust.images import cosign
from bundler.trust.images.cosign import parse_payload, verify_payload
from bundler.trust.images.evidence import Evidence, Found
from bundler.trust.images.identity import Identity
from bundler.trust.images.requirement import Cosign
from bundler.trust.keys import P256_ORDER
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
    key,
    payload,
    signature,
    statement,
)

IMAGE = "reg.io/team/app:1"
ANN, EDDY = key("ann"), key("eddy", "ed25519")


def check(piece: Evidence, *, identity: str = "any", keys: tuple[Any, ...] = (ANN,)) -> Found:
    requirement = Cosign(tuple(each.public for each in keys), identity=Identity(identity))  # type: ignore[arg-type]
    return cosign.check(requirement, DIGEST, MANIFEST, IMAGE, piece)


@pytest.mark.parametrize("signer", [ANN, EDDY])
def test_a_signature_by_key(signer: Any) -> None:
    found = check(signature(signer=signer), keys=(ANN, EDDY), identity="matchRepository")
    assert found.verified
    assert found.by == (signer.public.key_id,)
    assert found.name == "reg.io/team/app"
    assert found.problem == ""


def test_a_bundle_by_key() -> None:
    found = check(bundle())
    assert found.verified
    assert found.by == (ANN.public.key_id,)
    assert found.predicate_type == "https://sigstore.dev/cosign/sign/v1"


def test_a_bundle_with_a_signature_over_the_manifest() -> None:
    document = bundle_document(statement(), ANN)
    del document["dsseEnvelope"]
    document["messageSignature"] = {"signature": b64(ANN.sign(MANIFEST))}
    assert check(bundle(document=document)).verified
    document["messageSignature"] = {"signature": b64(ANN.sign(MANIFEST + b" "))}
    assert not check(bundle(document=document)).verified


def test_a_bundle_names_nothing_so_that_a_rule_about_names_refuses_it() -> None:
    found = check(bundle(), identity="matchRepository")
    assert not found.verified
    assert "identity: any" in found.problem


def _flipped(text: str) -> str:
    return ("B" if text[8] == "A" else "A").join((text[:8], text[9:]))


def _ecdsa(r: int, s: int) -> str:
    return b64(encode_dss_signature(r, s))


_R, _S = decode_dss_signature(ANN.sign(payload()))
SPOILT: dict[str, tuple[Evidence, str]] = {
    "stripped": (signature(text=""), "missing"),
    "no annotation": (replace(signature(), annotations={}), "missing"),
    "not base64": (signature(text="!!!"), "base64"),
    "url-safe base64": (signature(text=b64(ANN.sign(payload()) + b"\xff\xfe").replace("+", "-").replace("/", "_")), ""),
    "line break in base64": (signature(text=b64(ANN.sign(payload())) + "\n"), "base64"),
    "flipped": (signature(text=_flipped(b64(ANN.sign(payload())))), "key"),
    "foreign": (signature(signer=key("mallory")), "key"),
    "another digest": (signature(OTHER), "another image"),
    "of another payload": (replace(signature(OTHER), content=payload()), "key"),
    "re-serialised": (replace(signature(), content=json.dumps(json.loads(payload()), indent=1).encode()), "key"),
    "r is 0": (signature(text=_ecdsa(0, _S)), "key"),
    "s is 0": (signature(text=_ecdsa(_R, 0)), "key"),
    "s is beyond the order": (signature(text=_ecdsa(_R, _S + P256_ORDER)), "key"),
    "trailing byte": (signature(text=b64(ANN.sign(payload()) + b"\0")), "key"),
    "BER padding": (signature(text=b64(b"\x30\x81" + ANN.sign(payload())[1:])), "key"),
    "of another algorithm": (signature(text=b64(EDDY.sign(payload()))), "key"),
    "atomic type": (signature(content=payload(type="atomic container signature")), "type"),
    "no digest": (signature(content=payload(image={})), "missing"),
    "digest of another kind": (signature(content=payload(image={"docker-manifest-digest": "md5:00"})), "digest"),
    "digest in capitals": (signature(content=payload(image={"docker-manifest-digest": DIGEST.upper()})), "digest"),
    "more in critical": (signature(content=payload(extra=1)), "not a known key"),
    "key twice": (signature(content=payload().replace(b'{"critical"', b'{"critical": {}, "critical"')), "twice"),
    "key in capitals": (signature(content=payload().replace(b'"critical"', b'"Critical"')), "spelled"),
    "trailing data": (signature(content=payload() + b"{}"), "not JSON"),
    "byte-order mark": (signature(content=b"\xef\xbb\xbf" + payload()), "byte-order"),
    "no JSON": (signature(content=b"hello"), "not JSON"),
    "nested": (signature(content=b"[" * 10_000), ""),
    "optional is text": (signature(content=payload().replace(b"null", b'"x"')), "object"),
}


@pytest.mark.parametrize("defect", SPOILT)
def test_a_bad_signature_is_told_and_counts_for_nothing(defect: str) -> None:
    piece, problem = SPOILT[defect]
    found = check(piece)
    assert not found.verified
    assert problem in found.problem
    assert found.problem


def _bundle(**changes: Any) -> Evidence:
    return bundle(document={**bundle_document(statement(), ANN), **changes})


BUNDLES: dict[str, tuple[Evidence, str]] = {
    "foreign": (bundle(statement(), key("mallory")), "key"),
    "another digest": (bundle(statement(OTHER)), "another image"),
    "an attestation is no signature": (bundle(statement(predicate_type=SPDX)), "predicate type"),
    "another payload type": (
        _bundle(dsseEnvelope=envelope(statement(), ANN, payload_type="application/json")),
        "its payload is",
    ),
    "payload type changed after signing": (
        _bundle(dsseEnvelope={**envelope(statement(), ANN, payload_type="x"), "payloadType": IN_TOTO}),
        "key",
    ),
    "no signatures": (_bundle(dsseEnvelope=envelope(statement())), "empty"),
    "100,000 signatures": (
        _bundle(dsseEnvelope={**envelope(statement()), "signatures": [{"sig": "AAAA"}] * 100_000}),
        "",
    ),
    "65 signatures": (
        _bundle(dsseEnvelope={**envelope(statement()), "signatures": [{"sig": "AAAA"}] * 65}),
        "more than the 64",
    ),
    "a version from the future": (_bundle(mediaType="application/vnd.dev.sigstore.bundle.v9+json"), "up to v0.3"),
    "key and certificate": (_bundle(verificationMaterial={"publicKey": {}, "certificate": {}}), "one way"),
    "no signer": (_bundle(verificationMaterial={}), "one way"),
    "certificate": (_bundle(verificationMaterial={"certificate": {"rawBytes": "AAAA"}}), "under a certificate"),
    "two contents": (_bundle(messageSignature={"signature": "AAAA"}), "either"),
    "member in capitals": (_bundle(DsseEnvelope={}), "also as"),
    "not an object": (_bundle(dsseEnvelope=[]), "object"),
    "statement of another type": (bundle(statement(_type="https://example.com/Statement")), "_type"),
    "subject is text": (bundle(statement(subject="all")), "list"),
    "2,000 subjects": (bundle(statement(subject=[{"digest": {"sha256": "00"}}] * 2000)), "subjects"),
}


@pytest.mark.parametrize("defect", BUNDLES)
def test_a_bad_bundle_is_told_and_counts_for_nothing(defect: str) -> None:
    piece, problem = BUNDLES[defect]
    found = check(piece)
    assert not found.verified
    assert problem in found.problem
    assert found.problem


def test_the_name_in_a_signature_is_held_against_the_rule() -> None:
    found = check(signature(reference="evil.io/app"), identity="matchRepository")
    assert not found.verified
    assert "evil.io/app" in found.problem


def test_control_characters_in_a_signed_name_are_not_printed() -> None:
    found = check(signature(reference="reg.io/\u202eapp\x1b[2J"), identity="matchRepository")
    assert not found.verified
    assert found.problem.isprintable()
    assert found.name.isprintable()


def test_the_optional_part_may_hold_anything() -> None:
    content = payload().replace(b"null", b'{"creator": "x", "tag": "1"}')
    assert parse_payload(content).digest == DIGEST


def test_verify_payload_for_others() -> None:
    keys = (ANN.public,)
    assert verify_payload(payload(), b64(ANN.sign(payload())), keys=keys, digest=DIGEST).reference == "reg.io/team/app"
    with pytest.raises(TrustError):
        verify_payload(payload(), b64(key("mallory").sign(payload())), keys=keys, digest=DIGEST)
    with pytest.raises(SignatureError):
        verify_payload(payload(OTHER), b64(ANN.sign(payload(OTHER))), keys=keys, digest=DIGEST)
    with pytest.raises(BundlerError):
        verify_payload(payload(), "", keys=keys, digest=DIGEST)
