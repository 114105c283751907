"""What kind of thing a path asks for: a fixed list, as raw paths would be without number.

The last parts of a path decide, as in the routes, since a repository may be called ``tags`` or ``manifests``.

>>> family_of("/v2/team/app/blobs/uploads/4f1c")
'upload'
>>> is_session("/v2/team/app/blobs/uploads/4f1c")
True
"""

from __future__ import annotations

import re

FAMILIES = ("base", "manifest", "blob", "upload", "tags", "catalog", "referrers", "page", "operations", "other")
"""All that :func:`family_of` answers."""

OPERATIONS = ("/healthz", "/readyz", "/metrics")

_ENDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("upload", re.compile(r"/v2/.+/blobs/uploads(?:/[^/]*)?")),
    ("manifest", re.compile(r"/v2/.+/manifests/[^/]+")),
    ("blob", re.compile(r"/v2/.+/blobs/[^/]+")),
    ("tags", re.compile(r"/v2/.+/tags/list")),
    ("referrers", re.compile(r"/v2/.+/referrers/[^/]+")),
)
_SESSION = re.compile(r"/v2/.+/blobs/uploads/[^/]+")


def family_of(path: str) -> str:
    """Which of :data:`FAMILIES` a decoded path belongs to: ``page`` is all that is not below ``/v2``."""
    if path in OPERATIONS:
        return "operations"
    if path in ("/v2", "/v2/"):
        return "base"
    if path == "/v2/_catalog":
        return "catalog"
    if not path.startswith("/v2/"):
        return "page"
    return next((family for family, end in _ENDS if end.fullmatch(path)), "other")


def is_session(path: str) -> bool:
    """Whether a path is that of an upload session that somebody was given."""
    return _SESSION.fullmatch(path) is not None
