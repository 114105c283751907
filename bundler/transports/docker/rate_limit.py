"""What a registry says about how many pulls are left (Docker Hub's ``ratelimit-limit`` and ``ratelimit-remaining``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_FORM = re.compile(r"\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9})\s*)?")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``remaining`` of ``limit`` pulls are left in a window of ``window`` seconds, 0 if that was not said."""

    limit: int
    remaining: int
    window: int = 0


def rate_limit_of(headers: Mapping[str, str]) -> RateLimit | None:
    """The limit in an answer's headers, ``None`` if there is none or it makes no sense.

    >>> rate_limit_of({"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"})
    RateLimit(limit=100, remaining=76, window=21600)
    """
    limit = _FORM.fullmatch(headers.get("ratelimit-limit", ""))
    remaining = _FORM.fullmatch(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    return RateLimit(int(limit[1]), int(remaining[1]), int(limit[2] or 0))
