"""Every kind of image from every medium to every other: judged by skopeo, umoci and podman, digests equal where they can be.

What changes a digest is a medium's nature, and bundler says which: layouts get OCI manifests, archives for `docker load`
get plain layers in Docker's format and hold one platform's image, and what comes out of them has a manifest made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.content import read
from bundler.convert.compression import plain
from bundler.oci import mediatype as mt
from bundler.oci.digest import digest_of
from bundler.oci.manifest import parse_manifest
from bundler.transports import dir as folder
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.cli.terminal import Ended, Terminal
from tests.images import Image, family, load, tarball, write_dir, write_layout
from tests.peers import Podman, demand, docker_registry, needs, podman, podman_service, run, skopeo, umoci

pytestmark = [pytest.mark.slow, needs("skopeo", "docker-registry")]

FAMILY = family()
KINDS = {name: FAMILY[name] for name in ("docker", "multi", "sbom", "zstd")}
MEDIA = ("docker", "oci", "oci-archive", "dir", "docker-archive")
TO_SYSTEM = ("--override-os", "linux", "--override-arch", "amd64")


@dataclass(frozen=True, slots=True)
class World:
    """Where each kind of image lies in each medium."""

    root: Path
    host: str

    def name(self, medium: str, kind: str, *, place: Path | None = None) -> str:
        """The image's name; at ``place`` or in a repository called like it, if it is a target."""
        base = self.root / "from" if place is None else place
        if medium == "docker":
            repository = "from" if place is None else f"to/{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
            return f"docker://{self.host}/{repository}/{kind}:1"
        if medium in ("oci", "oci-archive"):
            return f"{medium}:{base}/{kind}.{medium}:{kind}"
        if medium == "dir":
            return f"dir:{base}/{kind}.dir"
        return f"docker-archive:{base}/{kind}.tar:acme/{kind}:1"


def saved(held: Image, name: str) -> bytes:
    """What `docker save` would write of an image."""
    *layers, config, _ = held.parts
    opened = {f"{n}/layer.tar": b"".join(map(bytes, plain([each.raw], what="layer"))) for n, each in enumerate(layers)}
    listed = [{"Config": "config.json", "RepoTags": [name], "Layers": list(opened)}]
    return tarball({**opened, "config.json": config.raw, "manifest.json": json.dumps(listed).encode()})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Filled without bundler's own copies where others can do it."""
    demand("skopeo", "docker-registry")
    root = tmp_path_factory.mktemp("world")
    start = root / "from"
    start.mkdir()
    with docker_registry(root) as running:
        world = World(root, running.host)
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            for kind, held in KINDS.items():
                load(registry.repository(f"from/{kind}"), {"1": held})
        for kind, held in KINDS.items():
            write_layout(start / f"{kind}.oci", {kind: held})
            run("tar", "-cf", start / f"{kind}.oci-archive", "-C", start / f"{kind}.oci", ".")
            write_dir(start / f"{kind}.dir", held)
            if kind != "sbom":
                (start / f"{kind}.tar").write_bytes(saved(image_for_amd64(held), f"acme/{kind}:1"))
        yield world


