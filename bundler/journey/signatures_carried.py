"""Simple signatures that travel with an image, between media that keep them beside their manifests.

A signature is about a digest. Where a conversion changes the digest it says nothing any more, and the operator hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bundler.content import Note, Observer, Source, read
from bundler.errors import UnsupportedError, quoted
from bundler.journey.beside import Beside
from bundler.journey.fitting import Fitted
from bundler.medium import Signable, Signed
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.policy.blobs import is_attachment, is_simple

if TYPE_CHECKING:
    from bundler.journey.image_signatures import Signer, SigstoreSigner

Signatures = Mapping[Digest, Sequence[bytes]]
"""Signatures by the digest of the manifest that they are about."""


def signatures_of(
    keeps: Signed | None, source: Source, root: Descriptor, children: frozenset[Digest] | None = None
) -> Signatures:
    """The signatures of an image, and of each image of an index; ``keeps`` is what keeps them, if anything does."""
    if keeps is None:
        return {}
    found = {each.digest: keeps.signatures(each) for each in _roots(source, root, children)}
    return {digest: signatures for digest, signatures in found.items() if signatures}


def check_keeps(
    keeper: Signable | None, signatures: Signatures, signers: Sequence[Signer | SigstoreSigner], what: str
) -> None:
    """Raise :class:`UnsupportedError` where signatures are to be kept and nothing at the destination can."""
    if keeper is not None:
        if isinstance(keeper, Beside):
            blobs = [blob for several in signatures.values() for blob in several]
            keeper.check(
                simple=any(not signer.attaches for signer in signers) or any(map(is_simple, blobs)),
                sigstore=any(signer.attaches for signer in signers) or any(map(is_attachment, blobs)),
            )
        return
    if signers:
        raise UnsupportedError(
            f"{quoted(what)}: signatures can't be kept there",
            hint="sign into a registry or a dir:, or use standalone-sign",
        )
    if signatures:
        raise UnsupportedError(
            f"{quoted(what)}: can't keep the {sum(map(len, signatures.values()))} signatures of the image",
            hint="copy without them by --remove-signatures, or to a dir:, which keeps them",
        )


def made_ready(
    keeper: Signable | None,
    made: Fitted,
    signatures: Signatures,
    signers: Sequence[Signer | SigstoreSigner],
    observer: Observer,
) -> list[tuple[Descriptor, list[bytes]]]:
    """What is to be kept beside each manifest, the signers' own included, before anything is delivered.

    Those that no longer apply are left out, and named. Raises what signing raises.
    """
    if keeper is None or not (signatures or signers):
        return []
    roots = _roots(made.source, made.root, made.children)
    arrived = {each.digest for each in roots}
    for digest, lost in signatures.items():
        if digest not in arrived:
            observer(Note(f"{len(lost)} signatures of {digest} no longer apply, as it is not what arrived: left out"))
    ready = []
    for each in roots:
        kept = list(signatures.get(each.digest, ()))
        kept += [signer.sign(read(made.source, each)) for signer in signers]
        ready.append((each, kept))
    return ready


def keep_signatures(keeper: Signable | None, ready: Sequence[tuple[Descriptor, Sequence[bytes]]]) -> None:
    """Put what was made ready beside the manifests, which are there now."""
    for root, signatures in ready:
        if signatures and keeper is not None:
            keeper.put_signatures(root, signatures)


def _roots(source: Source, root: Descriptor, children: frozenset[Digest] | None) -> list[Descriptor]:
    """An image, or an index and those of its images that are meant."""
    if not is_index(root.media_type):
        return [root]
    listed = parse_manifest(read(source, root), root.media_type, what=root.digest).manifests
    return [root, *(each for each in listed if children is None or each.digest in children)]
