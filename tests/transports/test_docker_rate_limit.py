"""Docker Hub's rate-limit headers, and what is none."""

from __future__ import annotations

import pytest

from bundler.transports.docker.rate_limit import RateLimit, rate_limit_of


@pytest.mark.parametrize(
    ("limit", "remaining", "expected"),
    [
        pytest.param("100;w=21600", "76;w=21600", RateLimit(100, 76, 21600), id="docker-hub"),
        pytest.param("200; w=60", "0; w=60", RateLimit(200, 0, 60), id="spaces"),
        pytest.param("100", "5", RateLimit(100, 5, 0), id="no-window"),
        pytest.param("", "5", None, id="no-limit"),
        pytest.param("100;w=21600", "", None, id="no-remaining"),
        pytest.param("many", "some", None, id="nonsense"),
        pytest.param("9" * 5000, "1", None, id="absurd"),
    ],
)
def test_rate_limit(limit: str, remaining: str, expected: RateLimit | None) -> None:
    assert rate_limit_of({"ratelimit-limit": limit, "ratelimit-remaining": remaining}) == expected


def test_no_headers() -> None:
    assert rate_limit_of({}) is None
