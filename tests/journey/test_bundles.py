"""``bundle:``: the images of a bundle by name, once its signature held."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.content import read
from bundler.errors import BundlerError, ConfigError, NotFoundError, TrustError
from bundler.graph import walk
from bundler.journey.bundles import open_bundle, split
from bundler.journey.demand import Demand
from tests.workshop import NOW, Workshop, key

DEMAND = Demand((key("release").public,), 1, NOW)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle of several images. Don't write to it."""
    return Workshop(tmp_path_factory.mktemp("bundle")).build("out")


@pytest.mark.parametrize(
    ("rest", "place", "name"),
    [
        ("out", "out", ""),
        ("out:", "out", ""),
        ("/srv/out:library/nginx:1.27", "/srv/out", "library/nginx:1.27"),
        (f"out:sha256:{'a' * 64}", "out", f"sha256:{'a' * 64}"),
    ],
)
def test_split(rest: str, place: str, name: str) -> None:
    assert split(rest) == (place, name)


@pytest.mark.parametrize("rest", ["", ":name"])
def test_no_directory(rest: str) -> None:
    with pytest.raises(ConfigError, match="names no directory"):
        split(rest)


def test_each_image_by_its_names(out: Path) -> None:
    bundle = open_bundle(out, DEMAND)
    assert len(bundle.tags()) > 1
    for image in bundle.statement.images:
        for name in (image.target, image.name, image.root.digest):
            assert bundle.resolve(name).digest == image.root.digest
        graph = walk(bundle, image.root)
        for node in graph.nodes:
            read(bundle, node)


def test_several_images_and_no_name(out: Path) -> None:
    with pytest.raises(NotFoundError, match="so one must be named") as caught:
        open_bundle(out, DEMAND).resolve("")
    assert open_bundle(out, DEMAND).tags()[0] in caught.value.hint


def test_a_name_that_is_not_there(out: Path) -> None:
    with pytest.raises(NotFoundError):
        open_bundle(out, DEMAND).resolve("missing:1")


def test_nobody_said_whom_to_trust(out: Path) -> None:
    with pytest.raises(ConfigError, match="whose bundles to trust") as caught:
        open_bundle(out, None)
    assert "--bundle-key" in caught.value.hint


def test_somebody_else_s_key(out: Path) -> None:
    with pytest.raises(BundlerError) as caught:
        open_bundle(out, Demand((key("stranger").public,), 1, NOW))
    assert isinstance(caught.value, TrustError)
