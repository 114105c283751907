"""What is attached to an image, as the lock writes it: what is carried, and what is left out and why.

    "attachments": [{"tag": "sha256-….sig", "root": {…}, "subject": "sha256:…", "kind": "signature"}],
    "leftOut":     [{"reason": "platform", "subject": "sha256:…", "kind": "signature", "tag": …, "root": {…}}]

Both are sorted, each entry once. ``subject``, ``kind`` and ``leftOut`` came later than the rest: locks without them are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from bundler.errors import quoted
from bundler.oci.attached import KINDS, Kind
from bundler.oci.descriptor import Descriptor, descriptor_of
from bundler.oci.digest import parse_digest
from bundler.oci.reference import check_tag
from bundler.oci.simple_signatures import SIGNATURE_TYPE
from bundler.oci.strict_json import Fields
from bundler.selection.locked import REASONS, Attachment, LeftOut


def documents(attachments: Iterable[Attachment]) -> list[dict[str, Any]]:
    """What is carried, as JSON values."""
    found = sorted(attachments, key=lambda one: (one.tag, one.root.digest))
    return [_document(one) for one in dict.fromkeys(found)]


def left_documents(left_out: Iterable[LeftOut]) -> list[dict[str, Any]]:
    """What is left out, as JSON values."""
    found = sorted(left_out, key=lambda one: (one.reason, one.subject, one.tag, one.kind, _digest(one)))
    return [_left_document(one) for one in dict.fromkeys(found)]


def read_attachment(fields: Fields, value: dict[str, Any]) -> Attachment:
    """One that is carried."""
    layers = tuple(zip(fields.objects("layers"), fields.array("layers"), strict=True)) if "layers" in fields else ()
    attachment = Attachment(
        _tag(fields),
        read_descriptor(fields.object("root"), value["root"]),
        parse_digest(fields.text("subject"), what=f"{fields.what}: subject") if "subject" in fields else None,
        _kind(fields),
        fields.texts("predicates") if "predicates" in fields else (),
        tuple(_read_layer(*layer) for layer in layers),
    )
    if attachment.layers and (attachment.tag or attachment.subject is None):
        raise fields.fail("layers", "must come with a subject, and without a tag")
    fields.done()
    return attachment


def read_left_out(fields: Fields, value: dict[str, Any]) -> LeftOut:
    """One that is not."""
    reason = next((reason for reason in REASONS if reason == fields.text("reason")), None)
    if reason is None:
        raise fields.fail("reason", f"is {quoted(fields.text('reason'))!r}, not one of {', '.join(REASONS)}")
    left = LeftOut(
        reason,
        parse_digest(fields.text("subject"), what=f"{fields.what}: subject"),
        _kind(fields),
        _tag(fields),
        _read_plain(fields.object("root"), value["root"]) if "root" in fields else None,
    )
    fields.done()
    return left


def read_descriptor(fields: Fields, value: dict[str, Any]) -> Descriptor:
    """The descriptor of a manifest."""
    descriptor = _read_plain(fields, value)
    if not descriptor.is_manifest:
        raise fields.fail("mediaType", f"is {quoted(descriptor.media_type)!r}, which is no manifest")
    return descriptor


def plain(descriptor: Descriptor) -> Mapping[str, Any]:
    """A descriptor without annotations and URLs, which say nothing about what it is."""
    return replace(descriptor, annotations={}, urls=()).document()


def _document(one: Attachment) -> dict[str, Any]:
    value: dict[str, Any] = {"root": plain(one.root)}
    if one.tag:
        value["tag"] = one.tag
    if one.subject is not None:
        value["subject"] = one.subject
    if one.kind:
        value["kind"] = one.kind
    if one.predicates:
        value["predicates"] = list(one.predicates)
    if one.layers:
        value["layers"] = [plain(layer) for layer in one.layers]
    return value


def _left_document(one: LeftOut) -> dict[str, Any]:
    value: dict[str, Any] = {"reason": one.reason, "subject": one.subject}
    if one.kind:
        value["kind"] = one.kind
    if one.tag:
        value["tag"] = one.tag
    if one.root is not None:
        value["root"] = plain(one.root)
    return value


def _digest(one: LeftOut) -> str:
    return "" if one.root is None else one.root.digest


def _read_plain(fields: Fields, value: dict[str, Any]) -> Descriptor:
    descriptor = descriptor_of(fields)
    if plain(descriptor) != value:
        raise fields.fail("", "holds more than mediaType, digest, size, artifactType and a normalised platform")
    return descriptor


def _read_layer(fields: Fields, value: dict[str, Any]) -> Descriptor:
    layer = _read_plain(fields, value)
    if layer.media_type != SIGNATURE_TYPE:
        raise fields.fail("mediaType", f"is {quoted(layer.media_type)!r}, not {SIGNATURE_TYPE!r}")
    return layer


def _tag(fields: Fields) -> str:
    return check_tag(fields.text("tag"), what=fields.what) if "tag" in fields else ""


def _kind(fields: Fields) -> Kind | Literal[""]:
    if "kind" not in fields:
        return ""
    kind = next((kind for kind in KINDS if kind == fields.text("kind")), None)
    if kind is None:
        raise fields.fail("kind", f"is {quoted(fields.text('kind'))!r}, not one of {', '.join(KINDS)}")
    return kind
