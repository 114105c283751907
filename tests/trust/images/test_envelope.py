from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import LimitError, SignatureError
from bundler.trust.images.attestation import parse_statement
from bundler.trust.images.cosign import parse_payload
from bundler.trust.images.envelope import CAP, decoded, holds, read_bundle, read_envelope
from tests.trust.images.material import IN_TOTO, b64, bundle_document, envelope, key, payload, statement

ANN, BOB = key("ann"), key("bob")


def test_an_envelope_is_kept_byte_by_byte() -> None:
    content = '{"ä":  1}\n'.encode()
    found = read_envelope(json.dumps(envelope(content, ANN, BOB)).encode())
    assert (found.payload_type, found.payload) == (IN_TOTO, content)
    assert found.signers((BOB.public, key("mallory").public, ANN.public)) == (BOB.public, ANN.public)


def test_a_key_counts_once_however_often_it_signed() -> None:
    document = envelope(b"x", ANN)
    document["signatures"] *= 3
    assert read_envelope(json.dumps(document).encode()).signers((ANN.public,)) == (ANN.public,)


def test_the_payload_type_is_signed_in_bytes_not_characters() -> None:
    document = envelope(b"x", ANN, payload_type="tüpe")
    assert read_envelope(json.dumps(document).encode()).signers((ANN.public,)) == (ANN.public,)
    document["payloadType"] = "tupe"
    assert read_envelope(json.dumps(document).encode()).signers((ANN.public,)) == ()


def test_a_bundle() -> None:
    found = read_bundle(json.dumps(bundle_document(statement(), ANN)).encode())
    assert not found.certified
    assert found.envelope is not None
    assert found.envelope.payload == statement()


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_older_names_of_bundles(version: str) -> None:
    document = bundle_document(statement(), ANN)
    document["mediaType"] = f"application/vnd.dev.sigstore.bundle+json;version={version}"
    assert read_bundle(json.dumps(document).encode()).envelope is not None


@pytest.mark.parametrize(
    "text", ["", "A", "AA", "AAA", "AAA=A", "AB==", "AAAA\n", " AAAA", "A-_A", "ä", "====", "AAAA===="]
)
def test_base64_has_one_form(text: str) -> None:
    assert decoded(text) is None


@given(st.binary(min_size=1, max_size=80))
def test_base64_round_trip(raw: bytes) -> None:
    assert decoded(b64(raw)) == raw


def test_documents_over_their_cap() -> None:
    for reader in (read_envelope, read_bundle):
        with pytest.raises(LimitError):
            reader(b" " * (CAP + 1))


def test_a_signature_of_nothing() -> None:
    assert not holds(ANN.public, b"x", b"")


READERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "envelope": (read_envelope, json.dumps(envelope(statement(), ANN)).encode()),
    "bundle": (read_bundle, json.dumps(bundle_document(statement(), ANN)).encode()),
    "statement": (lambda raw: parse_statement(IN_TOTO, raw), statement()),
    "payload": (parse_payload, payload()),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_whatever_is_read_it_is_refused_in_our_words(name: str, data: st.DataObject) -> None:
    """Good documents with a stretch replaced."""
    reader, good = READERS[name]
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    raw = good[:start] + data.draw(st.binary(max_size=20)) + good[end:]
    with suppress(SignatureError, LimitError):
        reader(raw)
