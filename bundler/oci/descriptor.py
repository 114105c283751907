"""Descriptors: media type, digest and size of a content, with what is said about it (image-spec 1.1, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bundler.oci import mediatype
from bundler.oci.digest import Digest, parse_digest
from bundler.oci.platform import Platform, platform_of
from bundler.oci.strict_json import Fields, spellings

_MEMBERS = spellings("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One content. ``size`` is in bytes. Equality looks at everything but the annotations."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    artifact_type: str = ""
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_manifest(self) -> bool:
        """Whether the content has children of its own."""
        return mediatype.is_manifest(self.media_type)

    @property
    def key(self) -> tuple[bool, Digest]:
        """What to visit by: one digest may be listed as a manifest and as a blob."""
        return (self.is_manifest, self.digest)

    def document(self) -> dict[str, Any]:
        """The descriptor as JSON values, only what is set."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.platform is not None:
            value["platform"] = _platform_document(self.platform)
        return value


def _platform_document(platform: Platform) -> dict[str, Any]:
    value: dict[str, Any] = {"os": platform.os, "architecture": platform.architecture}
    if platform.variant:
        value["variant"] = platform.variant
    if platform.os_version:
        value["os.version"] = platform.os_version
    if platform.os_features:
        value["os.features"] = list(platform.os_features)
    return value


def descriptor_of(fields: Fields) -> Descriptor:
    """A descriptor from its JSON object; unknown members are ignored, as the specification asks.

    Known ones in another case are not: Go's decoder would take them.
    """
    fields.spelled(_MEMBERS)
    return Descriptor(
        media_type=fields.text("mediaType"),
        digest=parse_digest(fields.text("digest"), what=f"{fields.what}: digest"),
        size=fields.size("size"),
        platform=platform_of(fields.object("platform")) if "platform" in fields else None,
        artifact_type=fields.text("artifactType") if "artifactType" in fields else "",
        urls=fields.texts("urls") if "urls" in fields else (),
        annotations=fields.text_map("annotations"),
    )
