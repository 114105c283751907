"""What a receipt says of names: which image of which registry is where now, and what no mirror can lead to.

Images of layouts and archives have no old name to be found under; tags that changed, and digests that did, are beyond
what any runtime's configuration can say. All of that is told in notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from bundler.bundle.members import line_in
from bundler.errors import BundlerError, ConfigError, quoted
from bundler.mirrors.mapping import Moved, Rule, rules_for
from bundler.oci.digest import Digest, is_digest
from bundler.oci.reference import DOCKER_HUB, Reference, parse_reference, split_transport
from bundler.oci.strict_json import Fields, loads
from bundler.push.receipt import KIND

CAP = 64 << 20


@dataclass(frozen=True)
class Moves:
    """The images that have an old name at a registry, by the ``far`` one that has them now.

    ``name`` is the bundle's; ``notes`` say what can't be found under its old name.
    """

    name: str
    far: str
    images: tuple[Moved, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """See :func:`bundler.mirrors.mapping.rules_for`."""
        return rules_for(self.images)

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The registries of the old names, sorted."""
        return tuple(sorted({image.host for image in self.images}))

    def of(self, host: str) -> tuple[Moved, ...]:
        """The images of one registry."""
        return tuple(image for image in self.images if image.host == host)


def read_moves(raw: bytes, what: str) -> Moves:
    """The moves of a receipt. Raises :class:`ConfigError` if it is none, or its images are at no registry."""
    fields = Fields(loads(raw, what=what, cap=CAP, error=_damaged), what=what, error=_damaged)
    if fields.text("kind") != KIND:
        raise fields.fail("kind", f"is {quoted(fields.text('kind'))!r}, not {KIND}")
    transport, place = split_transport(fields.text("destination"))
    if transport != "docker":
        raise ConfigError(
            f"{what}: the images were pushed to {quoted(fields.text('destination'))}, which is no registry",
            hint="push them to one with --receipt, and give that receipt",
        )
    far = _far(place.partition("/")[0], what)
    images: list[Moved] = []
    notes: list[str] = []
    for image in fields.each("images"):
        name, reference = image.text("name"), image.text("reference")
        there = _there(reference, far, what)
        digest = image.text("digest")
        if not is_digest(digest):
            raise image.fail("digest", "is no digest")
        if split_transport(name)[0] != "docker":
            notes.append(f"{quoted(name)}: came from no registry; it is {reference}")
            continue
        origin = parse_reference(split_transport(name)[1], what=what, default_tag="")
        notes += _lost(origin, there, Digest(digest), reference)
        if (origin.registry, origin.repository) != (far, there.repository):
            tag = origin.tag if origin.tag == there.tag else ""
            images.append(Moved(origin.registry, origin.repository, tag, there.repository, Digest(digest)))
    return Moves(line_in(fields, "name"), far, tuple(images), tuple(dict.fromkeys(notes)))


def _lost(origin: Reference, there: Reference, digest: Digest, reference: str) -> Iterator[str]:
    """What an image can't be found by any more."""
    if origin.tag and origin.tag != there.tag:
        now = f"has the tag {there.tag}" if there.tag else "has no tag"
        yield f"{origin.name}:{origin.tag}: {now} there, which mirrors can't tell; it is {reference}"
    if origin.digest and origin.digest != digest:
        yield f"{origin.name}@{origin.digest}: its digest changed to {digest}; ask for it by tag, or by that"


def _far(host: str, what: str) -> str:
    # A bare name is a registry here, which a colon tells the parser.
    bare = ":" not in host.rpartition("]")[2]
    return parse_reference(f"{host}:443/x" if bare else f"{host}/x", what=what).registry.removesuffix(
        ":443" if bare else ""
    )


def _there(reference: str, far: str, what: str) -> Reference:
    if not reference.startswith(f"{far}/"):
        raise ConfigError(f"{what}: {quoted(reference)!r} is not at {far}, where the images were pushed to")
    return parse_reference(f"far.invalid{reference[len(far) :]}", what=what, default_tag="")


def _damaged(message: str) -> BundlerError:
    return ConfigError(message, hint="give a file that `bundler push --receipt` wrote")


def summary(images: Iterable[Moved], far: str, *, most: int = 3) -> str:
    """Some images, with where they are, for a note."""
    names = list(dict.fromkeys((image.name, image.far) for image in images))
    some = ", ".join(f"{name} is {far}/{there}" for name, there in names[:most])
    return some if len(names) <= most else f"{some}, and {len(names) - most} more"


def upstream(host: str) -> str:
    """The host that answers for a registry."""
    return f"https://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
