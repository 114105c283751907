"""Reading a bundle: its small documents first, then, once these are trusted, contents out of its volumes.

    documents = read_documents(directory)
    trusted = trust.verify.verify(documents, keys=…, now=…)
    with Volumes(directory, trusted) as volumes:
        copy_all([Job(volumes, target, want) for want in …], executor=executor)

A volume is recognised by its first member, so files may have been renamed or shuffled. Contents are read at the places
that the inventory gives; their bytes are unverified until :func:`bundler.content.verified` has seen the last of them, but
the framing between them is checked here. Nothing is extracted and nothing is written.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bundler.bundle import frames
from bundler.bundle.inventory import INVENTORY_CAP, Inventory, Row
from bundler.bundle.statement import Statement
from bundler.bundle.volume import check_agreement, index_json, read_label
from bundler.content import CHUNK, Buffer
from bundler.errors import (
    ArchiveError,
    BundlerError,
    DigestError,
    LimitError,
    NotFoundError,
    SignatureError,
    disk_error,
    quoted,
)
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.trust.dsse import ENVELOPE_CAP, MAX_SIGNATURE, MAX_SIGNATURES
from bundler.trust.sums import ENVELOPE, INVENTORY, SUMS, SUMS_CAP, VERIFY, VERIFY_CAP, is_companion, signer_of
from bundler.trust.verify import Documents, Trusted

_HEAD = 2048


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with volume ``number``, or with no volume if that is 0; ``offset`` says where in its file, ``digest`` which content is lost by it."""

    number: int
    error: BundlerError
    offset: int | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class _File:
    """A volume's file as it was when it was recognised."""

    name: str
    identity: tuple[int, int, int]


def read_documents(directory: Path) -> Documents:
    """The envelope, inventory, SHA256SUMS, VERIFY.txt and the signatures, none of them trusted yet.

    Raises :class:`NotFoundError` if there is no such directory, :class:`SignatureError` if it holds no signed statement and
    so is an unfinished bundle, :class:`ArchiveError` for another missing file, and :class:`LimitError` beyond the caps.
    """
    names = _names(directory)
    if ENVELOPE not in names:
        raise SignatureError(
            f"{directory}: has no {ENVELOPE}: an unfinished bundle, or none at all",
            hint="build it again, or copy it again from where it was built",
        )
    for name in (INVENTORY, SUMS, VERIFY):
        if name not in names:
            raise ArchiveError(f"{directory}: {name} is missing")
    signatures = [name for name in names if signer_of(name)][: MAX_SIGNATURES + 1]
    return Documents(
        envelope=_read(directory / ENVELOPE, ENVELOPE_CAP),
        inventory=_read(directory / INVENTORY, INVENTORY_CAP),
        sums=_read(directory / SUMS, SUMS_CAP),
        text=_read(directory / VERIFY, VERIFY_CAP),
        signatures={name: _read(directory / name, MAX_SIGNATURE) for name in signatures},
    )


