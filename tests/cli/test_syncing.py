"""The command sync as it is typed: what is incomplete is made whole, what is whole is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.oci.digest import hex_of
from bundler.transports import dir as folder
from tests.cli.terminal import Terminal
from tests.images import family, write_layout

IMAGES = {name: family()[name] for name in ("web", "docker", "multi")}
ORDER = ("sync", "--src", "oci", "--dest", "dir", "--all", "layout", "site")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_layout(tmp_path / "layout", IMAGES)
    return tmp_path


def test_a_second_sync_finds_everything(here: Path, bundler: Terminal) -> None:
    assert "3 images copied to dir:site, 0 unchanged" in bundler(*ORDER).err
    assert "0 images copied to dir:site, 3 unchanged" in bundler(*ORDER).err
    for name, held in IMAGES.items():
        assert folder.open_source(str(here / "site" / f"{name}:latest")).resolve().digest == held.root.digest


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_what_has_lost_a_layer_is_made_whole(here: Path, bundler: Terminal, damage: str) -> None:
    bundler(*ORDER)
    layer = IMAGES["web"].blobs[0]
    lost = here / "site" / "web:latest" / hex_of(layer.descriptor.digest)
    if damage == "gone":
        lost.unlink()
    else:
        lost.write_bytes(layer.raw[:-1])
    assert "1 images copied to dir:site, 2 unchanged" in bundler(*ORDER).err
    assert lost.read_bytes() == layer.raw


def test_a_sparse_index_in_a_layout_is_completed(here: Path, bundler: Terminal) -> None:
    bundler("copy", "--multi-arch", "linux/amd64", "oci:layout:multi", "oci:far:multi:latest")
    bundler("sync", "--src", "oci", "--dest", "oci", "--all", "layout", "far")
    bundler("copy", "--all", "oci:far:multi:latest", "dir:whole")
    assert folder.open_source("whole").resolve().digest == IMAGES["multi"].root.digest


def test_a_rehearsal_writes_nothing(here: Path, bundler: Terminal) -> None:
    said = bundler(*ORDER[:-2], "--dry-run", *ORDER[-2:])
    assert said.out.splitlines() == [
        f"oci:layout:{name} -> dir:site/{name}:latest" for name in ("docker", "multi", "web")
    ]
    assert not (here / "site").exists()


def test_equal_images_under_several_old_names_all_go(here: Path, bundler: Terminal) -> None:
    bundler(*ORDER)
    for tag in ("old1", "old2"):
        bundler("copy", "oci:layout:web", f"dir:site/web:{tag}")
    said = bundler(*ORDER[:-2], "--prune", "--yes", *ORDER[-2:])
    assert "2 images removed from dir:site" in said.err
    assert sorted(each.name for each in (here / "site").iterdir()) == ["docker:latest", "multi:latest", "web:latest"]


def test_pruning_needs_somebody_to_ask(here: Path, bundler: Terminal) -> None:
    assert "--yes" in bundler(*ORDER[:-2], "--prune", *ORDER[-2:], expect=2).err
    assert not (here / "site").exists()
