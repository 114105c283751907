"""The store is an OCI layout for others, and layouts of others are sources."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.images import family, image, layer, write_layout
from tests.peers import bundler, needs, run, skopeo, umoci
from tests.roundtrip import PASSWORD

pytestmark = pytest.mark.slow


def names_in(layout: Path) -> dict[str, str]:
    """Digest by name, as any reader of the layout sees them."""
    entries: list[dict[str, Any]] = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}


@needs("skopeo", "docker-registry", "umoci")
class TestTheStoreIsALayout:
    def test_it_says_so(self, built: Any) -> None:
        assert json.loads((built.store / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        for blob in (built.store / "blobs/sha256").iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name

    def test_it_names_each_image_in_full(self, built: Any) -> None:
        held = names_in(built.store)
        for name, digest in built.corpus.digests.items():
            assert held[f"{built.host}/corpus/{name}:1.0"] == digest

    def test_skopeo_copies_each_image(self, built: Any, tmp_path: Path) -> None:
        held = names_in(built.store)
        for name, digest in built.corpus.digests.items():
            if name == "docker":
                continue  # skopeo's oci: reads no Docker media types
            full = next(full for full in held if f"/{name}:" in full)
            skopeo("copy", "-q", "--all", f"oci:{built.store}:{full}", f"dir:{tmp_path / name}")
            manifest = (tmp_path / name / "manifest.json").read_bytes()
            assert f"sha256:{hashlib.sha256(manifest).hexdigest()}" == digest

    def test_umoci_lists_and_stats(self, built: Any) -> None:
        listed = umoci("ls", "--layout", built.store).split()
        assert set(listed) == set(names_in(built.store))
        full = next(full for full in listed if "/web:" in full)
        # umoci splits --image at the last colon only if the rest is a path, so it gets a layout that names it plainly
        plain = built.work / "plain"
        skopeo("copy", "-q", f"oci:{built.store}:{full}", f"oci:{plain}:web")
        stat = json.loads(umoci("stat", "--json", "--image", f"{plain}:web"))
        assert len(stat["history"]) == 4

    @needs("podman")
    def test_podman_pulls_from_it(self, built: Any) -> None:
        full = f"{built.host}/corpus/web:1.0"
        with TemporaryDirectory(prefix="pod") as short:  # podman wants a run root of at most 50 characters
            storage = ["--root", f"{short}/root", "--runroot", f"{short}/run", "--storage-driver", "vfs"]
            image = run("podman", *storage, "pull", "-q", f"oci:{built.store}:{full}").strip()
            held = json.loads(run("podman", *storage, "image", "inspect", image))[0]
            run("podman", *storage, "rmi", "-f", image)
        assert held["Labels"] == {"title": "web"}


class TestLayoutsAreSources:
    def carry(self, work: Path, layout: Path, names: list[str]) -> dict[str, str]:
        """Build from a layout and push into another; the digests there by name."""
        images = "".join(f"  - {{image: 'oci:{layout}:{name}', as: carried/{name}}}\n" for name in names)
        (work / "bundle.yaml").write_text(f"apiVersion: bundler/v1\nkind: Bundle\nname: local\nimages:\n{images}")
        env = {"HOME": str(work), **PASSWORD}
        bundler("keygen", "k", cwd=work, env=env)
        bundler("build", "bundle.yaml", "-o", "out", "--store", "store", "--key", "k.key", cwd=work, env=env)
        bundler("push", "out", "--key", "k.pub", "--to", f"oci:{work / 'far'}", cwd=work, env=env)
        return {name.rpartition("/")[2].partition(":")[0]: digest for name, digest in names_in(work / "far").items()}

    def test_one_as_the_specification_has_it(self, tmp_path: Path) -> None:
        images = family()
        layout = write_layout(tmp_path / "layout", images)
        found = self.carry(tmp_path, layout, list(images))
        assert {name: digest for name, digest in found.items() if "@" not in name} == {
            name: held.root.digest for name, held in images.items()
        }
        # What is about one of them goes along with it, under that image's repository.
        assert {digest for name, digest in found.items() if "@" in name} <= {
            held.root.digest for held in images.values()
        }

    @needs("skopeo")
    def test_one_that_skopeo_made(self, tmp_path: Path) -> None:
        origin = write_layout(tmp_path / "origin", {"app": family()["multi"]})
        made = tmp_path / "made"
        skopeo("copy", "-q", "--all", f"oci:{origin}:app", f"oci:{made}:app")
        assert self.carry(tmp_path, made, ["app"]) == {"app": names_in(made)["app"]}

    @needs("umoci")
    def test_one_that_umoci_made(self, tmp_path: Path) -> None:
        made = write_layout(tmp_path / "made", {"base": image(layer("base", 30_000))})
        umoci("unpack", "--rootless", "--image", f"{made}:base", tmp_path / "rootfs")
        (tmp_path / "rootfs/rootfs/new-file").write_text("from umoci\n")
        umoci("repack", "--image", f"{made}:app", tmp_path / "rootfs")
        umoci("config", "--image", f"{made}:app", "--config.label", "by=umoci")
        assert self.carry(tmp_path, made, ["app", "base"]) == names_in(made)
