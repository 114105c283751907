"""The nouns of a lock: an image with no choice left, what is attached to it, and the release they make up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bundler.errors import ConfigError, quoted
from bundler.oci.attached import Kind
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.platform import Platform
from bundler.selection.platforms import Shape, is_attestation

Reason = Literal["unwanted", "platform", "index", "cap", "missing", "foreign", "unreadable", "unanswered", "unasked"]
"""Why something attached stays behind."""
REASONS: dict[Reason, str] = {
    "unwanted": "not of the kinds that `attachments:` names",
    "platform": "about a platform that is not chosen",
    "index": "in an index that is not carried, as one image of it is",
    "cap": "beyond what one image may have attached",
    "missing": "listed, but not there",
    "foreign": "listed as attached, but about something else",
    "unreadable": "no manifest that can be carried",
    "unanswered": "where they would be listed, the answer is a refusal",
    "unasked": "`attachments: none`, so nobody looked",
}
"""The same in words, to follow a colon."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something about an image (a signature, an SBOM) that travels with it.

    ``tag`` is its own tag beside the image (``sha256-….sig``), or empty if it is found by its ``subject``: the image, one
    of its children, or another attachment. ``kind`` and ``predicates``, the types of an attestation's predicates, are what
    its manifest says. Locks of older versions have none of the three.

    ``layers`` are set if upstream has no such manifest: bundler makes it, of simple signatures that lie beside the
    registry, and these are they.
    """

    tag: str
    root: Descriptor
    subject: Digest | None = None
    kind: Kind | Literal[""] = ""
    predicates: tuple[str, ...] = ()
    layers: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something about ``subject`` that does not travel; ``root`` is None where it is not known what it would be."""

    reason: Reason
    subject: Digest
    kind: Kind | Literal[""] = ""
    tag: str = ""
    root: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class LockedImage:
    """One image with no choice left.

    ``source`` is ``docker://registry/repository:tag`` or ``transport:rest``; ``target`` is ``repository:tag`` (or
    ``repository@digest``) at the far registry. ``origin`` is what the name stood for upstream, ``root`` what is carried in
    its place: the same unless ``index`` is ``single`` or ``strip``. ``children`` are those carried of an index, empty for
    ``manifest`` and ``single``. ``wish`` is the fingerprint of the wish it was resolved for. ``left_out`` is what was found
    attached and is not among the ``attachments``.
    """

    source: str
    target: str
    origin: Descriptor
    root: Descriptor
    children: tuple[Descriptor, ...] = ()
    index: Shape = "manifest"
    attachments: tuple[Attachment, ...] = ()
    wish: str = ""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms carried, as far as descriptors say."""
        found = [child.platform for child in self.children if not _is_unknown(child)] or [self.root.platform]
        return tuple(dict.fromkeys(platform for platform in found if platform is not None))


@dataclass(frozen=True, slots=True)
class Lock:
    """A release of a line of bundles. ``serial`` counts from 1 within (name, channel); times are in UTC, whole seconds."""

    name: str
    channel: str
    serial: int
    issued: datetime
    expires: datetime | None
    images: tuple[LockedImage, ...]


def checked_images(images: Iterable[LockedImage]) -> tuple[LockedImage, ...]:
    """``images`` in the lock's order, each once; :class:`ConfigError` names two that claim one target differently."""
    ordered = sorted(images, key=lambda image: (image.target, image.source))
    claims: dict[str, LockedImage] = {}
    kept: dict[tuple[str, str], LockedImage] = {}
    for image in ordered:
        other = claims.setdefault(image.target, image)
        if (other.root.digest, _digests(other)) != (image.root.digest, _digests(image)):
            how = "another image" if other.root.digest != image.root.digest else "other platforms of it"
            raise ConfigError(
                f"{quoted(image.target)}: both {quoted(other.source)} ({other.root.digest}) and {quoted(image.source)} "
                f"({image.root.digest}) would be called that at the far registry, and the second is {how}",
                hint="give one of them another path with `as:`, or wish for it once only",
            )
        kept.setdefault((image.target, image.source), image)
    return tuple(kept.values())


def _digests(image: LockedImage) -> tuple[str, ...]:
    return tuple(sorted({child.digest for child in image.children}))


def _is_unknown(child: Descriptor) -> bool:
    return is_attestation(child) or (child.platform is not None and child.platform.os == "unknown")
