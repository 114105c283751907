"""The statement: what is written comes back, and nothing else is taken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bundler.bundle.members import format_time
from bundler.bundle.statement import (
    Attachment,
    CarriedImage,
    Statement,
    Subject,
    bundle_id,
    check_images,
    parse_statement,
    volume_name,
    write_statement,
)
from bundler.errors import ArchiveError, ConfigError, LimitError, UnsupportedError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest

A, B, C = (Digest("sha256:" + letter * 64) for letter in "abc")
LONG = Digest("sha512:" + "d" * 128)

FULL = Statement(
    name="edge-platform",
    channel="stable",
    serial=42,
    epoch=3,
    bundle_id=A,
    issued=datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC),
    expires=datetime(2027, 1, 31, tzinfo=UTC),
    previous=B,
    base=C,
    assumes=(A, LONG),
    images=(
        CarriedImage(
            "docker.io/library/nginx:1.27",
            "library/nginx:1.27",
            Descriptor(mediatype.OCI_INDEX, B, 900),
            ("linux/amd64", "linux/arm64"),
            children=(A, C),
            attachments=(
                Attachment("sha256-bbb.sig", Descriptor(mediatype.OCI_MANIFEST, C, 400)),
                Attachment("", Descriptor(mediatype.OCI_MANIFEST, LONG, 401)),
                Attachment(
                    "", Descriptor(mediatype.OCI_MANIFEST, A, 402, artifact_type="application/x"), B, "attestation"
                ),
            ),
        ),
        CarriedImage("ghcr.io/acme/api@" + A, "acme/api@" + A, Descriptor(mediatype.DOCKER_MANIFEST, A, 700)),
    ),
    total_size=123_456,
    blob_count=17,
    subjects=(
        Subject(volume_name(1), "1" * 64),
        Subject(volume_name(2), "2" * 64),
        Subject("inventory.json", "3" * 64),
    ),
)
LEAST = replace(FULL, expires=None, previous=None, base=None, assumes=(), images=())


@pytest.mark.parametrize("statement", [FULL, LEAST], ids=["full", "least"])
def test_it_comes_back(statement: Statement) -> None:
    raw = write_statement(statement)
    assert parse_statement(raw) == statement
    assert write_statement(parse_statement(raw)) == raw


def test_it_is_an_in_toto_statement() -> None:
    document = json.loads(write_statement(FULL))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"][0] == {"name": "volume-0001.tar.zst", "digest": {"sha256": "1" * 64}}
    assert document["predicateType"] == "urn:oci-bundler:bundle:v1"
    assert document["predicate"]["issued"] == "2026-01-31T12:00:05Z"


def test_statements_of_older_writers_are_read_and_written_as_they_were() -> None:
    document = json.loads(write_statement(FULL))
    attachments = document["predicate"]["images"][0]["attachments"]
    for attachment in attachments:
        for later in ("subject", "kind", "artifactType"):
            attachment.pop(later, None)
    old = parse_statement(json.dumps(document).encode())
    assert {(one.subject, one.kind, one.root.artifact_type) for one in old.images[0].attachments} == {(None, "", "")}
    assert json.loads(write_statement(old)) == document
    assert old.min_reader == 1


def test_volumes_and_inventory_are_told_apart() -> None:
    assert [subject.sha256 for subject in FULL.volumes] == ["1" * 64, "2" * 64]
    assert FULL.inventory_sha256 == "3" * 64


def test_times_are_written_in_utc() -> None:
    assert format_time(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00Z"


def test_bundle_id_is_of_line_serial_and_contents() -> None:
    given: dict[str, Any] = {"name": "n", "channel": "c", "serial": 1, "digests": [A, B]}
    one = bundle_id(**given)
    assert one == bundle_id(**given | {"digests": [B, A, B]})
    others: list[dict[str, Any]] = [
        {"name": "m"},
        {"channel": "d"},
        {"serial": 2},
        {"digests": [A]},
        {"digests": [A, C]},
    ]
    assert len({one, *(bundle_id(**given | other) for other in others)}) == 1 + len(others)


Change = Callable[[dict[str, Any]], object]


def _in_predicate(**values: Any) -> Change:
    return lambda d: d["predicate"].update(values)


def _in_image(**values: Any) -> Change:
    return lambda d: d["predicate"]["images"][0].update(values)


def _second_image(**values: Any) -> Change:
    return lambda d: d["predicate"]["images"][1].update(values)


def _in_attachment(**values: Any) -> Change:
    return lambda d: d["predicate"]["images"][0]["attachments"][2].update(values)


BAD: dict[str, Change] = {
    "another-type": lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
    "another-predicate": lambda d: d.update(predicateType="https://slsa.dev/provenance/v1"),
    "unknown-key": lambda d: d.update(more=1),
    "unknown-predicate-key": _in_predicate(more=1),
    "unknown-image-key": _in_image(more=1),
    "unknown-attachment-key": lambda d: d["predicate"]["images"][0]["attachments"][0].update(more=1),
    "unknown-subject-key": lambda d: d["subject"][0].update(uri="https://example.com"),
    "second-digest-of-a-subject": lambda d: d["subject"][0]["digest"].update(sha512="0" * 128),
    "name-with-a-slash": _in_predicate(name="edge/platform"),
    "name-with-dots-first": _in_predicate(name="..edge"),
    "empty-name": _in_predicate(name=""),
    "channel-with-a-newline": _in_predicate(channel="stable\n"),
    "channel-missing": lambda d: d["predicate"].pop("channel"),
    "serial-zero": _in_predicate(serial=0),
    "serial-true": _in_predicate(serial=True),
    "serial-float": _in_predicate(serial=1.0),
    "serial-text": _in_predicate(serial="42"),
    "epoch-negative": _in_predicate(epoch=-1),
    "bundle-id-short": _in_predicate(bundleId="sha256:abc"),
    "bundle-id-upper-case": _in_predicate(bundleId="sha256:" + "A" * 64),
    "issued-without-zone": _in_predicate(issued="2026-01-31T12:00:05"),
    "issued-with-offset": _in_predicate(issued="2026-01-31T12:00:05+00:00"),
    "issued-with-fraction": _in_predicate(issued="2026-01-31T12:00:05.5Z"),
    "issued-unpadded": _in_predicate(issued="2026-1-31T12:00:05Z"),
    "issued-impossible": _in_predicate(issued="2026-02-31T12:00:05Z"),
    "expires-number": _in_predicate(expires=1_800_000_000),
    "previous-no-digest": _in_predicate(previous="none"),
    "assumes-no-digest": _in_predicate(assumes=["sha1:" + "0" * 40]),
    "assumes-twice": _in_predicate(assumes=[A, A]),
    "assumes-number": _in_predicate(assumes=[5]),
    "min-reader-zero": _in_predicate(minReader=0),
    "images-object": _in_predicate(images={}),
    "image-name-empty": _in_image(name=""),
    "image-name-with-control": _in_image(name="nginx\x1b[2J"),
    "image-name-bidi": _in_image(name="nginx\u202e"),
    "image-name-endless": _in_image(name="n" * 2000),
    "image-twice": lambda d: d["predicate"]["images"].append(d["predicate"]["images"][0]),
    "target-with-two-contents": _second_image(target="library/nginx:1.27"),
    "target-path-traversal": _in_image(target="../../v2/nginx:1"),
    "target-upper-case": _in_image(target="Nginx:1"),
    "target-bad-tag": _in_image(target="nginx:a b"),
    "target-bad-digest": _in_image(target="nginx@sha256:abc"),
    "target-with-query": _in_image(target="nginx?x=1"),
    "root-is-a-blob": _in_image(mediaType=mediatype.OCI_LAYER_GZIP),
    "root-size-negative": _in_image(size=-1),
    "root-digest-missing": lambda d: d["predicate"]["images"][0].pop("digest"),
    "children-twice": _in_image(children=[A, A]),
    "platforms-numbers": _in_image(platforms=[1]),
    "platform-with-control": _in_image(platforms=["linux/amd64\x1b[31m"]),
    "platform-with-a-second-line": _in_image(platforms=["linux/amd64\nVERIFIED"]),
    "platform-endless": _in_image(platforms=["linux/" + "a" * 250]),
    "attachment-bad-tag": lambda d: d["predicate"]["images"][0]["attachments"][0].update(tag="../x"),
    "attachment-is-a-blob": lambda d: d["predicate"]["images"][0]["attachments"][0].update(mediaType="text/plain"),
    "attachment-of-no-kind": _in_attachment(kind="virus"),
    "attachment-of-an-empty-kind": _in_attachment(kind=""),
    "attachment-with-kind-in-another-case": _in_attachment(Kind="signature"),
    "attachment-about-no-digest": _in_attachment(subject="sha1:" + "0" * 40),
    "attachment-type-with-control": _in_attachment(artifactType="x/\x1b[2J"),
    "attachment-type-endless": _in_attachment(artifactType="x" * 2000),
    "attachment-type-a-number": _in_attachment(artifactType=1),
    "subject-none": lambda d: d.update(subject=[]),
    "subject-inventory-only": lambda d: d.update(subject=d["subject"][2:]),
    "subject-inventory-missing": lambda d: d.update(subject=d["subject"][:2]),
    "subject-volume-missing": lambda d: d["subject"].pop(0),
    "subject-out-of-order": lambda d: d["subject"].reverse(),
    "subject-renamed": lambda d: d["subject"][0].update(name="../volume-0001.tar.zst"),
    "subject-twice": lambda d: d["subject"].insert(0, d["subject"][0]),
    "subject-upper-case-digest": lambda d: d["subject"][0]["digest"].update(sha256="A" * 64),
    "subject-short-digest": lambda d: d["subject"][0]["digest"].update(sha256="1" * 63),
    "subject-too-many": lambda d: d.update(subject=d["subject"] * 400),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_anything_else_is_refused(change: Change) -> None:
    document = copy.deepcopy(json.loads(write_statement(FULL)))
    change(document)
    with pytest.raises(ArchiveError, match=r"^statement"):
        parse_statement(json.dumps(document).encode())


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(write_statement(FULL)[:-3], id="cut"),
        pytest.param(write_statement(FULL) + b"{}", id="trailing"),
        pytest.param(write_statement(FULL).replace(b'"serial"', b'"Serial": 1, "serial"'), id="case-folded-key"),
        pytest.param(write_statement(FULL).replace(b'"serial"', b'"serial": 1, "serial"'), id="duplicate-key"),
    ],
)
def test_other_documents_are_refused(raw: bytes) -> None:
    with pytest.raises(ArchiveError):
        parse_statement(raw)


def test_one_name_may_have_several_targets() -> None:
    first = FULL.images[0]
    other = replace(first, target="other:1", root=FULL.images[1].root)
    assert parse_statement(write_statement(replace(FULL, images=(first, other)))).images == (first, other)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(replace(FULL.images[1], name="two\nlines"), id="name"),
        pytest.param(replace(FULL.images[1], target="Upper"), id="target"),
        pytest.param(FULL.images[0], id="twice"),
    ],
)
def test_images_are_checked_before_packing(image: CarriedImage) -> None:
    check_images(FULL.images)
    with pytest.raises(ConfigError, match=r"^bundle: images"):
        check_images([*FULL.images, image])


def test_a_newer_format_is_named_before_its_new_keys_are() -> None:
    document = json.loads(write_statement(FULL))
    document["predicate"] |= {"minReader": 2, "something": "new"}
    with pytest.raises(UnsupportedError, match="version 2") as caught:
        parse_statement(json.dumps(document).encode())
    assert "newer bundler" in caught.value.hint


def test_an_endless_statement_is_refused() -> None:
    with pytest.raises(LimitError):
        parse_statement(b" " * ((8 << 20) + 1))
    with pytest.raises(LimitError, match="more than the 300000 values"):
        parse_statement(b"[" + b"{}," * 150_000 + b"{}]")


UNREADABLE = {
    "endless-serial": replace(FULL, serial=99999999999999999999999),
    "serial-zero": replace(FULL, serial=0),
    "line-with-a-slash": replace(FULL, name="edge/platform"),
    "platform-with-control": replace(FULL, images=(replace(FULL.images[0], platforms=("linux\x1b[2J",)),)),
    "no-subjects": replace(FULL, subjects=()),
    "image-twice": replace(FULL, images=(FULL.images[0], FULL.images[0])),
    "year-before-1000": replace(FULL, issued=datetime(999, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("statement", UNREADABLE.values(), ids=UNREADABLE)
def test_what_could_not_be_read_is_not_written(statement: Statement) -> None:
    with pytest.raises(ConfigError):
        write_statement(statement)


def test_more_than_a_reader_takes_is_not_written() -> None:
    assumes = tuple(Digest(f"sha256:{n:064x}") for n in range(100_000))
    assert parse_statement(write_statement(replace(FULL, assumes=assumes))).assumes == assumes
    with pytest.raises(LimitError):
        write_statement(replace(FULL, assumes=assumes * 2))


@pytest.mark.parametrize("change", [{"serial": 0}, {"serial": 1 << 63}, {"name": "a b"}, {"channel": ""}], ids=str)
def test_a_line_that_no_statement_may_have_gets_no_id(change: dict[str, Any]) -> None:
    given: dict[str, Any] = {"name": "n", "channel": "c", "serial": 1, "digests": [A]}
    with pytest.raises(ConfigError, match=f"bundle: {next(iter(change))}"):
        bundle_id(**given | change)
