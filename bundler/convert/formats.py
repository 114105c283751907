"""Manifests and indexes in the other format: the same image under OCI's media types, or under Docker's.

Follows image-spec 1.1 (manifest.md, image-index.md, "Compatibility Matrix") and Docker's schema 2. Only what a format has a
place for is kept; the config's bytes stay, and so its digest. Documents are written compactly, members in the order of the
specifications' own types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bundler.errors import UnsupportedError, quoted
from bundler.medium import Compression, Format
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest

CONFIGS = frozenset({mediatype.OCI_CONFIG, mediatype.DOCKER_CONFIG})
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
LAYERS: Mapping[Format, Mapping[Compression, str]] = {
    "oci": {
        "none": mediatype.OCI_LAYER,
        "gzip": mediatype.OCI_LAYER_GZIP,
        "zstd": mediatype.OCI_LAYER_ZSTD,
    },
    "v2s2": {"none": mediatype.DOCKER_LAYER, "gzip": mediatype.DOCKER_LAYER_GZIP},
}
_ALL_LAYERS = frozenset(name for names in LAYERS.values() for name in names.values())
_REFERENCE = "vnd.docker.reference.digest"


def is_layer(media_type: str) -> bool:
    """Whether this is a layer of an image that can be compressed otherwise: no foreign, encrypted or other blob."""
    return media_type in _ALL_LAYERS


def is_image(config: Descriptor | None) -> bool:
    """Whether a manifest with this config is an image's; otherwise it is an artifact."""
    return config is not None and config.media_type in CONFIGS


def layer_type(media_type: str, format_: Format, compression: Compression, *, what: str) -> str:
    """What a layer is called in a format."""
    if is_layer(media_type):
        return LAYERS[format_][compression]
    if mediatype.is_foreign(media_type):
        gzip = media_type.endswith("gzip")
        return (OCI_FOREIGN + "+gzip" * gzip) if format_ == "oci" else (DOCKER_FOREIGN + ".gzip" * gzip)
    raise UnsupportedError(
        f"{what}: a layer of the media type {quoted(media_type)!r} has no counterpart in the format {format_}",
        hint="leave --format out, or choose a destination that can hold the image as it is",
    )


def written_manifest(
    document: Mapping[str, Any], format_: Format, config: Descriptor, layers: Sequence[Descriptor]
) -> bytes:
    """An image manifest with this config and these layers; ``document`` is the one that it is made from."""
    oci = format_ == "oci"
    kind = {"artifactType": document["artifactType"]} if oci and document.get("artifactType") else {}
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST if oci else mediatype.DOCKER_MANIFEST,
        **kind,
        "config": _plain(config, mediatype.OCI_CONFIG if oci else mediatype.DOCKER_CONFIG, annotated=oci),
        "layers": [_plain(layer, layer.media_type, annotated=oci) for layer in layers],
    }
    for name in ("subject", "annotations") if oci else ():
        if name in document:
            value[name] = document[name]
    return _compact(value)


def written_index(document: Mapping[str, Any], format_: Format, children: Mapping[Digest, Descriptor]) -> bytes:
    """An index of the same entries, in ``children`` by the digests that they had."""
    oci = format_ == "oci"
    entries = []
    for listed in document["manifests"]:
        child = children[listed["digest"]]
        entry: dict[str, Any] = {"mediaType": child.media_type, "digest": child.digest, "size": child.size}
        if not oci:
            entry = {"mediaType": child.media_type, "size": child.size, "digest": child.digest}
        for name in ("platform", "annotations", "artifactType", "urls") if oci else ("platform", "urls"):
            if name in listed:
                entry[name] = listed[name]
        annotations: dict[str, Any] = entry.get("annotations") or {}
        about = annotations.get(_REFERENCE)
        if isinstance(about, str) and is_digest(about) and Digest(about) in children:
            entry["annotations"] = {**annotations, _REFERENCE: children[Digest(about)].digest}
        entries.append(entry)
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_INDEX if oci else mediatype.DOCKER_INDEX,
        "manifests": entries,
    }
    for name in ("subject", "annotations", "artifactType") if oci else ():
        if name in document:
            value[name] = document[name]
    return _compact(value)


def dropped(document: Mapping[str, Any], format_: Format) -> tuple[str, ...]:
    """What would be lost: Docker's formats have no annotations, no subject and no type of an artifact."""
    if format_ == "oci":
        return ()
    listed = (document, document.get("config") or {}, *document.get("layers", ()), *document.get("manifests", ()))
    lost = ["annotations"] if any(each.get("annotations") for each in listed) else []
    return (*lost, *(name for name in ("subject", "artifactType") if document.get(name)))


def _plain(content: Descriptor, media_type: str, *, annotated: bool) -> dict[str, Any]:
    value: dict[str, Any] = {"mediaType": media_type, "digest": content.digest, "size": content.size}
    if not annotated:
        value = {"mediaType": media_type, "size": content.size, "digest": content.digest}
    if content.urls:
        value["urls"] = list(content.urls)
    if annotated and content.annotations:
        value["annotations"] = dict(content.annotations)
    return value


def _compact(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
