"""Media types, and what is asked of them: manifest or blob, index, already compressed, foreign.

Names as registered by image-spec 1.1 (media-types.md) and by Docker's schema 2.
"""

from __future__ import annotations

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
SCHEMA1 = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
ACCEPT = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1)
"""What a registry is asked for, in this order: schema 1 only where it has nothing else."""

_COMPRESSED_SUFFIXES = ("+gzip", "+zstd", ".gzip", ".zstd", "tar+gz", "+xz", "+bzip2")


def is_index(media_type: str) -> bool:
    """An OCI index or a Docker manifest list."""
    return media_type in INDEXES


def is_manifest(media_type: str) -> bool:
    """A document with children: an image manifest or an index. Everything else is a blob."""
    return media_type in MANIFESTS or media_type in INDEXES


def is_compressed(media_type: str) -> bool:
    """Whether the name says that the content is already compressed, so that compressing again gains nothing."""
    return media_type.endswith(_COMPRESSED_SUFFIXES)


def is_foreign(media_type: str) -> bool:
    """A non-distributable layer: listed, but fetched from its own URLs if at all."""
    return ".nondistributable." in media_type or ".foreign." in media_type
