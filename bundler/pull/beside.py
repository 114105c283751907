"""A source that has one thing more: the artifact that bundler makes of the simple signatures beside an image.

The lock lists the signatures, so the artifact is the same whenever it is made, and whatever else was signed since. Once a
store has it, it is read from there like anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing

from bundler.content import Buffer, Ranged, Source
from bundler.errors import DigestError, NotFoundError, quoted
from bundler.medium import Signed
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of
from bundler.oci.simple_signatures import EMPTY, EMPTY_CONFIG, write_simple_signatures
from bundler.pull.nearest import Nearest
from bundler.selection.lock import LockedImage

SignedOf = Callable[[str, Source], Signed | None]
"""What keeps the simple signatures of an image that is read from a source, if anything does."""


def own_signatures(_image: str, source: Source) -> Signed | None:
    """The source itself, if its medium keeps signatures beside images."""
    return source if isinstance(source, Signed) else None


def with_signatures(source: Source, image: LockedImage, signed: SignedOf = own_signatures) -> Source:
    """``source`` itself if the image has no simple signatures, else one that has their artifacts too.

    Raises :class:`DigestError` for a lock whose artifact is not made of the signatures that it lists.
    """
    if not any(attachment.layers for attachment in image.attachments):
        return source
    return Beside(source, image, signed)


class Beside:
    """See the module. Safe to use from many threads."""

    def __init__(self, source: Source, image: LockedImage, signed: SignedOf) -> None:
        self._source = source
        self._signed = signed
        self._image = image.source
        self._small: dict[Digest, bytes] = {EMPTY_CONFIG.digest: EMPTY}
        self._subjects: dict[Digest, Descriptor] = {}
        self._lock = threading.Lock()
        about = {one.digest: one for one in (image.origin, image.root, *image.children)}
        for attachment in image.attachments:
            if not attachment.layers:
                continue
            subject = about.get(attachment.subject) if attachment.subject else None
            root, raw = write_simple_signatures(subject or image.root, attachment.layers)
            if root.digest != attachment.root.digest:
                raise DigestError(
                    f"{quoted(image.source)}: the lock's signatures make {root.digest}, not {attachment.root.digest}",
                    hint="run `bundler lock --update`, which looks for them again",
                )
            self._small[root.digest] = raw
            self._subjects.update((layer.digest, subject or image.root) for layer in attachment.layers)

    def is_near(self, want: Descriptor) -> bool:
        """Whether the nearer of two sides has it."""
        return isinstance(self._source, Nearest) and self._source.is_near(want)

    def resolve(self, name: str) -> Descriptor:
        """As the source; the artifacts have no names."""
        return self._source.resolve(name)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes of ``want``; :class:`NotFoundError` for a signature that is no longer beside the image."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The same from ``offset`` on."""
        near = self.is_near(want)
        if not near and want.digest in self._subjects:
            self._ask(want)
        if not near and want.digest in self._small:
            yield memoryview(self._small[want.digest])[offset:]
        elif isinstance(self._source, Ranged):
            yield from self._source.fetch_from(want, offset)
        else:
            with closing(self._source.fetch(want)) as chunks:
                for chunk in chunks:
                    yield memoryview(chunk)[offset:]
                    offset = max(0, offset - len(chunk))

    def _ask(self, want: Descriptor) -> None:
        """Read the signatures of a manifest, unless they were read already."""
        far = self._source.far() if isinstance(self._source, Nearest) else self._source
        keeper = self._signed(self._image, far)
        if keeper is None:
            return  # a store, where they lie like everything else
        with self._lock:
            if want.digest in self._small:
                return
            subject = self._subjects[want.digest]
            for raw in keeper.signatures(subject):
                digest = digest_of(raw, algorithm_of(want.digest))
                if digest in self._subjects:
                    self._small[digest] = raw
            if want.digest not in self._small:
                raise NotFoundError(
                    f"the lock lists a simple signature {want.digest} of {subject.digest}, which is there no more",
                    hint="run `bundler lock --update` to go on with those that are left",
                )
