"""Which name a signature may give: a digest says which image it is, and the signed docker-reference what it was called.

A signature under another name is as good as none: it would let whoever can write a tag pass one signed image off as
another. The rules are those of containers-policy.json(5), and ``any``, cosign's own, by which the digest alone decides.

    matchRepository          same repository, whatever the tag
    matchExact               same name and tag
    matchRepoDigestOrExact   same name and tag; same repository if the image was asked for by digest
    exactReference           the given name and tag
    exactRepository          any tag of the given repository
    remapIdentity            matchRepoDigestOrExact, after a mirror's prefix was replaced by the signer's
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import Reference, parse_reference, split_transport

IdentityType = Literal[
    "any",
    "matchRepository",
    "matchExact",
    "matchRepoDigestOrExact",
    "exactReference",
    "exactRepository",
    "remapIdentity",
]
BARE: tuple[IdentityType, ...] = ("any", "matchRepository", "matchExact", "matchRepoDigestOrExact")
"""Those that need no further word."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A rule; ``name`` is the given one, or the signer's prefix of a remapping, and ``prefix`` the mirror's."""

    type: IdentityType
    name: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        match self.type:
            case "remapIdentity":
                return f"remapIdentity {self.prefix} → {self.name}"
            case "exactReference" | "exactRepository":
                return f"{self.type} {self.name}"
        return self.type

    def problem(self, signed: str, image: str) -> str:
        """Why a signature that names ``signed`` isn't one of ``image``, its full name; empty if it is."""
        if self.type == "any":
            return ""
        if not signed:
            return f"names no image, and {self} wants a name; `identity: any` would let the digest alone decide"
        try:
            said = parse_reference(signed, what="signed name", default_tag="")
        except ConfigError:
            return f"{quoted(signed)!r} is not an image name"
        if self.type in ("exactReference", "exactRepository"):
            given = parse_reference(self.name, default_tag="")
            fits = said == given if self.type == "exactReference" else said.name == given.name
        else:
            wanted = wanted_name(self._remapped(image) if self.type == "remapIdentity" else image)
            if wanted is None:
                return f"{quoted(image)!r} is no name at a registry to compare {quoted(signed)!r} with"
            fits = self._fits(said, wanted)
        return "" if fits else f"is of {quoted(signed)!r}, which {self} does not take for {quoted(image)!r}"

    def _fits(self, said: Reference, wanted: Reference) -> bool:
        if said.name != wanted.name:
            return False
        if self.type == "matchRepository":
            return True
        if wanted.tag:
            return said.tag == wanted.tag and said.digest in (None, wanted.digest)
        return bool(said.identifier) and (self.type != "matchExact" or said.digest == wanted.digest)

    def _remapped(self, image: str) -> str:
        """The image's name with the mirror's prefix replaced, where it has it as a whole component."""
        rest = image[len(self.prefix) :]
        if image.startswith(self.prefix) and (not rest or rest[0] in ":/@" or self.prefix.endswith("/")):
            return self.name + rest
        return image


def wanted_name(image: str) -> Reference | None:
    """An image's full name as a reference; None for one out of a file."""
    try:
        transport, rest = split_transport(image)
        return parse_reference(rest) if transport == "docker" else None
    except ConfigError:
        return None
