"""What is kept beside a registry's images: simple signatures in a lookaside store, sigstore ones in the repository.

    Beside(reference, …)      Signed and Signable, as a dir: is
    ├── lookaside             BASE/team/app@sha256=HEX/signature-1
    └── attachments           registry.example/team/app:sha256-HEX.sig, where registries.d says use-sigstore-attachments

Two media keep signatures so, and none is the registry's own; so they are asked for by an image's name, and not of its
source. :func:`kept_by` is how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundler.content import Source, Target, read
from bundler.errors import UnsupportedError
from bundler.journey.attached_signatures import attach, attached
from bundler.medium import Signable, Signed
from bundler.oci import mediatype, schema1
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference, parse_reference, split_transport
from bundler.policy.blobs import is_attachment, is_simple

if TYPE_CHECKING:
    from bundler.journey.ends import Ends
    from bundler.transports.docker.lookaside import Lookaside
    from bundler.transports.docker.repository import Repository


@dataclass(frozen=True, slots=True)
class Beside:
    """The signatures of a registry's images that are known by ``reference``. ``source`` and ``target`` are its repository."""

    reference: Reference
    lookaside: Lookaside
    source: Source
    target: Repository | None = None

    def signatures(self, root: Descriptor) -> Sequence[bytes]:
        """Those of the lookaside store, then those that are attached."""
        digest = self._digest(root)
        found = self.lookaside.signatures(self.place, digest)
        if self._attaches:
            found += attached(self.source, digest)
        return found

    @property
    def place(self) -> Reference:
        """The name at the place that has the image: a mirror's, or the one that registries.conf puts in its stead."""
        return at_its_place(self.reference, self.source)

    def check(self, *, simple: bool, sigstore: bool) -> None:
        """Raise where signatures of these kinds can't be kept, before anything was written."""
        if simple:
            self.lookaside.check_writable(self.reference)
        if sigstore and not self._attaches:
            raise UnsupportedError(
                f"{self.reference}: sigstore signatures are not kept there, as registries.d does not say so",
                hint="set use-sigstore-attachments: true for it in registries.d, or copy with --remove-signatures",
            )

    def put_signatures(self, root: Descriptor, signatures: Sequence[bytes]) -> None:
        """Let the simple ones be all that the lookaside store has, and add the sigstore ones to what is attached."""
        assert self.target is not None
        digest = self._digest(root)
        simple = [blob for blob in signatures if is_simple(blob)]
        sigstore = [blob for blob in signatures if is_attachment(blob)]
        if simple:
            self.lookaside.put(self.reference, digest, simple)
        if sigstore:
            attach(self.target, digest, sigstore)

    @property
    def _attaches(self) -> bool:
        return self.lookaside.registries.attachments(self.place)

    def _digest(self, root: Descriptor) -> Digest:
        if root.media_type in mediatype.SCHEMA1:
            return schema1.digest(read(self.source, root), what=root.digest)
        return root.digest


def at_its_place(reference: Reference, source: Source) -> Reference:
    """The image's name at the repository that ``source`` reads, which registries.conf may have chosen.

    Signatures are looked for there, whereas a policy speaks of the name that was asked for.
    """
    from bundler.transports.docker.mirrored import Mirrored
    from bundler.transports.docker.repository import Repository

    name = reference.name
    if isinstance(source, Mirrored) and source.answered is not None:
        name = source.answered.name
    elif isinstance(source, Repository):
        name = source.name
    registry, _, repository = name.partition("/")
    return replace(reference, registry=registry, repository=repository)


def beside(ends: Ends, reference: Reference, source: Source) -> Beside:
    """What is kept beside an image that is read from ``source``."""
    return Beside(reference, ends.rules.lookaside, source)


def beside_target(ends: Ends, reference: Reference) -> Beside:
    """What is kept beside an image that is written to a registry."""
    repository = ends.repository(reference)
    return Beside(reference, ends.rules.lookaside, repository, repository)


def kept_by(ends: Ends, image: str, source: Source) -> Signed | None:
    """What keeps the signatures of ``image``, read from ``source``: nothing where the medium keeps none."""
    transport, rest = split_transport(ends.meant(image))
    if transport == "docker":
        return beside(ends, parse_reference(rest), source)
    return source if isinstance(source, Signed) else None


def keeper(ends: Ends, reference: Reference | None, target: Target) -> Signable | None:
    """What is to keep the signatures of an image that is written to ``target``, at a registry if it has a ``reference``."""
    if reference is not None:
        return beside_target(ends, reference)
    return target if isinstance(target, Signable) else None
