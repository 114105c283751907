"""The demo's images, generated: three that share a base layer, one of them for two platforms."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from dataclasses import dataclass
from typing import Any

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.platform import Platform

BASE_BYTES = 900_000
APP_BYTES = 300_000


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image in memory: its root, and all contents, children before parents."""

    root: Descriptor
    contents: tuple[tuple[Descriptor, bytes], ...]


def sample_images() -> dict[str, SampleImage]:
    """The images by ``repository:tag``; the same bytes every time."""
    base = _layer("base", BASE_BYTES)
    web = _image("amd64", base, _layer("web", APP_BYTES))
    worker = _image("amd64", base, _layer("worker", APP_BYTES))
    both = _index(
        _image("amd64", base, _layer("api-amd64", APP_BYTES)), _image("arm64", _layer("api-arm64", APP_BYTES))
    )
    return {"acme/web:1.0": web, "acme/worker:1.0": worker, "acme/api:2.1": both}


def _layer(name: str, size: int) -> tuple[Descriptor, bytes, str]:
    """A gzip layer holding one incompressible file; with the digest of its uncompressed form."""
    content = random.Random(name).randbytes(size)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(f"opt/{name}.bin")
        info.size = size
        archive.addfile(info, io.BytesIO(content))
    plain = buffer.getvalue()
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    return Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(packed), len(packed)), packed, digest_of(plain)


def _image(architecture: str, *layers: tuple[Descriptor, bytes, str]) -> SampleImage:
    config = _json({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, _, diff_id in layers]},
    })  # fmt: skip
    config_want = Descriptor(mediatype.OCI_CONFIG, digest_of(config), len(config))
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": config_want.document(),
        "layers": [want.document() for want, _, _ in layers],
    })  # fmt: skip
    platform = Platform("linux", architecture)
    root = Descriptor(mediatype.OCI_MANIFEST, digest_of(manifest), len(manifest), platform=platform)
    return SampleImage(root, (*((want, raw) for want, raw, _ in layers), (config_want, config), (root, manifest)))


def _index(*images: SampleImage) -> SampleImage:
    raw = _json({
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX,
        "manifests": [image.root.document() for image in images],
    })  # fmt: skip
    root = Descriptor(mediatype.OCI_INDEX, digest_of(raw), len(raw))
    return SampleImage(root, (*(content for image in images for content in image.contents), (root, raw)))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
