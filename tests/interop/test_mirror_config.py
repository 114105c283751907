"""What ``bundler mirror-config`` writes, read by skopeo, buildah and podman: images come from the far side by old names.

The old registries are never there: names are of hosts that nobody has, or of Docker Hub, which a test can't reach.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.images import Image, image, layer, write_layout
from tests.mirrors.receipts import receipt
from tests.peers import DockerRegistry, bundler, demand, docker_registry, needs, run, skopeo

pytestmark = needs("skopeo", "docker-registry")

NGINX, OTHER = image(layer("nginx", 3_000)), image(layer("other", 3_000))
LANDED = {
    "docker.io/library/nginx:1.27": "hub/library/nginx:1.27",
    "registry.invalid/team/app:2": "team/app:2",
    "registry.invalid/team/web:1": "shop/web:1",
}
CONF = "podman/etc/containers/registries.conf.d/50-bundler.conf"


def fill(far: DockerRegistry, folder: Path, *options: str | Path) -> Path:
    """Push the images as the receipt says; returns the receipt."""
    layout = write_layout(folder / "layout", {"nginx": NGINX, "other": OTHER})
    for old, there in LANDED.items():
        what = "nginx" if "nginx" in old else "other"
        skopeo("copy", *options, f"oci:{layout}:{what}", f"docker://{far.host}/{there}")
    path = folder / "receipt.json"
    path.write_bytes(receipt(LANDED, far=far.host))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files for a registry without TLS, in a folder, while it runs."""
    demand("skopeo", "docker-registry")
    work = tmp_path_factory.mktemp("site")
    with docker_registry(work) as far:
        path = fill(far, work, "--dest-tls-verify=false")
        bundler("mirror-config", path, "--insecure", "-o", work / "out", env={"HOME": str(work)})
        yield work / "out"


@pytest.mark.parametrize(("old", "expected"), [(old, NGINX if "nginx" in old else OTHER) for old in LANDED])
def test_skopeo_finds_every_image_under_its_old_name(site: Path, tmp_path: Path, old: str, expected: Image) -> None:
    conf = ("--registries-conf", site / CONF)
    raw = skopeo(*conf, "inspect", "--raw", f"docker://{old}", env={"HOME": str(tmp_path)})
    assert raw.encode() == expected.raw
    skopeo(*conf, "copy", f"docker://{old}", f"dir:{tmp_path / 'copy'}", env={"HOME": str(tmp_path)})
    assert (tmp_path / "copy/manifest.json").read_bytes() == expected.raw


def test_skopeo_finds_them_by_digest(site: Path, tmp_path: Path) -> None:
    name = f"docker://docker.io/library/nginx@{NGINX.root.digest}"
    conf = site / CONF.replace("podman", "crio")
    raw = skopeo("--registries-conf", conf, "inspect", "--raw", name, env={"HOME": str(tmp_path)})
    assert raw.encode() == NGINX.raw


def policy(folder: Path) -> Path:
    """A policy that takes anything, for programs that have no option for it."""
    path = folder / "policy.json"
    path.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    return path


@needs("buildah")
def test_buildah_pulls_a_short_name(site: Path, tmp_path: Path) -> None:
    storage = ("--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
    conf = ("--registries-conf", site / CONF)
    run("buildah", *storage, *conf, "pull", "--signature-policy", policy(tmp_path), "docker.io/library/nginx:1.27")
    found = json.loads(run("buildah", *storage, "images", "--json"))
    assert [one["names"] for one in found] == [["docker.io/library/nginx:1.27"]]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path podman takes for its run root: 50 characters at most."""
    with tempfile.TemporaryDirectory(prefix="pod") as folder:
        yield Path(folder)


@needs("podman")
def test_podman_pulls_by_the_drop_in(site: Path, tmp_path: Path, short_path: Path) -> None:
    storage = ("--root", tmp_path / "root", "--runroot", short_path, "--storage-driver", "vfs")
    env = {"CONTAINERS_REGISTRIES_CONF": str(site / CONF), "HOME": str(tmp_path)}
    run(
        "podman", *storage, "pull", "-q", "--signature-policy", policy(tmp_path), "registry.invalid/team/web:1", env=env
    )
    found = json.loads(run("podman", *storage, "images", "--format=json", env=env))
    assert [one["Names"] for one in found] == [["registry.invalid/team/web:1"]]


def test_an_authority_is_found_where_the_files_put_it(tmp_path: Path, authority: Authority) -> None:
    with docker_registry(tmp_path, tls=authority) as far:
        path = fill(far, tmp_path, "--dest-cert-dir", authority.cert_dir)
        bundler("mirror-config", path, "--ca", authority.ca, "--for", "podman", "-o", tmp_path / "out")
        shutil.copytree(tmp_path / "out/podman/etc/containers", tmp_path / "home/.config/containers")
        raw = skopeo("inspect", "--raw", "docker://nginx:1.27", env={"HOME": str(tmp_path / "home")})
        assert raw.encode() == NGINX.raw
