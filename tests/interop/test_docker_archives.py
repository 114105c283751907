"""Archives and daemons that Docker's world reads and writes: ours there, theirs here."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.content import read
from bundler.errors import NotFoundError
from bundler.oci import mediatype
from bundler.oci.digest import digest_of
from bundler.oci.manifest import parse_manifest
from bundler.transports import docker_archive, docker_daemon
from tests.images import Image, image, layer, write_dir
from tests.peers import Podman, needs, podman, podman_service, run, skopeo

pytestmark = pytest.mark.slow

BASE = layer("base", 60_000, docker=True, compression="none")
APP = image(BASE, layer("app", 5_000, docker=True, compression="none"), docker=True, labels={"is": "app <&>"})
TWICE = image(BASE, layer("mid", 100, docker=True, compression="none"), BASE, docker=True, labels={"is": "twice"})


@pytest.fixture(scope="module")
def pod() -> Iterator[Podman]:
    """podman, for all tests here."""
    with podman() as made:
        yield made


@pytest.fixture(scope="module")
def service() -> Iterator[Podman]:
    """podman's service, for all tests here."""
    with podman_service() as made:
        yield made


def config_of(held: Image) -> str:
    """The digest of its config, which Docker calls the image's ID."""
    return held.parts[-2].descriptor.digest


def write(path: Path, images: dict[str, Image]) -> Path:
    """An archive of ours."""
    with docker_archive.open_target(str(path)) as target:
        put(target, images)
    return path


def put(target: Any, images: dict[str, Image]) -> None:
    for name, held in images.items():
        for part in held.parts:
            target.push(part.descriptor, iter([part.raw]))
        target.tag(name, held.root)


def check(source: Any, name: str, held: Image) -> None:
    """What a source gives for a name is the image: its config, and its layers without compression."""
    root = source.resolve(name)
    manifest = parse_manifest(read(source, root), root.media_type, what=name)
    assert manifest.config is not None
    assert read(source, manifest.config) == held.parts[-2].raw
    ids = json.loads(held.parts[-2].raw)["rootfs"]["diff_ids"]
    assert [each.digest for each in manifest.layers] == ids
    for each in manifest.layers:
        assert each.media_type == mediatype.DOCKER_LAYER
        assert digest_of(read(source, each)) == each.digest


def tree(path: Path) -> list[tuple[Any, ...]]:
    """Every member with all that it is."""
    with tarfile.open(path) as tar:
        return [
            (
                each.name,
                each.type,
                each.mode,
                each.mtime,
                each.uid,
                each.gid,
                each.uname,
                each.linkname,
                _content(tar, each),
            )
            for each in tar
        ]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = tar.extractfile(member) if member.isreg() else None
    return None if file is None else file.read()


@needs("skopeo")
class TestSkopeo:
    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_it_writes_what_we_read(self, tmp_path: Path, held: Image) -> None:
        write_dir(tmp_path / "dir", held)
        skopeo("copy", "-q", f"dir:{tmp_path / 'dir'}", f"docker-archive:{tmp_path / 'a.tar'}:acme/app:1")
        source = docker_archive.open_source(str(tmp_path / "a.tar"))
        assert source.tags() == ["docker.io/acme/app:1"]
        check(source, "docker.io/acme/app:1", held)
        source.close()

    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_it_writes_what_we_write(self, tmp_path: Path, held: Image) -> None:
        write_dir(tmp_path / "dir", held)
        skopeo("copy", "-q", f"dir:{tmp_path / 'dir'}", f"docker-archive:{tmp_path / 'a.tar'}:acme/app:1")
        ours = write(tmp_path / "b.tar", {"acme/app:1": held})
        assert sorted(tree(ours)) == sorted(tree(tmp_path / "a.tar"))
        assert [each[0] for each in tree(ours)][-2:] == ["manifest.json", "repositories"]

    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_it_reads_what_we_write(self, tmp_path: Path, held: Image) -> None:
        ours = write(tmp_path / "ours.tar", {"acme/app:1": held, "acme/other": image(BASE, docker=True)})
        skopeo("copy", "-q", f"docker-archive:{ours}:acme/app:1", f"dir:{tmp_path / 'out'}")
        manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
        assert manifest["config"]["digest"] == config_of(held)
        assert json.loads(skopeo("list-tags", f"docker-archive:{ours}"))["Tags"] == [
            "docker.io/acme/app:1",
            "docker.io/acme/other:latest",
        ]
        skopeo("copy", "-q", f"docker-archive:{ours}:@1", f"dir:{tmp_path / 'second'}")

    def test_a_compressed_archive(self, tmp_path: Path) -> None:
        write_dir(tmp_path / "dir", APP)
        skopeo("copy", "-q", f"dir:{tmp_path / 'dir'}", f"docker-archive:{tmp_path / 'a.tar'}:app")
        packed = tmp_path / "a.tar.gz"
        packed.write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
        source = docker_archive.open_source(str(packed), tmp=tmp_path)
        check(source, "", APP)
        source.close()


