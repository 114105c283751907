"""A source over two others: what the nearer one has is read there, and the farther one is asked for the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from bundler.content import Buffer, Ranged, Source
from bundler.oci.descriptor import Descriptor


class Nearest:
    """A source that reads what ``near`` has from there, and the rest from what ``far`` opens when it is first needed."""

    def __init__(self, near: Source, has: Callable[[Descriptor], bool], far: Callable[[], Source]) -> None:
        self._near, self._has, self._far = near, has, far

    def far(self) -> Source:
        """The farther side, opened."""
        return self._far()

    def is_near(self, want: Descriptor) -> bool:
        """Whether the nearer side has it."""
        return self._has(want)

    def resolve(self, name: str) -> Descriptor:
        """Names are the far side's."""
        return self._far().resolve(name)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """From the nearer side that has it."""
        return (self._near if self._has(want) else self._far()).fetch(want)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on; a far side that can't start in the middle is read from its start."""
        source = self._near if self._has(want) else self._far()
        if isinstance(source, Ranged):
            yield from source.fetch_from(want, offset)
            return
        with closing(source.fetch(want)) as chunks:
            for chunk in chunks:
                yield memoryview(chunk)[offset:]
                offset = max(0, offset - len(chunk))
