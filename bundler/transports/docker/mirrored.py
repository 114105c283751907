"""A repository that is read through its mirrors: each place in turn until one answers, and the next where one breaks.

    resolve("1.27")     mirror.site/hub/library/nginx: not found; docker.io/library/nginx answers
    fetch(layer)        from docker.io; if that breaks after 40 MB, the mirror goes on from there

Bytes from any of them are verified by digest like all others. Tags are listed where the images come from in the end, as
a mirror may hold some of them only; what belongs to an image (cosign's tags, referrers) is asked of the place that had
the image, and of no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TypeVar

from bundler.content import Buffer, Note, Observer, Ranged, Referred, Source, Tagged, silent
from bundler.errors import (
    AuthError,
    BundlerError,
    DigestError,
    LimitError,
    NetworkError,
    NotFoundError,
    PolicyError,
    ProtocolError,
    UnsupportedError,
    quoted,
)
from bundler.medium import Peeking
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference
from bundler.transports.docker.redirects import Endpoint, refusal

OpenRepository = Callable[[Endpoint], Source]
MOVES_ON = (
    NotFoundError, NetworkError, AuthError, ProtocolError, DigestError, LimitError, PolicyError, UnsupportedError,
)  # fmt: skip
"""What the next place may do better. Anything else is this side's own, and ends it."""

_COMPANION = re.compile(r"sha(?:256|512)-[0-9a-f]{64,128}(?:\.[a-z]+)?")
_T = TypeVar("_T")


def mirrored(
    reference: Reference,
    endpoints: Sequence[Endpoint],
    open_repository: OpenRepository,
    *,
    observer: Observer = silent,
) -> Source:
    """The source for ``reference`` over its ``endpoints``, the repository itself where there is just one.

    ``open_repository`` is called when an endpoint is first needed, and never for a blocked one.
    """
    if len(endpoints) == 1 and not endpoints[0].blocked:
        return open_repository(endpoints[0])
    return Mirrored(reference, endpoints, open_repository, observer=observer)


class Mirrored:
    """See the module. Safe to use from many threads; the repositories belong to whoever opened them."""

    def __init__(
        self,
        reference: Reference,
        endpoints: Sequence[Endpoint],
        open_repository: OpenRepository,
        *,
        observer: Observer = silent,
    ) -> None:
        self.name = reference.name
        self._endpoints = tuple(endpoints)
        self._open = open_repository
        self._observer = observer
        self._opened: dict[Endpoint, Source] = {}
        self._answered: Endpoint | None = None

    @property
    def answered(self) -> Reference | None:
        """The place that had the image, if it was asked for already."""
        return None if self._answered is None else self._answered.reference

    def resolve(self, name: str) -> Descriptor:
        """The root that the first place to have it says. Raises the last place's error, with the others' in it."""
        return self._named(name, lambda source: source.resolve(name))

    def peek(self, name: str) -> Descriptor:
        """The same on a place's word."""
        return self._named(
            name, lambda source: source.peek(name) if isinstance(source, Peeking) else source.resolve(name)
        )

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``, from the place that answered first and from the others where it breaks."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on."""
        position = offset
        failed: dict[Endpoint, BundlerError] = {}
        order = self._order()
        for endpoint, after in zip(order, (*order[1:], None), strict=True):
            try:
                with closing(_bytes_of(self._source(endpoint), want, position)) as chunks:
                    for chunk in chunks:
                        position += len(chunk)
                        yield chunk
                if position < want.size:
                    raise NetworkError(f"{want.digest}: ends after {position} of {want.size} bytes")
                return
            except MOVES_ON as problem:
                failed[endpoint] = problem
                self._note(endpoint, problem, after)
        raise self._explained(failed)

    def tags(self) -> Sequence[str]:
        """Every tag at the place that is no mirror."""
        source = self._source(self._endpoints[-1])
        if not isinstance(source, Tagged):
            raise UnsupportedError(f"{self.name}: its tags can't be listed")
        return source.tags()

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """What refers to ``subject`` at the place that had the image."""

        def ask(source: Source) -> Sequence[Descriptor]:
            return source.referrers(subject) if isinstance(source, Referred) else ()

        if self._answered is None:
            self.peek(subject)
        return self._first(self._order()[:1], ask)

    def _named(self, name: str, ask: Callable[[Source], Descriptor]) -> Descriptor:
        if self._answered is not None and _COMPANION.fullmatch(name):
            return ask(self._source(self._answered))
        return self._first(self._endpoints, ask, remember=not _COMPANION.fullmatch(name))

    def _first(self, order: Iterable[Endpoint], ask: Callable[[Source], _T], *, remember: bool = False) -> _T:
        order = list(order)
        failed: dict[Endpoint, BundlerError] = {}
        for endpoint, after in zip(order, (*order[1:], None), strict=True):
            try:
                answer = ask(self._source(endpoint))
            except MOVES_ON as problem:
                failed[endpoint] = problem
                self._note(endpoint, problem, after)
            else:
                if remember:
                    self._answered = endpoint
                return answer
        raise self._explained(failed)

    def _order(self) -> list[Endpoint]:
        """The place that answered first, then the others as they stand."""
        return sorted(self._endpoints, key=lambda endpoint: endpoint != self._answered)

    def _source(self, endpoint: Endpoint) -> Source:
        if endpoint.blocked:
            raise refusal(endpoint)
        if endpoint not in self._opened:
            self._opened[endpoint] = self._open(endpoint)
        return self._opened[endpoint]

    def _note(self, endpoint: Endpoint, problem: BundlerError, after: Endpoint | None) -> None:
        if after is not None:
            self._observer(Note(f"{endpoint.reference.name}: {problem}; trying {after.reference.name}"))

    def _explained(self, failed: dict[Endpoint, BundlerError]) -> BundlerError:
        """The error of the place that is no mirror, if it was tried, naming the others."""
        order = sorted(failed, key=self._endpoints.index)
        last = failed[order[-1]]
        others = "; ".join(f"{one.reference.name}: {quoted(str(failed[one]))}" for one in order[:-1])
        return type(last)(f"{last} (tried before: {others})", hint=last.hint) if others else last


def _bytes_of(source: Source, want: Descriptor, position: int) -> Generator[Buffer, None, None]:
    if not position:
        yield from source.fetch(want)
    elif isinstance(source, Ranged):
        yield from source.fetch_from(want, position)
    else:
        with closing(source.fetch(want)) as chunks:
            for chunk in chunks:
                fresh = memoryview(chunk)[position:]
                position = max(0, position - len(chunk))
                if fresh:
                    yield fresh
