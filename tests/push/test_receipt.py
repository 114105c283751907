"""The receipt: what it says, and that it is the schema's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it has none

from bundler.content import Outcome
from bundler.oci.digest import digest_of
from bundler.push import Landed, Receipt

DIGEST = digest_of(b"an image")
RECEIPT = Receipt(
    bundle_id=digest_of(b"a bundle"),
    name="edge",
    channel="stable",
    serial=7,
    pushed=datetime(2026, 1, 31, 12, 30, 1, tzinfo=UTC),
    destination="far.example:5000",
    images=(Landed("docker.io/library/nginx:1.27", "far.example:5000/library/nginx:1.27", DIGEST),),
    outcomes={Outcome.COPIED: 3, Outcome.MOUNTED: 2},
    signers=("ab" * 32,),
)


def test_what_it_says() -> None:
    assert RECEIPT.document() == {
        "apiVersion": "bundler/v1",
        "kind": "Receipt",
        "bundleId": digest_of(b"a bundle"),
        "name": "edge",
        "channel": "stable",
        "serial": 7,
        "pushed": "2026-01-31T12:30:01Z",
        "destination": "far.example:5000",
        "signed": True,
        "signers": ["ab" * 32],
        "images": [
            {
                "name": "docker.io/library/nginx:1.27",
                "reference": "far.example:5000/library/nginx:1.27",
                "digest": DIGEST,
            }
        ],
        "blobs": {"uploaded": 3, "mounted": 2, "present": 0},
    }


def test_its_bytes_are_canonical() -> None:
    raw = RECEIPT.serialised()
    assert json.loads(raw) == RECEIPT.document()
    assert raw == RECEIPT.serialised()
    assert raw.endswith(b"}\n")


def test_it_is_the_schema_s() -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "receipt" / "schema.json").read_text())
    jsonschema.validate(RECEIPT.document(), schema)
