"""Which images of an index, in which form: chosen by platform, converted only where it must be, refused with a way out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bundler.convert import Recipe
from bundler.errors import ConfigError, LimitError, NotFoundError, UnsupportedError
from bundler.journey.fitting import Chosen, Fitted, Instances, Wanted, as_usual, choose, fit, parse_instances
from bundler.medium import EVERYTHING, Holds
from bundler.oci import mediatype as mt
from bundler.oci.platform import Platform, parse_platform
from bundler.scratch import Spool
from tests.convert.making import memory
from tests.images import Image, family, image, index, layer
from tests.memory import Memory

AMD64, ARM64, ARM7 = (parse_platform(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
FAMILY = family()
MULTI, WEB = FAMILY["multi"], FAMILY["web"]
ARCHIVE = Holds("an archive", frozenset(["v2s2"]), frozenset(["none"]), indexes=False, artifacts=False)


def chosen(held: Image, wanted: Wanted) -> Chosen:
    return choose(memory(held), held.root, wanted, what="app")


def fitted(
    held: Image,
    wanted: Wanted,
    holds: Holds = EVERYTHING,
    *,
    source: Memory | None = None,
) -> Fitted:
    source = source or memory(held)
    with Spool.open() as scratch, ThreadPoolExecutor(2) as executor:
        picked = choose(source, held.root, wanted, what="app")
        return fit(source, picked, wanted, holds, scratch=scratch, executor=executor, what="app")


class TestChoose:
    @pytest.mark.parametrize("name", ["web", "docker", "sbom"])
    @pytest.mark.parametrize("instances", [*Instances, (ARM64,)])
    def test_what_is_no_index_is_meant_itself(self, name: str, instances: Any) -> None:
        held = memory(FAMILY[name])
        assert choose(held, FAMILY[name].root, Wanted(ARM64, instances), what="app") == Chosen(FAMILY[name].root)
        assert held.count("fetch") == 0

    @pytest.mark.parametrize(("platform", "place"), [(AMD64, 0), (ARM64, 1)])
    def test_the_system_s(self, platform: Platform, place: int) -> None:
        found = chosen(MULTI, Wanted(platform))
        assert found.root.digest == MULTI.manifests[place].descriptor.digest
        assert found.children is None

    def test_a_platform_that_is_not_there(self) -> None:
        with pytest.raises(
            NotFoundError, match="app: has no image for linux/arm/v7; there are linux/amd64, linux/arm64"
        ):
            chosen(MULTI, Wanted(ARM7))

    def test_all(self) -> None:
        assert chosen(MULTI, Wanted(ARM7, Instances.ALL)) == Chosen(MULTI.root)

    def test_the_index_alone(self) -> None:
        assert chosen(MULTI, Wanted(ARM7, Instances.INDEX_ONLY)) == Chosen(MULTI.root, frozenset())

    def test_some(self) -> None:
        found = chosen(MULTI, Wanted(ARM7, (AMD64,)))
        assert found == Chosen(MULTI.root, frozenset([WEB.root.digest]))
        with pytest.raises(NotFoundError):
            chosen(MULTI, Wanted(ARM7, (AMD64, ARM7)))

    def test_an_index_within_an_index(self) -> None:
        inner = index(WEB)
        outer = index(Image(with_platform(inner), inner.parts))
        assert chosen(outer, Wanted(AMD64)).root.digest == WEB.root.digest

    def test_an_index_within_a_thousand(self) -> None:
        held = index(WEB)
        source = memory(held)
        for _ in range(1200):
            held = index(Image(with_platform(held), held.parts[-1:]))
            source.put(held.raw, mt.OCI_INDEX)
        with pytest.raises(LimitError, match="nested more than"):
            choose(source, held.root, Wanted(AMD64), what="app")


def with_platform(held: Image) -> Any:
    from dataclasses import replace

    return replace(held.root, platform=AMD64)


class TestFit:
    @pytest.mark.parametrize("name", FAMILY)
    def test_where_everything_is_held_nothing_is_even_read(self, name: str) -> None:
        source = memory(FAMILY[name])
        made = fitted(FAMILY[name], Wanted(AMD64, Instances.ALL), source=source)
        assert made == Fitted(source, FAMILY[name].root)
        assert source.count("fetch") == 0

    def test_one_platform_for_an_archive(self) -> None:
        made = fitted(MULTI, Wanted(AMD64), ARCHIVE)
        assert made.root.media_type == mt.DOCKER_MANIFEST
        assert len(made.changes) == 1

    def test_an_index_for_an_archive(self) -> None:
        with pytest.raises(UnsupportedError, match=r"app.*an archive holds images for one platform") as caught:
            fitted(MULTI, Wanted(AMD64, Instances.ALL), ARCHIVE)
        assert "--override-os" in caught.value.hint

    def test_preserved_digests(self) -> None:
        made = fitted(FAMILY["docker"], as_usual(Wanted(AMD64, preserve_digests=True), "oci"))
        assert (made.root.digest, made.changes) == (FAMILY["docker"].root.digest, ())
        with pytest.raises(ConfigError, match=r"--preserve-digests, but .*would become Docker schema 2") as caught:
            fitted(WEB, Wanted(AMD64, preserve_digests=True), ARCHIVE)
        assert "leave --preserve-digests out" in caught.value.hint
        with pytest.raises(ConfigError, match="would be decompressed"):
            fitted(WEB, Wanted(AMD64, recipe=Recipe(compression="none"), preserve_digests=True))

    def test_a_source_that_made_its_manifests_up(self) -> None:
        class Made(Memory):
            remade = True

        held = image(layer("plain", 2000, compression="none", docker=True), docker=True)
        source = Made(strict=False)
        for each in held.parts:
            source.put(each.raw, each.descriptor.media_type)
        made = fitted(held, Wanted(AMD64), source=source)
        assert "so its digest is" in made.changes[0]
        made = fitted(held, as_usual(Wanted(AMD64), "dir"), source=source)
        assert made.changes == ()


class TestUsual:
    @pytest.mark.parametrize("transport", ["oci", "oci-archive"])
    def test_layouts_get_oci_manifests(self, transport: str) -> None:
        made = fitted(FAMILY["docker"], as_usual(Wanted(AMD64), transport))
        assert made.root.media_type == mt.OCI_MANIFEST
        assert "became OCI" in made.changes[0]

    def test_unless_something_else_is_asked(self) -> None:
        made = fitted(WEB, as_usual(Wanted(AMD64, recipe=Recipe(format="v2s2")), "oci"))
        assert made.root.media_type == mt.DOCKER_MANIFEST

    @pytest.mark.parametrize("transport", ["docker", "dir", "docker-archive", "docker-daemon", "containers-storage"])
    def test_others_keep_what_there_is(self, transport: str) -> None:
        assert as_usual(Wanted(AMD64), transport).recipe.format is None
        assert fitted(FAMILY["docker"], as_usual(Wanted(AMD64), transport)).root == FAMILY["docker"].root

    @pytest.mark.parametrize("name", ["web", "multi", "sbom", "zstd"])
    def test_what_is_oci_already_stays(self, name: str) -> None:
        made = fitted(FAMILY[name], as_usual(Wanted(AMD64, Instances.ALL), "oci"))
        assert (made.root.digest, made.changes) == (FAMILY[name].root.digest, ())

    def test_some_images_of_a_docker_list_say_the_way_out(self) -> None:
        wanted = as_usual(Wanted(AMD64, (AMD64,)), "oci")
        with pytest.raises(ConfigError) as caught:
            fitted(FAMILY["multi-docker"], wanted)
        assert "--preserve-digests" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "all_of_them", "wanted"),
    [
        (None, False, Instances.SYSTEM),
        (None, True, Instances.ALL),
        ("system", False, Instances.SYSTEM),
        ("all", False, Instances.ALL),
        ("index-only", False, Instances.INDEX_ONLY),
        ("linux/arm64", False, (ARM64,)),
        ("linux/arm64, linux/amd64,linux/aarch64", False, (ARM64, AMD64)),
    ],
)
def test_parse_instances(text: str | None, all_of_them: bool, wanted: Any) -> None:
    assert parse_instances(text, all_of_them=all_of_them) == wanted


@pytest.mark.parametrize(
    ("text", "all_of_them", "said"),
    [
        ("all", True, "exclude each other"),
        ("arm64", False, "must be system, all, index-only or platforms"),
        ("", False, "must be"),
        ("linux/arm64,", False, "--multi-arch"),
        ("linux/a/b/c", False, "--multi-arch"),
    ],
)
def test_instances_that_are_none(text: str, all_of_them: bool, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_instances(text, all_of_them=all_of_them)
