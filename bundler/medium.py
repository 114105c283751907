"""What a medium can hold, and the further powers that some have; all found with ``isinstance``.

A registry or a layout takes any content. An archive for ``docker load`` takes one platform's image with plain layers; a
``dir:`` keeps signatures beside the manifest. :mod:`bundler.convert` makes an image fit, and says what it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from bundler.oci.descriptor import Descriptor

Format = Literal["oci", "v2s2"]
"""Of manifests: image-spec 1.1, or Docker's schema 2. An index is of a format too."""
Compression = Literal["none", "gzip", "zstd"]
"""Of layers."""

FORMATS: tuple[Format, ...] = ("oci", "v2s2")
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "zstd")


@dataclass(frozen=True, slots=True)
class Holds:
    """What can be kept as it is: ``formats`` of manifests, ``compressions`` of layers, indexes, artifacts.

    An artifact is a manifest whose config is no image's. ``medium`` names who says so, for messages.
    """

    medium: str = ""
    formats: frozenset[Format] = frozenset(FORMATS)
    compressions: frozenset[Compression] = frozenset(COMPRESSIONS)
    indexes: bool = True
    artifacts: bool = True


EVERYTHING = Holds()


@runtime_checkable
class Choosy(Protocol):
    """A target that can't hold everything."""

    @property
    def holds(self) -> Holds:
        """What it can."""
        ...


@runtime_checkable
class Remade(Protocol):
    """A source that makes up its manifests, as its medium keeps none: no digest of theirs is known anywhere else."""

    @property
    def remade(self) -> bool:
        """True."""
        ...


@runtime_checkable
class Listing(Protocol):
    """A source that lists all its roots, also those without a name: a layout's index, a bundle's statement."""

    def images(self) -> Iterable[tuple[str, Descriptor]]:
        """Every root with its name, which is empty if it has none."""
        ...


@runtime_checkable
class Peeking(Protocol):
    """A source that can tell what a name stands for without sending the manifest."""

    def peek(self, name: str) -> Descriptor:
        """As ``resolve``, on the medium's word alone."""
        ...


@runtime_checkable
class Signed(Protocol):
    """A source that keeps simple signatures (containers-signature(5)) beside its images."""

    def signatures(self, root: Descriptor) -> Sequence[bytes]:
        """The signatures of a manifest, each one OpenPGP message, in the medium's order."""
        ...


@runtime_checkable
class Signable(Protocol):
    """A target that keeps simple signatures."""

    def put_signatures(self, root: Descriptor, signatures: Sequence[bytes]) -> None:
        """Replace the signatures of a manifest that is there."""
        ...


@runtime_checkable
class Deleter(Protocol):
    """A medium that can drop an image."""

    def delete(self, root: Descriptor) -> None:
        """Drop the manifest, and every name that stands for it."""
        ...


@runtime_checkable
class Closing(Protocol):
    """A source that holds a process or a temporary file."""

    def close(self) -> None:
        """Give it back."""
        ...
