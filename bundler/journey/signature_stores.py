"""Where the simple signatures of an image to be carried are kept: in a lookaside store, or in the image's own medium.

Unlike what a copy looks at (:mod:`bundler.journey.beside`), sigstore signatures are none of these: they lie in the
repository itself, and travel as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.content import Source
from bundler.medium import Signed
from bundler.oci.descriptor import Descriptor
from bundler.oci.reference import Reference, parse_reference, split_transport

if TYPE_CHECKING:
    from bundler.journey.ends import Ends
    from bundler.transports.docker.lookaside import Lookaside


@dataclass(frozen=True, slots=True)
class Stored:
    """The signatures of a registry's images that are known by ``reference``, out of the store that registries.d names."""

    reference: Reference
    lookaside: Lookaside

    def signatures(self, root: Descriptor) -> Sequence[bytes]:
        """Those of a manifest, in the store's order."""
        return self.lookaside.signatures(self.reference, root.digest)


def signatures_of(ends: Ends, image: str, source: Source) -> Signed | None:
    """What keeps the simple signatures of ``image``, read from ``source``: nothing where the medium keeps none."""
    transport, rest = split_transport(ends.meant(image))
    if transport == "docker":
        return Stored(parse_reference(rest), ends.rules.lookaside)
    return source if isinstance(source, Signed) else None