@pytest.fixture
def bundler(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The command, in this process."""
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path, capsys)


def copied(bundler: Terminal, source: str, target: str, *options: str, expect: int = 0) -> Ended:
    """One copy between media without TLS."""
    plain_http = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return bundler(*TO_SYSTEM, "copy", *plain_http, *options, source, target, expect=expect)


def taken(target: str, place: Path, *options: str) -> folder.Folder:
    """What skopeo finds there."""
    skopeo("copy", "-q", "--src-tls-verify=false", *options, target, f"dir:{place}")
    return folder.open_source(str(place))


def config_of(source: folder.Folder) -> str:
    root = source.resolve()
    manifest = parse_manifest(read(source, root), root.media_type, what="m")
    assert manifest.config is not None
    ids = json.loads(read(source, manifest.config))["rootfs"]["diff_ids"]
    opened = [digest_of(b"".join(map(bytes, plain(source.fetch(each), what="layer")))) for each in manifest.layers]
    assert opened == ids
    return manifest.config.digest


def image_for_amd64(held: Image) -> Image:
    return FAMILY["web"] if held is FAMILY["multi"] else held


PAIRS = [
    pytest.param(kind, source, target, id=f"{kind}-{source}-{target}")
    for kind in KINDS
    for source in MEDIA
    for target in MEDIA
    if (kind, source) != ("sbom", "docker-archive")
]


@pytest.mark.parametrize(("kind", "source", "target"), PAIRS)
def test_from_each_to_each(
    world: World, bundler: Terminal, tmp_path: Path, kind: str, source: str, target: str
) -> None:
    held = KINDS[kind]
    here, there = world.name(source, kind), world.name(target, kind, place=tmp_path)
    whole = ("--all",) if kind == "multi" and source != "docker-archive" else ()
    if target == "docker-archive" and kind == "sbom":
        said = copied(bundler, here, there, expect=8).err
        assert "holds images only" in said
        assert "copy it to a registry" in said
        assert list(tmp_path.iterdir()) == []
        return
    if target == "docker-archive" and whole:
        assert "one platform" in copied(bundler, here, there, *whole, expect=8).err
        assert list(tmp_path.iterdir()) == []
        whole = ()
    said = copied(bundler, here, there, *whole).err
    found = taken(there, tmp_path / "taken", *whole)
    if source == "docker-archive" or target == "docker-archive":
        # The config is what an image is known by where no manifest is kept.
        assert config_of(found) == image_for_amd64(held).parts[-2].descriptor.digest
        if (source, target) != ("docker-archive", "dir") and source != target:
            assert "so its digest is" in said
    elif kind == "docker" and target in ("oci", "oci-archive"):
        assert "became OCI" in said
        assert found.resolve().media_type == mt.OCI_MANIFEST
        assert config_of(found) == held.parts[-2].descriptor.digest
    else:
        assert found.resolve().digest == held.root.digest
        assert "so its digest is" not in said
        for each in held.parts:
            assert read(found, each.descriptor) == each.raw


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["docker", "oci", "dir"])
def test_there_and_back_gives_the_same_bytes(
    world: World, bundler: Terminal, tmp_path: Path, kind: str, source: str
) -> None:
    whole = ("--all", "--preserve-digests")
    first, second = f"oci-archive:{tmp_path}/a.tar:x", f"dir:{tmp_path}/back"
    copied(bundler, world.name(source, kind), first, *whole)
    copied(bundler, first, second, *whole)
    back = folder.open_source(str(tmp_path / "back"))
    assert back.resolve().digest == KINDS[kind].root.digest
    for each in KINDS[kind].parts:
        assert read(back, each.descriptor) == each.raw


@needs("umoci")
@pytest.mark.parametrize("kind", ["docker", "zstd"])
@pytest.mark.parametrize("source", MEDIA)
def test_umoci_reads_the_layouts(world: World, bundler: Terminal, tmp_path: Path, kind: str, source: str) -> None:
    copied(bundler, world.name(source, kind), f"oci:{tmp_path}/layout:{kind}")
    assert umoci("ls", "--layout", tmp_path / "layout").split() == [kind]
    stat = json.loads(umoci("stat", "--json", "--image", f"{tmp_path}/layout:{kind}"))
    assert len(stat["history"]) == 2


@pytest.fixture(scope="module")
def pod() -> Iterator[Podman]:
    """podman, for all tests here."""
    with podman() as made:
        yield made


@needs("podman")
@pytest.mark.parametrize(("kind", "source"), [(kind, source) for kind in ("docker", "zstd") for source in MEDIA])
def test_podman_loads_the_archives(
    world: World, bundler: Terminal, tmp_path: Path, pod: Podman, kind: str, source: str
) -> None:
    copied(bundler, world.name(source, kind), f"docker-archive:{tmp_path}/a.tar:acme/app:1")
    loaded = pod("load", "-q", "-i", tmp_path / "a.tar").split()[-1]
    assert loaded.endswith("acme/app:1")
    wanted = KINDS[kind].parts[-2].descriptor.digest
    assert f"sha256:{pod.inspect(loaded)['Id']}" == wanted
    pod("rmi", "-f", loaded)


@pytest.fixture(scope="module")
def service() -> Iterator[Podman]:
    """podman's service, for all tests here."""
    with podman_service() as made:
        yield made


@needs("podman")
@pytest.mark.parametrize("kind", ["docker", "zstd"])
def test_through_a_daemon(world: World, bundler: Terminal, tmp_path: Path, service: Podman, kind: str) -> None:
    there = f"docker-daemon:localhost/acme/{kind}:1"
    copied(bundler, world.name("docker", kind), there, f"--dest-daemon-host={service.url}")
    wanted = KINDS[kind].parts[-2].descriptor.digest
    assert f"sha256:{service.inspect(f'localhost/acme/{kind}:1')['Id']}" == wanted
    copied(bundler, there, f"dir:{tmp_path}/back", f"--src-daemon-host={service.url}")
    assert config_of(folder.open_source(str(tmp_path / "back"))) == wanted
    said = copied(bundler, world.name("oci", "sbom"), there, f"--dest-daemon-host={service.url}", expect=8).err
    assert "images only" in said


@needs("podman")
@pytest.mark.parametrize("kind", ["docker", "zstd"])
@pytest.mark.parametrize("source", ["docker", "oci", "docker-archive"])
def test_through_a_storage(
    world: World, bundler: Terminal, tmp_path: Path, pod: Podman, kind: str, source: str
) -> None:
    there = f"containers-storage:[vfs@{pod.root}/root+{pod.root}/run]localhost/acme/{kind}:1"
    copied(bundler, world.name(source, kind), there)
    assert pod.inspect(f"localhost/acme/{kind}:1")["RepoTags"] == [f"localhost/acme/{kind}:1"]
    copied(bundler, there, f"dir:{tmp_path}/back")
    assert config_of(folder.open_source(str(tmp_path / "back"))) == KINDS[kind].parts[-2].descriptor.digest
    copied(bundler, there, f"docker://{world.host}/from-storage/{source}-{kind}:1")
    found = taken(f"docker://{world.host}/from-storage/{source}-{kind}:1", tmp_path / "taken")
    manifest = json.loads(read(found, found.resolve()))
    assert all(each["mediaType"].endswith("gzip") for each in manifest["layers"])
    bundler("delete", there)
    said = bundler("copy", there, f"dir:{tmp_path}/gone", expect=2).err
    assert "bundler: CONFIG: containers-storage:[vfs@" in said
    assert "level=" not in said
    assert not (tmp_path / "gone").exists()


@needs("podman")
@pytest.mark.parametrize(("kind", "said"), [("sbom", "holds images only"), ("multi", "one platform")])
def test_what_a_storage_can_not_hold(world: World, bundler: Terminal, pod: Podman, kind: str, said: str) -> None:
    there = f"containers-storage:[vfs@{pod.root}/root+{pod.root}/run]localhost/acme/{kind}:1"
    assert said in copied(bundler, world.name("oci", kind), there, "--all", expect=8).err
