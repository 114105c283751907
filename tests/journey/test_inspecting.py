"""What an image is said to be, and what can't be said."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.content import Source
from bundler.errors import BundlerError, ConfigError, NotFoundError, UnsupportedError
from bundler.journey.inspecting import (
    Seen,
    as_kept,
    config_document,
    inspect,
    look,
    raw_config,
    raw_manifest,
    tags_of,
)
from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.oci.platform import parse_platform
from tests.images import Image, Part, as_json, family, image, index, layer, load, manifest_document, part
from tests.memory import Memory, Plain
from tests.schema1 import document as document_of
from tests.schema1 import payload_of, signed

AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
IMAGES = family()


def held(**images: Image) -> Memory:
    memory = Memory()
    load(memory, images)
    return memory


def document(memory: Memory, name: str = "x", platform: Any = AMD64, tags: Any = None) -> dict[str, Any]:
    seen = look(memory, name, platform, what=name)
    return inspect(memory, seen, name="registry.example.com/app", tags=tags, what=name)


def test_the_fields_of_an_image_in_skopeos_order() -> None:
    said = document(held(x=IMAGES["web"]), tags=["1", "2"])
    assert list(said) == [
        "Name", "Digest", "RepoTags", "Created", "DockerVersion", "Labels", "Architecture", "Os", "Layers", "LayersData",
        "Env",
    ]  # fmt: skip
    assert said["Digest"] == IMAGES["web"].root.digest
    assert (said["RepoTags"], said["Labels"], said["Env"]) == (["1", "2"], {"is": "web"}, None)
    assert [each["Size"] for each in said["LayersData"]] == [blob.descriptor.size for blob in IMAGES["web"].blobs[:-1]]


def test_an_index_is_told_by_its_digest_and_the_chosen_image() -> None:
    memory = held(x=IMAGES["multi"])
    said = document(memory, platform=ARM64)
    assert said["Digest"] == IMAGES["multi"].root.digest
    assert said["Architecture"] == "arm64"
    assert raw_manifest(memory, "x") == IMAGES["multi"].raw


def test_a_platform_that_is_not_there() -> None:
    with pytest.raises(NotFoundError):
        look(held(x=IMAGES["multi"]), "x", parse_platform("linux/s390x"), what="x")


def test_no_layer_is_fetched() -> None:
    memory = held(x=IMAGES["web"])
    document(memory)
    assert not {name for verb, name in memory.calls if verb == "fetch"} & {
        blob.descriptor.digest for blob in IMAGES["web"].blobs[:-1]
    }


def test_the_config_as_it_is_and_as_oci_knows_it() -> None:
    memory = held(x=IMAGES["docker"])
    seen = look(memory, "x", AMD64, what="x")
    assert raw_config(memory, seen, what="x") == IMAGES["docker"].blobs[-1].raw
    said = config_document(memory, seen, what="x")
    assert list(said) == ["created", "architecture", "os", "config", "rootfs", "history"]
    assert said["config"] == {"Cmd": ["/bin/true"]}  # what is empty is left out


def with_config(raw: bytes, *, docker: bool = False, annotations: dict[str, str] | None = None) -> Memory:
    base = layer("base", 100, docker=docker)
    config = part(raw, mediatype.DOCKER_CONFIG if docker else mediatype.OCI_CONFIG)
    kind = mediatype.DOCKER_MANIFEST if docker else mediatype.OCI_MANIFEST
    values = manifest_document(kind, config, [base])
    if annotations is not None:
        values["layers"][0]["annotations"] = annotations
    root = part(as_json(values), kind)
    parts: tuple[Part, ...] = (base, config, root)
    return held(x=Image(root.descriptor, parts))


HOSTILE: dict[str, bytes] = {
    "not JSON": b"hello",
    "not an object": b"[]",
    "a key twice": b'{"os": "linux", "os": "windows"}',
    "labels that are no map": b'{"config": {"Labels": [1]}}',
    "a label that is no text": b'{"config": {"Labels": {"a": 1}}}',
    "an environment that is no list": b'{"config": {"Env": "A=b"}}',
    "an architecture that is a number": b'{"architecture": 7}',
    "a time that is none": b'{"created": "yesterday"}',
    "a history that is no list": b'{"history": {"a": 1}}',
    "a history of numbers": b'{"history": [1]}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_configs_that_are_none(case: str) -> None:
    memory = with_config(HOSTILE[case])
    seen = look(memory, "x", AMD64, what="x")
    with pytest.raises(BundlerError):
        inspect(memory, seen, what="x")
    with pytest.raises(BundlerError):
        config_document(memory, seen, what="x")


@pytest.mark.parametrize(("docker", "created"), [(False, None), (True, "0001-01-01T00:00:00Z")])
def test_an_image_of_no_time(docker: bool, created: str | None) -> None:
    """Go has a pointer to OCI's time, and Docker's time itself."""
    memory = with_config(b"{}", docker=docker)
    assert document(memory)["Created"] == created
    assert "created" not in config_document(memory, look(memory, "x", AMD64, what="x"), what="x")


def test_maps_are_sorted() -> None:
    memory = with_config(as_json({"config": {"Labels": {"z": "1", "a": "2"}}}), annotations={"y": "1", "b": "2"})
    said = document(memory)
    assert list(said["Labels"]) == ["a", "z"]
    assert list(said["LayersData"][0]["Annotations"]) == ["b", "y"]


@pytest.mark.parametrize(("annotations", "said"), [(None, None), ({}, {}), ({"a": "b"}, {"a": "b"})])
def test_annotations_of_a_layer(annotations: dict[str, str] | None, said: Any) -> None:
    assert document(with_config(b"{}", annotations=annotations))["LayersData"][0]["Annotations"] == said
    docker = document(with_config(b"{}", docker=True, annotations=annotations))
    assert docker["LayersData"][0]["Annotations"] is None


def test_names_and_tags_that_are_not_told() -> None:
    memory = held(x=IMAGES["web"])
    seen = look(memory, "x", AMD64, what="x")
    assert "Name" not in inspect(memory, seen, what="x")
    assert inspect(memory, seen, what="x")["RepoTags"] == []
    assert inspect(memory, seen, tags=None, what="x")["RepoTags"] is None


RECORDS: list[dict[str, Any]] = [
    {"created": "2015-01-01T00:00:00Z", "container_config": {"Cmd": ["/bin/sh", "-c", "x"]}, "author": "ann"},
    {
        "created": "2015-02-01T00:00:00.50Z",
        "os": "linux",
        "docker_version": "1.10",
        "config": {"Labels": {"b": "1", "a": "2"}, "Env": ["A=1"]},
        "throwaway": True,
    },
]


def of_schema1(records: list[dict[str, Any]], **more: Any) -> tuple[Memory, Seen]:
    base = layer("base", 100)
    old = document_of([base.descriptor.digest] * len(records), records, **more)
    root = part(signed(old), mediatype.DOCKER_SCHEMA1_SIGNED)
    memory = held(x=Image(root.descriptor, (base, root)))
    seen = look(memory, "x", AMD64, what="x")
    assert seen.digest == digest_of(payload_of(old))
    return memory, seen


def test_schema_1_tells_its_newest_record() -> None:
    memory, seen = of_schema1(RECORDS)
    said = inspect(memory, seen, name="registry.example.com/app", what="x")
    assert list(said)[:3] == ["Name", "Tag", "Digest"]
    assert (said["Tag"], said["Created"], said["DockerVersion"]) == ("1", "2015-02-01T00:00:00.5Z", "1.10")
    assert (said["Labels"], said["Env"], said["Architecture"], said["Os"]) == (
        {"a": "2", "b": "1"}, ["A=1"], "", "linux",
    )  # fmt: skip
    assert [(each["MIMEType"], each["Size"]) for each in said["LayersData"]] == [("", -1)] * 2


def test_schema_1_of_nothing() -> None:
    memory, seen = of_schema1([{}], tag="")
    said = inspect(memory, seen, what="x")
    assert said["Created"] == "0001-01-01T00:00:00Z"
    assert "Tag" not in said


def test_the_config_that_schema_1_amounts_to() -> None:
    memory, seen = of_schema1(RECORDS)
    said = config_document(memory, seen, what="x")
    assert said["config"] == {"Env": ["A=1"], "Labels": {"a": "2", "b": "1"}}
    assert said["rootfs"] == {"type": "layers", "diff_ids": [""]}
    assert said["history"] == [
        {"created": "2015-01-01T00:00:00Z", "created_by": "/bin/sh -c x", "author": "ann"},
        {"created": "2015-02-01T00:00:00.5Z", "empty_layer": True},
    ]
    with pytest.raises(UnsupportedError, match="no config"):
        raw_config(memory, seen, what="x")


def test_a_medium_that_keeps_what_came() -> None:
    class Keeping(Memory):
        def as_kept(self, name: str) -> Source:
            assert name == "x"
            return kept

    kept = held(x=IMAGES["web"])
    assert as_kept(Keeping(), "x") is kept
    assert as_kept(kept, "x") is kept


def test_an_artifact_is_no_image() -> None:
    memory = held(x=IMAGES["sbom"], web=IMAGES["web"])
    with pytest.raises(UnsupportedError, match="artifact"):
        document(memory)
    assert raw_manifest(memory, "x") == IMAGES["sbom"].raw


def test_names_that_are_not_there() -> None:
    with pytest.raises(NotFoundError):
        look(held(x=IMAGES["web"]), "y", AMD64, what="y")


def test_tags_where_there_are_any() -> None:
    memory = held(b=IMAGES["web"], a=IMAGES["web"])
    assert tags_of(memory) == ["a", "b"]
    assert tags_of(Plain(memory)) == []


def test_an_index_of_one_image() -> None:
    inner = index(image(layer("deep", 10), platform="linux/arm64"))
    assert document(held(x=inner), platform=ARM64)["Architecture"] == "arm64"
    with pytest.raises((ConfigError, NotFoundError)):
        document(held(x=inner))
