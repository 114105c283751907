"""``dir:``, ``oci-archive:`` and ``oci:`` beside skopeo where no other test looks: signatures, versions, packings, names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.oci.digest import hex_of
from tests.images import Image, family, image, layer, write_dir, write_layout
from tests.peers import Podman, attempt, bundler, demand, needs, podman, run, umoci

pytestmark = needs("skopeo")

FAMILY = family()
WEB, MULTI = FAMILY["web"], FAMILY["multi"]
SIGNATURES = {
    "signature-1": b"\x89of the index",
    "signature-2": b'\0sigstore-json\n{"mimeType":"a/b","payload":"YQ==","annotations":{}}',
    f"{hex_of(WEB.root.digest)}.signature-1": b"\x89of web",
}
"""One of each kind: skopeo carries them unverified where its policy accepts anything."""


@pytest.fixture(params=["skopeo", "skopeo-current"])
def skopeo(request: pytest.FixtureRequest) -> str:
    """Debian's, and a current one where there is one."""
    demand(request.param)
    return str(request.param)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def copy(skopeo: str, *args: str | Path) -> str:
    return run(skopeo, "--insecure-policy", "copy", "-q", *args)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    place = write_dir(tmp_path / "signed", MULTI)
    for name, raw in SIGNATURES.items():
        (place / name).write_bytes(raw)
    return place


class TestSignaturesInADirectory:
    def test_both_keep_the_same_files(self, skopeo: str, signed: Path, tmp_path: Path) -> None:
        copy(skopeo, "--all", f"dir:{signed}", f"dir:{tmp_path}/theirs")
        bundler("copy", "--all", f"dir:{signed}", f"dir:{tmp_path}/ours")
        assert tree(tmp_path / "theirs") == tree(signed)
        assert tree(tmp_path / "ours") == tree(signed)

    def test_there_and_back(self, skopeo: str, signed: Path, tmp_path: Path) -> None:
        copy(skopeo, "--all", f"dir:{signed}", f"dir:{tmp_path}/theirs")
        bundler("copy", "--all", f"dir:{tmp_path}/theirs", f"dir:{tmp_path}/ours")
        copy(skopeo, "--all", f"dir:{tmp_path}/ours", f"dir:{tmp_path}/again")
        assert tree(tmp_path / "again") == tree(signed)

    def test_of_one_platform(self, skopeo: str, signed: Path, tmp_path: Path) -> None:
        platform = ("--override-os=linux", "--override-arch=amd64")
        run(skopeo, "--insecure-policy", *platform, "copy", "-q", f"dir:{signed}", f"dir:{tmp_path}/theirs")
        bundler(*platform, "copy", f"dir:{signed}", f"dir:{tmp_path}/ours")
        assert (tmp_path / "ours/signature-1").read_bytes() == b"\x89of web"
        assert tree(tmp_path / "ours") == tree(tmp_path / "theirs")

    def test_each_replaces_what_the_other_wrote(self, skopeo: str, signed: Path, tmp_path: Path) -> None:
        other = write_dir(tmp_path / "other", image(layer("other", 300)))
        copy(skopeo, "--all", f"dir:{signed}", f"dir:{tmp_path}/theirs")
        bundler("copy", f"dir:{other}", f"dir:{tmp_path}/theirs")
        assert tree(tmp_path / "theirs") == tree(other)
        bundler("copy", "--all", f"dir:{signed}", f"dir:{tmp_path}/ours")
        copy(skopeo, f"dir:{other}", f"dir:{tmp_path}/ours")
        assert tree(tmp_path / "ours") == tree(other)


@pytest.mark.parametrize("name", FAMILY)
def test_a_directory_of_ours_is_read(name: str, skopeo: str, tmp_path: Path) -> None:
    held = FAMILY[name]
    source = write_dir(tmp_path / "source", held)
    bundler("copy", "--all", f"dir:{source}", f"dir:{tmp_path}/ours")
    copy(skopeo, "--all", f"dir:{source}", f"dir:{tmp_path}/theirs")
    run("diff", "-r", tmp_path / "theirs", tmp_path / "ours")
    assert run(skopeo, "inspect", "--raw", f"dir:{tmp_path}/ours").encode() == held.raw
    if name != "multi-docker":  # an index of Docker manifests becomes another one in a layout
        copy(skopeo, "--all", f"dir:{tmp_path}/ours", f"oci:{tmp_path}/layout:v1")
        (entry,) = entries(tmp_path / "layout")
        assert (entry["digest"] == held.root.digest) is ("docker" not in name)


