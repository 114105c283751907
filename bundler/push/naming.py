"""Where each image goes at the far registry: prefix, origin host, renames and the choice of some.

target in the bundle       library/nginx:1.27
--map library=mirror       mirror/nginx:1.27
--scoped                   docker.io/library/nginx:1.27      (renames look at the name without the host)
docker://far:5000/site     site/library/nginx:1.27
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, NotFoundError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import check_repository, parse_reference, split_transport

if TYPE_CHECKING:
    from bundler.bundle.statement import CarriedImage


@dataclass(frozen=True, slots=True)
class Shipment:
    """One root on its way: ``repository`` and ``tag`` at the destination.

    ``tag`` is None if the root is known by its digest only, and empty where a place holds one image without a name.
    ``origin`` is a repository at the destination from which contents may be mounted. ``chosen`` are the children that a
    sparse index is carried with, None for all. An image's attachments travel as shipments of their own, ``attached``, to
    the image's repository; ``subject`` is what such a one is about, if the bundle says so.
    """

    source: str
    root: Descriptor
    repository: str
    tag: str | None
    chosen: frozenset[Digest] | None = None
    attached: bool = False
    origin: str = ""
    subject: Digest | None = None

    @property
    def name(self) -> str:
        """``repository:tag`` or ``repository@digest``."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.root.digest}"


def shipments(
    images: Iterable[CarriedImage],
    *,
    prefix: str = "",
    scoped: bool = False,
    renames: Mapping[str, str] | None = None,
    patterns: Sequence[str] = (),
) -> tuple[Shipment, ...]:
    """The destination of every image, or of those that match one of ``patterns`` (shell style, on name or target).

    Raises :class:`NotFoundError` for a pattern that matches nothing and :class:`ConfigError` for two images, or one with
    other platforms, that would get the same name, or for a name that the grammar does not allow.
    """
    images = tuple(images)
    chosen = matching(images, patterns) if patterns else images
    found: dict[str, Shipment] = {}
    for image in chosen:
        for shipment in _shipments(image, prefix, scoped=scoped, renames=renames or {}):
            other = found.setdefault(shipment.name, shipment)
            if (other.root.digest, other.chosen) != (shipment.root.digest, shipment.chosen):
                raise ConfigError(
                    f"{quoted(other.source)} and {quoted(image.name)} would both become {shipment.name}",
                    hint="use --scoped, --map, or `as:` in the manifest to keep them apart",
                )
    return tuple(found.values())


def matching(images: Sequence[CarriedImage], patterns: Sequence[str]) -> list[CarriedImage]:
    """The images that match one of ``patterns``; :class:`NotFoundError` for a pattern that matches nothing."""
    taken: set[str] = set()
    for pattern in patterns:
        matches = [
            image
            for image in images
            if any(fnmatch.fnmatchcase(name, _bare(pattern)) for name in (image.name, image.target))
        ]
        if not matches:
            known = ", ".join(quoted(image.target) for image in images[:20])
            raise NotFoundError(f"--image {quoted(pattern)}: matches no image", hint=f"the bundle holds {known}")
        taken.update(image.target for image in matches)
    return [image for image in images if image.target in taken]


def _bare(pattern: str) -> str:
    """Without the transport that names in a bundle don't show."""
    return pattern.removeprefix("docker://")


def landing(
    image: CarriedImage, *, prefix: str = "", scoped: bool = False, renames: Mapping[str, str] | None = None
) -> str:
    """What an image is called at its destination: its target, after the names were rewritten as for :func:`shipments`."""
    repository = _repository(image, prefix, scoped=scoped, renames=renames or {})
    return repository + image.target[len(_split(image)[0]) :]


def _split(image: CarriedImage) -> tuple[str, str]:
    repository, _, tag = image.target.partition("@")[0].partition(":")
    return repository, tag


def _repository(image: CarriedImage, prefix: str, *, scoped: bool, renames: Mapping[str, str]) -> str:
    repository = _renamed(_split(image)[0], renames)
    if scoped:
        repository = f"{_host(image.name)}/{repository}"
    if prefix:
        repository = f"{prefix.strip('/')}/{repository}"
    return check_repository(repository, what=f"{quoted(image.name)}: its name at the destination")


def _shipments(image: CarriedImage, prefix: str, *, scoped: bool, renames: Mapping[str, str]) -> Iterator[Shipment]:
    repository, tag = _repository(image, prefix, scoped=scoped, renames=renames), _split(image)[1]
    chosen = None if image.children is None else frozenset(image.children)
    yield Shipment(image.name, image.root, repository, tag or None, chosen)
    for attachment in image.attachments:
        yield Shipment(
            image.name, attachment.root, repository, attachment.tag or None, attached=True, subject=attachment.subject
        )


def _renamed(repository: str, renames: Mapping[str, str]) -> str:
    """``repository`` with its longest leading path that has a rename replaced."""
    parts = repository.split("/")
    for end in range(len(parts), 0, -1):
        new = renames.get("/".join(parts[:end]))
        if new is not None:
            return "/".join([part for part in (new.strip("/"), *parts[end:]) if part])
    return repository


def _host(name: str) -> str:
    """The origin's host as a path part; a port's colon, which a path can't hold, becomes a dash."""
    transport, rest = split_transport(name)
    return parse_reference(rest).registry.replace(":", "-").lower() if transport == "docker" else transport


def parse_renames(texts: Iterable[str]) -> dict[str, str]:
    """``FROM=TO`` options as a mapping."""
    renames: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not old.strip("/"):
            raise ConfigError(f"--map {quoted(text)!r}: must be FROM=TO", hint="for example --map library=mirror/hub")
        renames[old.strip("/")] = new
    return renames
