"""What a root leads to: the contents that a repository holds because of one of its names.

Walked once for each root and remembered, as long as there is room. A child of an index that is not here (a sparse index)
ends the walk there; such a walk is not remembered, since the child may come.

    reach = Reaches(source).of(named)
    digest in reach.blobs, reach.manifests.get(digest), reach.referrers
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bundler.errors import BundlerError, LimitError, ProtocolError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.strict_json import Fields, loads
from bundler.registry.names import Named

MOST_CONTENTS = 100_000
"""In one image."""
ROOM = 1_000_000
"""Contents that are remembered, in all; long annotations count for more."""
_USUAL = 200
"""Characters of memory that one content is taken for."""

ReadManifest = Callable[[Descriptor], bytes | None]
"""The verified bytes of a manifest, or nothing if it is not here."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything below a root, the root included. ``referrers`` are the manifests with a subject, by that subject."""

    manifests: Mapping[Digest, Descriptor]
    blobs: Mapping[Digest, Descriptor]
    referrers: tuple[tuple[Digest, Descriptor], ...]
    whole: bool

    def find(self, digest: Digest) -> Descriptor | None:
        """What is said about a content, manifest or blob."""
        return self.manifests.get(digest) or self.blobs.get(digest)


class Reaches:
    """The walks, remembered. Threads may share one."""

    def __init__(self, read: ReadManifest) -> None:
        self._read = read
        self._known: OrderedDict[tuple[str, Digest, frozenset[Digest]], Reach] = OrderedDict()
        self._room = ROOM
        self._lock = threading.Lock()

    def of(self, named: Named) -> Reach:
        """What ``named`` leads to. What can't be read or understood leads nowhere."""
        key = (named.root.media_type, named.root.digest, named.left_out)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        reach = self._walk(named)
        if reach.whole:
            with self._lock:
                if key not in self._known:
                    self._known[key] = reach
                    self._room -= _weight(reach)
                while self._room < 0 and len(self._known) > 1:
                    self._room += _weight(self._known.popitem(last=False)[1])
        return reach

    def _walk(self, named: Named) -> Reach:
        manifests: dict[Digest, Descriptor] = {}
        blobs: dict[Digest, Descriptor] = {}
        referrers = []
        whole = True
        stack = [(named.root.is_manifest, named.root)]
        while stack:
            leads_on, want = stack.pop()
            if want.digest in (manifests if leads_on else blobs):
                continue
            if len(manifests) + len(blobs) >= MOST_CONTENTS:
                raise LimitError(f"{named.root.digest}: more than {MOST_CONTENTS} contents in one image")
            if not leads_on:
                blobs[want.digest] = want
                continue
            raw = self._read(want)
            if raw is None:
                whole = False
                continue
            manifests[want.digest] = want
            try:
                manifest = parse_manifest(raw, want.media_type, what=want.digest)
            except BundlerError:
                continue
            if manifest.subject is not None:
                referrers.append((manifest.subject.digest, described(want, raw, manifest)))
            for child in reversed(manifest.children()):
                if not manifest.is_index:
                    stack.append((False, child))  # a layer leads nowhere, whatever it is called
                elif child.digest not in named.left_out:
                    stack.append((child.is_manifest, child))
        return Reach(manifests, blobs, tuple(referrers), whole)


def described(root: Descriptor, raw: bytes, manifest: Manifest) -> Descriptor:
    """A referrer as the referrers API lists it: with its artifact type and its own annotations (distribution-spec 1.1)."""
    kind = manifest.artifact_type
    if not kind and manifest.config is not None:
        kind = manifest.config.media_type
    return Descriptor(
        root.media_type, root.digest, root.size, artifact_type=kind, annotations=annotations_of(raw, what=root.digest)
    )


def annotations_of(raw: bytes, *, what: str) -> Mapping[str, str]:
    """What a manifest says about itself; nothing if that is not text by text."""
    fields = Fields(loads(raw, what=what), what=what)
    try:
        return fields.text_map("annotations") if "annotations" in fields else {}
    except ProtocolError:
        return {}


def _weight(reach: Reach) -> int:
    said = sum(
        len(referrer.artifact_type) + sum(len(key) + len(text) for key, text in referrer.annotations.items())
        for _, referrer in reach.referrers
    )
    return 1 + len(reach.manifests) + len(reach.blobs) + said // _USUAL
