"""Errors of the store as answers."""

from __future__ import annotations

import pytest

from bundler import errors
from bundler.registry.failure import Failure, failure_of


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.DigestError("x"), 400, "DIGEST_INVALID"),
        (errors.LimitError("x"), 413, "SIZE_INVALID"),
        (errors.LockedError("x"), 503, "TOOMANYREQUESTS"),
        (errors.SpaceError("x"), 507, "DENIED"),
        (errors.ReadOnlyError("x"), 405, "UNSUPPORTED"),
        (errors.DiskError("x"), 500, "UNKNOWN"),
        (errors.StoreError("x"), 500, "UNKNOWN"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, errors.BundlerError) else None,
)
def test_failure_of(error: errors.BundlerError, status: int, code: str) -> None:
    failure = failure_of(error)
    assert (failure.status, failure.code, str(failure)) == (status, code, "x")


def test_document_with_detail() -> None:
    failure = Failure(400, "MANIFEST_BLOB_UNKNOWN", "absent", detail=[{"digest": "d"}])
    assert failure.document() == {
        "errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "absent", "detail": [{"digest": "d"}]}]
    }
