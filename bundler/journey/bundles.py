"""``bundle:OUT[:name]``: a bundle's directory as a source of images, once its signature held.

What a bundle's name stands for is its target (``library/nginx:1.27``), its full name or its digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.unpack import Volumes
from bundler.errors import ConfigError, NotFoundError, quoted

if TYPE_CHECKING:
    from bundler.journey.demand import Demand
    from bundler.oci.descriptor import Descriptor


class Bundle(Volumes):
    """The volumes, with what a source of single images needs besides."""

    def resolve(self, name: str = "") -> Descriptor:
        """The root of an image; without a name, of the only one."""
        if name:
            return super().resolve(name)
        images = self.statement.images
        if len(images) != 1:
            listed = ", ".join(quoted(image.target) for image in images[:20])
            raise NotFoundError(
                f"the bundle holds {len(images)} images, so one must be named", hint=f"give one of {listed}"
            )
        return images[0].root

    def tags(self) -> list[str]:
        """The targets of its images."""
        return [image.target for image in self.statement.images]


def split(rest: str) -> tuple[str, str]:
    """``(directory, name)`` of what follows ``bundle:``."""
    place, _, name = rest.partition(":")
    if not place:
        raise ConfigError(f"bundle:{quoted(rest)}: names no directory", hint="write bundle:DIRECTORY[:NAME]")
    return place, name


def open_bundle(directory: Path, demand: Demand | None) -> Bundle:
    """The bundle, if it satisfies the demand. Raises :class:`ConfigError` where none was made."""
    if demand is None:
        raise ConfigError(
            f"bundle:{quoted(str(directory))}: nothing says whose bundles to trust",
            hint="give --bundle-key with the builder's public key, or --unsafe-no-signature",
        )
    return Bundle(directory, demand.trust(directory))
