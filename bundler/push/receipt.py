"""The receipt of a push: what landed where. Carried back, it is the base of the next differential bundle.

Its format is specified in ``schemas/receipt/``. What depends on when and on what was there before stands in ``pushed``
and ``blobs``; the rest is equal for every push of the same images of a bundle to the same place.

    receipt = parse_receipt(raw, "receipt.json")
    [image.reference for image in receipt.images]      # registry.local:5000/site/library/nginx:1.27, …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bundler.bundle.members import line_in
from bundler.content import Outcome
from bundler.errors import BundlerError, ConfigError, quoted
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields, canonical, loads

API_VERSION = "bundler/v1"
KIND = "Receipt"
CAP = 64 << 20
SIGNATURE_SUFFIX = ".sig"
"""Behind the name of a receipt's file: a signature over its exact bytes, as `openssl dgst -verify` takes it."""

_IMAGE_SIGNER = re.compile(r"gpg:(?:[0-9A-F]{40}|[0-9A-F]{64})|cosign:[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Beside:
    """An attachment at the destination: its reference there, with its tag or else its digest, and its manifest."""

    reference: str
    root: Descriptor


@dataclass(frozen=True, slots=True)
class Landed:
    """One image at the destination: its name in the bundle, its reference there, and its digest.

    ``media_type`` and ``size`` (bytes) are its manifest's; ``children`` are those that came of a sparse index, None if all.
    """

    name: str
    reference: str
    digest: Digest
    media_type: str = mediatype.OCI_MANIFEST
    size: int = 0
    platforms: tuple[str, ...] = ()
    children: tuple[Digest, ...] | None = None
    attachments: tuple[Beside, ...] = ()

    @property
    def root(self) -> Descriptor:
        """The image's manifest or index."""
        return Descriptor(self.media_type, self.digest, self.size)

    def document(self) -> dict[str, Any]:
        """The image as JSON values."""
        value: dict[str, Any] = {
            "name": self.name,
            "reference": self.reference,
            **_root_document(self.root),
            "platforms": list(self.platforms),
            "attachments": [
                {"reference": a.reference, **_root_document(a.root)}
                for a in sorted(self.attachments, key=lambda a: a.reference)
            ],
        }
        if self.children is not None:
            value["children"] = sorted(self.children)
        return value


@dataclass(frozen=True, slots=True)
class Taken:
    """How the images were sent: what `push` was told with ``--to``, ``--scoped``, ``--map`` and ``--image``."""

    to: str = ""
    scoped: bool = False
    renames: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A finished push. ``outcomes`` counts contents that were uploaded, mounted and already present.

    ``signers`` are the ids of the keys that the bundle was taken on; none means that no signature was checked.
    ``statement`` is the digest of what they signed. ``policy`` is the digest of the policy that every image met, None
    if there was none, and ``overrides`` are the checks that were given up, by option, with the reason.
    ``image_signers`` signed each image on its way: ``gpg:`` and a fingerprint, or ``cosign:`` and a key's id.
    """

    bundle_id: Digest
    name: str
    channel: str
    serial: int
    pushed: datetime
    destination: str
    images: tuple[Landed, ...]
    outcomes: Mapping[Outcome, int]
    signers: tuple[str, ...]
    epoch: int = 0
    statement: Digest | None = None
    policy: Digest | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    image_signers: tuple[str, ...] = ()
    taken: Taken = field(default=Taken())

    def document(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "bundleId": self.bundle_id,
            "statement": self.statement,
            "name": self.name,
            "channel": self.channel,
            "epoch": self.epoch,
            "serial": self.serial,
            "pushed": self.pushed.strftime(_TIME),
            "destination": self.destination,
            "route": {
                "to": self.taken.to or self.destination,
                "scoped": self.taken.scoped,
                "map": list(self.taken.renames),
                "image": list(self.taken.patterns),
            },
            "signed": bool(self.signers),
            "signers": sorted(self.signers),
            "policy": self.policy,
            "imageSigners": sorted(self.image_signers),
            "overrides": [{"option": option, "reason": reason or None} for option, reason in sorted(self.overrides)],
            "images": [i.document() for i in sorted(self.images, key=lambda i: (i.reference, i.name))],
            "blobs": {
                "uploaded": self.outcomes.get(Outcome.COPIED, 0),
                "mounted": self.outcomes.get(Outcome.MOUNTED, 0),
                "present": self.outcomes.get(Outcome.PRESENT, 0),
            },
        }

    def serialised(self) -> bytes:
        """The bytes of ``receipt.json``."""
        return canonical(self.document())


def parse_receipt(raw: bytes, what: str) -> Receipt:
    """The receipt in a file that `bundler push --receipt` wrote. Raises :class:`ConfigError` for anything else."""
    value = loads(raw, what=what, cap=CAP, error=_damaged)
    fields = Fields(value, what=what, error=_damaged)
    for name, wanted in (("kind", KIND), ("apiVersion", API_VERSION)):
        if fields.text(name) != wanted:
            raise fields.fail(name, f"is {quoted(fields.text(name))!r}, not {wanted}")
    route, blobs = fields.object("route"), fields.object("blobs")
    receipt = Receipt(
        bundle_id=_digest(fields, "bundleId"),
        statement=_digest(fields, "statement") if "statement" in fields else None,
        name=line_in(fields, "name"),
        channel=line_in(fields, "channel"),
        epoch=fields.size("epoch"),
        serial=fields.size("serial"),
        pushed=_time(fields, "pushed"),
        destination=_line(fields, "destination"),
        taken=Taken(
            _line(route, "to"), _flag(route, "scoped", value["route"]), _lines(route, "map"), _lines(route, "image")
        ),
        signers=_signers(fields),
        policy=_digest(fields, "policy") if "policy" in fields else None,
        image_signers=_image_signers(fields) if "imageSigners" in fields else (),
        overrides=tuple(_override(each) for each in fields.each("overrides")),
        images=tuple(_image(each) for each in fields.each("images")),
        outcomes={
            Outcome.COPIED: blobs.size("uploaded"),
            Outcome.MOUNTED: blobs.size("mounted"),
            Outcome.PRESENT: blobs.size("present"),
        },
    )
    if _flag(fields, "signed", value) != bool(receipt.signers):
        raise fields.fail("signed", "contradicts signers")
    for each in (route, blobs, fields):
        each.done()
    return receipt


def _image(fields: Fields) -> Landed:
    image = Landed(
        name=_line(fields, "name"),
        reference=_line(fields, "reference"),
        digest=_digest(fields, "digest"),
        media_type=_manifest_type(fields),
        size=fields.size("size"),
        platforms=_lines(fields, "platforms"),
        children=_children(fields) if "children" in fields else None,
        attachments=tuple(map(_beside, fields.each("attachments"))),
    )
    fields.done()
    return image


def _beside(fields: Fields) -> Beside:
    root = Descriptor(_manifest_type(fields), _digest(fields, "digest"), fields.size("size"))
    beside = Beside(_line(fields, "reference"), root)
    fields.done()
    return beside


def _children(fields: Fields) -> tuple[Digest, ...]:
    texts = fields.texts("children")
    if not all(map(is_digest, texts)):
        raise fields.fail("children", "must hold digests")
    return tuple(map(Digest, texts))


def _image_signers(fields: Fields) -> tuple[str, ...]:
    texts = fields.texts("imageSigners")
    if not all(map(_IMAGE_SIGNER.fullmatch, texts)):
        raise fields.fail("imageSigners", "must hold gpg:FINGERPRINT and cosign:KEY-ID")
    return texts


def _override(fields: Fields) -> tuple[str, str]:
    override = _line(fields, "option"), _line(fields, "reason") if "reason" in fields else ""
    fields.done()
    return override


def _root_document(root: Descriptor) -> dict[str, Any]:
    return {"digest": root.digest, "mediaType": root.media_type, "size": root.size}


def _manifest_type(fields: Fields) -> str:
    text = fields.text("mediaType")
    if not mediatype.is_manifest(text):
        raise fields.fail("mediaType", f"must be that of a manifest, not {quoted(text)!r}")
    return text


def _digest(fields: Fields, name: str) -> Digest:
    text = fields.text(name)
    if not is_digest(text):
        raise fields.fail(name, "is no digest")
    return Digest(text)


def _line(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not text or not text.isprintable():
        raise fields.fail(name, f"must be printable, not {quoted(text)!r}")
    return text


def _lines(fields: Fields, name: str) -> tuple[str, ...]:
    texts = fields.texts(name)
    for text in texts:
        if not text.isprintable():
            raise fields.fail(name, f"must be printable, not {quoted(text)!r}")
    return texts


def _signers(fields: Fields) -> tuple[str, ...]:
    texts = fields.texts("signers")
    if not all(map(_KEY_ID.fullmatch, texts)):
        raise fields.fail("signers", "must hold ids of keys")
    return texts


def _flag(fields: Fields, name: str, value: Mapping[str, Any]) -> bool:
    if name not in fields or not isinstance(value[name], bool):
        raise fields.fail(name, "must be true or false")
    return value[name] is True


def _time(fields: Fields, name: str) -> datetime:
    try:
        return datetime.strptime(fields.text(name), _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise fields.fail(name, "is no time like 2026-01-31T12:00:00Z") from None


def _damaged(message: str) -> BundlerError:
    return ConfigError(message, hint="give a file that `bundler push --receipt` wrote")
