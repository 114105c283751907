from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.statement import PAYLOAD_TYPE
from bundler.errors import ArchiveError, BundlerError, LimitError
from bundler.trust import dsse
from bundler.trust.dsse import Envelope, Signature, pae, parse_envelope, serialise
from bundler.trust.signing import sign_envelope
from tests.trust.papers import key


def test_pae_of_the_specification() -> None:
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_not_characters() -> None:
    assert pae("tüpe", "ä€😀".encode()) == b"DSSEv1 5 t\xc3\xbcpe 9 " + "ä€😀".encode()


def test_pae_keeps_newlines_and_zeros() -> None:
    assert pae("t", b"\0\r\n ") == b"DSSEv1 1 t 4 \0\r\n "


@given(st.tuples(st.text(max_size=9), st.binary(max_size=9)), st.tuples(st.text(max_size=9), st.binary(max_size=9)))
def test_pae_is_different_for_different_documents(one: tuple[str, bytes], two: tuple[str, bytes]) -> None:
    assert (pae(*one) == pae(*two)) == (one == two)


SIGNATURES = st.lists(st.builds(Signature, st.text("0123456789abcdef", max_size=8), st.binary(min_size=1, max_size=80)))


@given(st.binary(min_size=1), SIGNATURES)
def test_round_trip(payload: bytes, signatures: list[Signature]) -> None:
    envelope = Envelope(payload, tuple(signatures))
    raw = serialise(envelope)
    assert parse_envelope(raw) == envelope
    assert serialise(parse_envelope(raw)) == raw


def test_signing_in_any_order_and_twice_gives_the_same_bytes() -> None:
    one, two = key("one"), key("two", "ed25519")
    a = sign_envelope(sign_envelope(Envelope(b"p"), one), two)
    b = sign_envelope(sign_envelope(sign_envelope(Envelope(b"p"), two), one), two)
    assert serialise(a) == serialise(b)
    assert len(a.signatures) == 2


def test_a_new_signature_replaces_an_earlier_one_of_the_same_key() -> None:
    envelope = Envelope(b"p", (Signature("a", b"old"), Signature("b", b"kept"))).with_signature(Signature("a", b"new"))
    assert envelope.signatures == (Signature("a", b"new"), Signature("b", b"kept"))


def test_the_signature_is_over_the_encoding() -> None:
    signed = sign_envelope(Envelope(b"payload"), key("one"))
    key("one").public.verify(b"DSSEv1 28 application/vnd.in-toto+json 7 payload", signed.signatures[0].value)


def document(**changes: Any) -> dict[str, Any]:
    value = {"payloadType": PAYLOAD_TYPE, "payload": "cA==", "signatures": [{"keyid": "a", "sig": "cw=="}]}
    value.update(changes)
    return {name: part for name, part in value.items() if part != "absent"}


def test_a_signature_may_lack_its_id() -> None:
    raw = json.dumps(document(signatures=[{"sig": "cw=="}])).encode()
    assert parse_envelope(raw) == Envelope(b"p", (Signature("", b"s"),))


def test_no_signatures_yet() -> None:
    assert parse_envelope(json.dumps(document(signatures=[])).encode()) == Envelope(b"p")


