"""Conversions: what changes changes wholly and is told, what need not keeps every byte."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bundler.content import Ranged, read
from bundler.convert import Recipe, convert, reasons
from bundler.errors import ConfigError, DigestError, ProtocolError, UnsupportedError
from bundler.medium import EVERYTHING, Holds
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.scratch import Spool
from tests.convert.making import changed, converted, document, memory, whole
from tests.images import Image, Part, artifact, family, image, index, layer, part
from tests.memory import Fault, Memory, Plain

FAMILY = family()
ARCHIVE = Holds("an archive", frozenset(["v2s2"]), frozenset(["none"]), indexes=False, artifacts=False)
IMAGES = ["base", "web", "docker", "multi", "multi-docker", "zstd"]


def attested(platform: str = "unknown/unknown") -> tuple[Image, Image]:
    """An index of an image and its attestation, as BuildKit writes them; and the image."""
    web = FAMILY["web"]
    statement = part(b'{"_type": "https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json", diff_id="x")
    note = image(statement, platform=platform)
    held = index(web, note)

    def refer(values: dict[str, Any]) -> None:
        values["manifests"][1]["annotations"] = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": web.root.digest,
        }

    return changed(held, refer), web


class TestNothingChanges:
    @pytest.mark.parametrize("name", FAMILY)
    def test_a_plain_recipe(self, name: str) -> None:
        held = memory(FAMILY[name])
        with converted(FAMILY[name], source=held) as made:
            assert (made.root, made.changes) == (FAMILY[name].root, ())
            assert made.source is held

    @pytest.mark.parametrize(("name", "form"), [("web", "oci"), ("multi", "oci"), ("docker", "v2s2"), ("sbom", "oci")])
    def test_the_format_that_it_has(self, name: str, form: Any) -> None:
        with converted(FAMILY[name], Recipe(format=form)) as made:
            assert (made.root, made.changes) == (FAMILY[name].root, ())

    def test_the_compression_that_it_has(self) -> None:
        with converted(FAMILY["web"], Recipe(compression="gzip", level=9, force=True)) as made:
            assert (made.root, made.changes) == (FAMILY["web"].root, ())

    @pytest.mark.parametrize("name", FAMILY)
    def test_reasons_reads_no_layer(self, name: str) -> None:
        held = memory(FAMILY[name])
        reasons(held, FAMILY[name].root, Recipe(), EVERYTHING)
        assert not {digest for verb, digest in held.calls if verb == "fetch"} & {
            each.descriptor.digest for each in FAMILY[name].blobs
        }


class TestFormats:
    @pytest.mark.parametrize("name", IMAGES)
    @pytest.mark.parametrize("form", ["oci", "v2s2"])
    def test_each_becomes_each(self, name: str, form: Any) -> None:
        with converted(FAMILY[name], Recipe(format=form)) as made:
            graph = whole(made)
            for node in graph.nodes:
                if node.is_manifest:
                    assert ("docker" in node.media_type) == (form == "v2s2")
                    assert json.loads(read(made.source, node))["mediaType"] == node.media_type
                elif form == "v2s2":
                    assert "oci" not in node.media_type
                else:
                    assert "docker" not in node.media_type

    @pytest.mark.parametrize("name", ["web", "multi", "docker", "multi-docker"])
    def test_layers_and_configs_keep_their_bytes(self, name: str) -> None:
        form: Any = "v2s2" if "docker" not in name else "oci"
        with converted(FAMILY[name], Recipe(format=form)) as made:
            graph = whole(made)
            assert {node.digest for node in graph.blobs} == {each.descriptor.digest for each in FAMILY[name].blobs}

    @pytest.mark.parametrize("name", ["docker", "multi-docker"])
    def test_there_and_back(self, name: str) -> None:
        with converted(FAMILY[name], Recipe(format="oci")) as there:
            assert there.root.digest != FAMILY[name].root.digest
            held = Memory(strict=False)
            for node in whole(there).nodes:
                held.put(read(there.source, node), node.media_type)
        with converted(there.root, Recipe(format="v2s2"), source=held) as back:
            assert {node.digest for node in whole(back).blobs} == {e.descriptor.digest for e in FAMILY[name].blobs}
            assert back.root.media_type == FAMILY[name].root.media_type

    def test_zstd_becomes_gzip_where_docker_has_no_name_for_it(self) -> None:
        said: list[str] = []
        with converted(FAMILY["zstd"], Recipe(format="v2s2"), said=said) as made:
            graph = whole(made)
            assert [each.media_type for each in graph.manifests[made.root.digest][1].layers] == [
                mt.DOCKER_LAYER_GZIP
            ] * 2
            assert "became Docker schema 2" in made.changes[0]
        assert said == [f"1 layers of {FAMILY['zstd'].parts[1].descriptor.size} bytes are being converted"]

    def test_what_is_lost_is_said(self) -> None:
        noted = image(layer("noted", 500), annotations={"org.example.who": "me"})
        with converted(noted, Recipe(format="v2s2")) as made:
            (line,) = made.changes
            assert "lost are its annotations" in line
            assert str(made.root.digest) in line
            assert "annotations" not in document(made)
        with converted(FAMILY["web"], Recipe(format="v2s2")) as made:
            assert "lost" not in made.changes[0]

    def test_a_subject_that_is_lost_is_said(self) -> None:
        about = changed(FAMILY["web"], lambda values: values.update(subject=FAMILY["base"].root.document()))
        with converted(about, Recipe(format="v2s2")) as made:
            assert "lost are its subject" in made.changes[0]

    def test_what_oci_has_a_place_for_stays_when_layers_change(self) -> None:
        rich = changed(
            image(layer("rich", 500), annotations={"a": "b"}),
            lambda v: v.update(subject=FAMILY["base"].root.document(), artifactType="application/x.y"),
        )
        with converted(rich, Recipe(compression="none")) as made:
            values = document(made)
            assert values["annotations"] == {"a": "b"}
            assert values["artifactType"] == "application/x.y"
            assert values["subject"]["digest"] == FAMILY["base"].root.digest

    def test_the_annotations_of_layers_stay_within_oci(self) -> None:
        def note(values: dict[str, Any]) -> None:
            values["layers"][0]["annotations"] = {"l": "1"}

        with converted(changed(image(layer("l", 500)), note), Recipe(compression="none")) as made:
            assert document(made)["layers"][0]["annotations"] == {"l": "1"}

    def test_foreign_layers_are_renamed_and_keep_their_urls(self) -> None:
        base = layer("base", 500, docker=True)
        foreign = part(
            b"elsewhere", mt.DOCKER_FOREIGN_LAYER, diff_id="sha256:" + "1" * 64, urls=("https://example.org/l",)
        )
        held = image(foreign, base, docker=True)
        with converted(held, Recipe(format="oci")) as made:
            first = document(made)["layers"][0]
            assert first["mediaType"] == "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            assert first["urls"] == ["https://example.org/l"]

    def test_a_layer_without_counterpart(self) -> None:
        held = image(part(b"x", mt.OCI_LAYER_GZIP + "+encrypted", diff_id="sha256:" + "1" * 64))
        with (
            pytest.raises(UnsupportedError, match=r"encrypted' has no counterpart in the format v2s2") as caught,
            converted(held, Recipe(format="v2s2")),
        ):
            pass
        assert "--format" in caught.value.hint


class TestCompression:
    @pytest.mark.parametrize("name", IMAGES)
    @pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
    def test_each_with_each(self, name: str, compression: Any) -> None:
        with converted(FAMILY[name], Recipe(compression=compression)) as made:
            graph = whole(made)
            suffix = {"none": "tar", "gzip": "gzip", "zstd": "zstd"}[compression]
            for node in graph.manifests:
                for each in graph.manifests[node][1].layers:
                    assert each.media_type.endswith(suffix)

    def test_plain_layers_are_named_by_their_diff_ids(self) -> None:
        with converted(FAMILY["web"], Recipe(compression="none")) as made:
            assert [each["digest"] for each in document(made)["layers"]] == [p.diff_id for p in FAMILY["web"].parts[:2]]

    def test_a_shared_layer_is_converted_once(self) -> None:
        held = memory(FAMILY["multi"])
        twice = index(FAMILY["web"], FAMILY["base"])
        held = memory(twice)
        with converted(twice, Recipe(compression="zstd"), source=held) as made:
            whole(made)
        base = FAMILY["base"].parts[0].descriptor.digest
        assert held.count("fetch", base) == 1

    def test_a_medium_without_manifests_gets_its_layers_compressed(self) -> None:
        plain = image(layer("plain", 3000, docker=True, compression="none"), docker=True)
        with converted(plain, remade=True) as made:
            assert document(made)["layers"][0]["mediaType"] == mt.DOCKER_LAYER_GZIP
            whole(made)
        with converted(plain, Recipe(compress_plain=False), remade=True) as made:
            assert made.root == plain.root

    def test_an_archive_for_docker_load_gets_plain_layers_and_schema_2(self) -> None:
        with converted(FAMILY["web"], holds=ARCHIVE) as made:
            assert made.root.media_type == mt.DOCKER_MANIFEST
            assert {each["mediaType"] for each in document(made)["layers"]} == {mt.DOCKER_LAYER}
            whole(made)

    def test_the_source_need_not_be_ranged(self) -> None:
        held = memory(FAMILY["web"])
        with Spool.open() as scratch, ThreadPoolExecutor(2) as executor:
            made = convert(
                Plain(held), FAMILY["web"].root, Recipe(format="v2s2"), EVERYTHING, scratch=scratch, executor=executor
            )
            assert isinstance(made.source, Ranged)
            wanted = FAMILY["web"].parts[0]
            memory_ = Plain(held)
            assert not isinstance(memory_, Ranged)
            for offset in (0, 1, wanted.descriptor.size - 1):
                got = b"".join(bytes(chunk) for chunk in made.source.fetch_from(wanted.descriptor, offset))
                assert got == wanted.raw[offset:]


class TestDamaged:
    def test_a_layer_that_is_not_what_it_is_called(self) -> None:
        held = memory(FAMILY["web"])
        held.faults.append(Fault("fetch", FAMILY["web"].parts[0].descriptor.digest, flip=100))
        with (
            pytest.raises((DigestError, ProtocolError)),
            converted(FAMILY["web"], Recipe(compression="zstd"), source=held),
        ):
            pass

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda raw: raw[:-5], "ends too early"),
            (lambda raw: raw + b"garbage", "can't be decompressed"),
            (lambda raw: raw[:200], "ends too early"),
        ],
        ids=["truncated", "trailing-garbage", "nearly-nothing"],
    )
    def test_a_damaged_layer(self, spoil: Any, said: str) -> None:
        good = layer("good", 5000)
        bad = part(spoil(good.raw), mt.OCI_LAYER_GZIP, diff_id=good.diff_id)
        with pytest.raises(ProtocolError, match=said) as caught, converted(image(bad), Recipe(compression="none")):
            pass
        assert str(bad.descriptor.digest) in str(caught.value)

    def test_a_layer_that_is_not_the_one_of_the_config(self) -> None:
        good, other = layer("good", 5000), layer("other", 5000)
        lying = Part(good.descriptor, good.raw, other.diff_id)
        with (
            pytest.raises(DigestError, match="the image's config names") as caught,
            converted(image(lying), Recipe(compression="none")),
        ):
            pass
        assert other.diff_id in str(caught.value)

    def test_layers_in_the_wrong_order(self) -> None:
        one, two = layer("one", 500), layer("two", 500)
        held = image(Part(one.descriptor, one.raw, two.diff_id), Part(two.descriptor, two.raw, one.diff_id))
        with pytest.raises(DigestError), converted(held, Recipe(compression="none")):
            pass

    def test_a_plain_layer_that_is_called_compressed(self) -> None:
        tar = layer("tar", 500, compression="none")
        held = image(part(tar.raw, mt.OCI_LAYER_GZIP, diff_id=tar.diff_id))
        with converted(held, Recipe(compression="none")) as made:
            assert document(made)["layers"][0] == {
                "mediaType": mt.OCI_LAYER, "digest": tar.diff_id, "size": len(tar.raw),
            }  # fmt: skip

    def test_several_members_are_one_layer(self) -> None:
        tar = layer("tar", 5000, compression="none").raw
        raw = gzip.compress(tar[:1000], mtime=0) + gzip.compress(tar[1000:], mtime=0)
        held = image(part(raw, mt.OCI_LAYER_GZIP, diff_id=digest_of(tar)))
        with converted(held, Recipe(compression="none")) as made:
            assert document(made)["layers"][0]["digest"] == digest_of(tar)


class TestIndexes:
    def test_platforms_and_annotations_stay(self) -> None:
        held = index(FAMILY["web"], FAMILY["base"], annotations={"x": "y"})
        with converted(held, Recipe(compression="none")) as made:
            values = document(made)
            assert values["annotations"] == {"x": "y"}
            assert [each["platform"] for each in values["manifests"]] == [
                each["platform"] for each in json.loads(held.raw)["manifests"]
            ]

    def test_an_attestation_follows_its_image(self) -> None:
        held, web = attested()
        with converted(held, Recipe(compression="none")) as made:
            new, note = document(made)["manifests"]
            assert new["digest"] != web.root.digest
            assert note["digest"] == json.loads(held.raw)["manifests"][1]["digest"]
            assert note["annotations"]["vnd.docker.reference.digest"] == new["digest"]
            assert note["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"

    def test_an_attestation_in_docker_s_format_loses_its_link_and_that_is_said(self) -> None:
        held, _ = attested()
        with converted(held, Recipe(format="v2s2")) as made:
            assert any("lost are its annotations" in line for line in made.changes)
            assert made.root.media_type == mt.DOCKER_INDEX

    @pytest.mark.parametrize("recipe", [Recipe(format="v2s2"), Recipe(compression="none")], ids=["format", "layers"])
    def test_left_out_images_and_conversion_exclude_each_other_before_any_layer_is_read(self, recipe: Recipe) -> None:
        held = memory(FAMILY["multi"])
        with (
            pytest.raises(ConfigError, match="left out") as caught,
            converted(FAMILY["multi"], recipe, source=held, chosen=frozenset([FAMILY["web"].root.digest])),
        ):
            pass
        assert "--all" in caught.value.hint
        layers = {each.descriptor.digest for each in FAMILY["multi"].blobs if "layer" in each.descriptor.media_type}
        assert not layers & {digest for verb, digest in held.calls if verb == "fetch"}

    def test_left_out_images_where_nothing_changes(self) -> None:
        chosen = frozenset([FAMILY["web"].root.digest])
        with converted(FAMILY["multi"], Recipe(format="oci"), chosen=chosen) as made:
            assert (made.root, made.changes) == (FAMILY["multi"].root, ())

    def test_a_place_without_indexes(self) -> None:
        with (
            pytest.raises(UnsupportedError, match="an archive can't hold an index"),
            converted(FAMILY["multi"], holds=ARCHIVE),
        ):
            pass

    def test_an_index_within_an_index(self) -> None:
        inner = changed(index(FAMILY["web"]), lambda values: None)
        outer = index(inner, FAMILY["base"])
        with converted(outer, Recipe(format="v2s2")) as made:
            kinds = [node.media_type for node in whole(made).nodes if node.is_manifest]
            assert kinds.count(mt.DOCKER_INDEX) == 2


class TestArtifacts:
    def test_an_artifact_can_not_become_another_format(self) -> None:
        with (
            pytest.raises(UnsupportedError, match="artifacts can't be converted") as caught,
            converted(FAMILY["sbom"], Recipe(format="v2s2")),
        ):
            pass
        assert caught.value.hint == "leave --format out"

    def test_a_place_without_artifacts(self) -> None:
        with (
            pytest.raises(UnsupportedError, match="an archive holds images only") as caught,
            converted(FAMILY["sbom"], holds=ARCHIVE),
        ):
            pass
        assert "oci:" in caught.value.hint

    def test_a_docker_artifact_stays_one_where_oci_is_usual(self) -> None:
        config = part(b"{}", "application/vnd.docker.plugin.v1+json")
        plugin = layer("plugin", 500, docker=True)
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": mt.DOCKER_MANIFEST,
                "config": config.descriptor.document(),
                "layers": [plugin.descriptor.document()],
            }
        ).encode()
        root = part(raw, mt.DOCKER_MANIFEST)
        held = Image(root.descriptor, (plugin, config, root))
        with converted(held, Recipe(usual="oci")) as made:
            assert (made.root, made.changes) == (held.root, ())

    @pytest.mark.parametrize("compression", ["none", "zstd"])
    def test_the_layers_of_an_artifact_stay_whatever_they_are_called(self, compression: Any) -> None:
        module = layer("module", 500)
        held = changed(artifact(b"x"), lambda values: values.update(layers=[module.descriptor.document()]))
        source = memory(held)
        source.put(module.raw, mt.OCI_LAYER_GZIP)
        recipe = Recipe(compression=compression)
        assert reasons(source, held.root, recipe, EVERYTHING) == ()
        with converted(held, recipe, source=source) as made:
            assert made.root == held.root


def test_reasons_name_what_would_change() -> None:
    held = memory(FAMILY["zstd"])
    said = reasons(held, FAMILY["zstd"].root, Recipe(format="v2s2"), EVERYTHING)
    assert any(line.endswith("would become Docker schema 2") for line in said)
    assert any(line.endswith("would be compressed with gzip") for line in said)
    said = reasons(held, FAMILY["zstd"].root, Recipe(compression="none"), EVERYTHING)
    assert all(line.endswith("would be decompressed") for line in said)
    assert len(said) == 2
    old = Descriptor(mt.DOCKER_SCHEMA1_SIGNED, digest_of(b""), 0)
    assert "would become Docker schema 2" in reasons(held, old, Recipe(), EVERYTHING)[0]
