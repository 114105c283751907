"""Conversions beside skopeo's: the same manifests where both make one, and images that skopeo and podman take from us."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Job, copy_all, read
from bundler.convert import Converted, Recipe, convert
from bundler.graph import walk
from bundler.medium import EVERYTHING, Compression, Format, Holds
from bundler.oci import mediatype, schema1
from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.oci.manifest import parse_manifest
from bundler.scratch import Spool
from bundler.transports.dir import open_source, open_target
from bundler.transports.docker.registry import Registry
from tests.hostile.scripted import PLAIN
from tests.images import Image, image, index, layer, write_dir
from tests.peers import docker_registry, needs, podman, skopeo
from tests.schema1 import document, id_of, signed

LABELS = {"about": "<a> & b"}
LAYERS: tuple[Compression, ...] = ("none", "gzip")


def ours(source: Path, out: Path, recipe: Recipe, holds: Holds = EVERYTHING) -> Path:
    """A directory's image as we convert it, in another directory."""
    held = open_source(str(source))
    with Spool.open() as scratch, ThreadPoolExecutor(2) as executor:
        made = convert(held, held.resolve(""), recipe, holds, scratch=scratch, executor=executor)
        graph = walk(made.source, made.root)
        with open_target(str(out)) as target:
            copy_all([Job(made.source, target, node) for node in graph.blobs], executor=executor)
            for node in graph.nodes:
                if node.is_manifest:
                    target.push(node, made.source.fetch(node))
            target.tag("", made.root)
    return out


def theirs(source: Path, out: Path, *options: str) -> Path:
    """The same by skopeo."""
    skopeo("copy", "-q", *options, f"dir:{source}", f"dir:{out}")
    return out


def manifest(folder: Path, name: str = "manifest.json") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / name).read_bytes())
    return value


def listed(folder: Path) -> list[dict[str, Any]]:
    """The manifests that an index in a directory lists, each as its file has it."""
    return [manifest(folder, f"{hex_of(each['digest'])}.manifest.json") for each in manifest(folder)["manifests"]]


def blob(folder: Path, digest: str) -> bytes:
    raw = (folder / hex_of(Digest(digest))).read_bytes()
    assert digest_of(raw) == digest
    return raw


def plain_digests(folder: Path, work: Path) -> list[str]:
    """Of the layers without their compression, as skopeo takes it off."""
    out = theirs(folder, work, "--dest-decompress")
    return [digest_of(blob(out, each["digest"])) for each in manifest(out)["layers"]]


def both(compressions: Sequence[Compression], *, docker: bool, platform: str = "linux/amd64") -> Image:
    """An image with a layer for each compression."""
    layers = [layer(f"{n}{platform}", 3000, compression=each, docker=docker) for n, each in enumerate(compressions)]
    return image(*layers, docker=docker, platform=platform, labels=LABELS)


# Formats


