"""Small bundles for tests: packed from images in memory, opened without a signature, checked with one call.

    made = make(tmp_path / "out", family(), limit=1 << 20)
    report = check(made.directory)

``big(...)`` are layers that don't shrink and fill volumes; ``BUNDLE_TIME`` is when all of them were issued.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundler.bundle.check import Report, verify_contents
from bundler.bundle.inventory import Inventory
from bundler.bundle.pack import Pack, write_signed
from bundler.bundle.statement import CarriedImage, Statement, bundle_id, write_statement
from bundler.bundle.unpack import Volumes, read_documents
from bundler.content import Buffer
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.trust.dsse import Envelope, serialise
from bundler.trust.verify import Trusted, accept_unsigned
from tests.images import Image, Part, part, parts_of

BUNDLE_TIME = datetime(2026, 1, 31, 12, tzinfo=UTC)
MIB = 1 << 20


@dataclass(frozen=True)
class Made:
    """A bundle on disk, and the images in it."""

    directory: Path
    images: Mapping[str, Image]
    statement: Statement
    inventory: Inventory

    @property
    def contents(self) -> dict[Digest, bytes]:
        """All contents by digest."""
        return {part.descriptor.digest: part.raw for part in parts_of(self.images)}


def big(
    seed: str, size: int, *, media_type: str = mediatype.OCI_LAYER_GZIP, algorithm: str = "sha256", dense: bool = True
) -> Part:
    """A blob of exactly ``size`` bytes; a dense one doesn't compress, whatever its media type says."""
    noise = random.Random(f"big {seed}").randbytes(size) if dense else (f"big {seed} ".encode() * size)[:size]
    return part(noise, media_type, algorithm=algorithm, diff_id="sha256:" + "0" * 64)


def carried(images: Mapping[str, Image]) -> tuple[CarriedImage, ...]:
    """The images as a statement names them: plain names at both ends."""
    return tuple(
        CarriedImage(name, name, Descriptor(image.root.media_type, image.root.digest, image.root.size))
        for name, image in images.items()
    )


def statement_of(images: Sequence[CarriedImage], contents: Mapping[Digest, int], **more: Any) -> Statement:
    """A statement without subjects."""
    fields: dict[str, Any] = {"name": "edge", "channel": "stable", "serial": 1, "epoch": 0} | more
    identity = bundle_id(
        name=fields["name"], channel=fields["channel"], serial=fields["serial"], digests=contents.keys()
    )
    values = {
        "bundle_id": identity,
        "issued": BUNDLE_TIME,
        "images": tuple(images),
        "total_size": sum(contents.values()),
        "blob_count": len(contents),
        "subjects": (),
    }
    return Statement(**(values | fields))


def chunks(raw: bytes, size: int = 100_000) -> Generator[Buffer, None, None]:
    """Bytes in pieces, in memory that is used again."""
    memory = bytearray(size)
    for start in range(0, len(raw), size):
        piece = raw[start : start + size]
        memory[: len(piece)] = piece
        yield memoryview(memory)[: len(piece)]


def make(
    directory: Path,
    images: Mapping[str, Image],
    *,
    limit: int | None = None,
    level: int = 3,
    mtime: int = 0,
    threads: int = 1,
    order: Iterable[Descriptor] | None = None,
    wants: Sequence[Descriptor] | None = None,
    **more: Any,
) -> Made:
    """Pack ``images``, or only ``wants`` of them. Contents are pushed in the bundle's order unless ``order`` is given."""
    parts = {part.descriptor.digest: part for part in parts_of(images)}
    wants = [part.descriptor for part in parts_of(images)] if wants is None else wants
    sizes = {want.digest: want.size for want in wants}
    statement = statement_of(more.pop("carried", None) or carried(images), sizes, **more)
    with Pack(
        directory, wants, bundle_id=statement.bundle_id, images=statement.images, limit=limit, level=level, mtime=mtime
    ) as pack:
        pushes = list(pack.order if order is None else order)
        if threads == 1:
            for want in pushes:
                pack.push(want, chunks(parts[want.digest].raw))
        else:
            with ThreadPoolExecutor(threads) as executor:
                list(executor.map(lambda want: pack.push(want, chunks(parts[want.digest].raw)), pushes))
        packed = pack.finish()
    statement = replace(statement, subjects=packed.subjects)
    envelope = serialise(Envelope(write_statement(statement)))
    write_signed(directory, envelope, {})
    return Made(directory, images, statement, packed.inventory)


def trusted(directory: Path) -> Trusted:
    """The documents of an unsigned bundle."""
    return accept_unsigned(read_documents(directory))


def check(directory: Path, *, known: Trusted | None = None, damage: bool = False, threads: int = 2) -> Report:
    """Verify all contents."""
    with (
        ThreadPoolExecutor(threads) as executor,
        Volumes(directory, known or trusted(directory), tolerant=damage) as volumes,
    ):
        return verify_contents(volumes, executor=executor, damage=damage)
