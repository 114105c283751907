"""Manifests and indexes: parsed only to find their children; the raw bytes stay the truth.

Follows image-spec 1.1 (manifest.md, image-index.md) and Docker's schema 2. A document that could be read as both kinds,
or whose ``mediaType`` is not the one it was served under, is refused: two readers might disagree about it. So is one with
a member of the specification in another case, ``Layers``, which Go would take for ``layers``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import ProtocolError, UnsupportedError, quoted
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor, descriptor_of
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads, spellings

_MEMBERS = spellings(
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image or artifact manifest, or an index: what it lists, in its order.

    ``manifests`` is filled for an index, ``config`` and ``layers`` otherwise. ``subject`` points the other way: to what
    this manifest is about; it is no child.
    """

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""

    @property
    def is_index(self) -> bool:
        """Whether the children are manifests."""
        return mediatype.is_index(self.media_type)

    def children(self) -> tuple[Descriptor, ...]:
        """Everything that must be there before this document may be: foreign layers are recorded, not fetched."""
        if self.is_index:
            return self.manifests
        layers = tuple(layer for layer in self.layers if not mediatype.is_foreign(layer.media_type))
        return layers if self.config is None else (self.config, *layers)


def parse_manifest(raw: bytes | bytearray | memoryview, media_type: str, *, what: str) -> Manifest:
    """The children of a manifest that was served or listed as ``media_type``.

    Raises :class:`UnsupportedError` for schema 1, :class:`ProtocolError` for anything malformed or ambiguous, and
    :class:`bundler.errors.LimitError` beyond 4 MiB.
    """
    if media_type in mediatype.SCHEMA1:
        raise UnsupportedError(
            f"{what}: Docker schema 1 manifests are not carried",
            hint="rebuild or re-push the image with a current tool",
        )
    if not mediatype.is_manifest(media_type):
        raise ProtocolError(f"{what}: {quoted(media_type)!r} is not the media type of a manifest")
    fields = Fields(loads(raw, what=what, cap=MANIFEST_CAP), what=what)
    fields.spelled(_MEMBERS)
    if fields.size("schemaVersion") != 2:
        raise ProtocolError(f"{what}: schemaVersion must be 2")
    if "mediaType" in fields and fields.text("mediaType") != media_type:
        said = quoted(fields.text("mediaType"))
        raise ProtocolError(f"{what}: says mediaType {said!r} inside but came as {media_type!r}")
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        raise ProtocolError(f"{what}: has both manifests and layers or config")
    subject = descriptor_of(fields.object("subject")) if "subject" in fields else None
    artifact_type = fields.text("artifactType") if "artifactType" in fields else ""
    if mediatype.is_index(media_type):
        manifests = tuple(descriptor_of(child) for child in fields.each("manifests"))
        return Manifest(media_type, manifests=manifests, subject=subject, artifact_type=artifact_type)
    return Manifest(
        media_type,
        config=descriptor_of(fields.object("config")),
        layers=tuple(descriptor_of(child) for child in fields.each("layers")) if "layers" in fields else (),
        subject=subject,
        artifact_type=artifact_type,
    )


def sniff_media_type(raw: bytes, *, what: str) -> str:
    """The media type of a manifest that came without one: its own word, else its shape."""
    fields = Fields(loads(raw, what=what), what=what)
    fields.spelled(_MEMBERS)
    if "mediaType" in fields:
        return fields.text("mediaType")
    if "manifests" in fields:
        return mediatype.OCI_INDEX
    if "config" in fields:
        return mediatype.OCI_MANIFEST
    raise ProtocolError(f"{what}: neither a manifest nor an index")
