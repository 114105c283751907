"""A registry over an empty store, called in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.store import Store
from tests.registry.caller import Caller, serving


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(str(tmp_path / "store"), create=True)


@pytest.fixture
def registry(store: Store) -> Iterator[Caller]:
    """The registry over it; things may be deleted."""
    with serving(store) as caller:
        yield caller
