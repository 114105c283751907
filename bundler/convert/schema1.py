"""An image of Docker's schema 1 as one of schema 2: its config is made from the history, its layers stay as they are.

What schema 1 does not know are the digests of the plain layers, so each layer is read once to find them. The config is
written as skopeo writes it, as its digest is what Docker calls the image; only records from before Docker 1.8.3, and texts
that were escaped otherwise than Go does it, give another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from bundler.content import Source, read
from bundler.convert import formats
from bundler.convert.compression import plain, sniffed, started
from bundler.convert.scratch import Scratch
from bundler.convert.together import Running, together
from bundler.errors import DigestError, ProtocolError, UnsupportedError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, digest_of, hasher
from bundler.oci.schema1 import UNKNOWN_SIZE, parse_schema1

_NOT_CONFIG = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})
_NO_TIME = "1970-01-01T00:00:00Z"
_ESCAPED = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Made:
    """The new image: its root, and the manifest and config that are new."""

    root: Descriptor
    contents: Mapping[Digest, bytes]


def from_schema1(source: Source, root: Descriptor, *, scratch: Scratch, executor: Executor) -> Made:
    """The image in schema 2. Raises :class:`ProtocolError` for a malformed manifest, and what reading layers raises."""
    what = str(root.digest)
    old = parse_schema1(read(source, root), what=what)
    layers: list[Digest] = []
    history: list[dict[str, Any]] = []
    for digest, record in zip(old.layers, old.history, strict=True):
        empty = record.get("throwaway") is True
        history.append(_history(record, empty=empty))
        if not empty:
            layers.append(digest)
    once = tuple(dict.fromkeys(layers))
    taken = together(lambda digest, running: _taken(source, digest, scratch, running), once, executor)
    kept = dict(zip(once, taken, strict=True))
    newest = old.history[-1]
    config = {name: value for name, value in newest.items() if name not in _NOT_CONFIG}
    if not isinstance(config.get("os", "linux"), str) or not isinstance(config.get("architecture", ""), str):
        raise ProtocolError(f"{what}: its newest record has no usable os and architecture")
    config.setdefault("architecture", old.architecture or "amd64")
    config.setdefault("os", "linux")
    config["rootfs"] = {"type": "layers", "diff_ids": [kept[digest].diff_id for digest in layers]}
    config["history"] = history
    raw_config = _written(config)
    config_root = Descriptor(mediatype.DOCKER_CONFIG, digest_of(raw_config), len(raw_config))
    manifest = formats.written_manifest({}, "v2s2", config_root, [kept[digest].layer for digest in layers])
    new = Descriptor(mediatype.DOCKER_MANIFEST, digest_of(manifest), len(manifest))
    return Made(new, {config_root.digest: raw_config, new.digest: manifest})


@dataclass(frozen=True, slots=True)
class _Taken:
    layer: Descriptor
    diff_id: str


def _history(record: Mapping[str, Any], *, empty: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"created": record.get("created", _NO_TIME)}
    made = {"author": record.get("author"), "created_by": _command(record), "comment": record.get("comment")}
    entry |= {name: text for name, text in made.items() if text}
    return {**entry, "empty_layer": True} if empty else entry


def _command(record: Mapping[str, Any]) -> str:
    container = record.get("container_config")
    command = container.get("Cmd") if isinstance(container, dict) else None
    known = isinstance(command, list) and all(isinstance(word, str) for word in command)
    return " ".join(command) if known and command else ""


def _written(config: Mapping[str, Any]) -> bytes:
    """Members sorted, and the marks escaped that could end a script in a page, as Go's encoder does."""
    text = json.dumps(dict(sorted(config.items())), separators=(",", ":"), ensure_ascii=False)
    return text.translate(_ESCAPED).encode()


def _taken(source: Source, digest: Digest, scratch: Scratch, running: Running) -> _Taken:
    """A layer into the scratch, as schema 1 names no sizes; and its digest without compression."""
    if algorithm_of(digest) != "sha256":
        raise ProtocolError(f"layer {digest}: schema 1 knows sha256 only")
    with closing(source.fetch(Descriptor(mediatype.DOCKER_LAYER_GZIP, digest, UNKNOWN_SIZE))) as chunks:
        found, size = scratch.keep(running(chunks))
    if found != digest:
        raise DigestError(f"layer {digest}: the {size} bytes received hash to {found}")
    state = hasher("sha256")
    with closing(scratch.fetch(Descriptor(mediatype.DOCKER_LAYER, digest, size))) as chunks:
        head, stream = started(running(chunks))
        compression = sniffed(head)
        if compression not in ("none", "gzip"):
            raise UnsupportedError(f"layer {digest}: schema 2 has no layers with {compression}")
        for chunk in plain(stream, what=f"layer {digest}"):
            state.update(chunk)
    layer = Descriptor(formats.LAYERS["v2s2"]["gzip" if compression == "gzip" else "none"], digest, size)
    return _Taken(layer, f"sha256:{state.hexdigest()}")
