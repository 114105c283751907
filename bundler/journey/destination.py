"""What a place for many images is: each kind says where an image's repository and tag are found there.

Kinds: :mod:`bundler.journey.destination_registry`, :mod:`bundler.journey.destination_files`;
:func:`bundler.journey.destinations.open_destination` knows which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bundler.content import Target
from bundler.medium import Holds, Signable
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.push import Shipment


class Destination(Protocol):
    """A place for many images.

    ``name`` is how receipts and messages call it, ``prefix`` goes before each repository, and ``colons`` says whether a
    path may hold one, as that of a registry with a port does. ``by_digest`` says that what is removed goes with all its
    names.
    """

    name: str
    prefix: str
    colons: bool
    by_digest: bool

    def at_work(self) -> AbstractContextManager[None]:
        """While this lasts, images may be written; what was is committed when it ends well."""
        ...

    def holds(self) -> Holds:
        """What can be kept there as it is; asked while at work."""
        ...

    def berth(self, load: Shipment) -> Shipment:
        """The same image, with what :meth:`target` is to be asked for and what the target is to tag."""
        ...

    def target(self, key: str) -> Target:
        """The target for a key; asked while at work."""
        ...

    def keeper(self, load: Shipment) -> Signable | None:
        """What keeps an image's signatures, if anything there does; asked while at work."""
        ...

    def keep(self, roots: Iterable[tuple[str, Descriptor]]) -> None:
        """Keep what has no tag, given as repository and root; done while at work."""
        ...

    def found(self, load: Shipment) -> Digest | None:
        """What that name stands for there now, without writing anything."""
        ...

    def listed(self, repository: str) -> list[Held]:
        """What is there in a repository. Raises :class:`UnsupportedError` where that can't be told."""
        ...

    def has_all(self, load: Shipment, root: Descriptor, chosen: frozenset[Digest] | None) -> bool:
        """Whether everything that ``root`` needs is there, ``chosen`` limiting the images of an index."""
        ...

    def reached(self, repository: str, roots: Iterable[Digest]) -> set[Digest]:
        """The manifests there that can't be removed without breaking one of ``roots``, these included."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """An image at a destination, by its name there; ``remove`` drops it."""

    name: str
    digest: Digest
    remove: Callable[[], None] = field(repr=False, compare=False)


def signable(target: Target) -> Signable | None:
    """The target itself if it keeps signatures."""
    return target if isinstance(target, Signable) else None
