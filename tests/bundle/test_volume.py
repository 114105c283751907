"""What stands between contents: computed alike for writing and for reading."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.bundle.frames import stored
from bundler.bundle.inventory import Inventory, Row
from bundler.bundle.statement import Attachment, CarriedImage
from bundler.bundle.tar import header
from bundler.bundle.volume import (
    CONTAINERD_NAME,
    REF_NAME,
    Fixed,
    Label,
    check_agreement,
    index_json,
    read_label,
    repository_of,
    sections,
    write_label,
)
from bundler.errors import ArchiveError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from tests.bundle.making import MIB, Made, big, make
from tests.images import image

A, B = (Digest("sha256:" + letter * 64) for letter in "ab")
LABEL = Label(A, 7, 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("made") / "out", {"app": image(big("x", 2 * MIB), big("y", 5_000))}, limit=MIB)


def head_of(name: str, raw: bytes, *, mtime: int = 5) -> bytes:
    return stored(header(name, len(raw), mtime=mtime)) + stored(raw)


def test_sections_are_the_whole_volume(made: Made) -> None:
    for number, size in enumerate(made.inventory.sizes, 1):
        raw = (made.directory / f"volume-{number:04}.tar.zst").read_bytes()
        at = 0
        for section in sections(made.inventory, number, index_json(made.statement.images)):
            assert section.offset == at
            if isinstance(section, Fixed):
                assert raw[at : at + len(section.raw)] == section.raw
                at += len(section.raw)
            else:
                at = section.end
        assert at == size == len(raw)


def _moved(inventory: Inventory, by: int) -> Inventory:
    first: Row = inventory.rows[0]
    return replace(inventory, rows=(replace(first, offset=first.offset + by), *inventory.rows[1:]))


def test_a_row_at_another_place_is_refused(made: Made) -> None:
    index = index_json(made.statement.images)
    for by in (-1, 1):
        with pytest.raises(ArchiveError, match="must begin at"):
            list(sections(_moved(made.inventory, by), 1, index))
    sizes = (made.inventory.sizes[0] + 1, *made.inventory.sizes[1:])
    with pytest.raises(ArchiveError, match="must have"):
        list(sections(replace(made.inventory, sizes=sizes), 1, index))


def test_a_label_comes_back() -> None:
    raw = head_of("volumes/0007.json", write_label(LABEL))
    assert read_label(raw + b"whatever follows") == LABEL


BAD = {
    "nothing": b"",
    "cut": head_of("volumes/0007.json", write_label(LABEL))[:-1],
    "another-file": head_of("oci-layout", b"{}"),
    "another-number": head_of("volumes/0008.json", write_label(LABEL)),
    "odd-name": head_of("volumes/7.json", write_label(LABEL)),
    "long": head_of("volumes/0007.json", write_label(LABEL) + b" " * 600),
    "not-json": head_of("volumes/0007.json", b"{"),
    "a-list": head_of("volumes/0007.json", b"[]"),
    "spaced": head_of("volumes/0007.json", json.dumps(json.loads(write_label(LABEL)), indent=1).encode()),
    "more": head_of("volumes/0007.json", write_label(LABEL)[:-2] + b',"more":1}\n'),
    "no-digest": head_of("volumes/0007.json", write_label(LABEL).replace(A.encode(), b"x")),
    "random": bytes(range(256)) * 8,
    "a-plain-tar": header("volumes/0007.json", 10, mtime=0) + bytes(1000),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_other_beginnings_are_refused(raw: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_label(raw)


def test_the_index_names_images_and_attachments() -> None:
    root = Descriptor(mediatype.OCI_MANIFEST, A, 10)
    signature = Descriptor(mediatype.OCI_MANIFEST, B, 20)
    attachments = (Attachment("sha256-a.sig", signature), Attachment("", signature))
    images = (
        CarriedImage("localhost:5000/app:1", "app:1", root, attachments=attachments),
        CarriedImage("localhost:5000/app:2", "app:2", root, attachments=attachments),
    )
    document = json.loads(index_json(images))
    assert document["schemaVersion"] == 2
    assert [(entry["digest"], entry.get("annotations", {}).get(REF_NAME)) for entry in document["manifests"]] == [
        (A, "localhost:5000/app:1"), (A, "localhost:5000/app:2"), (B, "localhost:5000/app:sha256-a.sig"), (B, None),
    ]  # fmt: skip
    assert document["manifests"][0]["annotations"][CONTAINERD_NAME] == "localhost:5000/app:1"


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("nginx", "nginx"),
        ("nginx:1", "nginx"),
        ("localhost:5000/app", "localhost:5000/app"),
        ("localhost:5000/app:1", "localhost:5000/app"),
        (f"a/b@{A}", "a/b"),
        (f"a/b:1@{A}", "a/b"),
    ],
)
def test_repository_of_a_name(name: str, repository: str) -> None:
    assert repository_of(name) == repository


def test_what_must_agree(made: Made, tmp_path: Path) -> None:
    check_agreement(made.statement, made.inventory)
    for change in (
        {"bundle_id": B},
        {"subjects": made.statement.subjects[1:]},
        {"blob_count": 1},
        {"total_size": 1},
    ):
        with pytest.raises(ArchiveError, match="but the statement says"):
            check_agreement(replace(made.statement, **change), made.inventory)