def entries(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return found


@needs("gzip", "bzip2", "xz", "zstd", "tar")
class TestPackedArchives:
    @pytest.mark.parametrize("pack", [None, "gzip", "bzip2", "xz", "zstd"])
    def test_both_read_what_either_packs(self, pack: str | None, skopeo: str, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "layout", {"v1": MULTI})
        archives = {"ours": tmp_path / "ours.tar", "theirs": tmp_path / "theirs.tar"}
        bundler("copy", "--all", f"oci:{layout}:v1", f"oci-archive:{archives['ours']}:v1")
        copy(skopeo, "--all", f"oci:{layout}:v1", f"oci-archive:{archives['theirs']}:v1")
        for who, archive in archives.items():
            place = archive
            if pack is not None:
                run(pack, "-k", archive)
                (place,) = tmp_path.glob(f"{who}.tar.*")
            copy(skopeo, "--all", f"oci-archive:{place}:v1", f"dir:{tmp_path}/{who}-by-theirs")
            bundler("copy", "--all", f"oci-archive:{place}:v1", f"dir:{tmp_path}/{who}-by-ours")
            assert tree(tmp_path / f"{who}-by-ours") == tree(tmp_path / f"{who}-by-theirs")
            assert (tmp_path / f"{who}-by-ours/manifest.json").read_bytes() == MULTI.raw

    @needs("umoci")
    def test_unpacked_it_is_a_layout(self, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "layout", {"v1": WEB})
        bundler("copy", f"oci:{layout}:v1", f"oci-archive:{tmp_path}/a.tar:v1")
        (tmp_path / "out").mkdir()
        run("tar", "-xf", tmp_path / "a.tar", "-C", tmp_path / "out")
        assert umoci("ls", "--layout", tmp_path / "out").split() == ["v1"]
        umoci("unpack", "--rootless", "--image", f"{tmp_path}/out:v1", tmp_path / "bundle")
        assert (tmp_path / "bundle/rootfs/srv/web/about.txt").read_text().startswith("layer web")


@pytest.fixture
def pod() -> Iterator[Podman]:
    with podman() as made:
        yield made


@needs("podman")
@pytest.mark.parametrize("name", ["", ":acme:1"])
def test_podman_pulls_an_archive(name: str, pod: Podman, tmp_path: Path) -> None:
    source = write_dir(tmp_path / "source", WEB)
    bundler("copy", f"dir:{source}", f"oci-archive:{tmp_path}/a.tar{name}")
    said = pod("pull", "-q", f"oci-archive:{tmp_path}/a.tar").split()[-1]
    assert f"sha256:{said}" == WEB.parts[-2].descriptor.digest


class TestImagesWithoutAName:
    @pytest.mark.parametrize("names", [("", ""), ("", ":v1"), (":v1", ":v2"), ("", ":v1", ":v1")])
    @pytest.mark.parametrize("held", [WEB, MULTI], ids=["image", "index"])
    def test_both_list_the_same(self, names: tuple[str, ...], held: Image, skopeo: str, tmp_path: Path) -> None:
        source = write_dir(tmp_path / "source", held)
        for name in names:
            copy(skopeo, "--all", f"dir:{source}", f"oci:{tmp_path}/theirs{name}")
            bundler("copy", "--all", f"dir:{source}", f"oci:{tmp_path}/ours{name}")
        listed = {
            who: sorted(
                (each["digest"], each.get("annotations", {}).get("org.opencontainers.image.ref.name", ""))
                for each in entries(tmp_path / who)
            )
            for who in ("theirs", "ours")
        }
        assert listed["ours"] == listed["theirs"]
        read = [attempt(skopeo, "inspect", "--raw", f"oci:{tmp_path}/{who}").returncode for who in ("theirs", "ours")]
        assert read[0] == read[1] == (len(listed["theirs"]) > 1)

    def test_what_has_a_name_gets_no_second_entry(self, skopeo: str, tmp_path: Path) -> None:
        """skopeo adds one, and then finds "more than one image" where it put one."""
        source = write_dir(tmp_path / "source", WEB)
        for name in (":v1", ""):
            copy(skopeo, f"dir:{source}", f"oci:{tmp_path}/theirs{name}")
            bundler("copy", f"dir:{source}", f"oci:{tmp_path}/ours{name}")
        assert attempt(skopeo, "inspect", "--raw", f"oci:{tmp_path}/theirs").returncode != 0
        assert run(skopeo, "inspect", "--raw", f"oci:{tmp_path}/ours").encode() == WEB.raw
