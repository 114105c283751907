"""Small images that are real ones: tar layers with files in them, configs with diff ids, manifests, indexes, artifacts.

Everything is a function of its arguments and a seed, so two runs make the same digests. skopeo, umoci and docker-registry
take what is made here.

    base = layer("base", 20_000)
    app = image(base, layer("app", 5_000), labels={"is": "app"})
    both = index(app, image(base, layer("arm", 5_000), platform="linux/arm64"))
    write_layout(tmp_path / "layout", {"app": app, "both": both})      # an OCI layout
    load(memory, {"app": app})                                          # any Target, children first
    write_dir(tmp_path / "dir", app)                                    # skopeo's dir:, for Docker's media types

``family()`` is one of each kind, sharing layers as images do.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from bundler.content import Target
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, hex_of
from bundler.oci.platform import parse_platform

EMPTY_JSON = b"{}"
_COMPRESSED = {
    False: {"gzip": mediatype.OCI_LAYER_GZIP, "zstd": mediatype.OCI_LAYER_ZSTD, "none": mediatype.OCI_LAYER},
    True: {"gzip": mediatype.DOCKER_LAYER_GZIP, "none": mediatype.DOCKER_LAYER},
}


@dataclass(frozen=True, slots=True)
class Part:
    """One content with its bytes. ``diff_id`` is the digest of a layer's uncompressed tar."""

    descriptor: Descriptor
    raw: bytes = field(repr=False)
    diff_id: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A root with everything below it; ``parts`` stand children first, each once, the root last."""

    root: Descriptor
    parts: tuple[Part, ...] = field(repr=False)

    @property
    def raw(self) -> bytes:
        """The bytes of the root."""
        return self.parts[-1].raw

    @property
    def blobs(self) -> tuple[Part, ...]:
        """Layers and configs."""
        return tuple(part for part in self.parts if not part.descriptor.is_manifest)

    @property
    def manifests(self) -> tuple[Part, ...]:
        """Manifests and indexes, children first."""
        return tuple(part for part in self.parts if part.descriptor.is_manifest)

    def digests(self) -> set[Digest]:
        """Of all parts."""
        return {part.descriptor.digest for part in self.parts}


def part(raw: bytes, media_type: str, *, algorithm: str = "sha256", diff_id: str = "", **more: Any) -> Part:
    """Bytes with their descriptor; ``more`` are further fields of it."""
    return Part(Descriptor(media_type, digest_of(raw, algorithm), len(raw), **more), raw, diff_id)


def layer(
    seed: str, size: int, *, compression: str = "gzip", docker: bool = False, algorithm: str = "sha256", level: int = 0
) -> Part:
    """A layer that holds one file of ``size`` random bytes named after ``seed``, and a small text.

    ``compression`` is gzip, zstd or none. Random bytes don't shrink, so the layer is about ``size`` bytes long.
    """
    noise = random.Random(f"layer {seed} {size}").randbytes(size)
    tar = tarball({f"srv/{seed}/noise.bin": noise, f"srv/{seed}/about.txt": f"layer {seed}\n".encode() * 40})
    raw = tar
    if compression == "gzip":
        raw = gzip.compress(tar, compresslevel=level, mtime=0)
    elif compression == "zstd":
        raw = zstandard.ZstdCompressor(level=1).compress(tar)
    media_type = _COMPRESSED[docker][compression]
    return part(raw, media_type, algorithm=algorithm, diff_id=digest_of(tar))


def tarball(files: Mapping[str, bytes]) -> bytes:
    """A ustar archive of regular files with their directories, owned by root, of the year 1970."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        made: set[str] = set()
        for name, content in files.items():
            for depth in range(1, name.count("/") + 1):
                folder = "/".join(name.split("/")[:depth])
                if folder not in made:
                    made.add(folder)
                    info = tarfile.TarInfo(folder)
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(info)
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image(
    *layers: Part,
    platform: str = "linux/amd64",
    docker: bool = False,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
) -> Image:
    """An image manifest over ``layers`` with a config for ``platform``: OCI, or Docker schema 2."""
    wanted = parse_platform(platform)
    config: dict[str, Any] = {
        "architecture": wanted.architecture,
        "config": {"Cmd": ["/bin/true"], "Labels": dict(labels or {})},
        "created": "1970-01-01T00:00:00Z",
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tests"} for _ in layers],
        "os": wanted.os,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    if wanted.variant:
        config["variant"] = wanted.variant
    config_part = part(as_json(config), mediatype.DOCKER_CONFIG if docker else mediatype.OCI_CONFIG)
    media_type = mediatype.DOCKER_MANIFEST if docker else mediatype.OCI_MANIFEST
    document = manifest_document(media_type, config_part, layers, annotations=annotations)
    root = part(as_json(document), media_type, algorithm=algorithm, platform=wanted)
    return Image(root.descriptor, _unique([*layers, config_part, root]))


def index(*images: Image, docker: bool = False, annotations: Mapping[str, str] | None = None) -> Image:
    """An index, or a Docker manifest list, over images for different platforms."""
    media_type = mediatype.DOCKER_INDEX if docker else mediatype.OCI_INDEX
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [child.root.document() for child in images],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    root = part(as_json(document), media_type)
    blobs = [part for child in images for part in child.blobs]
    manifests = [part for child in images for part in child.manifests]
    return Image(root.descriptor, _unique([*blobs, *manifests, root]))


def artifact(
    content: bytes,
    *,
    subject: Image | None = None,
    artifact_type: str = "application/vnd.example.sbom.v1+json",
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An artifact: an OCI manifest with the empty config and one blob, about ``subject`` if given (image-spec 1.1)."""
    empty = part(EMPTY_JSON, mediatype.OCI_EMPTY)
    blob = part(content, artifact_type)
    document = manifest_document(mediatype.OCI_MANIFEST, empty, [blob], annotations=annotations)
    document["artifactType"] = artifact_type
    if subject is not None:
        document["subject"] = {
            "mediaType": subject.root.media_type, "digest": subject.root.digest, "size": subject.root.size,
        }  # fmt: skip
    root = part(as_json(document), mediatype.OCI_MANIFEST, artifact_type=artifact_type)
    return Image(root.descriptor, _unique([blob, empty, root]))


def manifest_document(
    media_type: str, config: Part, layers: Iterable[Part], *, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON values of an image manifest, for tests that change them before they are written."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor.document(),
        "layers": [layer.descriptor.document() for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return document


def as_json(value: Any) -> bytes:
    """JSON as registries hold it: compact, keys in the order given."""
    return json.dumps(value, separators=(",", ":")).encode()


def family(seed: str = "", *, size: int = 20_000, zstd: bool = True) -> dict[str, Image]:
    """One image of each kind, sharing their bases; ``size`` is the length of the base layer in bytes.

    ``base`` ⊂ ``web`` (OCI, gzip), ``docker`` (schema 2), ``multi`` (amd64 and arm64), ``multi-docker`` (a manifest list),
    ``sbom`` (an artifact about web), and ``zstd`` unless left out.
    """
    base = layer(f"{seed}base", size)
    docker_base = part(base.raw, mediatype.DOCKER_LAYER_GZIP, diff_id=base.diff_id)
    web = image(base, layer(f"{seed}web", size // 2), labels={"is": "web"})
    arm = image(layer(f"{seed}base-arm", size), layer(f"{seed}web-arm", size // 2), platform="linux/arm64")
    docker = image(docker_base, layer(f"{seed}docker", size // 2, docker=True), docker=True)
    docker_arm = image(layer(f"{seed}docker-arm", size // 2, docker=True), docker=True, platform="linux/arm/v7")
    images = {
        "base": image(base),
        "web": web,
        "docker": docker,
        "multi": index(web, arm),
        "multi-docker": index(docker, docker_arm, docker=True),
        "sbom": artifact(b'{"packages": []}', subject=web),
    }
    if zstd:
        images["zstd"] = image(base, layer(f"{seed}zstd", size // 2, compression="zstd"))
    return images


def parts_of(images: Mapping[str, Image]) -> tuple[Part, ...]:
    """Every part of every image once, blobs first, manifests children first."""
    blobs = [part for image in images.values() for part in image.blobs]
    manifests = [part for image in images.values() for part in image.manifests]
    return _unique([*blobs, *manifests])


def load(target: Target, images: Mapping[str, Image]) -> None:
    """Push every image into a target, and tag it with its name."""
    for part in parts_of(images):
        target.push(part.descriptor, iter([part.raw]))
    for name, image in images.items():
        target.tag(name, image.root)


def write_layout(folder: Path, images: Mapping[str, Image]) -> Path:
    """An OCI image layout (image-spec 1.1, image-layout.md) whose index names the images; returns ``folder``."""
    for part in parts_of(images):
        digest = part.descriptor.digest
        path = folder / "blobs" / algorithm_of(digest) / hex_of(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part.raw)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entries = []
    for name, image in images.items():
        entry = image.root.document()
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        entries.append(entry)
    (folder / "index.json").write_bytes(as_json({"schemaVersion": 2, "manifests": entries}))
    return folder


def write_dir(folder: Path, image: Image) -> Path:
    """The folder of skopeo's ``dir:`` transport, which unlike its ``oci:`` also takes Docker's media types."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    for part in image.parts:
        digest = part.descriptor.digest
        name = "manifest.json" if part is image.parts[-1] else hex_of(digest)
        if part.descriptor.is_manifest and name != "manifest.json":
            name += ".manifest.json"
        (folder / name).write_bytes(part.raw)
    return folder


def _unique(parts: Iterable[Part]) -> tuple[Part, ...]:
    seen: dict[tuple[bool, Digest], Part] = {}
    for part in parts:
        seen.setdefault(part.descriptor.key, part)
    return tuple(seen.values())
