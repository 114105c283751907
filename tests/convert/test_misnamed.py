"""Layers that are not what their media types say: what they begin with decides, as for every program of this field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.content import read
from bundler.convert import Recipe, reasons
from bundler.errors import DigestError
from bundler.medium import EVERYTHING, Compression, Holds
from bundler.oci import mediatype as mt
from tests.convert.making import converted, document, memory, whole
from tests.images import Image, Part, as_json, image, layer, manifest_document, part

TAR = layer("it", 3000, compression="none")
GZIP = layer("it", 3000)
ZSTD = layer("it", 3000, compression="zstd")
PLAIN_ONLY = Holds("an archive", compressions=frozenset(["none"]))
NAMES: dict[Compression, str] = {"none": mt.OCI_LAYER, "gzip": mt.OCI_LAYER_GZIP, "zstd": mt.OCI_LAYER_ZSTD}


def misnamed(held: Part, compression: Compression) -> Image:
    """An image whose layer is called what it is not."""
    return image(part(held.raw, NAMES[compression], diff_id=held.diff_id))


@pytest.mark.parametrize("called", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("held", [TAR, GZIP, ZSTD], ids=["tar", "gzip", "zstd"])
@pytest.mark.parametrize("wanted", ["none", "gzip", "zstd"])
def test_it_becomes_what_is_wanted(held: Part, called: Compression, wanted: Compression) -> None:
    with converted(misnamed(held, called), Recipe(compression=wanted)) as made:
        (listed,) = document(made)["layers"]
        assert listed["mediaType"] == NAMES[wanted]
        if held.descriptor.media_type == NAMES[wanted]:
            assert listed["digest"] == held.descriptor.digest, "its bytes are what is wanted, so they stay"
        begins = {"none": b"srv/", "gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}[wanted]
        (root,) = whole(made).manifests.values()
        assert read(made.source, root[1].layers[0], cap=1 << 20).startswith(begins)


@pytest.mark.parametrize("called", ["none", "gzip", "zstd"])
def test_a_place_for_plain_layers_gets_plain_ones(called: Compression) -> None:
    with converted(misnamed(GZIP, called), holds=PLAIN_ONLY) as made:
        assert [each["digest"] for each in document(made)["layers"]] == [TAR.descriptor.digest]


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(format="oci")], ids=["nothing", "its format"])
def test_nobody_looks_where_nothing_is_wanted(recipe: Recipe) -> None:
    made = misnamed(TAR, "gzip")
    held = memory(made)
    with converted(made, recipe, source=held) as result:
        assert (result.root, result.changes) == (made.root, ())
    assert ("fetch", TAR.descriptor.digest) not in held.calls


def test_reasons_go_by_the_name() -> None:
    made = misnamed(TAR, "gzip")
    assert reasons(memory(made), made.root, Recipe(compression="gzip"), EVERYTHING) == ()


def with_ids(ids: Any) -> Image:
    """An image of one layer whose config names these."""
    config: dict[str, Any] = {"os": "linux", "architecture": "amd64"}
    if ids is not None:
        config["rootfs"] = {"type": "layers", "diff_ids": ids}
    held = part(json.dumps(config).encode(), mt.OCI_CONFIG)
    root = part(as_json(manifest_document(mt.OCI_MANIFEST, held, [GZIP])), mt.OCI_MANIFEST)
    return Image(root.descriptor, (GZIP, held, root))


@pytest.mark.parametrize(
    "ids",
    [None, [], [GZIP.diff_id] * 2, ["sha256:" + "0" * 64], ["\x1b[2J"]],
    ids=["none", "too few", "too many", "another", "no digest"],
)
def test_a_config_that_names_other_layers(ids: Any) -> None:
    with (
        pytest.raises(DigestError, match="config names") as caught,
        converted(with_ids(ids), Recipe(compression="none")),
    ):
        pass
    assert str(caught.value).isprintable()


def test_a_plain_layer_that_only_its_name_hid_is_held_against_the_config_as_well() -> None:
    made = image(part(TAR.raw, mt.OCI_LAYER_GZIP, diff_id="sha256:" + "0" * 64))
    with pytest.raises(DigestError, match="config names"), converted(made, Recipe(compression="none")):
        pass