@needs("podman")
class TestPodman:
    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_it_loads_what_we_write(self, pod: Podman, tmp_path: Path, held: Image) -> None:
        ours = write(tmp_path / "ours.tar", {"acme/app:1": held})
        assert "docker.io/acme/app:1" in pod("load", "-q", "-i", ours)
        assert f"sha256:{pod.inspect('docker.io/acme/app:1')['Id']}" == config_of(held)

    def test_it_loads_several_images(self, pod: Podman, tmp_path: Path) -> None:
        images = {"acme/one:1": APP, "localhost:5000/two:2": TWICE, "acme/three:3": APP}
        pod("load", "-q", "-i", write(tmp_path / "ours.tar", images))
        for name, held in images.items():
            assert f"sha256:{pod.inspect(name)['Id']}" == config_of(held)

    def test_it_loads_an_image_without_a_name(self, pod: Podman, tmp_path: Path) -> None:
        bare = image(layer("bare", 300, docker=True, compression="none"), docker=True)
        pod("load", "-q", "-i", write(tmp_path / "ours.tar", {"": bare}))
        assert f"sha256:{pod.inspect(config_of(bare))['Id']}" == config_of(bare)

    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_it_saves_what_we_read(self, pod: Podman, tmp_path: Path, held: Image) -> None:
        pod("load", "-q", "-i", write(tmp_path / "ours.tar", {"acme/app:1": held, "acme/b:2": held}))
        saved = tmp_path / "saved.tar"
        pod("save", "-q", "-m", "-o", saved, "docker.io/acme/app:1", "docker.io/acme/b:2")
        source = docker_archive.open_source(str(saved))
        for name in ("docker.io/acme/app:1", "docker.io/acme/b:2", ""):
            check(source, name, held)
        source.close()


@needs("podman")
class TestService:
    @pytest.mark.parametrize("held", [APP, TWICE], ids=["app", "twice"])
    def test_there_and_back(self, service: Podman, tmp_path: Path, held: Image) -> None:
        with docker_daemon.open_target(service.url, tmp=tmp_path) as target:
            put(target, {"docker.io/acme/app:1": held})
        assert list(tmp_path.iterdir()) == []
        assert f"sha256:{service.inspect('docker.io/acme/app:1')['Id']}" == config_of(held)
        for name in ("docker.io/acme/app:1", config_of(held)):
            source = docker_daemon.open_source(service.url, tmp=tmp_path)
            check(source, name, held)
            source.close()

    def test_two_images_at_once(self, service: Podman) -> None:
        with docker_daemon.open_target(service.url) as target:
            put(target, {"acme/one:1": APP, "acme/two:2": TWICE})
        source = docker_daemon.open_source(service.url)
        check(source, "docker.io/acme/one:1", APP)
        check(source, "docker.io/acme/two:2", TWICE)
        source.close()

    def test_removing(self, service: Podman) -> None:
        gone = image(layer("gone", 300, docker=True, compression="none"), docker=True)
        with docker_daemon.open_target(service.url) as target:
            put(target, {"acme/gone:1": gone})
        docker_daemon.remove(service.url, "docker.io/acme/gone:1")
        with pytest.raises(NotFoundError, match="gone"):
            docker_daemon.remove(service.url, "docker.io/acme/gone:1")

    def test_no_such_image(self, service: Podman) -> None:
        source = docker_daemon.open_source(service.url)
        with pytest.raises(NotFoundError, match="image not known"):
            source.resolve("docker.io/acme/none:1")
        source.close()

    @needs("docker")
    def test_dockers_own_client_loads_what_we_write(self, service: Podman, tmp_path: Path) -> None:
        ours = write(tmp_path / "ours.tar", {"acme/client:1": APP})
        run("docker", "-H", service.url, "load", "-q", "-i", ours)
        saved = tmp_path / "saved.tar"
        run("docker", "-H", service.url, "save", "-o", saved, "docker.io/acme/client:1")
        source = docker_archive.open_source(str(saved))
        check(source, "", APP)
        source.close()