class Volumes:
    """The contents of a trusted bundle: a source that can also start in the middle (:class:`bundler.content.Ranged`).

    Raises :class:`ArchiveError` naming the file if a volume is missing, there twice, of another bundle, cut short or
    continued. With ``tolerant`` set these are gathered in :attr:`problems` instead, and what they hold is not there.
    """

    def __init__(self, directory: Path, trusted: Trusted, *, tolerant: bool = False) -> None:
        self.statement: Statement = trusted.statement
        self.inventory: Inventory = trusted.inventory
        check_agreement(self.statement, self.inventory)
        self.index = index_json(self.statement.images)
        self.signed = trusted.signed
        self.text_digest: Digest = trusted.sums[VERIFY]
        self.problems: list[Problem] = []
        self._directory = directory
        self._rows = dict(self.inventory.contents())
        self._files: dict[int, _File] = {}
        self._find(tolerant=tolerant)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between reads."""

    @property
    def names(self) -> Mapping[int, str]:
        """The file name of each volume that was found, by its number."""
        return {number: file.name for number, file in sorted(self._files.items())}

    @property
    def sizes(self) -> Mapping[Digest, int]:
        """Every content of the inventory with its length."""
        return {digest: sum(row.size for row in rows) for digest, rows in self._rows.items()}

    def resolve(self, name: str) -> Descriptor:
        """The root of the image with this target, full name or digest."""
        for image in self.statement.images:
            if name in (image.target, image.root.digest):
                return image.root
        roots = [image.root for image in self.statement.images if image.name == name]
        if not roots:
            raise NotFoundError(f"{quoted(name)}: is not an image of this bundle")
        if any(root != roots[0] for root in roots):
            raise NotFoundError(
                f"{quoted(name)}: several contents have this name", hint="give the target of one of them"
            )
        return roots[0]

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified, in pieces of at most 1 MiB."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on. Errors name the volume's file and the place in it."""
        rows = self._rows.get(want.digest)
        if rows is None:
            raise ArchiveError(f"{want.digest}: is not in this bundle")
        size = sum(row.size for row in rows)
        if size != want.size:
            raise DigestError(f"{want.digest}: the bundle holds {size} bytes of it, where {want.size} are listed")
        for row in rows:
            if offset < row.size:
                yield from self._read_row(row, offset)
            elif not row.size:
                yield from self._read_row(row, 0)  # an empty content's frame is looked at too
            offset = max(0, offset - row.size)

    @contextmanager
    def opened(self, number: int) -> Iterator[tuple[int, str]]:
        """``(descriptor, file name)`` of a volume: the file that was recognised, or :class:`ArchiveError`."""
        file = self._files.get(number)
        if file is None:
            raise ArchiveError(f"volume {number} of {len(self.inventory.sizes)} is missing")
        with opened(self._directory / file.name) as (fd, found):
            if _identity(found) != file.identity:
                raise ArchiveError(f"{quoted(file.name)}: was changed or replaced while it was being read")
            yield fd, file.name

    def _read_row(self, row: Row, offset: int) -> Generator[Buffer, None, None]:
        with self.opened(row.volume) as (fd, name):
            if row.method == "stored":
                yield from _read_stored(fd, name, row, offset)
                return
            try:
                with closing(frames.decompressed(_ranges(fd, name, row.offset, row.end), row.size)) as pieces:
                    for piece in pieces:
                        if offset < len(piece):
                            yield memoryview(piece)[offset:]
                        offset = max(0, offset - len(piece))
            except ArchiveError as problem:
                raise problem.about(f"{quoted(name)}: {row.digest} at offset {row.offset}") from None

    def _find(self, *, tolerant: bool) -> None:
        """Give every volume its file."""
        try:
            for name in _names(self._directory):
                if name not in (ENVELOPE, INVENTORY, SUMS, VERIFY) and not signer_of(name) and not is_companion(name):
                    self._consider(name, tolerant=tolerant)
        except OSError as problem:
            raise disk_error(problem, f"read {self._directory}") from problem
        count = len(self.inventory.sizes)
        for number in range(1, count + 1):
            known = {problem.number for problem in self.problems}
            if number not in self._files and number not in known:
                error = ArchiveError(
                    f"volume {number} of {count} is missing: no file of {self._directory} is it",
                    hint="copy the missing volume into the directory; its file name does not matter",
                )
                self._report(Problem(number, error), tolerant=tolerant)

    def _consider(self, name: str, *, tolerant: bool) -> None:
        """Take the file for a volume if it is one. A file that says nothing of the kind is left alone."""
        expected = _number_in(name, len(self.inventory.sizes))
        try:
            with opened(self._directory / name) as (fd, found):
                head = os.pread(fd, _HEAD, 0)
                label = read_label(head)
        except BundlerError as problem:
            if expected is not None and expected not in self._files:
                error = ArchiveError(f"{quoted(name)}: damaged at offset 0: {problem}")
                self._report(Problem(expected, error, 0), tolerant=tolerant)
            return
        number = label.number
        if label.bundle_id != self.inventory.bundle_id or label.count != len(self.inventory.sizes):
            error = ArchiveError(f"{quoted(name)}: is volume {number} of another bundle, {label.bundle_id}")
            self._report(Problem(number, error), tolerant=tolerant)
        elif number in self._files:
            error = ArchiveError(
                f"{quoted(self._files[number].name)} and {quoted(name)}: are both volume {number}",
                hint="remove the one that does not belong here",
            )
            self._report(Problem(number, error), tolerant=tolerant)
        else:
            self._files[number] = _File(name, _identity(found))
            size = self.inventory.sizes[number - 1]
            if found.st_size != size:
                what = "is cut short at" if found.st_size < size else "goes on behind its end at"
                error = ArchiveError(
                    f"{quoted(name)}: {what} offset {min(size, found.st_size)}; it must have {size} bytes"
                )
                self._report(Problem(number, error, min(size, found.st_size)), tolerant=tolerant)

    def _report(self, problem: Problem, *, tolerant: bool) -> None:
        if not tolerant:
            raise problem.error
        self.problems.append(problem)


