"""What gets signed: an in-toto Statement v1 that names every volume, and a predicate that says what they carry.

The statement is small, is checked before anything else is read, and is the root from which every other byte of a bundle
is derived: subjects pin the volumes and the inventory, the inventory pins where each content lies, digests pin contents.

    Statement
    ├── subject[]    volume-0001.tar.zst, …, inventory.json with their SHA-256, at most 1024
    └── predicate    name, channel, serial, epoch, bundleId, issued, expires, previous, images[], totalSize, blobCount,
                     base, assumes[], minReader

Specification of the frame: in-toto attestation framework, "Statement" v1. The predicate's schema is
``schemas/bundle/statement.schema.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from bundler.bundle.members import digest_in, digests_in, format_time, line_in, positive_in, printable_in, time_in
from bundler.errors import ArchiveError, BundlerError, ConfigError, UnsupportedError, quoted
from bundler.oci import mediatype
from bundler.oci.attached import KINDS, Kind
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import HEX_LENGTHS, Digest, digest_of, is_digest
from bundler.oci.reference import check_repository, check_tag
from bundler.oci.strict_json import Fields, canonical, loads

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:oci-bundler:bundle:v1"
READER = 1
"""The version of the format that this code reads and writes."""
STATEMENT_CAP = 8 << 20
_VALUES = 300_000  # 100,000 assumed contents and 2,000 images of ten platforms with their attachments
MAX_SUBJECTS = 1024
INVENTORY_NAME = "inventory.json"

_MAX_PLATFORM = 255


@dataclass(frozen=True, slots=True)
class Subject:
    """A file of the bundle; ``sha256`` is its digest as 64 hexadecimal characters."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A signature, an SBOM or another referrer of an image. ``tag`` is empty for one that is found by its subject.

    ``root`` has an artifact type if the manifest names one. ``subject`` is what it is about: the image, one of its
    children, or another attachment. ``kind`` is signature, attestation, sbom or other. Statements of older writers have
    neither, and both are empty then. They say what the builder found, and prove nothing: whoever must know looks into
    the manifest.
    """

    tag: str
    root: Descriptor
    subject: Digest | None = None
    kind: Kind | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class CarriedImage:
    """One image: the full name it was selected by, and ``target``, its ``repository[:tag][@digest]`` at the far registry.

    One name may stand for several contents, one per platform say, if these have different targets.

    ``children`` lists those manifests of an index that are carried if it is sparse, and is None if all are. ``platforms``
    are for people to read.
    """

    name: str
    target: str
    root: Descriptor
    platforms: tuple[str, ...] = ()
    children: tuple[Digest, ...] | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """The content of a signed bundle. Times are UTC with whole seconds, sizes in bytes.

    ``previous`` is the digest of the payload of the statement before this one, on the same (name, channel). ``base`` is
    the bundle id that a differential bundle builds on, ``assumes`` the contents that the far side must hold already.
    """

    name: str
    channel: str
    serial: int
    epoch: int
    bundle_id: Digest
    issued: datetime
    images: tuple[CarriedImage, ...]
    total_size: int
    blob_count: int
    subjects: tuple[Subject, ...]
    expires: datetime | None = None
    previous: Digest | None = None
    base: Digest | None = None
    assumes: tuple[Digest, ...] = field(default=())
    min_reader: int = READER

    @property
    def volumes(self) -> tuple[Subject, ...]:
        """The volumes in their order."""
        return tuple(subject for subject in self.subjects if subject.name != INVENTORY_NAME)

    @property
    def inventory_sha256(self) -> str:
        """The SHA-256 of ``inventory.json``, hexadecimal."""
        return next(subject.sha256 for subject in self.subjects if subject.name == INVENTORY_NAME)


def volume_name(number: int) -> str:
    """The file name of volume ``number``, counted from 1."""
    return f"volume-{number:04}.tar.zst"


def bundle_id(*, name: str, channel: str, serial: int, digests: Iterable[Digest]) -> Digest:
    """What identifies a bundle: a SHA-256 over its line, its serial and the sorted digests that it carries.

    Raises :class:`ConfigError` for a line or a serial that no statement may have: this is asked before much is written.
    """
    fields = Fields({"name": name, "channel": channel, "serial": serial}, what="bundle", error=ConfigError)
    line_in(fields, "name")
    line_in(fields, "channel")
    positive_in(fields, "serial")
    value = {"name": name, "channel": channel, "serial": serial, "digests": sorted(set(digests))}
    return digest_of(canonical(value))


def write_statement(statement: Statement) -> bytes:
    """The statement as canonical JSON: the payload that is signed.

    Raises :class:`ConfigError`, or :class:`bundler.errors.LimitError`, if :func:`parse_statement` would not take it: what
    is signed can be read.
    """
    predicate: dict[str, Any] = {
        "name": statement.name,
        "channel": statement.channel,
        "serial": statement.serial,
        "epoch": statement.epoch,
        "bundleId": statement.bundle_id,
        "issued": format_time(statement.issued),
        "images": [_image_document(image) for image in statement.images],
        "totalSize": statement.total_size,
        "blobCount": statement.blob_count,
        "assumes": list(statement.assumes),
        "minReader": statement.min_reader,
    }
    if statement.expires is not None:
        predicate["expires"] = format_time(statement.expires)
    if statement.previous is not None:
        predicate["previous"] = statement.previous
    if statement.base is not None:
        predicate["base"] = statement.base
    raw = canonical({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": s.name, "digest": {"sha256": s.sha256}} for s in statement.subjects],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    })  # fmt: skip
    _parsed(raw, "statement", ConfigError)
    return raw


def parse_statement(raw: bytes, *, what: str = "statement") -> Statement:
    """The statement in a signed payload.

    Raises :class:`ArchiveError` if it is not exactly of this form, :class:`UnsupportedError` if it needs a newer reader,
    and :class:`bundler.errors.LimitError` beyond 8 MiB.
    """
    return _parsed(raw, what, ArchiveError)


def _parsed(raw: bytes, what: str, error: Callable[[str], BundlerError]) -> Statement:
    document = Fields(loads(raw, what=what, cap=STATEMENT_CAP, values=_VALUES, error=error), what=what, error=error)
    for name, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if document.text(name) != wanted:
            raise document.fail(name, f"must be {wanted}, not {quoted(document.text(name))!r}")
    predicate = document.object("predicate")
    if predicate.size("minReader") > READER:
        raise UnsupportedError(
            f"{what}: needs a reader of version {predicate.size('minReader')}; this one is of version {READER}",
            hint="install a newer bundler",
        )
    statement = Statement(
        name=line_in(predicate, "name"),
        channel=line_in(predicate, "channel"),
        serial=positive_in(predicate, "serial"),
        epoch=predicate.size("epoch"),
        bundle_id=digest_in(predicate, "bundleId"),
        issued=time_in(predicate, "issued"),
        expires=time_in(predicate, "expires") if "expires" in predicate else None,
        previous=digest_in(predicate, "previous") if "previous" in predicate else None,
        images=tuple(_image(image) for image in predicate.each("images")),
        total_size=predicate.size("totalSize"),
        blob_count=predicate.size("blobCount"),
        base=digest_in(predicate, "base") if "base" in predicate else None,
        assumes=digests_in(predicate, "assumes"),
        min_reader=positive_in(predicate, "minReader"),
        subjects=_subjects(document),
    )
    predicate.done()
    document.done()
    _check_names(predicate, statement.images)
    return statement


def check_images(images: Sequence[CarriedImage]) -> None:
    """:class:`ConfigError` unless :func:`parse_statement` would take these images: to be asked before much is written."""
    predicate = Fields({"images": [_image_document(image) for image in images]}, what="bundle", error=ConfigError)
    _check_names(predicate, [_image(fields) for fields in predicate.each("images")])


def _image_document(image: CarriedImage) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": image.name,
        "target": image.target,
        "platforms": list(image.platforms),
        **_root_document(image.root),
    }
    if image.children is not None:
        value["children"] = list(image.children)
    if image.attachments:
        value["attachments"] = [_attachment_document(attachment) for attachment in image.attachments]
    return value


def _attachment_document(attachment: Attachment) -> dict[str, Any]:
    value = _root_document(attachment.root)
    said = {
        "tag": attachment.tag,
        "artifactType": attachment.root.artifact_type,
        "subject": attachment.subject,
        "kind": attachment.kind,
    }
    return {**value, **{name: text for name, text in said.items() if text}}


def _root_document(root: Descriptor) -> dict[str, Any]:
    return {"mediaType": root.media_type, "digest": root.digest, "size": root.size}


def _root(fields: Fields) -> Descriptor:
    media_type = fields.text("mediaType")
    if not mediatype.is_manifest(media_type):
        raise fields.fail("mediaType", f"must be that of a manifest, not {quoted(media_type)!r}")
    return Descriptor(media_type, digest_in(fields, "digest"), fields.size("size"))


def _image(fields: Fields) -> CarriedImage:
    image = CarriedImage(
        name=printable_in(fields, "name"),
        target=_target(fields, "target"),
        root=_root(fields),
        platforms=_platforms(fields, "platforms"),
        children=digests_in(fields, "children") if "children" in fields else None,
        attachments=tuple(_attachment(a) for a in fields.each("attachments")) if "attachments" in fields else (),
    )
    fields.done()
    return image


def _attachment(fields: Fields) -> Attachment:
    tag = fields.text("tag") if "tag" in fields else ""
    if tag:
        try:
            check_tag(tag, what="tag")
        except ConfigError as problem:
            raise fields.fail("tag", f"is wrong: {problem}") from None
    root = _root(fields)
    if "artifactType" in fields:
        root = replace(root, artifact_type=printable_in(fields, "artifactType"))
    subject = digest_in(fields, "subject") if "subject" in fields else None
    attachment = Attachment(tag, root, subject, _kind(fields))
    fields.done()
    return attachment


def _kind(fields: Fields) -> Kind | Literal[""]:
    if "kind" not in fields:
        return ""
    text = fields.text("kind")
    for kind in KINDS:
        if kind == text:
            return kind
    raise fields.fail("kind", f"must be one of {', '.join(KINDS)}, not {quoted(text)!r}")


def _target(fields: Fields, name: str) -> str:
    """``repository[:tag][@digest]``: it becomes part of a URL at the far side, so its grammar is checked here."""
    text = fields.text(name)
    path, at, digest = text.partition("@")
    repository, colon, tag = path.partition(":")
    try:
        check_repository(repository, what="repository")
        if colon:
            check_tag(tag, what="tag")
    except ConfigError as problem:
        raise fields.fail(name, f"is wrong: {problem}") from None
    if at and not is_digest(digest):
        raise fields.fail(name, f"{quoted(text)!r}: what follows the @ is not a digest")
    return text


def _platforms(fields: Fields, name: str) -> tuple[str, ...]:
    texts = fields.texts(name)
    for text in texts:
        if len(text) > _MAX_PLATFORM or not text.isprintable():
            raise fields.fail(name, f"must be at most {_MAX_PLATFORM} printable characters, not {quoted(text, 80)!r}")
    return texts


def _subjects(document: Fields) -> tuple[Subject, ...]:
    """Volumes in their order, each under its own name, and the inventory last."""
    subjects = [_subject(fields) for fields in document.each("subject")]
    if not 2 <= len(subjects) <= MAX_SUBJECTS:
        raise document.fail("subject", f"must name 2 to {MAX_SUBJECTS} files, not {len(subjects)}")
    wanted = [*(volume_name(number) for number in range(1, len(subjects))), INVENTORY_NAME]
    for subject, name in zip(subjects, wanted, strict=True):
        if subject.name != name:
            raise document.fail("subject", f"must name {name} where it names {quoted(subject.name)!r}")
    return tuple(subjects)


def _subject(fields: Fields) -> Subject:
    digest = fields.object("digest")
    value = digest.text("sha256")
    if len(value) != HEX_LENGTHS["sha256"] or not is_digest(f"sha256:{value}"):
        raise digest.fail("sha256", f"must be 64 lower-case hexadecimal characters, not {quoted(value)!r}")
    digest.done()
    subject = Subject(fields.text("name"), value)
    fields.done()
    return subject


def _check_names(predicate: Fields, images: Sequence[CarriedImage]) -> None:
    """One name may go to several targets, but a target has one content."""
    pairs: set[tuple[str, str]] = set()
    roots: dict[str, Descriptor] = {}
    for image in images:
        if (image.name, image.target) in pairs:
            raise predicate.fail("images", f"hold {quoted(image.name)!r} for {quoted(image.target)!r} twice")
        if roots.setdefault(image.target, image.root) != image.root:
            raise predicate.fail("images", f"give {quoted(image.target)!r} two contents")
        pairs.add((image.name, image.target))
