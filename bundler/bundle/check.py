"""Checking all of a bundle: every byte of every volume, every content, every image.

Each volume is read once, from front to back. What was read goes to two hashes at once: a second thread computes the
digest of the volume, while this one walks its sections, compares what must be fixed, and hashes the contents. A content
that was cut continues in the next volume, which waits there for the hash of what came before.

    reader ──1 MiB──▶ walker: fixed bytes equal? content's digest right?
       └─▶ SHA-256 of the volume ─────────────▶ as signed?
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Generator
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from bundler.bundle import frames
from bundler.bundle.closure import Missing, missing
from bundler.bundle.inventory import Row
from bundler.bundle.unpack import Problem, Volumes
from bundler.bundle.verify_text import verify_text
from bundler.bundle.volume import Fixed, sections
from bundler.content import CHUNK, Buffer, Finished, Moved, Observer, Outcome, Planned, read, silent
from bundler.errors import ArchiveError, BundlerError, DigestError, disk_error, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, hasher, hex_of
from bundler.trust.sums import VERIFY

if TYPE_CHECKING:
    from hashlib import _Hash

_AHEAD = 6
_CONTENT = "application/octet-stream"  # an inventory does not say what a content is, and nobody here needs to know


@dataclass(frozen=True, slots=True)
class Report:
    """What a check has found. ``lost`` are the contents that can't be had from this copy, ``lost_images`` those in need.

    ``size`` is the length of all volumes in bytes.
    """

    volumes: int
    contents: int
    size: int
    problems: tuple[Problem, ...] = ()
    lost: tuple[Digest, ...] = ()
    lost_images: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing at all was wrong."""
        return not self.problems and not self.lost and not self.lost_images


def verify_contents(
    volumes: Volumes, *, executor: Executor, observer: Observer = silent, damage: bool = False
) -> Report:
    """Check every byte of the volumes, every content, and that every image is whole.

    The first thing wrong is raised: :class:`DigestError` for a content, :class:`ArchiveError` for anything else. With
    ``damage`` set all is gone through instead, and the report lists what is wrong and what is lost; ``volumes`` should be
    tolerant then. The executor runs one volume per thread, begun in their order, and each uses a second thread of its own.
    """
    sizes = volumes.sizes
    check = _Check(volumes, observer, damage=damage)
    observer(Planned("verify", len(sizes), sum(sizes.values())))
    futures = [executor.submit(check.volume, number) for number in range(1, len(volumes.inventory.sizes) + 1)]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        check.stop.set()
        wait(futures)  # without cancelling: a volume that has not begun ends at once
    for future in futures:
        future.result()
    lost = tuple(sorted(check.lost))
    lost_images = _incomplete(volumes, check, damage=damage)
    return Report(
        volumes=len(futures),
        contents=len(sizes),
        size=sum(volumes.inventory.sizes),
        problems=tuple(sorted(check.problems, key=lambda p: (p.number, p.offset or 0))),
        lost=lost,
        lost_images=lost_images,
    )


def _incomplete(volumes: Volumes, check: _Check, *, damage: bool) -> tuple[str, ...]:
    """Names of images that lack something. Without ``damage`` the first one is raised."""
    sizes = dict(volumes.sizes)
    for digest in check.lost:
        del sizes[digest]
    found: list[Missing] = []
    manifests: set[Digest] = set()
    whole = missing(volumes.statement, sizes=sizes, read=lambda want: read(volumes, want), seen_manifests=manifests)
    for each in whole:
        if not damage:
            raise ArchiveError(str(each), hint="the bundle was built incomplete; ask its builder for another")
        found.append(each)
    if not volumes.signed and not found:
        check.text(manifests)
    return tuple(dict.fromkeys(each.image for each in found))


class _StoppedError(Exception):
    """Another volume has failed."""


