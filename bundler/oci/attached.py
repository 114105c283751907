"""What is attached to an image: where it is looked for, and what kind of thing it is by its own manifest's word.

cosign puts signatures, attestations and SBOMs under tags made from the digest they are about; distribution-spec 1.1 lists
whatever has a ``subject``, and keeps the list under such a tag where a registry doesn't ("Referrers Tag Schema").

>>> companion_tags(Digest("sha256:" + "0" * 64))["signature"].removeprefix("sha256-" + "0" * 64)
'.sig'

Nothing here proves anything: a manifest that calls itself a signature is one to carry, and to be verified where it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, hex_of, is_digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.strict_json import Fields, loads

Kind = Literal["signature", "attestation", "sbom", "other"]
KINDS: tuple[Kind, ...] = ("signature", "attestation", "sbom", "other")

SUFFIXES: Mapping[Kind, str] = {"signature": ".sig", "attestation": ".att", "sbom": ".sbom"}
"""Of cosign's tags."""
SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle"
SIGNED_BY_COSIGN = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a statement that only says that the image was signed."""
SIMPLE_SIGNATURES = "application/vnd.oci-bundler.simple-signatures.v1+json"
"""Artifact type of the manifest that simple signatures travel in."""

_BUNDLE_PREDICATE = "dev.sigstore.bundle.predicateType"
_PREDICATES = ("predicateType", "in-toto.io/predicate-type", _BUNDLE_PREDICATE)
_SIGNATURES = (
    "application/vnd.dev.cosign.artifact.sig.",
    "application/vnd.cncf.notary.signature",
    SIMPLE_SIGNATURES,
)
_ATTESTATIONS = ("application/vnd.in-toto", "application/vnd.dsse.", "application/vnd.dev.cosign.artifact.att.")
_BILLS = ("spdx", "cyclonedx", "syft", "sbom")
_CONFIGS = frozenset({mediatype.OCI_CONFIG, mediatype.DOCKER_CONFIG, mediatype.OCI_EMPTY})
_MAX_PREDICATES = 20
_MAX_TYPE = 255


@dataclass(frozen=True, slots=True)
class Attached:
    """What a manifest says of itself: ``artifact_type`` is empty if it names none, ``predicates`` are sorted."""

    kind: Kind
    artifact_type: str = ""
    predicates: tuple[str, ...] = ()
    subject: Digest | None = None


def companion_tags(subject: Digest) -> dict[Kind, str]:
    """The tags of cosign for what is about ``subject``."""
    return {kind: f"{algorithm_of(subject)}-{hex_of(subject)}{suffix}" for kind, suffix in SUFFIXES.items()}


def companion_of(tag: str) -> tuple[Digest, str] | None:
    """Whom a tag of cosign's, or one of a list of referrers, is about, and what follows the first dot; nothing for any other.

    >>> companion_of("sha256-" + "0" * 64 + ".sig")[1]
    'sig'
    """
    name, _, suffix = tag.partition(".")
    digest = name.replace("-", ":", 1)
    return (Digest(digest), suffix) if is_digest(digest) else None


def referrers_tag(subject: Digest) -> str:
    """The tag of the list of referrers: algorithm and at most 64 characters of the digest."""
    return f"{algorithm_of(subject)}-{hex_of(subject)[:64]}"


def attached(raw: bytes, root: Descriptor, *, what: str, kind: Kind | None = None) -> Attached:
    """What the manifest in ``raw`` is. ``kind`` is what its tag says already.

    A type that is no short printable text counts as none. Raises what
    :func:`bundler.oci.manifest.parse_manifest` raises.
    """
    manifest = parse_manifest(raw, root.media_type, what=what)
    config = "" if manifest.config is None else manifest.config.media_type
    artifact_type = _printable(manifest.artifact_type) or ("" if config in _CONFIGS else _printable(config))
    own = Fields(loads(raw, what=what), what=what).text_map("annotations")
    said = [
        each.get(name, "") for each in (own, *(layer.annotations for layer in manifest.layers)) for name in _PREDICATES
    ]
    predicates = tuple(sorted({_printable(text) for text in said} - {""}))[:_MAX_PREDICATES]
    subject = None if manifest.subject is None else manifest.subject.digest
    types = (artifact_type, *(layer.media_type for layer in manifest.layers))
    return Attached(kind or _kind(types, predicates), artifact_type, predicates, subject)


def listed(entry: Descriptor) -> Attached:
    """The same by what a list of referrers says, for manifests that are not looked into."""
    artifact_type = _printable(entry.artifact_type)
    predicate = _printable(entry.annotations.get(_BUNDLE_PREDICATE, ""))
    predicates = (predicate,) if predicate else ()
    return Attached(_kind((artifact_type,), predicates), artifact_type, predicates)


def _kind(types: tuple[str, ...], predicates: tuple[str, ...]) -> Kind:
    for text in _lowered(types):
        if text.startswith(SIGSTORE_BUNDLE):
            return "attestation" if set(predicates) - {SIGNED_BY_COSIGN} else "signature"
        if text.startswith(_SIGNATURES):
            return "signature"
        if text.startswith(_ATTESTATIONS):
            return "attestation"
        if any(word in text for word in _BILLS):
            return "sbom"
    return "other"


def _lowered(types: tuple[str, ...]) -> Iterator[str]:
    return (text.lower() for text in types if text)


def _printable(text: str) -> str:
    return text if text.isprintable() and len(text) <= _MAX_TYPE else ""
