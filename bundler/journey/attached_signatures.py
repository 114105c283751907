"""Sigstore signatures in a repository: the layers of an image that is called after the digest of the one they are about.

    app:sha256-HEX.sig ──▶ manifest ──▶ layers: payload, with the signature as an annotation
                                    └─▶ config: lists the layers

New ones are added to those that are there: several may sign one image, each on a day of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bundler.content import Source, read
from bundler.errors import LimitError, NotFoundError, ProtocolError, quoted
from bundler.oci import mediatype
from bundler.oci.attached import companion_tags
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import parse_manifest
from bundler.policy.blobs import CAP, Attachment, read_attachment
from bundler.trust.image_signing import MAX_LAYERS, joined, signature_image

if TYPE_CHECKING:
    from bundler.transports.docker.repository import Repository


def tag_of(digest: Digest) -> str:
    """What the image of signatures is called."""
    return companion_tags(digest)["signature"]


def attached(source: Source, digest: Digest) -> list[bytes]:
    """Everything that is attached to a manifest as a signature, as :class:`.Attachment` stores it.

    Raises :class:`LimitError` for more than 128, or for one of more than 4 MiB.
    """
    return [
        Attachment(layer.media_type, read(source, layer, cap=CAP), layer.annotations).blob()
        for layer in _layers(source, digest)
    ]


def attach(repository: Repository, digest: Digest, blobs: Sequence[bytes]) -> None:
    """Attach signatures to a manifest, besides those that are attached already."""
    new = [read_attachment(blob) for blob in blobs]
    contents = {digest_of(each.payload): each.payload for each in new}
    layers = [
        Descriptor(each.media_type, digest_of(each.payload), len(each.payload), annotations=each.annotations)
        for each in new
    ]
    image = signature_image(joined(_layers(repository, digest), layers, what=tag_of(digest)))
    for layer in layers:
        _push(repository, layer, contents[layer.digest])
    _push(repository, image.config, image.config_bytes)
    repository.push(image.root, [image.manifest])
    repository.tag(tag_of(digest), image.root)


def _layers(source: Source, digest: Digest) -> list[Descriptor]:
    tag = tag_of(digest)
    try:
        root = source.resolve(tag)
    except NotFoundError:
        return []
    if root.media_type != mediatype.OCI_MANIFEST:
        raise ProtocolError(f"{tag}: is {quoted(root.media_type)!r}, where an OCI image with signatures is expected")
    layers = parse_manifest(read(source, root), root.media_type, what=tag).layers
    if len(layers) > MAX_LAYERS:
        raise LimitError(f"{tag}: more than {MAX_LAYERS} signatures")
    return list(layers)


def _push(repository: Repository, want: Descriptor, content: bytes) -> None:
    if not repository.has(want):
        repository.push(want, [content])
