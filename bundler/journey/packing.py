"""From a lock to a signed bundle, out of the store or straight from the registries.

The bytes follow from the lock alone: contents in plan order, the time of issue, deterministic signatures. So two builds
of one lock, on two machines, are the same to the last byte.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.bundle.statement import Attachment, CarriedImage, Statement, bundle_id, write_statement
from bundler.bundle.volume import index_json
from bundler.content import Event, Job, Observer, Planned, copy_all
from bundler.errors import ConfigError, NotFoundError, StoreError, quoted
from bundler.journey.keys import signed
from bundler.journey.near import Run, full_name, required_lock
from bundler.pull.carry import Survey, survey
from bundler.selection.lock import Lock, LockedImage
from bundler.trust.dsse import Envelope

if TYPE_CHECKING:
    from bundler.trust.signing import Signer

EPOCH = 0
"""Rises when a line of bundles starts its serials again; nothing does that yet."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A written bundle; ``size`` in bytes, ``signers`` the ids of the keys that signed it."""

    directory: Path
    images: int
    volumes: int
    size: int
    bundle_id: str
    serial: int
    signers: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "directory": str(self.directory),
            "bundleId": self.bundle_id,
            "serial": self.serial,
            "images": self.images,
            "volumes": self.volumes,
            "size": self.size,
            "signers": list(self.signers),
        }


@dataclass(frozen=True, slots=True)
class Shape:
    """How the bundle is written: the most bytes of a volume, zstd's level, and who signs.

    ``signers`` may still be being opened, which takes a quarter of a second for each: packing goes on meanwhile, and
    stops at once if one can't be opened. ``roots`` are a site's, by file name: they travel beside the bundle's own files.
    """

    limit: int
    level: int
    signers: Future[tuple[Signer, ...]]
    roots: Mapping[str, bytes] = field(default_factory=dict)


def pack(run: Run, directory: Path, output: Path | None, shape: Shape, *, serial: int | None = None) -> Packed:
    """Write the bundle of the lock from the store at ``directory``."""
    from bundler.store import Store

    lock = _with_serial(required_lock(run), serial)
    with Store.open(str(directory), observer=run.observer) as store, store.shared("pack"):
        try:
            surveyed = survey(lock.images, lambda _: store, executor=run.executor)
        except (NotFoundError, StoreError) as problem:
            raise NotFoundError(
                str(problem), hint=f"fetch it with `bundler pull {run.path} --store {directory}`"
            ) from problem
        absent = [want for want in surveyed.plan.blobs if not store.has(want)]
        if absent:
            raise NotFoundError(
                f"{directory}: lacks {len(absent)} contents of the lock, {absent[0].digest} among them",
                hint=f"fetch them with `bundler pull {run.path} --store {directory}`",
            )
        return _write(run, lock, surveyed, output, shape)


def pack_from_registries(run: Run, output: Path | None, shape: Shape, *, serial: int | None = None) -> Packed:
    """Write the bundle of the lock as contents arrive, without a store between."""
    lock = _with_serial(required_lock(run), serial)
    surveyed = survey(
        lock.images,
        lambda image: run.ends.locked(image.source, image.origin.digest),
        executor=run.executor,
        known=run.known,
        signed=run.signed,
    )
    return _write(run, lock, surveyed, output, shape)


def _with_serial(lock: Lock, serial: int | None) -> Lock:
    return lock if serial is None else replace(lock, serial=serial)


def _write(run: Run, lock: Lock, surveyed: Survey, output: Path | None, shape: Shape) -> Packed:
    from bundler.bundle.directory import write_files
    from bundler.bundle.pack import Pack, write_signed

    plan = surveyed.plan
    directory = output or Path(f"{lock.name}-{lock.channel}-{lock.serial:06}")
    images = tuple(carried(image) for image in lock.images)
    identity = bundle_id(
        name=lock.name, channel=lock.channel, serial=lock.serial, digests=(want.digest for want in plan.order)
    )
    with Pack(
        directory,
        plan.order,
        bundle_id=identity,
        images=images,
        limit=shape.limit,
        level=shape.level,
        mtime=source_date_epoch(),
    ) as target:
        run.observer(Planned("pack", len(target.order), plan.size))
        jobs = [Job(surveyed.sources[want.digest], target, want) for want in target.order]
        copy_all(jobs, executor=run.executor, observer=stopping(run.observer, shape.signers))
        signers = shape.signers.result()
        written = target.finish()
        statement = Statement(
            name=lock.name,
            channel=lock.channel,
            serial=lock.serial,
            epoch=EPOCH,
            bundle_id=identity,
            issued=lock.issued,
            expires=lock.expires,
            images=images,
            total_size=plan.size,
            blob_count=len(plan.order),
            subjects=written.subjects,
        )
        unsigned = Envelope(write_statement(statement))
        write_files(directory, shape.roots)
        write_signed(directory, *signed(unsigned, written.sums, signers))
    return Packed(
        directory=directory,
        images=len(images),
        volumes=len(written.inventory.sizes),
        size=written.size,
        bundle_id=identity,
        serial=lock.serial,
        signers=tuple(key.public.key_id for key in signers),
    )


def stopping(observer: Observer, work: Future[Any]) -> Observer:
    """An observer that raises as soon as ``work`` has failed."""

    def observe(event: Event) -> None:
        if work.done():
            work.result()
        observer(event)

    return observe


def carried(image: LockedImage) -> CarriedImage:
    """A locked image as the statement names it."""
    return CarriedImage(
        name=full_name(image),
        target=image.target,
        root=replace(image.root, platform=None),
        platforms=tuple(str(platform) for platform in image.platforms),
        children=tuple(child.digest for child in image.children) if image.index == "sparse" else None,
        attachments=tuple(
            Attachment(attachment.tag, replace(attachment.root, platform=None), attachment.subject, attachment.kind)
            for attachment in image.attachments
        ),
    )


def index_of(lock: Lock) -> bytes:
    """The ``index.json`` that a bundle of this lock holds."""
    return index_json([carried(image) for image in lock.images])


def source_date_epoch() -> int:
    """The time that every member of the archives gets: ``SOURCE_DATE_EPOCH``, or 0."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 33:
        raise ConfigError(f"SOURCE_DATE_EPOCH={quoted(text)!r}: must be a number of seconds since 1970")
    return int(text)
