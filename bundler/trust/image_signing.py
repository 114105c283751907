"""Signing images as cosign does: the writing side of :mod:`bundler.trust.images.cosign`. Verification never imports it.

    layer, payload = cosign_signature(digest, "registry.example/app:1", key)
    image = signature_image(joined(layers_that_are_there, [layer]))

    app:sha256-HEX.sig ──▶ image.root ──▶ layers: payload, with the signature as an annotation
                                      └─▶ image.config: lists the layers

Nothing here depends on the time or on chance, so signing twice makes the same bytes, and adds nothing the second time.

Specification: cosign, specs/SIGNATURE_SPEC.md.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bundler.errors import ConfigError, LimitError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.strict_json import canonical
from bundler.trust.images.cosign import SIGNATURE, TYPE
from bundler.trust.images.evidence import SIMPLE_SIGNING
from bundler.trust.keys import PublicKey
from bundler.trust.signing import Signer

CREATOR = "bundler"
MAX_LAYERS = 128
"""Signatures of one image, of whoever."""


@dataclass(frozen=True, slots=True)
class SignatureImage:
    """An image of signatures: ``root`` and ``config`` with their bytes; what ``layers`` hold is kept elsewhere."""

    root: Descriptor
    manifest: bytes = field(repr=False)
    config: Descriptor
    config_bytes: bytes = field(repr=False)
    layers: tuple[Descriptor, ...]


def check_key(key: PublicKey, *, what: str) -> PublicKey:
    """The key, if every verifier of cosign's signatures takes its kind; else :class:`ConfigError`."""
    if key.algorithm != "ecdsa-p256":
        raise ConfigError(
            f"{what}: an {key.algorithm} key; images are signed with ECDSA P-256, which every verifier takes",
            hint="make one with `cosign generate-key-pair`, or with `bundler keygen`",
        )
    return key


def cosign_payload(digest: Digest, reference: str, *, timestamp: int | None = None) -> bytes:
    """What is signed about the manifest ``digest``: ``reference`` is its full name, with a tag or a digest."""
    optional: dict[str, object] = {"creator": CREATOR}
    if timestamp is not None:
        optional["timestamp"] = timestamp
    return canonical(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": TYPE,
            },
            "optional": optional,
        }
    )


def cosign_signature(digest: Digest, reference: str, key: Signer) -> tuple[Descriptor, bytes]:
    """A layer with a signature of ``key``, and the payload that it holds."""
    payload = cosign_payload(digest, reference)
    value = base64.b64encode(key.sign(payload, purpose="image")).decode("ascii")
    return Descriptor(SIMPLE_SIGNING, digest_of(payload), len(payload), annotations={SIGNATURE: value}), payload


def joined(*several: Iterable[Descriptor], what: str = "signatures") -> tuple[Descriptor, ...]:
    """All layers in their order, each once. Two over one payload are two signatures, if their annotations differ.

    Raises :class:`LimitError` for more than 128.
    """
    found: dict[tuple[str, Digest, tuple[tuple[str, str], ...]], Descriptor] = {}
    for layers in several:
        for layer in layers:
            found.setdefault((layer.media_type, layer.digest, tuple(sorted(layer.annotations.items()))), layer)
    if len(found) > MAX_LAYERS:
        raise LimitError(f"{what}: more than {MAX_LAYERS} signatures of one image")
    return tuple(found.values())


def signature_image(layers: Sequence[Descriptor]) -> SignatureImage:
    """The image that holds these signatures, in their order."""
    diffs = [layer.digest for layer in layers]
    config = canonical({"architecture": "", "config": {}, "os": "", "rootfs": {"diff_ids": diffs, "type": "layers"}})
    described = Descriptor(mediatype.OCI_CONFIG, digest_of(config), len(config))
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "config": described.document(),
            "layers": [layer.document() for layer in layers],
        }
    )
    root = Descriptor(mediatype.OCI_MANIFEST, digest_of(manifest), len(manifest))
    return SignatureImage(root, manifest, described, config, tuple(layers))
