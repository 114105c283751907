"""Which children of an index are carried, and what the name points at then.

    wanted            index is …   the name points at            carried
    all               —            the index, untouched          every child
    one platform      sparse/strip that image's own manifest     it alone, without its attestation
    several           sparse       the index, untouched          the chosen children
    several           strip        a new index                   the chosen children
    any               keep         the index, untouched          every child

If what is wanted turns out to be every image of the index, the index is carried whole. Attestation manifests as BuildKit
writes them (platform ``unknown/unknown``, an annotation naming the manifest that they are about) go with that manifest.
A platform that is not there is an error which names those that are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bundler.errors import ConfigError, NotFoundError, ProtocolError, quoted
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest
from bundler.oci.platform import Platform, normalised
from bundler.oci.strict_json import Fields, canonical, loads
from bundler.selection.wishes import IndexMode

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"

Shape = Literal["manifest", "single", "keep", "sparse", "strip"]
"""``manifest``: upstream is no index. ``single``: one child stands for the index. The others as in ``index:``."""
SHAPES: tuple[Shape, ...] = ("manifest", "single", "keep", "sparse", "strip")


@dataclass(frozen=True, slots=True)
class Choice:
    """``children`` to carry, in the index's order; with ``single`` there is one, and it becomes the root."""

    shape: Shape
    children: tuple[Descriptor, ...]


def choose(index: Manifest, wanted: Sequence[Platform] | None, mode: IndexMode, *, what: str) -> Choice:
    """The children of ``index`` that ``wanted`` (``None`` for all) and ``mode`` mean.

    Raises :class:`NotFoundError` for a platform that the index has no image for, whatever the mode.
    """
    images = [child for child in index.manifests if not is_attestation(child)]
    chosen: set[Digest] = set()
    for platform in wanted or ():
        matching = [child for child in images if child.platform is not None and child.platform.offers(platform)]
        if not matching:
            raise _missing(platform, images, what)
        chosen.update(child.digest for child in matching)
    if wanted is None or mode == "keep":
        return Choice("keep", index.manifests)
    if len(wanted) == len(chosen) == 1:
        return Choice("single", tuple(child for child in images if child.digest in chosen)[:1])
    if all(child.digest in chosen for child in images):
        return Choice("keep", index.manifests)
    carried = tuple(
        child
        for child in index.manifests
        if child.digest in chosen or (is_attestation(child) and child.annotations.get(REFERENCE_DIGEST) in chosen)
    )
    return Choice("strip" if mode == "strip" else "sparse", carried)


def is_attestation(child: Descriptor) -> bool:
    """Whether a child of an index is about another child, rather than an image of its own."""
    return REFERENCE_DIGEST in child.annotations and child.annotations.get(REFERENCE_TYPE) == "attestation-manifest"


def _missing(platform: Platform, images: Sequence[Descriptor], what: str) -> NotFoundError:
    there = sorted({_shown(child.platform) for child in images if child.platform is not None})
    listed = f"there are {', '.join(there)}" if there else "its index names no platforms"
    return NotFoundError(
        f"{what}: has no image for {platform}; {listed}", hint="change `platforms` for this image, or write `all`"
    )


def _shown(platform: Platform) -> str:
    version = f" ({quoted(platform.os_version, 40)})" if platform.os_version else ""
    return quoted(str(platform), 80) + version


def strip(raw: bytes, keep: Collection[Digest], *, what: str) -> bytes:
    """A new index that lists only the children in ``keep``: everything else stays, written as canonical JSON.

    The bytes depend on ``raw`` and ``keep`` alone. Raises :class:`ProtocolError` if a digest in ``keep`` is not listed.
    """
    document: dict[str, Any] = loads(raw, what=what)
    listed = Fields(document, what=what).objects("manifests")
    digests = [child.text("digest") for child in listed]
    absent = sorted(set(keep) - set(digests))
    if absent or not keep:
        raise ProtocolError(f"{what}: does not list {absent[0] if absent else 'anything that is to be kept'}")
    pairs = zip(document["manifests"], digests, strict=True)
    return canonical({**document, "manifests": [child for child, digest in pairs if digest in keep]})


def config_platform(config: bytes, *, what: str) -> Platform | None:
    """The platform that an image's config states (image-spec 1.1, config.md), or ``None`` if it states none."""
    fields = Fields(loads(config, what=what), what=what)
    if not ("os" in fields and fields.text("os") and "architecture" in fields and fields.text("architecture")):
        return None
    return normalised(
        fields.text("os"),
        fields.text("architecture"),
        fields.text("variant") if "variant" in fields else "",
        os_version=fields.text("os.version") if "os.version" in fields else "",
    )


def check_config(config: bytes, wanted: Sequence[Platform] | None, *, what: str) -> Platform | None:
    """The platform of an image without an index, if it is one of ``wanted``; else :class:`ConfigError`.

    For image configs only: an artifact has no platform and is not asked.
    """
    platform = config_platform(config, what=what)
    if wanted is None:
        return platform
    if platform is None:
        raise ConfigError(
            f"{what}: does not say which platform it is for", hint="write `platforms: all` for this image"
        )
    # A config may leave the variant out that its image needs; an index would not.
    if any(platform.offers(wish) for wish in wanted):
        return platform
    asked = ", ".join(str(wish) for wish in wanted)
    raise NotFoundError(
        f"{what}: is for {_shown(platform)} only, not for {asked}",
        hint="change `platforms` for this image, or write `all`",
    )
