"""What the registry holds, repository by repository: tags, manifests, blobs, referrers.

A digest is looked up in the repository that it is asked for in: a repository holds what its names lead to, and what came
to it (:mod:`bundler.registry.arrivals`). Where the bytes lie is another matter: the first layer that has them gives them,
so images share blobs over all repositories and layers. A manifest or blob that is damaged is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from bundler.content import read
from bundler.errors import ArchiveError, BundlerError, DigestError, StoreError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.strict_json import MANIFEST_CAP
from bundler.registry.arrivals import Arrivals
from bundler.registry.layers import Blob, Layer, Origin
from bundler.registry.names import Named, Repository, referrers_tag
from bundler.registry.reach import Reach, Reaches

Referring = Mapping[Digest, Mapping[Digest, Descriptor]]
"""The referrers of each subject, by their own digests."""
LARGE = 1 << 16
LARGE_AT_ONCE = 4
"""How many documents of more than that many bytes are read at a time, whatever clients ask for."""
MOST_REMEMBERED = 1000
"""Repositories whose referrers are remembered."""


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest with its verified bytes, and where it lies."""

    root: Descriptor
    raw: bytes
    origin: Origin


class Contents:
    """What the routes and the pages ask for. Every method may block on the disk; threads may share one."""

    def __init__(self, layers: Sequence[Layer], arrivals: Arrivals) -> None:
        """``layers`` with the first to be asked first."""
        self.layers = tuple(layers)
        self.arrivals = arrivals
        self._reaches = Reaches(self._manifest_bytes)
        self._referring: dict[str, tuple[tuple[object, ...], Referring]] = {}
        self._last: dict[str, str] = {}
        self._changes = 0
        self._lock = threading.Lock()
        self._large = threading.Semaphore(LARGE_AT_ONCE)

    def changed(self) -> None:
        """Something was pushed or deleted: what was made out of the repositories is made again."""
        with self._lock:
            self._changes += 1

    # Names

    def repositories(self) -> list[str]:
        """Every repository with a name in it, in ASCII order."""
        return sorted({path for layer in self.layers for path in layer.names().repositories()})

    def tags(self, repository: str) -> list[str] | None:
        """Every tag of a repository in ASCII order; ``None`` if there is no such repository."""
        found = self._repository(repository)
        return None if found is None else sorted(found.tags)

    def untagged(self, repository: str) -> list[Descriptor]:
        """Manifests that were named by their digest, and that no tag of the repository stands for."""
        found = self._repository(repository) or Repository()
        tagged = {named.root.digest for named in found.tags.values()}
        return [named.root for digest, named in sorted(found.digests.items()) if digest not in tagged]

    def tagged(self, repository: str, tag: str) -> Named | None:
        """What a tag stands for."""
        for layer in self.layers:
            found = layer.names().repository(repository)
            if found is not None and tag in found.tags:
                return found.tags[tag]
        return None

    def _repository(self, path: str) -> Repository | None:
        merged = None
        for layer in self.layers:
            found = layer.names().repository(path)
            if found is not None:
                merged = found if merged is None else merged.over(found)
        return merged

    # Contents

    def manifest(self, repository: str, reference: str) -> Found | None:
        """A manifest by tag or digest."""
        if is_digest(reference):
            root = self.find(repository, Digest(reference), manifest=True)
        else:
            named = self.tagged(repository, reference)
            root = None if named is None else named.root
        if root is None:
            return None
        found = self._read(root, cap=MANIFEST_CAP)
        return None if found is None else Found(root, *found)

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        """A blob, or the bytes of a manifest as one."""
        return None if self.find(repository, digest) is None else self.anywhere(digest)

    def read(self, repository: str, want: Descriptor, *, cap: int) -> bytes | None:
        """A small content such as a config as verified bytes; nothing if it is not in that repository, or beyond ``cap``."""
        if want.size > cap or self.find(repository, want.digest) is None:
            return None
        found = self._read(want, cap=cap)
        return None if found is None else found[0]

    def find(self, repository: str, digest: Digest, *, manifest: bool = False) -> Descriptor | None:
        """What is known about a content of a repository: as it was pushed, or as a manifest lists it.

        With ``manifest`` only if it came, or is listed, as a manifest.
        """
        found = self._named(repository, digest) or self.arrivals.find(repository, digest)
        if found is not None and (found.is_manifest or not manifest):
            return found
        for named, reach in self.reaches(repository):
            found = reach.manifests.get(digest) if manifest else reach.find(digest)
            if found is not None:
                self._last[repository] = named.name
                return found
        return None

    def anywhere(self, digest: Digest) -> Blob | None:
        """A content in whatever repository it is."""
        for layer in self.layers:
            size = layer.size_of(digest)
            if size is not None:
                return Blob(digest, size, layer)
        return None

    def holding(self, digest: Digest) -> Iterator[str]:
        """The repositories that a content is in."""
        if self.anywhere(digest) is None:
            return
        noted = self.arrivals.holding(digest)
        yield from noted
        for repository in self.repositories():
            if repository not in noted and self.find(repository, digest) is not None:
                yield repository

    def _named(self, repository: str, digest: Digest) -> Descriptor | None:
        for layer in self.layers:
            found = layer.names().repository(repository)
            if found is not None and digest in found.digests:
                return found.digests[digest].root
        return None

    def reaches(self, repository: str) -> Iterator[tuple[Named, Reach]]:
        """What each name leads to, the one that was asked for last first: a client pulls one image at a time."""
        found = self._repository(repository)
        if found is not None:
            last = self._last.get(repository)
            for named in sorted(found.named(), key=lambda each: each.name != last):
                yield named, self._reaches.of(named)

    def reach(self, named: Named) -> Reach:
        """What one root leads to."""
        return self._reaches.of(named)

    def _manifest_bytes(self, want: Descriptor) -> bytes | None:
        found = self._read(want, cap=MANIFEST_CAP) if want.size <= MANIFEST_CAP else None
        return None if found is None else found[0]

    def _read(self, want: Descriptor, *, cap: int) -> tuple[bytes, Origin] | None:
        trouble = None
        for layer in self.layers:
            if layer.size_of(want.digest) != want.size:
                continue
            try:
                with self._large if want.size > LARGE else nullcontext():
                    return read(layer, want, cap=cap), layer.origin
            except (DigestError, ArchiveError, StoreError):  # damaged there; another layer may have it
                continue
            except BundlerError as error:  # its medium may be gone, which says nothing about the content
                trouble = error
        if trouble is not None:
            raise trouble
        return None

    # Referrers

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor]:
        """The manifests of a repository that refer to ``subject``, by digest (distribution-spec 1.1, "Listing Referrers").

        Those that a client listed under the referrers tag are among them.
        """
        found = dict(self._all_referrers(repository).get(subject, {}))
        tag = referrers_tag(subject)
        listed = self.manifest(repository, tag)
        for child in () if listed is None else _listed(listed, what=tag):
            if self.find(repository, child.digest) is not None:
                found.setdefault(child.digest, child)
        return [found[digest] for digest in sorted(found)]

    def _all_referrers(self, repository: str) -> Referring:
        with self._lock:
            state = (self._changes, *(layer.names() for layer in self.layers))
            known = self._referring.get(repository)
        if known is not None and all(old is new for old, new in zip(known[0], state, strict=True)):
            return known[1]
        found: dict[Digest, dict[Digest, Descriptor]] = {}
        for _, reach in self.reaches(repository):
            for subject, referrer in reach.referrers:
                found.setdefault(subject, {})[referrer.digest] = referrer
        with self._lock:
            if len(self._referring) >= MOST_REMEMBERED:
                self._referring.clear()
            self._referring[repository] = (state, found)
        return found


def _listed(found: Found, *, what: str) -> tuple[Descriptor, ...]:
    """What an index lists; nothing if it is none that can be read."""
    if not mediatype.is_index(found.root.media_type):
        return ()
    try:
        return parse_manifest(found.raw, found.root.media_type, what=what).manifests
    except BundlerError:
        return ()
