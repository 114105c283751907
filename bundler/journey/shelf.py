"""One repository's names in a medium that knows full names only: tag ``1.27`` becomes ``library/nginx:1.27`` there."""

from __future__ import annotations

from collections.abc import Iterable

from bundler.content import Buffer, Durable, Target
from bundler.errors import NotFoundError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import is_digest


class Shelf:
    """A target like the one below it, seen from a repository."""

    def __init__(self, below: Target, repository: str) -> None:
        self._below, self._repository = below, repository

    def has(self, want: Descriptor) -> bool:
        """Whether the medium holds ``want``."""
        return self._below.has(want)

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        """Store ``want``."""
        self._below.push(want, content)

    def flush(self) -> None:
        """Make what was pushed last, where the medium gathers writes."""
        if isinstance(self._below, Durable):
            self._below.flush()

    def resolve(self, name: str) -> Descriptor:
        """The root of ``repository:name``, or ``repository@name`` for a digest; nothing where names can't be looked up."""
        full = f"{self._repository}{'@' if is_digest(name) else ':'}{name}"
        images = getattr(self._below, "images", None)
        for known, root in images() if images is not None else ():
            if known == full:
                found: Descriptor = root
                return found
        raise NotFoundError(f"{full}: no such image here")

    def tag(self, name: str, root: Descriptor) -> None:
        """Name a root ``repository:name``."""
        self._below.tag(f"{self._repository}:{name}", root)
