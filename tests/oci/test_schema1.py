"""Schema 1: what was signed is found, and everything that is not as it should be is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bundler.errors import BundlerError, LimitError, ProtocolError
from bundler.oci.digest import digest_of
from bundler.oci.schema1 import MAX_LAYERS, digest, parse_schema1, payload
from tests.images import family
from tests.schema1 import base64url, document, id_of, payload_of, signed

BASE, TOP = ("sha256:" + letter * 64 for letter in "ab")
RECORDS = [{"created": "2015-01-01T00:00:00Z"}, {"os": "linux"}]
VALUE = document([BASE, TOP], RECORDS)


def test_the_payload_is_what_was_signed() -> None:
    assert payload(signed(VALUE), what="m") == payload_of(VALUE)
    assert digest(signed(VALUE)) == digest_of(payload_of(VALUE))


def test_without_signatures_the_payload_is_the_document() -> None:
    raw = payload_of(VALUE)
    assert payload(raw, what="m") == raw
    assert digest(raw) == digest_of(raw)


def test_as_other_tools_write_it() -> None:
    """One line, and a tail of one byte."""
    inner = json.dumps(VALUE, separators=(",", ":"))
    header = base64url(json.dumps({"formatLength": len(inner) - 1, "formatTail": "fQ"}).encode())
    raw = (inner[:-1] + ',"signatures":[{"protected":"' + header + '"}]}').encode()
    assert payload(raw, what="m").decode() == inner


def test_parsed_in_the_order_of_the_build() -> None:
    found = parse_schema1(signed(VALUE), what="m")
    assert found.layers == (BASE, TOP)
    assert [record["id"] for record in found.history] == [id_of(0), id_of(1)]
    assert (found.name, found.tag, found.architecture) == ("acme/app", "1", "amd64")


@pytest.mark.parametrize("name", family())
def test_the_digest_of_any_other_manifest_is_that_of_its_bytes(name: str) -> None:
    assert digest(family()[name].raw) == family()[name].root.digest


def test_signatures_in_a_later_manifest_do_not_hide_anything() -> None:
    raw = json.dumps({**json.loads(family()["web"].raw), "signatures": [{"protected": "x"}]}).encode()
    assert digest(raw) == digest_of(raw)


def other_payload() -> bytes:
    """A header that names bytes other than those around it."""
    hidden = payload_of(document([TOP], RECORDS[:1]))
    return signed(VALUE, formatLength=0, formatTail=base64url(hidden))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a protected header that is not base64": (
        lambda: signed(VALUE).replace(b'"protected": "', b'"protected": "\\u00e9%'),
        "base64url|not",
    ),
    "a tail that is not base64": (lambda: signed(VALUE, formatTail="%%%%é"), "base64url|not"),
    "formatLength too long": (lambda: signed(VALUE, formatLength=10**9), "formatLength is more"),
    "formatLength negative": (lambda: signed(VALUE, formatLength=-1), "formatLength must be"),
    "formatLength that cuts the payload": (lambda: signed(VALUE, formatLength=40), "not JSON"),
    "a payload that says something else": (other_payload, "another document"),
    "no signature in the list": (
        lambda: json.dumps({**VALUE, "signatures": []}).encode(),
        "different payloads, or there are none",
    ),
    "two signatures about different payloads": (
        lambda: json.dumps(
            {
                **VALUE,
                "signatures": [
                    {"protected": base64url(json.dumps({"formatLength": n, "formatTail": ""}).encode())} for n in (1, 2)
                ],
            }
        ).encode(),
        "different payloads",
    ),
    "more layers than records": (lambda: signed(document([BASE, TOP], RECORDS[:1])), "2 layers and 1 records"),
    "more records than layers": (lambda: signed(document([BASE], RECORDS)), "1 layers and 2 records"),
    "no layers": (lambda: signed(document([], [])), "0 layers"),
    "too many layers": (lambda: signed(document([BASE] * (MAX_LAYERS + 1), ["{}"] * (MAX_LAYERS + 1))), "4097 layers"),
    "a record that is no object": (lambda: signed(document([BASE], ["[]"])), "must be an object"),
    "a record that is no JSON": (lambda: signed(document([BASE], ["{"])), "not JSON"),
    "a digest that is none": (lambda: signed(document(["../../etc/passwd"], RECORDS[:1])), "digest"),
    "a later schemaVersion": (lambda: payload_of(document([BASE], RECORDS[:1], schemaVersion=2)), "must be 1"),
    "no history": (lambda: payload_of(document([BASE], RECORDS[:1], history=None)), "history"),
    "not JSON": (lambda: b"<html>", "not JSON"),
}
HOSTILE |= {
    "an id that is none": (lambda: signed(document([BASE], [{"id": "../x"}])), "is not an id"),
    "a parent that is not the record below": (
        lambda: signed(document([BASE, TOP], [{}, {"parent": id_of(7)}])),
        "parent",
    ),
    "a base with a parent": (lambda: signed(document([BASE], [{"parent": id_of(7)}])), "parent"),
    "an id twice": (lambda: signed(document([BASE, TOP, BASE], [{}, {}, {"id": id_of(0)}])), "an id twice"),
    "a member in another case": (lambda: signed(document([BASE], [{}], FsLayers=[])), "also as|must be spelled"),
    "members of a later manifest": (lambda: signed(document([BASE], [{}], config={})), "another kind"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    make, said = HOSTILE[name]
    with pytest.raises(BundlerError, match=said) as caught:
        parse_schema1(make(), what="m")
    assert isinstance(caught.value, ProtocolError | LimitError)
    assert str(caught.value).startswith("m")


def test_too_long() -> None:
    raw = b'{"schemaVersion": 1, "x": "' + b"x" * (5 << 20) + b'"}'
    with pytest.raises(LimitError):
        digest(raw)
    with pytest.raises(LimitError):
        parse_schema1(raw, what="m")


def test_a_record_that_docker_wrote_twice_counts_once() -> None:
    twice = document([BASE, BASE, TOP], [{}, {"id": id_of(0), "parent": None}, {"parent": id_of(0)}])
    found = parse_schema1(signed(twice), what="m")
    assert found.layers == (BASE, TOP)
