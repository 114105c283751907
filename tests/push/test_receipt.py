"""The receipt: what it says, that it is the schema's, and that only what push writes is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has none
import pytest

from bundler.content import Outcome
from bundler.errors import ConfigError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.push import Beside, Landed, Receipt, Taken
from bundler.push.receipt import parse_receipt

DIGEST = digest_of(b"an image")
CHILD = digest_of(b"a child")
SIGNATURE = Descriptor(mediatype.OCI_MANIFEST, digest_of(b"a signature"), 300)
RECEIPT = Receipt(
    bundle_id=digest_of(b"a bundle"),
    statement=digest_of(b"a statement"),
    name="edge",
    channel="stable",
    epoch=1,
    serial=7,
    pushed=datetime(2026, 1, 31, 12, 30, 1, tzinfo=UTC),
    destination="far.example:5000",
    taken=Taken("docker://far.example:5000", renames=("library=hub",)),
    images=(
        Landed(
            "docker.io/library/nginx:1.27",
            "far.example:5000/library/nginx:1.27",
            DIGEST,
            mediatype.OCI_INDEX,
            500,
            ("linux/amd64",),
            (CHILD,),
            (Beside("far.example:5000/library/nginx:sha256-x.sig", SIGNATURE),),
        ),
        Landed("docker.io/library/api:1", "far.example:5000/library/api:1", DIGEST),
    ),
    outcomes={Outcome.COPIED: 3, Outcome.MOUNTED: 2},
    signers=("ab" * 32,),
    policy=digest_of(b"a policy"),
    overrides=(("--allow-expired", ""), ("--allow-rollback", "the new one is broken")),
    image_signers=(f"gpg:{'AB' * 20}", f"cosign:{'cd' * 32}"),
)


def test_what_it_says() -> None:
    document = RECEIPT.document()
    images = document.pop("images")
    assert document == {
        "apiVersion": "bundler/v1",
        "kind": "Receipt",
        "bundleId": digest_of(b"a bundle"),
        "statement": digest_of(b"a statement"),
        "name": "edge",
        "channel": "stable",
        "epoch": 1,
        "serial": 7,
        "pushed": "2026-01-31T12:30:01Z",
        "destination": "far.example:5000",
        "route": {"to": "docker://far.example:5000", "scoped": False, "map": ["library=hub"], "image": []},
        "signed": True,
        "signers": ["ab" * 32],
        "policy": digest_of(b"a policy"),
        "overrides": [
            {"option": "--allow-expired", "reason": None},
            {"option": "--allow-rollback", "reason": "the new one is broken"},
        ],
        "imageSigners": [f"cosign:{'cd' * 32}", f"gpg:{'AB' * 20}"],
        "blobs": {"uploaded": 3, "mounted": 2, "present": 0},
    }
    assert [image["reference"] for image in images] == sorted(image.reference for image in RECEIPT.images)
    assert images[1] == {
        "name": "docker.io/library/nginx:1.27",
        "reference": "far.example:5000/library/nginx:1.27",
        "digest": DIGEST,
        "mediaType": mediatype.OCI_INDEX,
        "size": 500,
        "platforms": ["linux/amd64"],
        "children": [CHILD],
        "attachments": [
            {
                "reference": "far.example:5000/library/nginx:sha256-x.sig",
                "digest": SIGNATURE.digest,
                "mediaType": SIGNATURE.media_type,
                "size": 300,
            }
        ],
    }
    assert "children" not in images[0]


def test_its_bytes_are_canonical_and_know_no_order() -> None:
    raw = RECEIPT.serialised()
    assert json.loads(raw) == RECEIPT.document()
    assert raw == replace(RECEIPT, images=RECEIPT.images[::-1]).serialised()
    assert raw.endswith(b"}\n")


def test_it_is_the_schema_s() -> None:
    schema = json.loads((Path(__file__).parents[2] / "schemas" / "receipt" / "schema.json").read_text())
    odd = replace(RECEIPT, name="Edge__2", channel="LTS.", serial=10**12)  # as far as a statement may go
    for receipt in (RECEIPT, odd, replace(RECEIPT, policy=None, overrides=(), signers=())):
        jsonschema.validate(receipt.document(), schema)


def test_it_is_read_as_it_was_written() -> None:
    for receipt in (RECEIPT, replace(RECEIPT, policy=None, overrides=(), signers=(), statement=None)):
        assert parse_receipt(receipt.serialised(), "r").serialised() == receipt.serialised()
    assert parse_receipt(RECEIPT.serialised(), "r").images[1].root == RECEIPT.images[0].root


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(RECEIPT.serialised())
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(RECEIPT.serialised() + b"{}", "not JSON", id="trailing-document"),
        pytest.param(edited(lambda d: d.update(kind="Lock")), "kind is 'Lock'", id="a-lock"),
        pytest.param(edited(lambda d: d.update(apiVersion="bundler/v2")), "apiVersion", id="newer"),
        pytest.param(edited(lambda d: d.update(extra=1)), "not a known key", id="unknown-key"),
        pytest.param(edited(lambda d: d.update(Images=[])), "appears also as", id="case-folded-key"),
        pytest.param(b'{"kind": "Receipt", "kind": "Receipt"}', "appears twice", id="duplicate-key"),
        pytest.param(edited(lambda d: d.update(signed=False)), "contradicts", id="signed-by-nobody"),
        pytest.param(edited(lambda d: d.update(signed=1)), "true or false", id="a-number-for-a-flag"),
        pytest.param(edited(lambda d: d["images"][0].update(digest="sha256:1")), "no digest", id="no-digest"),
        pytest.param(edited(lambda d: d["images"][0].update(mediaType="text/x")), "of a manifest", id="no-manifest"),
        pytest.param(edited(lambda d: d["images"][0].update(size=-1)), "between", id="negative-size"),
        pytest.param(edited(lambda d: d["images"][1].update(children=["x"])), "digests", id="a-child-that-is-none"),
        pytest.param(edited(lambda d: d["images"][0].update(name="a\x1b[31m")), "printable", id="a-name-that-paints"),
        pytest.param(edited(lambda d: d.update(destination="")), "printable", id="nowhere"),
        pytest.param(edited(lambda d: d.update(name="edge\nVERIFIED")), "only letters", id="a-bundle-of-two-lines"),
        pytest.param(edited(lambda d: d.update(channel="st\x1b[2J")), "only letters", id="a-channel-that-paints"),
        pytest.param(edited(lambda d: d["route"]["map"].append("a=\x1b[2J")), "printable", id="a-rename-that-paints"),
        pytest.param(edited(lambda d: d["route"]["image"].append("a\nb")), "printable", id="a-pattern-of-two-lines"),
        pytest.param(edited(lambda d: d["images"][0]["platforms"].append("\u202e")), "printable", id="bidi-platform"),
        pytest.param(edited(lambda d: d["signers"].append("\x1b")), "ids of keys", id="a-signer-that-is-no-key"),
        pytest.param(edited(lambda d: d.update(pushed="yesterday")), "no time", id="no-time"),
        pytest.param(edited(lambda d: d["imageSigners"].append("gpg:me")), "FINGERPRINT", id="signed-by-a-name"),
        pytest.param(edited(lambda d: d.pop("route")), "route", id="no-route"),
    ],
)
def test_what_is_no_receipt(raw: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_receipt(raw, "receipt.json")
    assert str(caught.value).startswith("receipt.json")
    assert str(caught.value).isprintable()
