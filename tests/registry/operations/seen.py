"""A finished request for tests, and an observer that keeps what it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bundler.registry.operations.watch import Request

DONE = Request(
    id="5f0c5f0c5f0c5f0c5f0c5f0c",
    began=datetime(2026, 3, 1, 9, 14, 7, 312999, tzinfo=UTC),
    seconds=0.00214,
    remote="10.1.2.3",
    user="ann",
    user_agent="containers/5.29",
    method="GET",
    path="/v2/team/app/manifests/1.0",
    query="",
    family="manifest",
    status=200,
    received=0,
    sent=1187,
    ended="complete",
)


def done(**changes: Any) -> Request:
    """The request, with something else in it."""
    return replace(DONE, **changes)


class Kept:
    """An observer."""

    def __init__(self) -> None:
        self.families: list[str] = []
        self.requests: list[Request] = []

    def begun(self, family: str) -> None:
        self.families.append(family)

    def finished(self, request: Request) -> None:
        self.requests.append(request)
