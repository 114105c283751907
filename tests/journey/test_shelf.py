"""One repository's names in a medium that knows full names only."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.content import Durable, read
from bundler.errors import NotFoundError
from bundler.journey.shelf import Shelf
from bundler.transports import oci, oci_archive
from tests.images import family, load
from tests.memory import Memory

WEB = family()["web"]


def test_names_get_their_repository(tmp_path: Path) -> None:
    with oci.open_target(str(tmp_path / "out")) as below:
        shelf = Shelf(below, "library/web")
        assert isinstance(shelf, Durable)
        load(shelf, {"1.27": WEB})
        assert shelf.has(WEB.root)
        shelf.flush()
        assert shelf.resolve("1.27").digest == WEB.root.digest
        for name in ("1.28", "library/web:1.27"):
            with pytest.raises(NotFoundError):
                shelf.resolve(name)
        with pytest.raises(NotFoundError):
            Shelf(below, "library/other").resolve("1.27")
    layout = oci.open_source(str(tmp_path / "out"))
    assert layout.tags() == ["library/web:1.27"]
    assert read(layout, WEB.root) == WEB.raw


def test_in_an_archive(tmp_path: Path) -> None:
    with oci_archive.open_target(str(tmp_path / "out.tar")) as below:
        shelf = Shelf(below, "web")
        load(shelf, {"1": WEB})
        assert shelf.resolve("1").digest == WEB.root.digest
        shelf.flush()  # there is nothing to gather


def test_where_names_can_not_be_looked_up() -> None:
    shelf = Shelf(Memory(strict=False), "web")
    load(shelf, {"1": WEB})
    with pytest.raises(NotFoundError, match="web:1: no such image here"):
        shelf.resolve("1")
    with pytest.raises(NotFoundError, match="web@sha256:"):
        shelf.resolve(WEB.root.digest)
