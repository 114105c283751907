"""Simple signatures that travel with an image, between media that keep them beside their manifests.

A signature is about a digest. Where a conversion changes the digest it says nothing any more, and the operator hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bundler.content import Note, Observer, Source, Target, read
from bundler.errors import UnsupportedError, quoted
from bundler.journey.fitting import Fitted
from bundler.medium import Signable, Signed
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index

if TYPE_CHECKING:
    from bundler.journey.image_signatures import Signer

Signatures = Mapping[Digest, Sequence[bytes]]
"""Signatures by the digest of the manifest that they are about."""


def signatures_of(source: Source, root: Descriptor) -> Signatures:
    """The signatures of an image, and of each image of an index."""
    if not isinstance(source, Signed):
        return {}
    found = {each.digest: source.signatures(each) for each in _roots(source, root)}
    return {digest: signatures for digest, signatures in found.items() if signatures}


def check_keeps(target: Target, signatures: Signatures, signer: Signer | None, what: str) -> None:
    """Raise :class:`UnsupportedError` where signatures are to be kept and ``target`` can't."""
    if isinstance(target, Signable):
        return
    if signer is not None:
        raise UnsupportedError(
            f"{quoted(what)}: signatures can't be kept there", hint="sign into a dir:, or use standalone-sign"
        )
    if signatures:
        raise UnsupportedError(
            f"{quoted(what)}: can't keep the {sum(map(len, signatures.values()))} signatures of the image",
            hint="copy without them by --remove-signatures, or to a dir:, which keeps them",
        )


def made_ready(
    target: Target, made: Fitted, signatures: Signatures, signer: Signer | None, observer: Observer
) -> list[tuple[Descriptor, list[bytes]]]:
    """What ``target`` is to keep beside each manifest, the signer's own included, before anything is delivered.

    Those that no longer apply are left out, and named. Raises what signing raises.
    """
    if not isinstance(target, Signable):
        return []
    roots = [
        each
        for each in _roots(made.source, made.root)
        if each.digest == made.root.digest or made.children is None or each.digest in made.children
    ]
    arrived = {each.digest for each in roots}
    for digest, lost in signatures.items():
        if digest not in arrived:
            observer(Note(f"{len(lost)} signatures of {digest} no longer apply, as it is not what arrived: left out"))
    ready = []
    for each in roots:
        kept = list(signatures.get(each.digest, ()))
        if signer is not None:
            kept.append(signer.sign(read(made.source, each)))
        ready.append((each, kept))
    return ready


def keep_signatures(target: Target, ready: Sequence[tuple[Descriptor, Sequence[bytes]]]) -> None:
    """Put what was made ready beside the manifests, which are there now."""
    for root, signatures in ready:
        if signatures and isinstance(target, Signable):
            target.put_signatures(root, signatures)


def _roots(source: Source, root: Descriptor) -> list[Descriptor]:
    if not is_index(root.media_type):
        return [root]
    return [root, *parse_manifest(read(source, root), root.media_type, what=root.digest).manifests]
