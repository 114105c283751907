"""``bundle:OUT[:name]``: a bundle's directory as a source of images, once it passed the gate.

What a bundle's name stands for is its target (``library/nginx:1.27``), its full name or its digest. The bundle's own
signatures are checked when it is opened. An image is whole, and has what the site's policy says it must have, before its
name is told: whoever never asked for it by name reads nothing of it but by digest.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.unpack import Volumes
from bundler.bundle.volume import repository_of
from bundler.errors import ConfigError, NotFoundError, quoted
from bundler.journey.gate import Findings, admit, judge_images

if TYPE_CHECKING:
    from bundler.bundle.statement import CarriedImage
    from bundler.journey.demand import Demand
    from bundler.oci.descriptor import Descriptor
    from bundler.oci.digest import Digest
    from bundler.trust.policy import TrustPolicy
    from bundler.trust.verify import Trusted


class Bundle(Volumes):
    """The volumes, with what a source of single images needs besides. Safe to use from many threads."""

    def __init__(self, directory: Path, trusted: Trusted, demand: Demand, rules: TrustPolicy | None) -> None:
        super().__init__(directory, trusted)
        self._trusted, self._demand, self._rules = trusted, demand, rules
        self._sizes = super().sizes
        self._judging = threading.Lock()
        self._let_in: set[tuple[str, str]] = set()

    @property
    def sizes(self) -> Mapping[Digest, int]:
        """As of the volumes, counted once: images are judged one by one."""
        return self._sizes

    def resolve(self, name: str = "") -> Descriptor:
        """The root of an image that the policy lets in; without a name, of the only one.

        Raises :class:`NotFoundError`, and :class:`bundler.errors.PolicyError` for an image that is refused.
        """
        images = self.statement.images
        if name:
            root = super().resolve(name)
            images = tuple(
                image
                for image in images
                if name in (image.target, image.name, image.root.digest) and image.root == root
            )
        elif len(images) != 1:
            listed = ", ".join(quoted(image.target) for image in images[:20])
            raise NotFoundError(
                f"the bundle holds {len(images)} images, so one must be named", hint=f"give one of {listed}"
            )
        self._judge(images)
        return images[0].root

    def tags(self) -> list[str]:
        """The targets of its images."""
        return [image.target for image in self.statement.images]

    def images(self) -> list[tuple[str, Descriptor]]:
        """Every image by its full name, and what is attached to it, called as beside it in its repository."""
        found: list[tuple[str, Descriptor]] = []
        for image in self.statement.images:
            found.append((image.name, image.root))
            beside = repository_of(image.name)
            found += [(f"{beside}:{each.tag}" if each.tag else "", each.root) for each in image.attachments]
        return found

    def _judge(self, images: Sequence[CarriedImage]) -> None:
        """Steps 3 and 4 of the gate for some images, each once."""
        with self._judging:
            fresh = [image for image in images if (image.name, image.target) not in self._let_in]
            if self._rules is None or not fresh:
                return
            findings = Findings(trusted=self._trusted, volumes=self, rules=self._rules)
            judge_images(fresh, self._demand, findings=findings)
            self._let_in.update((image.name, image.target) for image in fresh)


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
    findings = Findings()
    trusted = admit(directory, demand, findings=findings)
    return Bundle(directory, trusted, demand, findings.rules)
