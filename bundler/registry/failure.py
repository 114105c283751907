"""What went wrong, as the error document of distribution-spec 1.1, "Error codes".

Outside text goes through :func:`bundler.errors.quoted` before it gets into a message, as everywhere.

>>> Failure(404, "BLOB_UNKNOWN", "there is no such blob").document()
{'errors': [{'code': 'BLOB_UNKNOWN', 'message': 'there is no such blob'}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundler import errors


class Failure(Exception):  # noqa: N818 - it is an answer
    """An answer that is not the one asked for: HTTP status, code of the specification, message, and what more to say."""

    def __init__(
        self, status: int, code: str, message: str, *, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The error document as JSON values."""
        error = {"code": self.code, "message": str(self)}
        return {"errors": [error if self.detail is None else {**error, "detail": self.detail}]}


_STATUS: tuple[tuple[type[errors.BundlerError], int, str], ...] = (
    (errors.DigestError, 400, "DIGEST_INVALID"),
    (errors.LimitError, 413, "SIZE_INVALID"),
    (errors.LockedError, 503, "TOOMANYREQUESTS"),
    (errors.SpaceError, 507, "DENIED"),
    (errors.ReadOnlyError, 405, "UNSUPPORTED"),
)


def failure_of(error: errors.BundlerError) -> Failure:
    """The answer for an error of the store: which of them is whose fault. The rest are ours, status 500."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return Failure(status, code, str(error))
    return Failure(500, "UNKNOWN", str(error))
