"""What an image must have. A requirement is a tree: five kinds of leaves, joined by ``all`` and ``any``.

AllOf((Cosign(keys), Attested("spdx", …, keys)))         a signature, and an SBOM by a key
Nothing()                                                said out loud; there is no requirement that is merely absent
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bundler.trust.images.identity import Identity
from bundler.trust.keys import PublicKey

PREDICATES: dict[str, tuple[str, ...]] = {
    "slsa-provenance": ("https://slsa.dev/provenance",),
    "spdx": ("https://spdx.dev/Document",),
    "cyclonedx": ("https://cyclonedx.org/bom", "https://cyclonedx.org/schema"),
}
"""Short names of predicate types; a version may follow each, ``/v1`` or ``/v2.3``."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Everything is let in."""

    def __str__(self) -> str:
        return "nothing"


@dataclass(frozen=True, slots=True)
class Cosign:
    """cosign signatures by ``threshold`` of the keys."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1
    identity: Identity = field(default=Identity("matchRepository"))

    def __str__(self) -> str:
        return f"cosign signature by {_keys(self.keys, self.threshold)}, {self.identity}"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose certificate: the exact name in it, or a pattern (RE2) of the whole name."""

    text: str
    is_pattern: bool = False

    def __str__(self) -> str:
        return f"/{self.text}/" if self.is_pattern else self.text


@dataclass(frozen=True, slots=True)
class Sigstore:
    """A sigstore signature under a certificate, or with ``predicate_type`` an attestation under one.

    ``trusted_root`` is the bytes of a trusted root file. ``identity`` is about signatures alone.
    """

    issuer: str
    subject: Subject
    trusted_root: bytes = field(repr=False)
    predicate_type: str = ""
    identity: Identity = field(default=Identity("any"))

    def __str__(self) -> str:
        what = f"sigstore attestation {self.predicate_type}" if self.predicate_type else "sigstore signature"
        name = "" if self.identity.type == "any" else f", {self.identity}"
        return f"{what} by {self.subject} ({self.issuer}){name}"


@dataclass(frozen=True, slots=True)
class Attested:
    """An in-toto attestation of a predicate type, by ``threshold`` of the keys."""

    predicate_type: str
    keys: tuple[PublicKey, ...]
    threshold: int = 1

    def __str__(self) -> str:
        return f"attestation {self.predicate_type} by {_keys(self.keys, self.threshold)}"


@dataclass(frozen=True, slots=True)
class Gpg:
    """A GPG simple signature by a key of one of the key files, whose bytes these are."""

    keys: tuple[bytes, ...] = field(repr=False)
    identity: Identity
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"GPG signature by a key of {', '.join(self.names)}, {self.identity}"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of several."""

    parts: tuple[Requirement, ...]

    def __str__(self) -> str:
        return f"all of ({'; '.join(map(str, self.parts))})"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several."""

    parts: tuple[Requirement, ...]

    def __str__(self) -> str:
        return f"any of ({'; '.join(map(str, self.parts))})"


Leaf = Nothing | Cosign | Sigstore | Attested | Gpg
Requirement = Leaf | AllOf | AnyOf


def is_of_type(predicate_type: str, wanted: str) -> bool:
    """Whether a predicate type is the wanted one: a short name of :data:`PREDICATES`, or a URI to be met exactly."""
    if wanted not in PREDICATES:
        return predicate_type == wanted
    for prefix in PREDICATES[wanted]:
        rest = predicate_type.removeprefix(prefix)
        if rest == "" or (rest != predicate_type and rest.startswith("/v") and set(rest[2:]) <= set("0123456789.")):
            return True
    return False


def _keys(keys: tuple[PublicKey, ...], threshold: int) -> str:
    names = ", ".join(key.short_id for key in keys)
    if len(keys) == 1:
        return f"key {names}"
    return f"{threshold} of the keys {names}"
