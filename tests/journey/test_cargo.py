"""A bundle's images made to fit a destination that can't hold everything, and left alone where it can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.content import Event, Note, read
from bundler.errors import NotFoundError, UnsupportedError
from bundler.graph import walk
from bundler.journey.access import Access, Surroundings
from bundler.journey.cargo import Cargo, fitted
from bundler.journey.destinations import open_destination
from bundler.journey.ends import Ends
from bundler.oci import mediatype as mt
from bundler.oci.platform import parse_platform
from bundler.push import Shipment
from tests.convert.making import memory
from tests.images import family
from tests.memory import Memory

FAMILY = family()
AMD64 = parse_platform("linux/amd64")


def load(name: str, **more: object) -> Shipment:
    return Shipment(f"docker.io/acme/{name}:1", FAMILY[name].root, f"acme/{name}", "1", **more)  # type: ignore[arg-type]


@contextmanager
def cargo(
    to: str, loads: Sequence[Shipment], *, platform: str = "linux/amd64", said: list[str] | None = None
) -> Iterator[tuple[Memory, Cargo]]:
    """What is to be delivered to ``to``."""

    def observe(event: Event) -> None:
        if said is not None and isinstance(event, Note):
            said.append(event.text)

    source = memory(*FAMILY.values())
    surroundings = Surroundings(parse_platform(platform))
    with ThreadPoolExecutor(2) as executor, Ends(Access(), surroundings=surroundings) as ends:
        destination = open_destination(to, ends)
        with (
            destination.at_work(),
            fitted(source, loads, destination, ends, executor=executor, observer=observe) as made,
        ):
            yield source, made


@pytest.mark.parametrize("place", ["oci:{}/out", "oci-archive:{}/out.tar", "dir:{}/out"])
def test_where_everything_is_held_nothing_changes(tmp_path: Path, place: str) -> None:
    loads = [load(name) for name in FAMILY]
    with cargo(place.format(tmp_path), loads) as (source, made):
        assert made.landed == tuple(loads)
        assert [each.root for each in made.shipments] == [each.root for each in loads]
        assert {made.source_of(each) for each in made.shipments} == {source}
        assert source.count("fetch") == 0


def test_an_archive_gets_one_platform_s_plain_images(tmp_path: Path) -> None:
    said: list[str] = []
    with cargo(f"docker-archive:{tmp_path}/out.tar", [load("multi"), load("docker")], said=said) as (_, made):
        for shipment in made.shipments:
            source = made.source_of(shipment)
            graph = walk(source, shipment.root)
            assert graph.root.media_type == mt.DOCKER_MANIFEST
            for each in graph.blobs:
                read(source, each)
            assert {each.media_type for each in graph.manifests[graph.root.digest][1].layers} == {mt.DOCKER_LAYER}
        assert [each.repository for each in made.landed] == ["acme/multi", "acme/docker"]
    assert [line.partition(": ")[0] for line in said if "so its digest is" in line] == [
        "docker.io/acme/multi:1",
        "docker.io/acme/docker:1",
    ]


def test_what_is_about_an_image_stays_behind_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    loads = [load("web"), load("sbom", attached=True)]
    with cargo(f"docker-archive:{tmp_path}/out.tar", loads, said=said) as (_, made):
        assert [each.repository for each in made.landed] == ["acme/web"]
    assert any("acme/sbom:1 is left out: " in line for line in said)


def test_an_artifact_of_its_own_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UnsupportedError, match="holds images only"),
        cargo(f"docker-archive:{tmp_path}/out.tar", [load("sbom")]),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_can_be_held(tmp_path: Path) -> None:
    with (
        pytest.raises(UnsupportedError, match="can hold none of the images"),
        cargo(f"docker-archive:{tmp_path}/out.tar", [load("sbom", attached=True)]),
    ):
        pass


def test_a_platform_that_an_image_does_not_have(tmp_path: Path) -> None:
    with (
        pytest.raises(NotFoundError, match=r"docker\.io/acme/multi:1: has no image for linux/s390x"),
        cargo(f"docker-archive:{tmp_path}/out.tar", [load("multi")], platform="linux/s390x"),
    ):
        pass
