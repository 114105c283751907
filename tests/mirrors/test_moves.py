"""What a receipt says of names, and what is wrong with some of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bundler.errors import BundlerError, ConfigError
from bundler.mirrors.mapping import Moved
from bundler.mirrors.moves import read_moves, upstream
from bundler.oci.digest import Digest
from bundler.push.receipt import Landed, Receipt
from tests.mirrors.receipts import DIGEST, FAR, moves, receipt

OTHER = "sha256:" + "b" * 64


def test_a_receipt_that_push_wrote() -> None:
    digest = Digest(DIGEST)
    images = (Landed("docker.io/library/nginx:1.27", f"{FAR}/hub/library/nginx:1.27", digest),)
    written = Receipt("sha256:" + "c" * 64, "edge", "stable", 1, datetime.now(UTC), FAR, images, {}, ())
    found = read_moves(written.serialised(), "receipt.json")
    assert found.images == (Moved("docker.io", "library/nginx", "1.27", "hub/library/nginx", digest),)
    assert (found.name, found.far, found.hosts, found.notes) == ("edge", FAR, ("docker.io",), ())


@pytest.mark.parametrize(
    ("name", "there", "tag", "note"),
    [
        ("docker.io/team/app:1", "team/app:1", "1", ""),
        ("docker://docker.io/team/app:1", "team/app:1", "1", ""),
        (f"docker.io/team/app@{DIGEST}", f"team/app@{DIGEST}", "", ""),
        (f"docker.io/team/app:1@{DIGEST}", "team/app:1", "1", ""),
        ("docker.io/team/app:1", "team/app:prod", "", "has the tag prod there"),
        ("docker.io/team/app:1", f"team/app@{DIGEST}", "", "has no tag there"),
        (f"docker.io/team/app@{OTHER}", f"team/app@{DIGEST}", "", "its digest changed to"),
        ("oci:./build/app:latest", "app:latest", None, "came from no registry; it is far.site:5000/app:latest"),
        ("far.site:5000/app:1", "app:1", None, ""),
    ],
)
def test_what_is_found_and_what_is_not(name: str, there: str, tag: str | None, note: str) -> None:
    found = moves({name: there})
    assert [image.tag for image in found.images] == ([] if tag is None else [tag])
    assert len(found.notes) == bool(note)
    assert note in "".join(found.notes)


@pytest.mark.parametrize("far", ["far", "far.site", "[::1]:5000", "[fd00::1]", "localhost:5000", "127.0.0.1:5000"])
def test_any_host(far: str) -> None:
    found = moves({"docker.io/team/app:1": "team/app:1"}, far=far)
    assert (found.far, [image.far for image in found.images]) == (far, ["team/app"])


def test_a_destination_with_a_prefix() -> None:
    found = moves({"docker.io/team/app:1": "hub/team/app:1"}, destination=f"docker://{FAR}/hub")
    assert found.far == FAR


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        pytest.param(b"{", "not JSON", id="torn"),
        pytest.param(b"[]", "must be an object", id="no-object"),
        pytest.param(b'{"kind": "Lock"}', "is 'Lock', not Receipt", id="a-lock"),
        pytest.param(receipt({}, destination="oci:/srv/store"), "which is no registry", id="a-layout"),
        pytest.param(receipt({}, destination="../x"), "is not a host", id="a-path-for-a-host"),
        pytest.param(receipt({}, destination="a\x1b[31m"), r"\\x1b", id="a-host-that-paints"),
        pytest.param(receipt({}, name="x\n[[registry]]"), "only letters", id="a-bundle-that-writes-configuration"),
        pytest.param(receipt({}, images=[{"name": "a.io/x:1"}]), "reference is missing", id="half-an-image"),
        pytest.param(receipt({"a.io/x:1": "../x:1"}), "not a repository name", id="a-path-that-climbs"),
        pytest.param(receipt({"a.io/X:1": "x:1"}), "not a repository name", id="an-old-name-in-capitals"),
        pytest.param(receipt({"../../etc:1": "x:1"}), "is not a host", id="an-old-host-that-climbs"),
        pytest.param(receipt({'a.io"\n/x:1': "x:1"}), "is not a host", id="an-old-host-that-breaks-out"),
        pytest.param(
            receipt({}, images=[{"name": "a.io/x:1", "reference": "other.site/x:1", "digest": DIGEST}]),
            "is not at far.site:5000",
            id="elsewhere",
        ),
        pytest.param(
            receipt({}, images=[{"name": "a.io/x:1", "reference": f"{FAR}/x:1", "digest": "sha256:1"}]),
            "is no digest",
            id="no-digest",
        ),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, problem: str) -> None:
    with pytest.raises(BundlerError, match=problem) as caught:
        read_moves(raw, "receipt.json")
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value).startswith("receipt.json")
    assert str(caught.value).isprintable()


def test_unknown_members_are_nobodys_business() -> None:
    document: dict[str, Any] = json.loads(receipt({"a.io/x:1": "x:1"}))
    assert read_moves(json.dumps({**document, "later": 1}).encode(), "r").images


def test_upstream_of_docker_hub_is_another_host() -> None:
    assert [upstream(host) for host in ("docker.io", "quay.io")] == ["https://registry-1.docker.io", "https://quay.io"]
