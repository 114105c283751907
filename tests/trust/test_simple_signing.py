"""The payload of simple signatures: what is written, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.errors import LimitError, SignatureError
from bundler.oci.digest import digest_of
from bundler.trust.simple_signing import CAP, TYPE, Payload, parse_payload

DIGEST = digest_of(b"manifest")
NAME = "registry.example/app:1"


def document(**changes: Any) -> dict[str, Any]:
    """A payload as skopeo writes it; ``changes`` are made in it, by paths with ``__`` between their parts."""
    made: dict[str, Any] = {
        "critical": {
            "identity": {"docker-reference": NAME},
            "image": {"docker-manifest-digest": str(DIGEST)},
            "type": TYPE,
        },
        "optional": {"creator": "atomic 5.30.0", "timestamp": 1_700_000_000},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = made
        for parent in parents:
            at = at[parent]
        if value is ...:
            del at[last.replace("_", "-")]
        else:
            at[last.replace("_", "-")] = value
    return made


def text(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


@pytest.mark.parametrize(
    "payload",
    [
        Payload(DIGEST, NAME),
        Payload(DIGEST, NAME, "bundler 1"),
        Payload(DIGEST, NAME, "", 0),
        Payload(DIGEST, NAME, "ü", 9),
    ],
)
def test_what_is_written_is_read(payload: Payload) -> None:
    assert parse_payload(payload.serialised()) == payload


def test_what_is_written_has_the_shape_of_the_specification() -> None:
    written = Payload(DIGEST, NAME, "atomic 5.30.0", 1_700_000_000).serialised()
    assert json.loads(written) == document()
    assert written == Payload(DIGEST, NAME, "atomic 5.30.0", 1_700_000_000).serialised()
    assert json.loads(Payload(DIGEST, NAME).serialised())["optional"] == {}


@pytest.mark.parametrize(
    ("changes", "creator", "timestamp"),
    [
        ({}, "atomic 5.30.0", 1_700_000_000),
        ({"optional": {}}, "", None),
        ({"optional__creator": ...}, "", 1_700_000_000),
        ({"optional__timestamp": ...}, "atomic 5.30.0", None),
        ({"optional__team": {"any": ["thing"]}}, "atomic 5.30.0", 1_700_000_000),
    ],
)
def test_what_is_optional_may_be_missing_or_more(changes: dict[str, Any], creator: str, timestamp: int | None) -> None:
    assert parse_payload(text(**changes)) == Payload(DIGEST, NAME, creator, timestamp)


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"&",
    "not an object": b"1",
    "a list": b"[]",
    "null": b"null",
    "trailing data": text() + b"{}",
    "a second document": text() + text(),
    "byte-order mark": b"\xef\xbb\xbf" + text(),
    "not UTF-8": text().replace(b"app", b"\xff\xfe"),
    "cut short": text()[:-1],
    "no critical": text(critical=...),
    "no optional": text(optional=...),
    "no type": text(critical__type=...),
    "no image": text(critical__image=...),
    "no identity": text(critical__identity=...),
    "no digest": text(critical__image__docker_manifest_digest=...),
    "no reference": text(critical__identity__docker_reference=...),
    "unknown key at the top": text(unexpected=1),
    "unknown key in critical": text(critical__unexpected=1),
    "unknown key in image": text(critical__image__unexpected=1),
    "unknown key in identity": text(critical__identity__unexpected=1),
    "unknown key that is null": text(critical__unexpected=None),
    "critical is a number": text(critical=1),
    "critical is null": text(critical=None),
    "optional is a number": text(optional=1),
    "optional is null": text(optional=None),
    "type is a number": text(critical__type=1),
    "type of another kind": text(critical__type="cosign container image signature"),
    "type but for its case": text(critical__type=TYPE.title()),
    "type with a space": text(critical__type=TYPE + " "),
    "image is text": text(critical__image="x"),
    "image is a list": text(critical__image=[{"docker-manifest-digest": str(DIGEST)}]),
    "identity is text": text(critical__identity=NAME),
    "digest is a number": text(critical__image__docker_manifest_digest=1),
    "digest is no digest": text(critical__image__docker_manifest_digest="sha256:../.."),
    "digest in upper case": text(critical__image__docker_manifest_digest=str(DIGEST).upper()),
    "digest of md5": text(critical__image__docker_manifest_digest="md5:" + "0" * 32),
    "digest with a line break": text(critical__image__docker_manifest_digest=f"{DIGEST}\n"),
    "reference is a number": text(critical__identity__docker_reference=1),
    "reference is empty": text(critical__identity__docker_reference=""),
    "creator is a number": text(optional__creator=1),
    "timestamp is text": text(optional__timestamp="1700000000"),
    "timestamp is a fraction": text(optional__timestamp=0.5),
    "timestamp is true": text(optional__timestamp=True),
    "timestamp is NaN": text(optional__timestamp=float("nan")),
    "two critical parts": text()[:-1] + b', "critical": ' + json.dumps(document()["critical"]).encode() + b"}",
    "two digests": text().replace(b'"docker-manifest-digest"', f'"docker-manifest-digest": "{DIGEST}", "docker-manifest-digest"'.encode()),
    "two references": text().replace(b'"docker-reference"', b'"docker-reference": "b", "docker-reference"'),
    "a key twice but for its case": text().replace(b'"docker-reference"', b'"Docker-Reference": "b", "docker-reference"'),
    "only the case of a key": text().replace(b'"docker-reference"', b'"Docker-Reference"'),
    "two creators": text().replace(b'"creator"', b'"creator": "b", "creator"'),
    "a lone surrogate": text(optional__creator="\ud800"),
}  # fmt: skip


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_payloads_are_refused(raw: bytes) -> None:
    with pytest.raises(SignatureError) as refused:
        parse_payload(raw)
    assert str(refused.value).isprintable()
    assert refused.value.hint


def test_payloads_are_bounded() -> None:
    with pytest.raises(LimitError):
        parse_payload(text(optional__note="x" * CAP))
    with pytest.raises(LimitError):
        parse_payload(b'{"a":' * 80 + b"1" + b"}" * 80)


def test_names_are_told_as_they_were_signed() -> None:
    assert parse_payload(text(critical__identity__docker_reference="busybox")).reference == "busybox"
