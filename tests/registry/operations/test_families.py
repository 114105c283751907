"""What kind of thing a path asks for."""

from __future__ import annotations

import pytest

from bundler.registry.operations.families import FAMILIES, family_of, is_session

D = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v2", "base"),
        ("/v2/", "base"),
        ("/v2/_catalog", "catalog"),
        ("/v2/app/manifests/1.0", "manifest"),
        ("/v2/team/app/manifests/" + D, "manifest"),
        ("/v2/app/blobs/" + D, "blob"),
        ("/v2/app/blobs/uploads", "upload"),
        ("/v2/app/blobs/uploads/", "upload"),
        ("/v2/app/blobs/uploads/4f1c", "upload"),
        ("/v2/app/tags/list", "tags"),
        ("/v2/app/referrers/" + D, "referrers"),
        ("/v2/blobs/uploads/manifests/1", "manifest"),
        ("/v2/manifests/tags/list", "tags"),
        ("/v2/app", "other"),
        ("/v2/manifests/1", "other"),
        ("/v2/app/manifests/1/2", "other"),
        ("/v3/app/manifests/1", "page"),
        ("/", "page"),
        ("*", "page"),
        ("/healthz", "operations"),
        ("/readyz", "operations"),
        ("/metrics", "operations"),
    ],
)
def test_family(path: str, family: str) -> None:
    assert family_of(path) == family
    assert family in FAMILIES


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/app/blobs/uploads/4f1c", True),
        ("/v2/team/app/blobs/uploads/4f1c", True),
        ("/v2/app/blobs/uploads/", False),
        ("/v2/app/blobs/uploads", False),
        ("/v2/app/blobs/uploads/a/b", False),
        ("/v2/app/manifests/1", False),
    ],
)
def test_session(path: str, expected: bool) -> None:
    assert is_session(path) is expected
