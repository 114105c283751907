"""From a root to everything it needs: one walk for pull, pack, verify and push.

Contents come out children first, so that writing them in this order never names something that is not there. A content
is visited by (is it a manifest, digest), since one digest may be listed under two media types.

    index ── manifest ── config, layers          order: config, layers, manifest, …, index

Manifests stay in memory, as they came and parsed, so what they take is counted and bounded: for each graph, and for all
graphs of one piece of work, which share a :class:`Manifests`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from bundler.content import Source, read
from bundler.errors import BundlerError, LimitError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest

MAX_DEPTH = 8
MAX_NODES = 100_000
MAX_BYTES = 64 << 20
"""Bytes of memory for the manifests of one graph."""
MAX_TOGETHER = 128 << 20
"""Bytes of memory for all manifests of one piece of work; those of 2,000 usual images take about half of it."""

_DESCRIPTOR = 256
"""Bytes that a parsed descriptor takes besides its texts."""
_NOTHING: Mapping[str, str] = {}

_parsing = threading.Lock()
"""One at a time: a parser's values take many times what they are parsed from, and threads would not make it faster."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A root and all it needs.

    ``nodes`` holds each content once, children before parents, the root last. ``manifests`` maps the digests of those
    that are manifests to their bytes and what these mean.
    """

    root: Descriptor
    nodes: tuple[Descriptor, ...]
    manifests: dict[Digest, tuple[bytes, Manifest]]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Configs, layers and other leaves."""
        return tuple(node for node in self.nodes if not node.is_manifest)

    @property
    def size(self) -> int:
        """Bytes of all contents, each counted once."""
        return sum(node.size for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest in memory: its bytes, its meaning, and about how many bytes of memory both take."""

    raw: bytes
    manifest: Manifest
    weight: int


class Manifests:
    """Manifests that several walks read, each once whoever comes first, and no more of them than memory allows.

    Safe to share among threads.
    """

    def __init__(self, most: int | None = None) -> None:
        """``most`` is in bytes of memory, :data:`MAX_TOGETHER` if not given."""
        self._most = MAX_TOGETHER if most is None else most
        self._kept: dict[tuple[str, Digest, int], Kept] = {}
        self._taken = 0
        self._lock = threading.Lock()

    def read(self, source: Source, node: Descriptor) -> Kept:
        """``node`` from memory or else from ``source``. Raises what reading and parsing raise, and :class:`LimitError`."""
        key = (node.media_type, node.digest, node.size)  # a wrong size must be found out every time
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        self._check(node.size)
        raw = read(source, node)
        with _parsing:
            manifest = _slim(parse_manifest(raw, node.media_type, what=str(node.digest)))
        kept = Kept(raw, manifest, weight(raw, manifest))
        with self._lock:
            if key in self._kept:
                return self._kept[key]
            self._check(kept.weight)
            self._taken += kept.weight
            self._kept[key] = kept
            return kept

    def _check(self, more: int) -> None:
        if self._taken + more > self._most:
            raise LimitError(
                f"the manifests of all images together need more than {self._most >> 20} MiB of memory",
                hint="look at this image, which may be no honest one; else divide the images into several bundles",
            )


def weight(raw: bytes, manifest: Manifest) -> int:
    """About how many bytes of memory a manifest takes, as it came and parsed. Short texts cost more than they are long."""
    listed = (*manifest.manifests, *manifest.layers, manifest.config, manifest.subject)
    return len(raw) + sum(
        _DESCRIPTOR + sum(8 + sys.getsizeof(text) for text in _texts(each) if text)
        for each in listed
        if each is not None
    )


def _slim(manifest: Manifest) -> Manifest:
    """What carrying needs of a manifest: no annotations, and each text once in memory, as images share layers."""
    return Manifest(
        manifest.media_type,
        config=None if manifest.config is None else _bare(manifest.config),
        layers=tuple(map(_bare, manifest.layers)),
        manifests=tuple(map(_bare, manifest.manifests)),
        subject=None if manifest.subject is None else _bare(manifest.subject),
        artifact_type=manifest.artifact_type,
    )


def _bare(listed: Descriptor) -> Descriptor:
    return Descriptor(
        sys.intern(listed.media_type),
        Digest(sys.intern(listed.digest)),
        listed.size,
        platform=listed.platform,
        artifact_type=sys.intern(listed.artifact_type),
        urls=listed.urls,
        annotations=_NOTHING,
    )


def _texts(listed: Descriptor) -> Iterator[str]:
    yield from (listed.media_type, listed.digest, listed.artifact_type, *listed.urls)
    yield from listed.annotations.keys()
    yield from listed.annotations.values()
    if listed.platform is not None:
        yield from (listed.platform.os, listed.platform.architecture, *listed.platform.os_features)


def walk(
    source: Source,
    root: Descriptor,
    *,
    chosen: Collection[Digest] | None = None,
    shared: Manifests | None = None,
) -> Graph:
    """Read the manifests from ``root`` down and collect what they need.

    ``chosen`` limits the children of an index at the root to some of them: the rest of a sparse index is left out.
    ``shared`` holds what other walks have read. Raises what reading raises, :class:`bundler.errors.ProtocolError` for a
    malformed manifest, and :class:`LimitError` for indexes nested more than 8 deep, more than 100,000 contents, or
    manifests that take too much memory.
    """
    shared = Manifests() if shared is None else shared
    taken = 0
    done: dict[tuple[bool, Digest], Descriptor] = {}
    manifests: dict[Digest, tuple[bytes, Manifest]] = {}
    stack: list[tuple[Descriptor, int, bool]] = [(root, 1, False)]
    while stack:
        node, depth, seen = stack.pop()
        if node.key in done:
            continue
        if seen or not node.is_manifest:
            done[node.key] = node
            continue
        if depth > MAX_DEPTH:
            raise LimitError(f"{root.digest}: indexes nested more than {MAX_DEPTH} deep")
        kept = shared.read(source, node)
        taken += kept.weight
        if taken > MAX_BYTES:
            raise LimitError(f"{root.digest}: its manifests need more than {MAX_BYTES >> 20} MiB of memory")
        manifest = kept.manifest
        manifests[node.digest] = (kept.raw, manifest)
        children = manifest.children()
        if chosen is not None and node is root and manifest.is_index:
            children = tuple(child for child in children if child.digest in chosen)
        if len(done) + len(stack) + len(children) > MAX_NODES:
            raise LimitError(f"{root.digest}: more than {MAX_NODES} contents")
        stack.append((node, depth, True))
        stack.extend((child, depth + 1, False) for child in reversed(children))
    return Graph(root, tuple(done.values()), manifests)


def walk_named(
    source: Source,
    name: str,
    root: Descriptor,
    *,
    chosen: Collection[Digest] | None = None,
    shared: Manifests | None = None,
) -> Graph:
    """As :func:`walk`, with ``name`` put in front of any error."""
    try:
        return walk(source, root, chosen=chosen, shared=shared)
    except BundlerError as problem:
        raise problem.about(name) from problem
