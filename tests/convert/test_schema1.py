"""Images of schema 1 become images of schema 2, with configs that others can run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundler.content import read
from bundler.convert import Recipe
from bundler.errors import DigestError, ProtocolError, UnsupportedError
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from tests.convert.making import converted, document, whole
from tests.images import Part, layer
from tests.memory import Fault, Memory
from tests.schema1 import document as old_document
from tests.schema1 import payload_of, signed

BASE, TOP = layer("base", 3000, docker=True), layer("top", 2000, docker=True)
EMPTY = layer("empty", 10, docker=True)
RECORDS: list[dict[str, Any]] = [
    {"created": "2015-01-01T00:00:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", "ADD x"]}},
    {"created": "2015-01-02T00:00:00Z", "author": "ann", "comment": "why", "throwaway": True},
    {
        "created": "2015-01-03T00:00:00Z",
        "os": "linux",
        "architecture": "arm64",
        "config": {"Cmd": ["/app"]},
        "docker_version": "1.8",
        "Size": 17,
        "layer_id": "x",
    },
]


def old(raw: bytes, *layers: Part, media_type: str = mt.DOCKER_SCHEMA1_SIGNED) -> tuple[Memory, Descriptor]:
    """A repository with an image of schema 1."""
    held = Memory(strict=False)
    for each in layers:
        held.put(each.raw, each.descriptor.media_type)
    held.names["1"] = held.put(raw, media_type)
    return held, held.names["1"]


def usual(**more: Any) -> tuple[Memory, Descriptor]:
    value = old_document([each.descriptor.digest for each in (BASE, EMPTY, TOP)], RECORDS, **more)
    return old(signed(value), BASE, EMPTY, TOP)


def config_of(made: Any) -> dict[str, Any]:
    manifest = whole(made).manifests[made.root.digest][1]
    assert manifest.config is not None
    value: dict[str, Any] = json.loads(read(made.source, manifest.config))
    return value


def test_the_image() -> None:
    held, root = usual()
    with converted(root, source=held) as made:
        assert made.root.media_type == mt.DOCKER_MANIFEST
        values = document(made)
        assert values["config"]["mediaType"] == mt.DOCKER_CONFIG
        assert values["layers"] == [
            {"mediaType": mt.DOCKER_LAYER_GZIP, "size": each.descriptor.size, "digest": each.descriptor.digest}
            for each in (BASE, TOP)
        ]
        config = config_of(made)
        assert config["rootfs"] == {"type": "layers", "diff_ids": [BASE.diff_id, TOP.diff_id]}
        assert config["history"] == [
            {"created": "2015-01-01T00:00:00Z", "created_by": "/bin/sh -c ADD x"},
            {"created": "2015-01-02T00:00:00Z", "author": "ann", "comment": "why", "empty_layer": True},
            {"created": "2015-01-03T00:00:00Z"},
        ]
        assert (config["os"], config["architecture"], config["config"]) == ("linux", "arm64", {"Cmd": ["/app"]})
        assert not {"id", "parent", "Size", "layer_id", "throwaway"} & config.keys()
        (line,) = made.changes
        assert line == f"{root.digest}: Docker schema 1 became Docker schema 2: {made.root.digest}"


def test_the_same_again_gives_the_same_digest() -> None:
    digests = set()
    for _ in range(2):
        held, root = usual()
        with converted(root, source=held) as made:
            digests.add(made.root.digest)
    assert len(digests) == 1


def test_unsigned() -> None:
    value = old_document([BASE.descriptor.digest], RECORDS[2:])
    held, root = old(payload_of(value), BASE, media_type=mt.DOCKER_SCHEMA1)
    with converted(root, source=held) as made:
        assert config_of(made)["rootfs"]["diff_ids"] == [BASE.diff_id]


@pytest.mark.parametrize("recipe", [Recipe(format="oci"), Recipe(usual="oci"), Recipe(compression="zstd")])
def test_and_then_what_the_recipe_asks(recipe: Recipe) -> None:
    held, root = usual()
    with converted(root, recipe, source=held) as made:
        assert made.root.media_type == mt.OCI_MANIFEST
        assert config_of(made)["rootfs"]["diff_ids"] == [BASE.diff_id, TOP.diff_id]
        assert len(made.changes) == 2


def test_what_the_newest_record_does_not_say() -> None:
    value = old_document([BASE.descriptor.digest], [{}], architecture="s390x")
    held, root = old(signed(value), BASE)
    with converted(root, source=held) as made:
        config = config_of(made)
        assert (config["os"], config["architecture"]) == ("linux", "s390x")
        assert config["history"] == [{"created": "1970-01-01T00:00:00Z"}]


def test_a_layer_that_occurs_twice_is_fetched_once() -> None:
    digest = BASE.descriptor.digest
    held, root = old(signed(old_document([digest, digest], [{}, {}])), BASE)
    with converted(root, source=held) as made:
        assert config_of(made)["rootfs"]["diff_ids"] == [BASE.diff_id] * 2
    assert held.count("fetch", digest) == 1


def test_a_layer_without_compression_is_called_so() -> None:
    plain = layer("plain", 500, compression="none", docker=True)
    held, root = old(signed(old_document([plain.descriptor.digest], [{}])), plain)
    with converted(root, source=held) as made:
        assert document(made)["layers"][0]["mediaType"] == mt.DOCKER_LAYER
        whole(made)


def test_a_layer_that_schema_2_has_no_name_for() -> None:
    zstd = layer("zstd", 500, compression="zstd")
    held, root = old(signed(old_document([zstd.descriptor.digest], [{}])), zstd)
    with pytest.raises(UnsupportedError, match="no layers with zstd"), converted(root, source=held):
        pass


@pytest.mark.parametrize("fault", [{"flip": 10}, {"cut": 1}, {"extra": b"x"}], ids=["flipped", "short", "long"])
def test_a_layer_that_is_another(fault: dict[str, Any]) -> None:
    held, root = usual()
    held.faults.append(Fault("fetch", TOP.descriptor.digest, **fault))
    with pytest.raises(DigestError, match=f"layer {TOP.descriptor.digest}: the"), converted(root, source=held):
        pass


def test_a_layer_that_ends_too_early() -> None:
    raw = BASE.raw[:-9]
    held, root = old(signed(old_document([digest_of(raw)], [{}])))
    held.put(raw)
    with pytest.raises(ProtocolError, match="ends too early"), converted(root, source=held):
        pass


def test_a_digest_that_schema_1_does_not_know() -> None:
    held, root = old(signed(old_document(["sha512:" + "a" * 128], [{}])))
    with pytest.raises(ProtocolError, match="sha256 only"), converted(root, source=held):
        pass


@pytest.mark.parametrize(
    "record",
    [{"os": 1}, {"architecture": ["amd64"]}],
    ids=["os is a number", "architecture is a list"],
)
def test_a_newest_record_without_a_platform(record: dict[str, Any]) -> None:
    held, root = old(signed(old_document([BASE.descriptor.digest], [record])), BASE)
    with pytest.raises(ProtocolError, match="no usable os and architecture"), converted(root, source=held):
        pass


@pytest.mark.parametrize(
    "record",
    [{"container_config": "x"}, {"container_config": {"Cmd": [1, 2]}}, {"container_config": {"Cmd": "ls"}}],
)
def test_a_command_that_is_none_is_left_out(record: dict[str, Any]) -> None:
    held, root = old(signed(old_document([BASE.descriptor.digest], [record])), BASE)
    with converted(root, source=held) as made:
        assert "created_by" not in config_of(made)["history"][0]
