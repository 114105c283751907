"""``bundle.lock.json``: the wishes with no choices left, and the identity of the release.

Every name is resolved to digest, media type and size; the chosen children of an index and the attachments found are
listed. A lock whose images change gets the next serial; the same images give the same lock back, byte for byte. The schema
is ``schemas/bundle-lock/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bundler.errors import ConfigError, ProtocolError, UnsupportedError, quoted
from bundler.oci.digest import parse_digest
from bundler.oci.reference import check_repository, check_tag
from bundler.oci.strict_json import Fields, canonical, loads
from bundler.selection.lock_attachments import (
    documents,
    left_documents,
    plain,
    read_attachment,
    read_descriptor,
    read_left_out,
)
from bundler.selection.locked import Attachment, LeftOut, Lock, LockedImage, checked_images
from bundler.selection.platforms import SHAPES
from bundler.selection.wishes import is_name

__all__ = [
    "Attachment",
    "LeftOut",
    "Lock",
    "LockedImage",
    "check_target",
    "checked_images",
    "next_lock",
    "read_lock",
    "write_lock",
]

API_VERSION = "bundler/v1"
KIND = "Lock"
LOCK_CAP = 32 << 20
"""The most bytes of a lock: 2,000 images of ten platforms take about 5 MB."""
MAX_SERIAL = 999_999_999
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
_INSTANT_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def next_lock(
    previous: Lock | None,
    *,
    name: str,
    channel: str,
    images: Iterable[LockedImage],
    issued: datetime,
    expires: datetime | None,
    renew: bool = False,
) -> Lock:
    """The lock for these images: ``previous`` itself if it has the same, else one with the next serial.

    If only the wishes differ that the images are locked for, those change and the release stays. ``renew`` gives the next
    serial and the new times even to the same images. Of another line, ``previous`` doesn't count. Raises :class:`ConfigError` if two images claim one target.
    """
    ordered = checked_images(images)
    if previous is not None and (previous.name, previous.channel) != (name, channel):
        previous = None
    if previous is not None and not renew and _contents(previous.images) == _contents(ordered):
        if _documents(previous.images) == _documents(ordered):
            return previous
        return _settled(replace(previous, images=ordered))
    if expires is not None and expires <= issued:
        raise ConfigError(f"{name}: expires {expires:{_INSTANT}}, not after it is issued at {issued:{_INSTANT}}")
    serial = 1 if previous is None else previous.serial + 1
    return _settled(Lock(name, channel, serial, _whole(issued), None if expires is None else _whole(expires), ordered))


def _settled(lock: Lock) -> Lock:
    """Through the bytes and back: what is used now is what anyone reads from the file later."""
    return read_lock(write_lock(lock), what=f"the lock of {lock.name}")


def write_lock(lock: Lock) -> bytes:
    """The lock as canonical JSON."""
    value: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": lock.name,
        "channel": lock.channel,
        "serial": lock.serial,
        "issued": lock.issued.strftime(_INSTANT),
        "images": _documents(checked_images(lock.images)),
    }
    if lock.expires is not None:
        value["expires"] = lock.expires.strftime(_INSTANT)
    return canonical(value)


def read_lock(raw: bytes, what: str) -> Lock:
    """A lock that holds together; raises :class:`ConfigError` naming the path of what does not."""
    try:
        return _read(Fields(loads(raw, what=what, cap=LOCK_CAP, error=ConfigError), what=what, error=ConfigError))
    except ProtocolError as error:  # a digest: elsewhere these come from the other side, here from the operator
        raise ConfigError(str(error)) from None


def _read(fields: Fields) -> Lock:
    for name, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        if fields.text(name) != wanted:
            raise UnsupportedError(f"{fields.what}: {name} is {quoted(fields.text(name))!r}, not {wanted!r}")
    for name in ("name", "channel"):
        if not is_name(fields.text(name)):
            raise fields.fail(name, f"is {quoted(fields.text(name))!r}, which is no name")
    issued = _instant(fields, "issued")
    expires = _instant(fields, "expires") if "expires" in fields else None
    if expires is not None and expires <= issued:
        raise fields.fail("expires", "is not after issued")
    serial = fields.size("serial", most=MAX_SERIAL)
    if serial < 1:
        raise fields.fail("serial", "must be at least 1")
    items = zip(fields.objects("images"), fields.array("images"), strict=True)
    images = checked_images(_read_image(image, value) for image, value in items)
    if not images:
        raise fields.fail("images", "is empty")
    fields.done()
    return Lock(fields.text("name"), fields.text("channel"), serial, issued, expires, images)


def _read_image(fields: Fields, value: dict[str, Any]) -> LockedImage:
    shape = next((shape for shape in SHAPES if shape == fields.text("index")), None)
    if shape is None:
        raise fields.fail("index", f"is {quoted(fields.text('index'))!r}, not one of {', '.join(SHAPES)}")
    image = LockedImage(
        source=fields.text("source"),
        target=check_target(fields.text("target"), what=f"{fields.what}: target"),
        origin=read_descriptor(fields.object("origin"), value["origin"]),
        root=read_descriptor(fields.object("root"), value["root"]),
        children=tuple(read_descriptor(*pair) for pair in _objects(fields, value, "children")),
        index=shape,
        attachments=tuple(read_attachment(*pair) for pair in _objects(fields, value, "attachments")),
        left_out=tuple(read_left_out(*pair) for pair in _objects(fields, value, "leftOut")),
        wish=fields.text("wish") if "wish" in fields else "",
    )
    if image.wish and not _FINGERPRINT.fullmatch(image.wish):
        raise fields.fail("wish", "is no fingerprint")
    if not image.source.isprintable() or ":" not in image.source:
        raise fields.fail("source", f"is {quoted(image.source)!r}, which is no image name")
    if shape in ("manifest", "keep", "sparse") and image.origin.digest != image.root.digest:
        raise fields.fail("root", f"differs from origin, which {shape!r} does not allow")
    if (shape in ("manifest", "single")) == bool(image.children) and shape != "keep":
        raise fields.fail("children", "must be there for an index that is carried, and only then")
    fields.done()
    return image


def _objects(fields: Fields, value: dict[str, Any], name: str) -> Iterable[tuple[Fields, dict[str, Any]]]:
    return zip(fields.objects(name), value[name], strict=True) if name in fields else ()


def check_target(target: str, *, what: str) -> str:
    """``target`` itself if it is ``repository:tag`` or ``repository@digest``, else :class:`ConfigError`."""
    repository, at, digest = target.partition("@")
    if at:
        parse_digest(digest, what=what)
    else:
        repository, _, tag = target.partition(":")
        check_tag(tag, what=what)
    check_repository(repository, what=what)
    return target


def _documents(images: Iterable[LockedImage]) -> list[dict[str, Any]]:
    return [_document(image) for image in images]


def _contents(images: Iterable[LockedImage]) -> list[dict[str, Any]]:
    """What a release is told by: not by what was wished for, nor by what is left out."""
    return [{**_document(image), "wish": "", "leftOut": []} for image in images]


def _document(image: LockedImage) -> dict[str, Any]:
    value: dict[str, Any] = {
        "source": image.source,
        "target": image.target,
        "index": image.index,
        "origin": plain(image.origin),
        "root": plain(image.root),
    }
    if image.children:
        value["children"] = [plain(child) for child in image.children]
    if image.attachments:
        value["attachments"] = documents(image.attachments)
    if image.left_out:
        value["leftOut"] = left_documents(image.left_out)
    if image.wish:
        value["wish"] = image.wish
    return value


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _instant(fields: Fields, name: str) -> datetime:
    text = fields.text(name)
    try:
        if not _INSTANT_SHAPE.fullmatch(text):
            raise ValueError(text)
        return datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
    except ValueError:
        raise fields.fail(name, f"is {quoted(text)!r}, not like 2026-01-31T00:00:00Z") from None
