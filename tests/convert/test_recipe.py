"""What a recipe makes of formats and compressions, by what the destination can hold."""

from __future__ import annotations

import pytest

from bundler.convert import Recipe
from bundler.convert.recipe import compression_of, format_of, wanted_compression, wanted_format
from bundler.errors import ConfigError, UnsupportedError
from bundler.medium import EVERYTHING, Compression, Format, Holds
from bundler.oci import mediatype as mt

DOCKER_ONLY = Holds("an archive", frozenset(["v2s2"]), frozenset(["none"]), indexes=False, artifacts=False)
OCI_ONLY = Holds("a place", frozenset(["oci"]))


@pytest.mark.parametrize(
    ("media_type", "recipe", "holds", "format_"),
    [
        (mt.OCI_MANIFEST, Recipe(), EVERYTHING, "oci"),
        (mt.DOCKER_INDEX, Recipe(), EVERYTHING, "v2s2"),
        (mt.OCI_INDEX, Recipe(format="v2s2"), EVERYTHING, "v2s2"),
        (mt.DOCKER_MANIFEST, Recipe(usual="oci"), EVERYTHING, "oci"),
        (mt.DOCKER_MANIFEST, Recipe("v2s2", usual="oci"), EVERYTHING, "v2s2"),
        (mt.DOCKER_MANIFEST, Recipe(compression="zstd"), EVERYTHING, "oci"),
        (mt.OCI_MANIFEST, Recipe(), DOCKER_ONLY, "v2s2"),
        (mt.DOCKER_MANIFEST, Recipe(), OCI_ONLY, "oci"),
        (mt.OCI_MANIFEST, Recipe(usual="oci"), DOCKER_ONLY, "v2s2"),
        (mt.DOCKER_SCHEMA1, Recipe(), EVERYTHING, "v2s2"),
    ],
)
def test_format(media_type: str, recipe: Recipe, holds: Holds, format_: Format) -> None:
    assert wanted_format(media_type, recipe, holds) == format_


@pytest.mark.parametrize(
    ("media_type", "recipe", "holds", "format_", "remade", "compression"),
    [
        (mt.OCI_LAYER_GZIP, Recipe(), EVERYTHING, "oci", False, "gzip"),
        (mt.OCI_LAYER, Recipe(), EVERYTHING, "oci", False, "none"),
        (mt.OCI_LAYER, Recipe(), EVERYTHING, "oci", True, "gzip"),
        (mt.OCI_LAYER, Recipe(compress_plain=False), EVERYTHING, "oci", True, "none"),
        (mt.OCI_LAYER, Recipe(compress_plain=True), EVERYTHING, "oci", False, "gzip"),
        (mt.OCI_LAYER, Recipe(compression="zstd"), EVERYTHING, "oci", False, "zstd"),
        (mt.OCI_LAYER_GZIP, Recipe(compression="none"), EVERYTHING, "v2s2", False, "none"),
        (mt.OCI_LAYER_ZSTD, Recipe(), EVERYTHING, "oci", False, "zstd"),
        (mt.OCI_LAYER_ZSTD, Recipe(), EVERYTHING, "v2s2", False, "gzip"),
        (mt.OCI_LAYER_ZSTD, Recipe(), DOCKER_ONLY, "v2s2", False, "none"),
        (mt.DOCKER_LAYER_GZIP, Recipe(), DOCKER_ONLY, "v2s2", False, "none"),
    ],
)
def test_compression(
    media_type: str, recipe: Recipe, holds: Holds, format_: Format, remade: bool, compression: Compression
) -> None:
    assert wanted_compression(media_type, recipe, holds, format_=format_, remade=remade) == compression


@pytest.mark.parametrize("method", ["gzip", "zstd"])
def test_a_compression_that_the_destination_lacks(method: Compression) -> None:
    with pytest.raises(UnsupportedError, match=f"an archive can't hold layers with the compression {method}") as caught:
        wanted_compression(mt.OCI_LAYER, Recipe(compression=method), DOCKER_ONLY, format_="v2s2", remade=False)
    assert caught.value.hint


def test_a_format_that_the_destination_lacks() -> None:
    with pytest.raises(UnsupportedError, match="an archive can't hold manifests of the format oci") as caught:
        wanted_format(mt.OCI_MANIFEST, Recipe(format="oci"), DOCKER_ONLY)
    assert caught.value.hint == "leave --format out"


@pytest.mark.parametrize(("compression", "level"), [("gzip", 0), ("gzip", 10), ("zstd", 23), (None, 12), ("zstd", -1)])
def test_levels_that_do_not_exist(compression: Compression | None, level: int) -> None:
    with pytest.raises(ConfigError, match=f"compression level {level}: "):
        Recipe(compression=compression, level=level)


def test_schema_2_has_no_zstd() -> None:
    with pytest.raises(UnsupportedError, match="no layers with zstd") as caught:
        Recipe(format="v2s2", compression="zstd")
    assert "--format oci" in caught.value.hint


def test_names() -> None:
    assert [compression_of(name) for name in (mt.OCI_LAYER, mt.DOCKER_LAYER_GZIP, mt.OCI_LAYER_ZSTD)] == [
        "none",
        "gzip",
        "zstd",
    ]
    assert format_of(mt.DOCKER_SCHEMA1) is None