def read_full(fd: int, buffers: Sequence[Buffer], position: int, name: str) -> None:
    """Fill all buffers from ``position`` on, or :class:`ArchiveError` naming where the file ends."""
    total = sum(len(buffer) for buffer in buffers)
    done = os.preadv(fd, buffers, position)
    while done < total:
        left, skip = [], done
        for buffer in buffers:
            if skip < len(buffer):
                left.append(memoryview(buffer)[skip:])
            skip = max(0, skip - len(buffer))
        count = os.preadv(fd, left, position + done)
        if not count:
            raise ArchiveError(f"{quoted(name)}: ends at offset {position + done}")
        done += count


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """``(descriptor, status)`` of a regular file; links, devices and the like are refused.

    Also turns the :class:`OSError` of whatever is done with the file into its :class:`BundlerError`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise ArchiveError(f"{path}: is not a regular file")
            yield fd, found
        finally:
            os.close(fd)
    except OSError as problem:
        if problem.errno == errno.ELOOP:  # as O_NOFOLLOW says it
            raise ArchiveError(f"{path}: is a symbolic link, and not a file of the bundle's own") from None
        raise disk_error(problem, f"read {path}") from problem


def _read_stored(fd: int, name: str, row: Row, offset: int) -> Generator[Buffer, None, None]:
    memory = memoryview(bytearray(min(CHUNK, row.size)))
    at = offset
    while True:
        body = memory[: min(len(memory), row.size - at)]
        where, buffers, framing, expected = frames.scatter(row.size, at, body)
        read_full(fd, buffers, row.offset + where, name)
        if framing != expected:
            raise ArchiveError(
                f"{quoted(name)}: damaged between offsets {row.offset + where} and {row.end}: {row.digest}"
            )
        if len(body):
            yield body
        at += len(body)
        if at >= row.size:
            return


def _ranges(fd: int, name: str, start: int, end: int) -> Generator[Buffer, None, None]:
    memory = memoryview(bytearray(min(CHUNK, end - start)))
    for at in range(start, end, CHUNK):
        piece = memory[: min(CHUNK, end - at)]
        read_full(fd, [piece], at, name)
        yield piece


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_dev, found.st_ino, found.st_size


def _number_in(name: str, count: int) -> int | None:
    """The volume that a file is by its name, if it is named as ours are."""
    digits = name.removeprefix("volume-").removesuffix(".tar.zst")
    if name != f"volume-{digits}.tar.zst" or not digits.isdecimal() or not digits.isascii():
        return None
    return int(digits) if len(digits) == 4 and 1 <= int(digits) <= count else None


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{directory}: no such bundle directory", hint="check the path") from None
    except OSError as problem:
        raise disk_error(problem, f"read {directory}") from problem


def _read(path: Path, cap: int) -> bytes:
    with opened(path) as (fd, _):
        parts: list[bytes] = []
        left = cap + 1
        while left and (part := os.read(fd, min(left, CHUNK))):
            parts.append(part)
            left -= len(part)
    if not left:
        raise LimitError(f"{path}: more than the {cap} bytes allowed")
    return b"".join(parts)
