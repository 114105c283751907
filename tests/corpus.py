"""The images that the whole journey is made with: a real corpus if there is one, else generated ones of its size.

``BUNDLER_CORPUS`` may name an OCI layout of real images; those called base, nginx, redis and python are taken from it.
Otherwise four images that share a base are generated, with an index for two platforms and a Docker schema 2 image
beside them: about 70 MB, most of it random, so that volumes of 40 MiB are several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.images import Image, image, index, layer, write_dir, write_layout
from tests.peers import DockerRegistry, skopeo

REAL = ("base", "nginx", "redis", "python")
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """Images by name, each where skopeo finds it, with the digest of its root."""

    origins: Mapping[str, str]
    digests: Mapping[str, str]

    def push(self, registry: DockerRegistry, *options: str | Path) -> None:
        """Let skopeo push every image, as ``corpus/NAME:1.0``; ``options`` are skopeo's ``--dest-…``."""
        for name, origin in self.origins.items():
            where = f"docker://{registry.host}/corpus/{name}:1.0"
            skopeo("copy", "-q", "--all", "--preserve-digests", *options, origin, where)


def open_corpus(work: Path) -> Corpus:
    """The corpus; ``work`` takes it if it has to be made."""
    if real := os.environ.get("BUNDLER_CORPUS"):
        return _real(Path(real))
    return generated(work)


def _real(layout: Path) -> Corpus:
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    digests = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    names = [name for name in REAL if name in digests]
    assert names, f"BUNDLER_CORPUS: {layout} holds none of {', '.join(REAL)}"
    return Corpus({name: f"oci:{layout}:{name}" for name in names}, {name: digests[name] for name in names})


def generated(work: Path, *, scale: int = MB) -> Corpus:
    """Generated images, the base's layer ``24 * scale`` bytes long."""
    base = layer("base", 24 * scale)
    python = layer("python", 16 * scale)
    arm = image(layer("base-arm", 6 * scale), platform="linux/arm64")
    images = {
        "base": image(base),
        "nginx": image(base, layer("nginx", 5 * scale)),
        "redis": image(base, layer("redis", 4 * scale, compression="zstd")),
        "python": image(base, python),
        "web": image(base, python, layer("web", 8 * scale), layer("empty", 0), labels={"title": "web"}),
        "multi": index(image(base), arm),
    }
    docker = image(layer("docker", 3 * scale, docker=True), layer("docker-top", scale, docker=True), docker=True)
    layout = write_layout(work / "corpus", images)
    origins = {name: f"oci:{layout}:{name}" for name in images}
    origins["docker"] = f"dir:{write_dir(work / 'docker', docker)}"
    everything: dict[str, Image] = {**images, "docker": docker}
    return Corpus(origins, {name: held.root.digest for name, held in everything.items()})
