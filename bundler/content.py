"""Every move is a copy: the protocols that media speak, and the one function that moves a content between them.

Registries, layouts, archives and bundles are a :class:`Source`, a :class:`Target`, or both. Verification is part of
reading: bytes pass through :func:`verified`, which raises on a wrong hash, a short read and a trailing byte, and a target
commits only after exhausting what it is given. Further powers are one-method protocols found with ``isinstance``.

    source.fetch(want) ──▶ verified(want, …) ──▶ target.push(want, …)
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar, runtime_checkable

from bundler.errors import DigestError, LimitError, NotFoundError, UploadLostError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, hasher, hex_of
from bundler.oci.strict_json import MANIFEST_CAP

Result = TypeVar("Result")
Buffer = bytes | bytearray | memoryview
"""A run of bytes. Whoever yields one may reuse its memory: be done with it before asking for the next."""

MAX_RESTARTS = 3
CHUNK = 1 << 20
"""The usual length of a :data:`Buffer`, in bytes: large enough that system calls and hashing run outside the GIL."""


class Fetching(Protocol):
    """Where contents come from whose descriptors are known."""

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, unverified. The generator owns its connection or file; close it when done."""
        ...


class Source(Fetching, Protocol):
    """Where contents come from."""

    def resolve(self, name: str) -> Descriptor:
        """The root that ``name`` (a tag or a digest, as the medium writes it) stands for.

        Raises :class:`bundler.errors.NotFoundError` if there is none.
        """
        ...


class Target(Protocol):
    """Where contents go."""

    def has(self, want: Descriptor) -> bool:
        """Whether ``want`` is there already. May be wrong only by saying no; for a manifest it is a hint."""
        ...

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Store ``want``, committing only after ``content`` is exhausted: it raises on its last read if wrong."""
        ...

    def tag(self, name: str, root: Descriptor) -> None:
        """Let ``name`` stand for ``root``, which is there already."""
        ...


@runtime_checkable
class Ranged(Protocol):
    """A source that can start in the middle."""

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes of ``want`` from ``offset`` on."""
        ...


@runtime_checkable
class Resuming(Protocol):
    """A target that keeps what arrived before a break, and can be given the rest."""

    def held(self, want: Descriptor) -> int:
        """How many leading bytes of ``want`` are kept from a broken attempt, 0 if none."""
        ...

    def head(self, want: Descriptor, length: int) -> Generator[Buffer, None, None]:
        """The first ``length`` kept bytes, to be hashed again."""
        ...

    def append(self, want: Descriptor, length: int, rest: Iterable[Buffer]) -> None:
        """As ``push``, with ``rest`` following the ``length`` kept bytes."""
        ...


@runtime_checkable
class Mounter(Protocol):
    """A target that can take a blob from a neighbouring repository without an upload."""

    def mount(self, want: Descriptor, origin: str) -> bool:
        """Mount ``want`` from repository ``origin`` of the same registry; false if that was declined."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A :class:`Mounter` that remembers from earlier runs where contents may be."""

    def origins(self, want: Descriptor) -> Sequence[str]:
        """Repositories of the same registry to try to mount ``want`` from, the likeliest first."""
        ...


@runtime_checkable
class Tagged(Protocol):
    """A source that can list its names."""

    def tags(self) -> Sequence[str]:
        """Every tag, in the medium's order."""
        ...


@runtime_checkable
class Referred(Protocol):
    """A source that knows which manifests refer to another (distribution-spec 1.1, "Listing Referrers")."""

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """The manifests whose ``subject`` is the given digest."""
        ...


@runtime_checkable
class Durable(Protocol):
    """A target that gathers small writes, and can be told to make them last."""

    def flush(self) -> None:
        """Return when everything pushed so far would survive a power cut."""
        ...


class Outcome(Enum):
    """What became of a content."""

    COPIED = "copied"
    PRESENT = "present"
    MOUNTED = "mounted"


@dataclass(frozen=True, slots=True)
class Planned:
    """``count`` contents of ``size`` bytes in all are about to move; ``stage`` names the work."""

    stage: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Moved:
    """``count`` more bytes of ``want`` went through."""

    want: Descriptor
    count: int


@dataclass(frozen=True, slots=True)
class Finished:
    """``want`` is at the target."""

    want: Descriptor
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Note:
    """Something the operator should know: a retry, a tag that was written."""

    text: str


Event = Planned | Moved | Finished | Note
Observer = Callable[[Event], None]
"""Progress goes to one of these, from any thread. Libraries never print."""


def silent(event: Event) -> None:
    """The observer that watches nothing."""


