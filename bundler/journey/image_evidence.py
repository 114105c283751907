"""What is attached to a bundle's images, read out of the bundle alone and verified by digest.

A tag such as ``sha256-….sig`` or a manifest's ``subject`` only claims what an attachment is about. An index (the fallback
tag of referrers) is followed to its manifests. What can't be read is told as a problem; it never counts as a signature.

Small contents are read before large ones: whoever can attach something to an image upstream could otherwise put a few
giants before its signature, and nobody would look at that.

evidence = gather(volumes, image)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bundler.bundle.statement import CarriedImage
from bundler.content import Fetching, read
from bundler.errors import BundlerError, quoted
from bundler.oci.attached import companion_of
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.trust.images.evidence import CAPS, Evidence, kind_of

MAX_MANIFESTS = 1000
"""Of one image: as many as a pull lets it have attached."""
MAX_PIECES = 1000
MAX_BYTES = 32 << 20
"""Of one image's signatures and attestations together: they are held in memory while it is judged."""
_MAX_DEPTH = 3


def gather(source: Fetching, image: CarriedImage) -> tuple[Evidence, ...]:
    """All that is attached to an image, in the statement's order, as far as the caps allow."""
    reading = _Reading(source)
    for attachment in image.attachments:
        reading.manifest(attachment.root, claimed_by(attachment.tag), 1)
    reading.contents()
    return tuple(reading.pieces)


def claimed_by(tag: str) -> Digest | None:
    """The digest in cosign's tags and in the fallback tag of referrers; None for a tag that an image may have."""
    found = companion_of(tag)
    return found[0] if found else None


@dataclass(slots=True)
class _Reading:
    """``pieces`` are all that was found; those in ``layers``, by their place there, are still to be read.

    ``seen`` are manifests with what they claim to be about: one may lie under the tags of several images.
    """

    source: Fetching
    pieces: list[Evidence] = field(default_factory=list)
    layers: dict[int, Descriptor] = field(default_factory=dict)
    seen: set[tuple[Digest, Digest | None]] = field(default_factory=set)
    manifests: int = 0

    def manifest(self, root: Descriptor, claimed: Digest | None, depth: int) -> None:
        """Take in what one attached manifest or index holds."""
        if (root.digest, claimed) in self.seen:
            return
        about = Evidence("other", root.media_type, b"", root.digest, root.digest, claimed)
        if self.manifests >= MAX_MANIFESTS or len(self.pieces) >= MAX_PIECES:
            if not self.pieces or not self.pieces[-1].problem.startswith("stands behind"):
                problem = f"stands behind {MAX_MANIFESTS} manifests or {MAX_PIECES} contents: it was not looked at"
                self.pieces.append(replace(about, problem=problem))
            return
        self.seen.add((root.digest, claimed))
        self.manifests += 1
        try:
            parsed = parse_manifest(read(self.source, root), root.media_type, what=root.digest)
        except BundlerError as problem:
            self.pieces.append(replace(about, problem=f"can't be read: {problem}"))
            return
        if parsed.subject is not None and parsed.subject.digest != claimed:
            claimed = parsed.subject.digest
            if (root.digest, claimed) in self.seen:
                return
            self.seen.add((root.digest, claimed))
        if not parsed.is_index:
            self._layers(root, parsed, claimed)
        elif depth >= _MAX_DEPTH:
            self.pieces.append(replace(about, problem=f"is nested more than {_MAX_DEPTH} deep: it was not looked at"))
        else:
            for child in parsed.manifests:
                self.manifest(child, claimed, depth + 1)

    def _layers(self, root: Descriptor, parsed: Manifest, claimed: Digest | None) -> None:
        known = [layer for layer in parsed.layers if kind_of(layer.media_type) != "other"]
        if not known:
            kind = parsed.artifact_type or next((layer.media_type for layer in parsed.layers), root.media_type)
            self.pieces.append(Evidence("other", quoted(kind), b"", root.digest, root.digest, claimed))
        for layer in known[: max(0, MAX_PIECES - len(self.pieces))]:
            kind = kind_of(layer.media_type)
            self.layers[len(self.pieces)] = layer
            self.pieces.append(
                Evidence(kind, layer.media_type, b"", root.digest, layer.digest, claimed, layer.annotations)
            )

    def contents(self) -> None:
        """Read what the layers hold, the smallest first, as long as there is room."""
        size = 0
        for place, layer in sorted(self.layers.items(), key=lambda item: (item[1].size, item[0])):
            piece = self.pieces[place]
            cap = CAPS[piece.kind]
            if size + min(layer.size, cap) > MAX_BYTES:
                problem = f"stands behind {MAX_BYTES} bytes of smaller ones: it was not looked at"
                self.pieces[place] = replace(piece, problem=problem)
                continue
            try:
                content = read(self.source, layer, cap=cap)
            except BundlerError as error:
                self.pieces[place] = replace(piece, problem=f"can't be read: {error}")
                continue
            size += len(content)
            self.pieces[place] = replace(piece, content=content)
