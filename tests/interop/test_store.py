"""skopeo and umoci read what we store, and we read what they store; a store stays sound under their hands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.content import read
from bundler.store import Store
from bundler.transports.oci import open_layout
from tests.images import family, load, write_dir
from tests.peers import attempt, needs, skopeo, umoci
from tests.store.invariants import assert_sound

IMAGES = family()
NAMES = {
    "docker.io/library/nginx:1.27": IMAGES["web"],
    "ghcr.io/acme/multi:v1": IMAGES["multi"],
    "localhost:5000/team/base:latest": IMAGES["base"],
    f"quay.io/acme/web@{IMAGES['web'].root.digest}": IMAGES["web"],
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store", create=True)
    load(store, NAMES)
    return store


@needs("skopeo")
class TestSkopeoReadsAStore:
    @pytest.mark.parametrize("name", NAMES)
    def test_copy_by_full_name(self, store: Store, tmp_path: Path, name: str) -> None:
        skopeo("copy", "--all", f"oci:{store.path}:{name}", f"oci:{tmp_path}/copied:app")
        layout, wanted = open_layout(f"{tmp_path}/copied:app")
        root = layout.resolve(wanted)
        assert root.digest == NAMES[name].root.digest
        for part in NAMES[name].parts:
            assert read(layout, part.descriptor) == part.raw

    def test_inspect(self, store: Store) -> None:
        raw = skopeo("inspect", f"oci:{store.path}:docker.io/library/nginx:1.27")
        assert json.loads(raw)["Digest"] == IMAGES["web"].root.digest

    def test_a_sparse_index(self, store: Store, tmp_path: Path) -> None:
        sparse = Store.open(tmp_path / "sparse", create=True)
        multi = IMAGES["multi"]
        for part in (*IMAGES["web"].parts, multi.parts[-1]):
            sparse.push(part.descriptor, [part.raw])
        sparse.tag("app:1", multi.root)
        skopeo("copy", "--override-arch", "amd64", f"oci:{sparse.path}:app:1", f"oci:{tmp_path}/copied:app")
        layout, wanted = open_layout(f"{tmp_path}/copied:app")
        assert layout.resolve(wanted).digest == IMAGES["web"].root.digest

    @pytest.mark.parametrize("kind", ["docker", "multi-docker"])
    def test_docker_media_types_are_read_or_passed_over(self, tmp_path: Path, kind: str) -> None:
        docker = Store.open(tmp_path / "store", create=True)
        load(docker, {"app:1": IMAGES[kind]})
        done = attempt(
            "skopeo", "--insecure-policy", "copy", "--all", f"oci:{docker.path}:app:1", f"dir:{tmp_path}/copied"
        )
        if done.returncode:  # its oci: looks at OCI's media types only, in any layout
            assert "no descriptor found for reference" in done.stderr
        else:
            assert (tmp_path / "copied" / "manifest.json").read_bytes() == IMAGES[kind].raw


@needs("skopeo")
class TestSkopeoWritesIntoAStore:
    def test_its_image_joins_ours(self, store: Store, tmp_path: Path) -> None:
        source = write_dir(tmp_path / "dir", IMAGES["zstd"])
        skopeo("copy", f"dir:{source}", f"oci:{store.path}:docker.io/acme/new:1")
        ours = Store.open(store.path)
        assert ours.resolve("docker.io/acme/new:1").digest == IMAGES["zstd"].root.digest
        assert all(ours.has(part.descriptor) for part in IMAGES["zstd"].parts)
        assert ours.check().sound
        ours.tag("docker.io/acme/newer:1", IMAGES["zstd"].root)
        assert set(assert_sound(Path(store.path))) == {*NAMES, "docker.io/acme/new:1", "docker.io/acme/newer:1"}

    def test_a_layout_of_its_own_is_a_source(self, tmp_path: Path) -> None:
        source = write_dir(tmp_path / "dir", IMAGES["web"])
        skopeo("copy", f"dir:{source}", f"oci:{tmp_path}/layout")  # without a name
        layout, name = open_layout(f"{tmp_path}/layout")
        assert layout.resolve(name).digest == IMAGES["web"].root.digest
        assert layout.images() == [("", layout.resolve())]


@needs("umoci")
class TestUmoci:
    def test_lists_and_reads_a_store(self, store: Store) -> None:
        assert set(umoci("ls", "--layout", store.path).split()) == set(NAMES)
        said = json.loads(umoci("stat", "--json", "--image", f"{store.path}:docker.io/library/nginx:1.27"))
        assert len([each for each in said["history"] if each["layer"]]) == 2

    def test_its_gc_leaves_a_sound_store(self, store: Store) -> None:
        umoci("gc", "--layout", store.path)
        assert set(assert_sound(Path(store.path))) == set(NAMES)
        assert Store.open(store.path).check().sound

    def test_a_layout_of_its_own_is_a_source(self, tmp_path: Path) -> None:
        path = tmp_path / "layout"
        umoci("init", "--layout", path)
        umoci("new", "--image", f"{path}:app")
        layout, name = open_layout(f"{path}:app")
        root = layout.resolve(name)
        assert layout.manifest(root).config is not None
        store = Store.open(path)
        store.tag("docker.io/acme/app:1", root)
        assert store.check().sound
        assert set(umoci("ls", "--layout", path).split()) == {"app", "docker.io/acme/app:1"}
