"""The list of referrers that a client keeps where a registry has no API for it.

Distribution-spec 1.1, "Pushing Manifests with Subject" and "Referrers Tag Schema": an answer without ``OCI-Subject`` means
that the registry did not take note of the subject; then an index under a tag made from the subject's digest lists all
manifests that refer to it. Pure: bytes in, bytes out.
"""

from __future__ import annotations

from typing import Any

from bundler.oci import mediatype
from bundler.oci.attached import referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.strict_json import Fields, canonical, loads

__all__ = ["extended", "referrers_tag", "subject_of"]


def subject_of(raw: bytes, media_type: str, *, what: str) -> Digest | None:
    """What a manifest refers to, None for most."""
    if b'"subject"' not in raw:
        return None
    subject = parse_manifest(raw, media_type, what=what).subject
    return None if subject is None else subject.digest


def extended(listing: bytes | None, want: Descriptor, raw: bytes, *, what: str) -> bytes | None:
    """The list with one manifest more, or None if it is there already. ``listing`` is None where there is no list yet."""
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": []}
    if listing is not None:
        known = parse_manifest(listing, mediatype.OCI_INDEX, what=what).manifests
        if any(each.digest == want.digest for each in known):
            return None
        document = loads(listing, what=what)
    return canonical({**document, "manifests": [*document["manifests"], _entry(want, raw, what)]})


def _entry(want: Descriptor, raw: bytes, what: str) -> dict[str, Any]:
    """A descriptor as the referrers API would give it: artifact type, or the config's media type; annotations too."""
    manifest = parse_manifest(raw, want.media_type, what=what)
    artifact_type = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    annotations = Fields(loads(raw, what=what), what=what).text_map("annotations")
    return Descriptor(
        want.media_type, want.digest, want.size, artifact_type=artifact_type, annotations=annotations
    ).document()
