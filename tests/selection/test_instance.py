"""The image that a machine takes out of an index: its own variant, else the best that it can run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bundler.errors import NotFoundError
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.manifest import Manifest
from bundler.oci.platform import Platform, parse_platform
from bundler.selection.instance import choose_instance, runnable


def index(*platforms: str | Platform | None) -> Manifest:
    """An index of images for these platforms; each is known by its place."""
    children = []
    for n, text in enumerate(platforms):
        platform = parse_platform(text) if isinstance(text, str) else text
        children.append(Descriptor(mt.OCI_MANIFEST, digest_of(bytes([n])), 1, platform=platform))
    return Manifest(mt.OCI_INDEX, manifests=tuple(children))


def chosen(wanted: str | Platform, *platforms: str | Platform | None) -> int:
    there = index(*platforms)
    platform = parse_platform(wanted) if isinstance(wanted, str) else wanted
    return there.manifests.index(choose_instance(there, platform, what="app"))


WINDOWS = [Platform("windows", "amd64", os_version=version) for version in ("10.0.17763.1", "10.0.20348.2")]


@pytest.mark.parametrize(
    ("wanted", "platforms", "place"),
    [
        ("linux/amd64", ("linux/arm64", "linux/amd64"), 1),
        ("linux/amd64", ("linux/amd64", "linux/amd64"), 0),
        ("linux/amd64", ("linux/amd64/v2", "linux/amd64"), 1),
        ("linux/amd64/v3", ("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), 1),
        ("linux/amd64/v3", ("linux/amd64",), 0),
        ("linux/arm64", ("linux/arm64/v8",), 0),
        ("linux/arm64", ("linux/arm/v7", "linux/arm64"), 1),
        ("linux/arm64/v9", ("linux/arm64/v8", "linux/amd64"), 0),
        ("linux/arm/v7", ("linux/arm/v5", "linux/arm/v6"), 1),
        ("linux/arm", ("linux/arm/v6", "linux/arm/v7"), 1),
        ("linux/arm/v6", ("linux/arm/v7", "linux/arm/v5"), 1),
        ("linux/arm/v8", ("linux/arm/v6", "linux/arm/v7"), 1),
        ("linux/386", ("linux/amd64", "linux/386"), 1),
        (WINDOWS[1], tuple(WINDOWS), 1),
        ("windows/amd64", tuple(WINDOWS), 0),
        ("linux/riscv64", (None, "linux/riscv64"), 1),
        ("linux/riscv64", ("linux/amd64", None, None), 1),
    ],
)
def test_chosen(wanted: str | Platform, platforms: tuple[str | Platform | None, ...], place: int) -> None:
    assert chosen(wanted, *platforms) == place


@pytest.mark.parametrize(
    ("wanted", "platforms", "there"),
    [
        ("linux/amd64", ("linux/arm64", "linux/arm/v7"), "there are linux/arm64, linux/arm/v7"),
        ("linux/arm/v6", ("linux/arm/v7",), "there are linux/arm/v7"),
        ("linux/amd64", ("linux/amd64/v3",), "there are linux/amd64/v3"),
        ("linux/amd64", ("windows/amd64", "windows/amd64"), "there are windows/amd64"),
        ("linux/amd64", (), "there are none with a platform"),
        (Platform("windows", "amd64", os_version="10.0.1"), tuple(WINDOWS), "there are windows/amd64"),
    ],
)
def test_not_there(wanted: str | Platform, platforms: tuple[str | Platform | None, ...], there: str) -> None:
    with pytest.raises(NotFoundError, match=there) as caught:
        chosen(wanted, *platforms)
    assert str(caught.value).startswith("app: has no image for ")
    assert "--override-arch" in caught.value.hint


def test_an_image_for_everyone_is_known_to_oci_only() -> None:
    """Docker's manifest lists always have platforms."""
    children = index(None).manifests
    with pytest.raises(NotFoundError, match="there are none with a platform"):
        choose_instance(Manifest(mt.DOCKER_INDEX, manifests=children), parse_platform("linux/amd64"), what="app")


def test_an_artifact_is_for_nobody() -> None:
    (child,) = index(None).manifests
    there = Manifest(mt.OCI_INDEX, manifests=(replace(child, artifact_type="application/vnd.example.sbom"),))
    with pytest.raises(NotFoundError, match="there are none with a platform"):
        choose_instance(there, parse_platform("linux/amd64"), what="app")


@pytest.mark.parametrize("platform", ["linux/amd64", None])
def test_zstd_comes_before_its_like(platform: str | None) -> None:
    gzip, zstd = index(platform, platform).manifests
    zstd = replace(zstd, annotations={"io.github.containers.compression.zstd": "true"})
    there = Manifest(mt.OCI_INDEX, manifests=(gzip, zstd))
    assert choose_instance(there, parse_platform("linux/amd64"), what="app") == zstd


def test_zstd_comes_after_a_better_platform() -> None:
    better, zstd = index("linux/arm/v7", "linux/arm/v6").manifests
    zstd = replace(zstd, annotations={"io.github.containers.compression.zstd": "true"})
    there = Manifest(mt.OCI_INDEX, manifests=(zstd, better))
    assert choose_instance(there, parse_platform("linux/arm/v7"), what="app") == better


def test_attestations_are_no_images() -> None:
    note = Descriptor(
        mt.OCI_MANIFEST,
        digest_of(b"note"),
        1,
        platform=parse_platform("linux/amd64"),
        annotations={
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": digest_of(b"image"),
        },
    )
    image = Descriptor(mt.OCI_MANIFEST, digest_of(b"image"), 1, platform=parse_platform("linux/amd64"))
    there = Manifest(mt.OCI_INDEX, manifests=(note, image))
    assert choose_instance(there, parse_platform("linux/amd64"), what="app") == image
    with pytest.raises(NotFoundError, match=r"there are linux/amd64$"):
        choose_instance(there, parse_platform("linux/arm64"), what="app")


def test_unprintable_names() -> None:
    there = index(Platform("li\x1bnux", "amd64"))
    with pytest.raises(NotFoundError) as caught:
        choose_instance(there, parse_platform("linux/amd64"), what="a\x1bpp")
    assert "\x1b" not in str(caught.value)


def test_runnable() -> None:
    assert [str(each) for each in runnable(parse_platform("linux/arm/v7"))] == [
        "linux/arm/v7", "linux/arm/v6", "linux/arm/v5", "linux/arm",
    ]  # fmt: skip
    assert [str(each) for each in runnable(parse_platform("linux/amd64"))] == ["linux/amd64"]