class _Check:
    """What the checks of all volumes share."""

    def __init__(self, volumes: Volumes, observer: Observer, *, damage: bool) -> None:
        self.stop = threading.Event()
        self.problems = list(volumes.problems)
        self.lost: set[Digest] = set()
        self._whole: set[Digest] = set()
        self._volumes = volumes
        self._observer = observer
        self._damage = damage
        parts = [row for row in volumes.inventory.rows if row.part is not None]
        self._relay: dict[tuple[Digest, int], Future[_Hash | None]] = {
            (row.digest, row.part): Future() for row in parts if row.part is not None
        }
        self._last = {row.digest: row.part for row in parts}

    def volume(self, number: int) -> None:
        """Check one volume; raises, or notes in :attr:`problems`, what is wrong with it."""
        rows = self._volumes.inventory.volume(number)
        try:
            if number not in self._volumes.names:
                self._note(Problem(number, ArchiveError(f"volume {number} is missing")), known=True)
                self.lost.update(row.digest for row in rows)
                return
            with self._volumes.opened(number) as (fd, name):
                self._walk(number, fd, name)
        except _StoppedError:
            pass
        except BundlerError as problem:
            self.stop.set()
            raise problem from None
        finally:
            for row in rows:  # nobody may wait for a hash that will not come
                if row.part is not None and not (future := self._relay[row.digest, row.part]).done():
                    future.set_result(None)

    def text(self, manifests: Collection[Digest]) -> None:
        """Compare VERIFY.txt with the one that this bundle must have; ``manifests`` are all that is not a blob in it.

        Of an unsigned bundle only, for whoever is about to sign it. That of a signed one is its signers' word, and stays
        good when a later version of bundler words it better.
        """
        inventory = self._volumes.inventory
        ordered = [digest for digest, _ in inventory.contents() if digest in manifests]
        if digest_of(verify_text(inventory, self._volumes.statement.images, ordered)) != self._volumes.text_digest:
            error = ArchiveError(
                f"{VERIFY}: is not what bundler writes for this bundle",
                hint="run none of the commands in it; build the bundle again, with this version of bundler",
            )
            self._note(Problem(0, error))

    def _walk(self, number: int, fd: int, name: str) -> None:
        with closing(_Stream(fd, name, self._volumes.inventory.sizes[number - 1], self.stop)) as stream:
            sound = True
            for section in sections(self._volumes.inventory, number, self._volumes.index):
                try:
                    if stream.position != section.offset:
                        raise ArchiveError(f"{stream.name}: can't be read at offset {section.offset}")
                    if isinstance(section, Fixed):
                        stream.expect(section.raw)
                    else:
                        self._content(stream, section)
                except BundlerError as problem:
                    sound = False
                    row = section if isinstance(section, Row) else None
                    self._note(Problem(number, problem, section.offset, row.digest if row else None))
                    if row is not None:
                        self.lost.add(row.digest)
                    end = section.end if isinstance(section, Row) else section.offset + len(section.raw)
                    if not stream.skip_to(end):
                        self._cut(number, end)
                        return
            try:
                found = stream.sha256()
            except ArchiveError as problem:
                self._note(Problem(number, problem, stream.position))
                return
            if sound and found != self._volumes.statement.volumes[number - 1].sha256:
                self._unlike(number, name, found)

    def _unlike(self, number: int, name: str, found: str) -> None:
        """Only the volume's digest is wrong: the damage is in a part of a content that its digest has not vouched for."""
        for row in self._volumes.inventory.volume(number):
            if row.part is not None and row.digest not in self._whole:
                error = ArchiveError(
                    f"{quoted(name)}: damaged between offsets {row.offset} and {row.end}: part {row.part} of {row.digest}"
                )
                self._note(Problem(number, error, row.offset, row.digest))
                self.lost.add(row.digest)
                return
        self._note(Problem(number, ArchiveError(f"{quoted(name)}: hashes to {found}, which is not what was signed")))

    def _content(self, stream: _Stream, row: Row) -> None:
        """Hash one content, or one part of it, and compare at its end."""
        want = Descriptor(_CONTENT, row.digest, row.size)
        state: _Hash | None = hasher(algorithm_of(row.digest))
        if row.part is not None and row.part > 1:
            state = self._relay[row.digest, row.part - 1].result()
            if state is None and not self._damage:
                raise _StoppedError
        if state is None:
            stream.skip_to(row.end)
            self.lost.add(row.digest)
            return
        seen = 0
        with closing(_pieces(stream, row)) as pieces:
            for piece in pieces:
                state.update(piece)
                seen += len(piece)
                if seen >= CHUNK:
                    self._observer(Moved(want, seen))
                    seen = 0
        if row.part is not None and row.part < (self._last[row.digest] or 0):
            self._observer(Moved(want, seen))
            self._relay[row.digest, row.part].set_result(state)
            return
        if state.hexdigest() == hex_of(row.digest):
            self._whole.add(row.digest)
            self._observer(Moved(want, seen))
            self._observer(Finished(want, Outcome.PRESENT))
        elif row.part is None:
            raise DigestError(
                f"{stream.name}: {row.digest}, at offsets {row.offset} to {row.end}, is damaged: "
                f"it hashes to {state.hexdigest()}"
            )
        else:  # in which of its volumes, their own digests tell
            self.lost.add(row.digest)
            if not self._damage:
                raise DigestError(
                    f"{row.digest}: damaged in one of its {row.part} parts, of which {stream.name} holds the last: "
                    f"it hashes to {state.hexdigest()}"
                )

    def _cut(self, number: int, end: int) -> None:
        """The file ends before ``end``: all that would follow is lost."""
        self.lost.update(row.digest for row in self._volumes.inventory.volume(number) if row.end >= end)

    def _note(self, problem: Problem, *, known: bool = False) -> None:
        if not self._damage:
            raise problem.error
        if not known:
            self.problems.append(problem)


