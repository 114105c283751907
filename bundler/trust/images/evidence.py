"""What is attached to an image, and what was found of it.

One ``Evidence`` is one layer of an attached manifest: a signature's payload, an envelope, a bundle, a GPG message. What
it is about is decided by what is signed in it, never by the tag or the manifest that brought it; ``subject`` is only
what these claim. One ``Found`` is what the report says of it.

    sha256-….sig      → simple signing payload, signature in an annotation     cosign
    sha256-….att      → DSSE envelope                                          attestation
    subject: sha256…  → sigstore bundle v0.3; a GPG message                    bundle, gpg
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bundler.oci.digest import Digest
from bundler.oci.simple_signatures import SIGNATURE_TYPE

Kind = Literal["cosign", "attestation", "bundle", "gpg", "other"]
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
GPG = SIGNATURE_TYPE
BUNDLE = "application/vnd.dev.sigstore.bundle"

_KINDS: Mapping[str, Kind] = {SIMPLE_SIGNING: "cosign", DSSE: "attestation", GPG: "gpg"}
CAPS: Mapping[Kind, int] = {"cosign": 1 << 16, "attestation": 16 << 20, "bundle": 16 << 20, "gpg": 1 << 20}
"""The most bytes of a content that is read, by its kind."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A layer of the attached manifest ``origin``; ``problem`` says why it could not be read, if so."""

    kind: Kind
    media_type: str
    content: bytes = field(repr=False)
    origin: Digest
    digest: Digest
    subject: Digest | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)
    problem: str = ""

    def found(self, **more: Any) -> Found:
        """What the report says of it."""
        return Found(self.kind, self.origin, self.digest, self.subject, **{"problem": self.problem, **more})


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one attached content.

    ``verified`` holds only where a rule asked for it and it held; ``by`` are then the keys' ids, the certificate's
    identity, or a GPG fingerprint. ``problem`` says what was wrong, and is empty for what nobody asked for.
    ``predicate_type`` is that of an attestation, and ``name`` the docker-reference that a signature gives. All texts are
    safe to print.
    """

    kind: Kind
    origin: Digest
    digest: Digest
    subject: Digest | None
    verified: bool = False
    by: tuple[str, ...] = ()
    predicate_type: str = ""
    name: str = ""
    problem: str = ""

    def spoilt(self, problem: str) -> Found:
        """The same, not good enough after all."""
        return replace(self, verified=False, problem=problem)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "manifest": self.origin,
            "digest": self.digest,
            "subject": self.subject,
            "verified": self.verified,
            "by": list(self.by),
            "predicateType": self.predicate_type or None,
            "name": self.name or None,
            "problem": self.problem or None,
        }


def kind_of(media_type: str) -> Kind:
    """What a layer of this media type is."""
    if media_type.startswith(BUNDLE):
        return "bundle"
    return _KINDS.get(media_type, "other")