BAD: dict[str, tuple[Any, str]] = {
    "other-payload-type": (document(payloadType="application/vnd.in-toto+jsom"), "payloadType must be"),
    "payload-type-in-capitals": (document(payloadType=PAYLOAD_TYPE.upper()), "payloadType must be"),
    "payload-type-with-parameter": (document(payloadType=PAYLOAD_TYPE + ";v=1"), "payloadType must be"),
    "payload-type-absent": (document(payloadType="absent"), "payloadType is missing"),
    "payload-absent": (document(payload="absent"), "payload is missing"),
    "payload-empty": (document(payload=""), "payload must be standard base64"),
    "payload-url-safe": (document(payload="-_-_"), "payload must be standard base64"),
    "payload-unpadded": (document(payload="cA"), "payload must be standard base64"),
    "payload-overpadded": (document(payload="cA==="), "payload must be standard base64"),
    "payload-with-stray-bits": (document(payload="cB=="), "payload must be standard base64"),
    "payload-with-newline": (document(payload="cA=\n="), "payload must be standard base64"),
    "payload-not-ascii": (document(payload="cÄ=="), "payload must be standard base64"),
    "payload-two-in-one": (document(payload="cA==cA=="), "payload must be standard base64"),
    "payload-a-number": (document(payload=7), "payload must be text"),
    "signatures-absent": (document(signatures="absent"), "signatures is missing"),
    "signatures-an-object": (document(signatures={"sig": "cw=="}), "signatures must be a list"),
    "signature-text": (document(signatures=["cw=="]), r"signatures\[0\]: must be an object"),
    "signature-without-sig": (document(signatures=[{"keyid": "a"}]), "sig is missing"),
    "signature-empty": (document(signatures=[{"keyid": "a", "sig": ""}]), "sig must be standard base64"),
    "signature-keyid-a-number": (document(signatures=[{"keyid": 1, "sig": "cw=="}]), "keyid must be text"),
    "signature-with-more": (document(signatures=[{"sig": "cw==", "cert": ""}]), "cert is not a known key"),
    "unknown-key": (document(extra=1), "extra is not a known key"),
    "a-list": ([], "must be an object"),
}


@pytest.mark.parametrize(("value", "message"), BAD.values(), ids=BAD)
def test_envelopes_that_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ArchiveError, match=message) as caught:
        parse_envelope(json.dumps(value).encode(), what="e.json")
    assert str(caught.value).startswith("e.json: ")


GOOD = serialise(Envelope(b"p", (Signature("a", b"s"),)))
BAD_JSON: dict[str, tuple[bytes, str]] = {
    "payload-twice": (GOOD.replace(b'"payload":', b'"payload": "eA==", "payload":'), "appears twice"),
    "payload-in-two-cases": (GOOD.replace(b'"payload":', b'"Payload": "eA==", "payload":'), "appears also as"),
    "long-s-in-key": (
        GOOD.replace(b'"signatures":', '"\u017fignatures": [], "signatures":'.encode()),
        "appears also as",
    ),
    "keyid-in-two-cases": (GOOD.replace(b'"keyid":', b'"keyID": "b", "keyid":'), "appears also as"),
    "trailing-data": (GOOD + b"{}", "not JSON"),
    "byte-order-mark": (b"\xef\xbb\xbf" + GOOD, "byte-order mark"),
    "cut": (GOOD[:-3], "not JSON"),
    "empty": (b"", "not JSON"),
}


@pytest.mark.parametrize(("raw", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_two_readers_could_read_differently(raw: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        parse_envelope(raw)


LIMITS: dict[str, tuple[bytes, type[BundlerError]]] = {
    "signatures": (json.dumps(document(signatures=[{"sig": "cw=="}] * 1025)).encode(), LimitError),
    "signature-length": (
        json.dumps(document(signatures=[{"sig": base64.b64encode(bytes(2049)).decode()}])).encode(),
        LimitError,
    ),
    "nesting": (json.dumps(document()).encode().replace(b'"a"', b"[" * 70 + b"]" * 70), LimitError),
}


@pytest.mark.parametrize(("raw", "kind"), LIMITS.values(), ids=LIMITS)
def test_limits(raw: bytes, kind: type[BundlerError]) -> None:
    with pytest.raises(kind):
        parse_envelope(raw)


def test_size_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsse, "ENVELOPE_CAP", len(GOOD) - 1)
    with pytest.raises(LimitError):
        parse_envelope(GOOD)


def test_as_many_signatures_as_allowed() -> None:
    raw = json.dumps(document(signatures=[{"sig": "cw=="}] * 1024)).encode()
    assert len(parse_envelope(raw).signatures) == 1024
