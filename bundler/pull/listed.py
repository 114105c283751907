"""What lies beside an image in a layout or a bundle: there is no registry to ask, but a list of all that is there.

reg.io/app:1                      the image
reg.io/app:sha256-….sig           cosign's tags, and a list of referrers, beside it in its repository
sha256-….sig                      or without a repository, as where names are bare tags
(no name, or one by digest)       whatever has a subject: every manifest of the list is looked into, once
"""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Protocol

from bundler.content import Buffer, Source, read
from bundler.errors import BundlerError, LimitError, NotFoundError, ProtocolError, UnsupportedError, quoted
from bundler.medium import Listing
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest
from bundler.oci.manifest import parse_manifest

MOST_LOOKED_INTO = 20_000
"""Manifests of one list. Beyond that a list of referrers counts as refused, and that is told."""


class ListingSource(Source, Listing, Protocol):
    """A source that can tell all that it has."""


class Listed:
    """One such source, as its list was at first. Safe to use from many threads."""

    def __init__(self, source: ListingSource) -> None:
        self.source = source
        self._entries = tuple(source.images())
        self._names: dict[Digest, list[str]] = {}
        self._tags: dict[str, dict[str, Descriptor]] = {}
        for name, root in self._entries:
            self._names.setdefault(root.digest, []).append(name)
            repository, tag = _split(name)
            if tag:
                self._tags.setdefault(repository, {}).setdefault(tag, root)
        self._lock = threading.Lock()
        self._about: Mapping[Digest, Sequence[Descriptor]] | None = None

    def beside(self, name: str, root: Descriptor) -> Beside:
        """What could be about the image that was found as ``name``: it may be a name of the list, a digest, or empty."""
        names = self._names.get(root.digest, [])
        repositories = [_split(each)[0] for each in ([name] if name in names else names)]
        # Where two have the same tag, the first of them; and a name without a repository may be about any image.
        return Beside(self, ChainMap(*(self._tags.get(each, {}) for each in dict.fromkeys((*repositories, "")))))

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """What is listed and has the subject. Raises :class:`LimitError` for a list that is too long to look into."""
        with self._lock:
            if self._about is None:
                self._about = self._look()
            return self._about.get(subject, ())

    def _look(self) -> Mapping[Digest, Sequence[Descriptor]]:
        roots = {root.digest: (name, root) for name, root in self._entries if root.is_manifest}
        if len(roots) > MOST_LOOKED_INTO:
            raise LimitError(f"{len(roots)} manifests, more than the {MOST_LOOKED_INTO} that are looked into")
        found: dict[Digest, list[Descriptor]] = {}
        for name, root in roots.values():
            for subject in self._subject(name, root):
                found.setdefault(subject, []).append(root)
        return found

    def _subject(self, name: str, root: Descriptor) -> Iterator[Digest]:
        try:
            manifest = parse_manifest(read(self.source, root), root.media_type, what=str(root.digest))
        except (ProtocolError, UnsupportedError, LimitError):
            return  # nothing that could be carried
        except BundlerError as problem:
            if _split(name)[1]:
                return  # a broken image of another name is not the business of this one
            raise problem.about("looking for what is attached") from problem
        if manifest.subject is not None:
            yield manifest.subject.digest


class Beside:
    """A source for :func:`bundler.pull.attachments.find_attachments`, whose names are ``tags``."""

    def __init__(self, listed: Listed, tags: Mapping[str, Descriptor]) -> None:
        self._listed = listed
        self.tags = tags

    def resolve(self, name: str) -> Descriptor:
        """The root of one of the tags."""
        if name not in self.tags:
            raise NotFoundError(f"{quoted(name)}: is not listed")
        return self.tags[name]

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """As the source."""
        return self._listed.source.fetch(want)

    def referrers(self, subject: Digest) -> Sequence[Descriptor]:
        """As the list says."""
        return self._listed.referrers(subject)


def _split(name: str) -> tuple[str, str]:
    """Repository and tag of a name in a list: both empty for none, and the tag for one by digest."""
    path, at, digest = name.rpartition("@")
    if at and is_digest(digest):
        return path, ""
    head, slash, last = name.rpartition("/")
    before, colon, tag = last.rpartition(":")
    return (head + slash + before, tag) if colon else (("", name) if not slash else (name, ""))