@needs("skopeo")
@pytest.mark.parametrize("compressions", [("gzip",), ("none", "gzip")], ids="-".join)
def test_oci_to_schema_2_is_the_same_manifest(tmp_path: Path, compressions: tuple[Compression, ...]) -> None:
    source = write_dir(tmp_path / "source", both(compressions, docker=False))
    mine = ours(source, tmp_path / "ours", Recipe(format="v2s2"))
    other = theirs(source, tmp_path / "theirs", "--format", "v2s2")
    assert (mine / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()
    assert {path.name for path in mine.iterdir()} == {path.name for path in other.iterdir()}


@needs("skopeo")
def test_schema_2_to_oci_has_the_same_layers_and_keeps_the_config(tmp_path: Path) -> None:
    """skopeo writes the config anew, and thereby drops what it does not know; ours keeps its digest."""
    made = both(LAYERS, docker=True)
    source = write_dir(tmp_path / "source", made)
    mine = manifest(ours(source, tmp_path / "ours", Recipe(format="oci")))
    other = manifest(theirs(source, tmp_path / "theirs", "--format", "oci"))
    assert mine["layers"] == other["layers"]
    assert mine["config"]["mediaType"] == other["config"]["mediaType"] == mediatype.OCI_CONFIG
    assert mine["config"]["digest"] == json.loads(made.raw)["config"]["digest"]
    told = [json.loads(skopeo("inspect", f"dir:{tmp_path / name}")) for name in ("ours", "theirs")]
    assert {**told[0], "Digest": ""} == {**told[1], "Digest": ""}


@needs("skopeo")
@pytest.mark.parametrize("format_", ["oci", "v2s2"])
def test_indexes(tmp_path: Path, format_: Format) -> None:
    docker = format_ == "oci"
    made = index(both(["gzip"], docker=docker), both(["gzip"], docker=docker, platform="linux/arm/v7"), docker=docker)
    source = write_dir(tmp_path / "source", made)
    mine = ours(source, tmp_path / "ours", Recipe(format=format_))
    other = theirs(source, tmp_path / "theirs", "--all", "--format", format_)
    mine_root, other_root = manifest(mine), manifest(other)
    assert mine_root["mediaType"] == other_root["mediaType"]
    for one, two in zip(mine_root["manifests"], other_root["manifests"], strict=True):
        assert (one["mediaType"], one["platform"]) == (two["mediaType"], two["platform"])
    assert [each["layers"] for each in listed(mine)] == [each["layers"] for each in listed(other)]
    if format_ == "v2s2":
        assert mine_root == other_root
    skopeo("copy", "-q", "--all", f"dir:{mine}", f"oci:{tmp_path / 'layout'}:1")


@needs("skopeo")
def test_there_and_back_is_the_same_image(tmp_path: Path) -> None:
    made = both(LAYERS, docker=True)
    source = write_dir(tmp_path / "source", made)
    there = ours(source, tmp_path / "there", Recipe(format="oci"))
    back = ours(there, tmp_path / "back", Recipe(format="v2s2"))
    assert manifest(back) == json.loads(made.raw)
    skopeo("inspect", f"dir:{back}")


# Compressions


@needs("skopeo")
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_skopeo_reads_our_layers(tmp_path: Path, compression: Compression) -> None:
    made = both(["none", "gzip", "zstd"], docker=False)
    source = write_dir(tmp_path / "source", made)
    mine = ours(source, tmp_path / "ours", Recipe(compression=compression))
    suffix = {"none": "tar", "gzip": "tar+gzip", "zstd": "tar+zstd"}[compression]
    assert [each["mediaType"].rpartition(".")[2] for each in manifest(mine)["layers"]] == [suffix] * 3
    ids = json.loads(blob(mine, manifest(mine)["config"]["digest"]))["rootfs"]["diff_ids"]
    assert plain_digests(mine, tmp_path / "plain") == ids


@needs("skopeo")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_we_read_what_skopeo_made_of_them_with_zstd(tmp_path: Path, compression: Compression) -> None:
    made = both(["none", "none"], docker=False)
    source = write_dir(tmp_path / "source", made)
    packed = theirs(source, tmp_path / "zstd", "--dest-compress", "--dest-compress-format", "zstd")
    assert all(blob(packed, each["digest"]).startswith(b"\x28\xb5\x2f\xfd") for each in manifest(packed)["layers"])
    mine = ours(packed, tmp_path / "ours", Recipe(format="v2s2", compression=compression))
    ids = json.loads(blob(mine, manifest(mine)["config"]["digest"]))["rootfs"]["diff_ids"]
    assert plain_digests(mine, tmp_path / "plain") == ids


# Schema 1


@needs("skopeo")
def test_schema_1_is_the_same_image(tmp_path: Path) -> None:
    """To the byte: the config's digest is the name by which Docker knows it."""
    source = write_dir(tmp_path / "source", both(["gzip", "gzip"], docker=True))
    old = theirs(source, tmp_path / "old", "--format", "v2s1")
    assert manifest(old)["schemaVersion"] == 1
    mine = ours(old, tmp_path / "ours", Recipe())
    other = theirs(old, tmp_path / "theirs", "--format", "v2s2")
    assert (mine / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()
    digest = manifest(mine)["config"]["digest"]
    assert blob(mine, digest) == blob(other, digest)


@needs("skopeo")
def test_schema_1_of_many_years_ago_is_the_same_image(tmp_path: Path) -> None:
    """With steps that made no layer, a record that stands there twice, and members that nobody knows."""
    layers = [layer(str(n), 500, docker=True) for n in range(3)]
    year = "2015-01-0{}T00:00:00.123456789Z"
    records: list[dict[str, Any]] = [
        {"created": year.format(1), "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) ADD a && b > c"]}},
        {"created": year.format(2), "author": "ann <a@b>", "comment": "why", "throwaway": True},
        {"created": year.format(3), "container_config": {"Cmd": None}},
        {"created": year.format(3), "container_config": {"Cmd": ["again"]}, "id": id_of(2), "parent": id_of(1)},
        {
            "architecture": "arm", "author": "bob", "config": {"Env": ["A=<&>"], "Labels": {"z": "1", "a": "2"}},
            "container": "0" * 64, "container_config": {"Cmd": ["/bin/sh", "-c", "true"]}, "created": year.format(4),
            "docker_version": "1.9.1", "os": "linux", "parent": id_of(2), "Size": 17, "layer_id": "x", "strange": [1, {}],
        },
    ]  # fmt: skip
    digests = [layers[0], layers[0], layers[1], layers[1], layers[2]]
    raw = signed(document([each.descriptor.digest for each in digests], records))
    old = write_dir(tmp_path / "old", image(*layers, docker=True))
    (old / "manifest.json").write_bytes(raw)
    mine = ours(old, tmp_path / "ours", Recipe())
    other = theirs(old, tmp_path / "theirs", "--format", "v2s2")
    digest = manifest(other)["config"]["digest"]
    assert blob(mine, manifest(mine)["config"]["digest"]) == blob(other, digest)
    assert (mine / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()


@needs("skopeo")
def test_schema_1_and_then_oci(tmp_path: Path) -> None:
    source = write_dir(tmp_path / "source", both(["gzip", "gzip"], docker=True))
    old = theirs(source, tmp_path / "old", "--format", "v2s1")
    mine = ours(old, tmp_path / "ours", Recipe(format="oci"))
    other = theirs(old, tmp_path / "theirs", "--format", "oci")
    assert manifest(mine)["layers"] == manifest(other)["layers"]
    told = [json.loads(skopeo("inspect", f"dir:{folder}")) for folder in (mine, other)]
    assert {**told[0], "Digest": ""} == {**told[1], "Digest": ""}


@needs("skopeo")
def test_the_digest_of_schema_1(tmp_path: Path) -> None:
    source = write_dir(tmp_path / "source", both(["gzip"], docker=True))
    old = theirs(source, tmp_path / "old", "--format", "v2s1")
    said = skopeo("manifest-digest", str(old / "manifest.json")).strip()
    assert schema1.digest((old / "manifest.json").read_bytes()) == said


@needs("skopeo", "docker-registry")
def test_schema_1_from_a_registry(tmp_path: Path) -> None:
    source = write_dir(tmp_path / "source", both(["gzip", "gzip"], docker=True))
    settings = {"compatibility": {"schema1": {"enabled": True}}}
    with docker_registry(tmp_path, settings=settings) as far, Registry(far.host, PLAIN) as registry:
        place = f"docker://{far.host}/app:1"
        skopeo("copy", "-q", "--dest-tls-verify=false", "--format", "v2s1", f"dir:{source}", place)
        said = json.loads(skopeo("inspect", "--tls-verify=false", "--no-tags", place))["Digest"]
        repository = registry.repository("app")
        root = repository.resolve("1")
        assert root.media_type == mediatype.DOCKER_SCHEMA1_SIGNED
        assert schema1.digest(read(repository, root)) == said
        for again in (repository.resolve(said), repository.peek("1")):  # this registry signs anew each time
            assert schema1.digest(read(repository, again)) == said
        with Spool.open() as scratch, ThreadPoolExecutor(2) as executor:
            made: Converted = convert(repository, root, Recipe(), EVERYTHING, scratch=scratch, executor=executor)
            raw = read(made.source, made.root)
            layers = parse_manifest(raw, made.root.media_type, what="app:1").layers
        assert [each.digest for each in layers] == [each["digest"] for each in manifest(source)["layers"]]


# podman


@needs("podman", "skopeo")
@pytest.mark.parametrize(
    ("recipe", "docker"),
    [
        pytest.param(Recipe(format="v2s2"), False, id="oci to v2s2"),
        pytest.param(Recipe(format="oci"), True, id="v2s2 to oci"),
        pytest.param(Recipe(compression="zstd"), True, id="zstd"),
        pytest.param(Recipe(), None, id="schema 1"),
    ],
)
def test_podman_takes_it(tmp_path: Path, recipe: Recipe, docker: bool | None) -> None:
    source = write_dir(tmp_path / "source", both(["gzip", "gzip"], docker=docker is not False))
    if docker is None:
        source = theirs(source, tmp_path / "old", "--format", "v2s1")
    mine = ours(source, tmp_path / "ours", recipe)
    with podman() as engine:
        engine("pull", "-q", f"dir:{mine}")
        (found,) = json.loads(engine("images", "--format", "json"))
        assert f"sha256:{found['Id']}" == manifest(mine)["config"]["digest"]
