"""What is attached to a bundle's images, read out of the bundle alone and verified by digest.

A tag such as ``sha256-….sig`` or a manifest's ``subject`` only claims what an attachment is about. An index (the fallback
tag of referrers) is followed to its manifests. What can't be read is told as a problem; it never counts as a signature.

evidence = gather(volumes, image)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bundler.bundle.statement import CarriedImage
from bundler.content import Fetching, read
from bundler.errors import BundlerError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.trust.images.evidence import CAPS, Evidence, kind_of

MAX_MANIFESTS = 500
MAX_PIECES = 1000
MAX_BYTES = 32 << 20
"""Of one image's signatures and attestations together: they are held in memory while it is judged."""
_MAX_DEPTH = 3
_TAG = re.compile(r"(sha256|sha512)-([0-9a-f]+)(?:\..*)?")


def gather(source: Fetching, image: CarriedImage) -> tuple[Evidence, ...]:
    """All that is attached to an image, in the statement's order, as far as the caps allow."""
    reading = _Reading(source)
    for attachment in image.attachments:
        reading.manifest(attachment.root, _claimed(attachment.tag), 1)
    return tuple(reading.pieces)


def _claimed(tag: str) -> Digest | None:
    """The digest in cosign's tags and in the fallback tag of referrers."""
    match = _TAG.fullmatch(tag)
    text = f"{match[1]}:{match[2]}" if match else ""
    return Digest(text) if is_digest(text) else None


@dataclass(slots=True)
class _Reading:
    source: Fetching
    pieces: list[Evidence] = field(default_factory=list)
    seen: set[Digest] = field(default_factory=set)
    size: int = 0

    def manifest(self, root: Descriptor, claimed: Digest | None, depth: int) -> None:
        """Take in what one attached manifest or index holds."""
        if root.digest in self.seen:
            return
        about = Evidence("other", root.media_type, b"", root.digest, root.digest, claimed)
        if len(self.seen) >= MAX_MANIFESTS or len(self.pieces) >= MAX_PIECES:
            if not self.pieces or not self.pieces[-1].problem.startswith("stands behind"):
                problem = f"stands behind {MAX_MANIFESTS} manifests or {MAX_PIECES} contents: it was not looked at"
                self.pieces.append(replace(about, problem=problem))
            return
        self.seen.add(root.digest)
        try:
            parsed = parse_manifest(read(self.source, root), root.media_type, what=root.digest)
        except BundlerError as problem:
            self.pieces.append(replace(about, problem=f"can't be read: {problem}"))
            return
        if parsed.subject is not None:
            claimed = parsed.subject.digest
        if not parsed.is_index:
            self.pieces += self._contents(root, parsed, claimed)
        elif depth >= _MAX_DEPTH:
            self.pieces.append(replace(about, problem=f"is nested more than {_MAX_DEPTH} deep: it was not looked at"))
        else:
            for child in parsed.manifests:
                self.manifest(child, claimed, depth + 1)

    def _contents(self, root: Descriptor, parsed: Manifest, claimed: Digest | None) -> Iterator[Evidence]:
        known = [layer for layer in parsed.layers if kind_of(layer.media_type) != "other"]
        if not known:
            kind = parsed.artifact_type or next((layer.media_type for layer in parsed.layers), root.media_type)
            yield Evidence("other", quoted(kind), b"", root.digest, root.digest, claimed)
        for layer in known[: max(0, MAX_PIECES - len(self.pieces))]:
            yield self._piece(root.digest, layer, claimed)

    def _piece(self, origin: Digest, layer: Descriptor, claimed: Digest | None) -> Evidence:
        kind = kind_of(layer.media_type)
        piece = Evidence(kind, layer.media_type, b"", origin, layer.digest, claimed, layer.annotations)
        if self.size + min(layer.size, CAPS[kind]) > MAX_BYTES:
            return replace(piece, problem=f"stands behind {MAX_BYTES} bytes of others: it was not looked at")
        try:
            content = read(self.source, layer, cap=CAPS[kind])
        except BundlerError as problem:
            return replace(piece, problem=f"can't be read: {problem}")
        self.size += len(content)
        return replace(piece, content=content)
