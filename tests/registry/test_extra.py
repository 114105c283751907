"""Without the extra, the registry says what to install."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.registry import extra


def test_all_is_here() -> None:
    extra.require()


def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name in ("granian", "jinja2") else object())
    with pytest.raises(ConfigError, match=r"needs granian, jinja2.*oci-bundler\[registry\]"):
        extra.require()