def _pieces(stream: _Stream, row: Row) -> Generator[Buffer, None, None]:
    """The content of a row, its framing checked."""
    if row.method == "stored":
        for mark, count in frames.marks(row.size):
            stream.expect(mark)
            yield from stream.take(count)
        return
    try:
        yield from frames.decompressed(stream.take(row.length), row.size)
    except ArchiveError as problem:
        raise problem.about(f"{stream.name}: {row.digest} at offset {row.offset}") from None


class _Stream:
    """One forward read of a file by a thread that also hashes it; :meth:`take` gives what it has read.

    The thread hands a buffer over before it hashes it, and takes a new one only afterwards; the buffers come back when
    they have been used. So both cores are busy and nothing is copied.
    """

    def __init__(self, fd: int, name: str, size: int, stop: threading.Event) -> None:
        self.name = quoted(name)
        self.position = 0
        self._fd = fd
        self._size = size
        self._stop = stop
        self._closed = False
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        self._full: SimpleQueue[memoryview | tuple[BundlerError, int] | None] = SimpleQueue()
        for _ in range(min(_AHEAD, 1 + size // CHUNK)):
            self._free.put(memoryview(bytearray(min(CHUNK, size + 1))))
        self._whole: memoryview | None = None
        self._held = memoryview(b"")
        self._hash = hashlib.sha256()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="bundler-read", daemon=True)
        self._thread.start()

    def take(self, count: int) -> Generator[memoryview, None, None]:
        """The next ``count`` bytes; :class:`ArchiveError` if the file ends before."""
        while count:
            if not self._held and not self._next():
                raise ArchiveError(f"{self.name}: ends at offset {self.position}, before its end")
            piece = self._held[:count]
            self._held = self._held[len(piece) :]
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def expect(self, raw: bytes) -> None:
        """Compare the next bytes; :class:`ArchiveError` names the first that differs."""
        at = 0
        for piece in self.take(len(raw)):
            wanted = raw[at : at + len(piece)]
            if piece != wanted:
                found = bytes(piece)
                start = self.position - len(piece)
                offset = start + next(n for n in range(len(wanted)) if wanted[n] != found[n])
                raise ArchiveError(f"{self.name}: damaged at offset {offset}")
            at += len(piece)

    def skip_to(self, position: int) -> bool:
        """Go forward to ``position``; false if the file ends before."""
        while self.position < position:
            try:
                for _ in self.take(position - self.position):
                    pass
            except ArchiveError:
                return False
            except BundlerError:
                continue  # one more piece that can't be read: the position is behind it
        return True

    def sha256(self) -> str:
        """The digest of the file, which must have come to its end."""
        if self._held or self._next():
            raise ArchiveError(f"{self.name}: goes on behind its end at offset {self.position}")
        self._thread.join()
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._free.put(None)
        self._thread.join()

    def _next(self) -> bool:
        if self._stop.is_set():
            raise _StoppedError
        if self._whole is not None:
            self._free.put(self._whole)
            self._whole = None
        if self._ended:
            return False
        filled = self._full.get()
        if isinstance(filled, tuple):
            problem, count = filled
            self.position += count
            raise problem
        if filled is None:
            self._ended = True
            return False
        self._held = filled
        self._whole = memoryview(filled.obj)
        return True

    def _read(self) -> None:
        at = 0
        while not self._closed and (buffer := self._free.get()) is not None:
            wanted = min(CHUNK, self._size + 1 - at)  # one byte more than there may be
            try:
                count = os.preadv(self._fd, [buffer[:wanted]], at) if wanted > 0 else 0
            except OSError as problem:
                count = min(CHUNK, self._size - at)
                self._full.put((disk_error(problem, f"read {self.name} at offset {at}"), count))
                self._free.put(buffer)
                if not count:
                    break
            else:
                if not count:
                    break
                self._full.put(buffer[:count])
                self._hash.update(buffer[:count])
            at += count
        self._full.put(None)
