"""As many connections as there are descriptors for."""

from __future__ import annotations

import resource

import pytest

from bundler.registry.operations.limits import most_connections

ENDLESS = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((1024, 524288), 8576, 4096),
        ((1024, ENDLESS), 8576, 4096),
        ((20000, 20000), 20000, 4096),
        ((ENDLESS, ENDLESS), ENDLESS, 4096),
        ((1024, 4096), 4096, 1856),
        ((1024, 1024), 1024, 320),
        ((256, 256), 256, 16),
    ],
)
def test_most(before: tuple[int, int], after: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [before]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, to: limits.append(to))
    assert most_connections() == expected
    assert limits[-1] == (after, before[1])


@pytest.mark.parametrize("error", [PermissionError, ValueError])
def test_not_allowed(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _to: tuple[int, int]) -> None:
        raise error

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 524288))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert most_connections() == 320


def test_of_this_process() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        count = most_connections(100)
        assert 16 <= count <= 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(before[1], count)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