def verified(
    want: Descriptor, chunks: Iterable[Buffer], *, head: Iterable[Buffer] = ()
) -> Generator[Buffer, None, None]:
    """``chunks`` unchanged, if they are the bytes of ``want``; else :class:`DigestError`, at the latest at the end.

    ``head`` holds leading bytes that are where they belong already: they are hashed and not yielded. At most one chunk
    past the size is ever read.
    """
    state = hasher(algorithm_of(want.digest))
    seen = 0
    for chunk in head:
        seen += len(chunk)
        state.update(chunk)
    for chunk in chunks:
        seen += len(chunk)
        if seen > want.size:
            raise DigestError(f"{want.digest}: more than the {want.size} bytes it should have")
        state.update(chunk)
        yield chunk
    if seen < want.size:
        raise DigestError(f"{want.digest}: ends after {seen} of {want.size} bytes")
    if state.hexdigest() != hex_of(want.digest):
        raise DigestError(f"{want.digest}: the {seen} bytes received hash to {state.hexdigest()}")


class Held:
    """A source over contents in memory: manifests that were read already, or written anew."""

    def __init__(self, contents: Mapping[Digest, bytes]) -> None:
        self._contents = contents

    def resolve(self, name: str) -> Descriptor:
        """Nothing here has a name."""
        raise NotFoundError(f"{name}: contents in memory have no names")

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The content, in one buffer."""
        if want.digest not in self._contents:
            raise NotFoundError(f"{want.digest}: not in memory")
        yield self._contents[want.digest]


def read(source: Fetching, want: Descriptor, *, cap: int = MANIFEST_CAP) -> bytes:
    """A small content as verified bytes: a manifest or a config."""
    if want.size > cap:
        raise LimitError(f"{want.digest}: {want.size} bytes, more than the {cap} allowed for a {want.media_type}")
    with closing(source.fetch(want)) as chunks:
        return b"".join(bytes(chunk) for chunk in verified(want, chunks))


@dataclass(frozen=True, slots=True)
class Job:
    """One content to be moved; ``origin`` is a repository of the target's registry to mount it from if that works."""

    source: Source
    target: Target
    want: Descriptor
    origin: str = ""


def copy(job: Job, *, observer: Observer = silent) -> Outcome:
    """Move one content, unless the target has it or can mount it.

    A target that lost an upload half-way (:class:`UploadLostError`) is given the content again from its beginning, three
    times at most.
    """
    for left in reversed(range(MAX_RESTARTS + 1)):
        try:
            outcome = _copy(job, observer)
        except UploadLostError as problem:
            if not left:
                raise
            observer(Note(f"{problem}; starting this upload again"))
        else:
            observer(Finished(job.want, outcome))
            return outcome
    raise AssertionError  # the last round returns or raises


def _copy(job: Job, observer: Observer) -> Outcome:
    source, target, want = job.source, job.target, job.want
    if target.has(want):
        return Outcome.PRESENT
    if isinstance(target, Mounter) and any(target.mount(want, origin) for origin in _origins(job)):
        return Outcome.MOUNTED
    if not _resumed(source, target, want, observer):
        with closing(source.fetch(want)) as chunks:
            target.push(want, _watched(want, verified(want, chunks), observer))
    return Outcome.COPIED


def _origins(job: Job) -> Iterator[str]:
    """Where ``want`` may be mounted from: where it is said to be, else where it was once."""
    if job.origin:
        yield job.origin
    elif isinstance(job.target, Remembering):
        yield from job.target.origins(job.want)


def _resumed(source: Source, target: Target, want: Descriptor, observer: Observer) -> bool:
    """Go on from what a broken attempt left; false if there is nothing, or it turned out to be damaged itself."""
    if not (isinstance(target, Resuming) and isinstance(source, Ranged)):
        return False
    length = target.held(want)
    if not length:
        return False
    observer(Moved(want, length))
    try:
        with closing(source.fetch_from(want, length)) as chunks, closing(target.head(want, length)) as head:
            target.append(want, length, _watched(want, verified(want, chunks, head=head), observer))
    except DigestError:
        observer(Note(f"{want.digest}: what was kept of it is damaged; fetching all of it"))
        return False
    return True


def _watched(want: Descriptor, chunks: Iterable[Buffer], observer: Observer) -> Generator[Buffer, None, None]:
    for chunk in chunks:
        observer(Moved(want, len(chunk)))
        yield chunk


class _StoppedError(Exception):
    """Ends a copy that is under way because another one failed."""


def copy_all(jobs: Iterable[Job], *, executor: Executor, observer: Observer = silent) -> Counter[Outcome]:
    """Move many contents at once, begun in the given order.

    The first failure stops the others and is raised; so does an interrupt. Contents that arrived whole stay.
    """
    stop = threading.Event()

    def watch(event: Event) -> None:
        if stop.is_set():
            raise _StoppedError
        observer(event)

    return Counter(settled([executor.submit(copy, job, observer=watch) for job in jobs], stop))


def settled(futures: Sequence[Future[Result]], stop: threading.Event) -> list[Result]:
    """What several pieces of work made, in their order, once none of them runs any more.

    The first failure, or an interrupt, sets ``stop``, at which those that are under way end; then it is raised.
    """
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done() and not future.cancelled() and future.exception() is not None:
                future.result()
    finally:
        stop.set()
        for future in futures:
            future.cancel()
        wait(futures)
    return [future.result() for future in futures]
