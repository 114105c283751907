"""``oci:path[:name]``: split where skopeo splits, refused where it names nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import ConfigError, NotFoundError, StoreError
from bundler.transports.oci import Layout, open_layout, split
from tests.images import family, write_layout
from tests.suites import OpenSource, SourceSuite

DIGEST = "sha256:" + "a" * 64
WEB = family()["web"]


class TestOciIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        return lambda images: open_layout(str(write_layout(tmp_path / f"layout-{len(images)}", images)))[0]


@pytest.mark.parametrize(
    ("rest", "path", "name"),
    [
        ("build/app", "build/app", ""),
        ("build/app:", "build/app", ""),
        ("build/app:latest", "build/app", "latest"),
        ("/srv/store:docker.io/library/nginx:1.27", "/srv/store", "docker.io/library/nginx:1.27"),
        ("store:localhost:5000/app:1", "store", "localhost:5000/app:1"),
        (f"store@{DIGEST}", "store", DIGEST),
        (f"./a@b@{DIGEST}", "./a@b", DIGEST),
        (f"store:{DIGEST}", "store", DIGEST),
        (f"store:@{DIGEST}", "store", f"@{DIGEST}"),
        (f"store:app@{DIGEST}", "store", f"app@{DIGEST}"),
        ("store@home:app", "store@home", "app"),
        ("store@home", "store@home", ""),
    ],
)
def test_split(rest: str, path: str, name: str) -> None:
    assert split(rest) == (path, name)


@pytest.mark.parametrize("rest", ["", ":", ":name", f"@{DIGEST}"])
def test_no_path(rest: str) -> None:
    with pytest.raises(ConfigError, match="names no directory"):
        split(rest)


@pytest.mark.parametrize("suffix", ["", ":docker.io/acme/web:1", f"@{WEB.root.digest}", f":@{WEB.root.digest}"])
def test_open_and_resolve(tmp_path: Path, suffix: str) -> None:
    write_layout(tmp_path / "layout", {"docker.io/acme/web:1": WEB})
    layout, name = open_layout(f"{tmp_path}/layout{suffix}")
    assert isinstance(layout, Layout)
    assert layout.resolve(name).digest == WEB.root.digest


def test_nothing_is_written(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "layout", {"web": WEB})
    before = sorted(folder.rglob("*"))
    layout, name = open_layout(f"{folder}:web")
    b"".join(bytes(chunk) for chunk in layout.fetch(layout.resolve(name)))
    assert sorted(folder.rglob("*")) == before


def test_what_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such directory"):
        open_layout(f"{tmp_path}/missing:app")
    with pytest.raises(StoreError, match="not an OCI layout"):
        open_layout(f"{tmp_path}:app")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a directory"):
        open_layout(f"{tmp_path}/file")
