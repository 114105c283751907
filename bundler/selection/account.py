"""The account of what is attached to an image, out of its lock: what was found, what is carried, what is left out and why.

In a line: 2 signatures, 1 sbom; left out: 1 signature (about a platform that is not chosen)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from bundler.oci.attached import SUFFIXES, Kind
from bundler.oci.descriptor import Descriptor
from bundler.selection.locked import REASONS, Attachment, LeftOut, LockedImage, Reason

_NAMES: dict[str, tuple[str, str]] = {
    "signature": ("signature", "signatures"),
    "attestation": ("attestation", "attestations"),
    "sbom": ("sbom", "sboms"),
    "other": ("artifact", "artifacts"),
    "": ("artifact", "artifacts"),
}
_ORDER = tuple(_NAMES)


def account(image: LockedImage) -> dict[str, Any]:
    """The account as JSON values; ``attested`` are the attestations that an index lists, which are carried with it."""
    return {
        "name": image.source,
        "digest": image.root.digest,
        "carried": [_carried(one, image) for one in image.attachments],
        "attested": [_plain(child) for child in _attestations(image)],
        "leftOut": [_left_out(one) for one in image.left_out],
    }


def sentence(image: LockedImage) -> str:
    """The same in a line."""
    kinds = [kind_of(one) for one in image.attachments] + ["attestation"] * len(_attestations(image))
    apart = sum(not _is_about_carried(one, image) for one in image.attachments)
    said = _counted(kinds) or "nothing attached"
    if apart:
        said += f" ({apart} about the index, which is not carried)"
    reasons: dict[Reason, list[str]] = {}
    for one in image.left_out:
        reasons.setdefault(one.reason, []).append(one.kind)
    if "unasked" in reasons:
        return f"not looked for: {REASONS['unasked']}"
    if reasons:
        said += "; left out: " + ", ".join(
            f"{_counted(left)} ({REASONS[reason]})" for reason, left in sorted(reasons.items())
        )
    return said


def kind_of(one: Attachment) -> Kind:
    """What an attachment is; of one in an older lock, by its tag."""
    if one.kind:
        return one.kind
    return next((kind for kind, suffix in SUFFIXES.items() if one.tag.endswith(suffix)), "other")


def _counted(kinds: Iterable[str]) -> str:
    counts = Counter(kinds)
    return ", ".join(f"{counts[kind]} {_NAMES[kind][counts[kind] > 1]}" for kind in _ORDER if counts[kind])


def _attestations(image: LockedImage) -> list[Descriptor]:
    return [child for child in image.children if child.platform is not None and child.platform.os == "unknown"]


def _is_about_carried(one: Attachment, image: LockedImage) -> bool:
    known = {image.root.digest, *(child.digest for child in image.children)}
    return one.subject is None or one.subject in known | {other.root.digest for other in image.attachments}


def _carried(one: Attachment, image: LockedImage) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": kind_of(one), **_plain(one.root)}
    if one.tag:
        value["tag"] = one.tag
    if one.subject is not None:
        value["subject"] = one.subject
        value["subjectCarried"] = _is_about_carried(one, image)
    if one.predicates:
        value["predicates"] = list(one.predicates)
    return value


def _left_out(one: LeftOut) -> dict[str, Any]:
    value: dict[str, Any] = {"reason": one.reason, "why": REASONS[one.reason], "subject": one.subject}
    if one.kind:
        value["kind"] = one.kind
    if one.tag:
        value["tag"] = one.tag
    return value if one.root is None else {**value, **_plain(one.root)}


def _plain(root: Descriptor) -> dict[str, Any]:
    value: dict[str, Any] = {"mediaType": root.media_type, "digest": root.digest, "size": root.size}
    return {**value, "artifactType": root.artifact_type} if root.artifact_type else value
