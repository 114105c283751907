"""The one image of an index that a machine takes: its own variant, else the best that it can also run.

    linux/arm/v7 runs v7, else v6, else v5; linux/amd64 runs any without a variant, linux/amd64/v3 also v2 and v1

As with the container tools, one marked as compressed with zstd comes before its like, then the first in the index's order.
Where none fits, an OCI index may list an image without a platform, which is for everyone.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundler.errors import NotFoundError, quoted
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.manifest import Manifest
from bundler.oci.platform import Platform
from bundler.selection.platforms import is_attestation

_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v9", "v8"), "amd64": ("v4", "v3", "v2", "v1")}
_ZSTD = "io.github.containers.compression.zstd"


def choose_instance(index: Manifest, wanted: Platform, *, what: str) -> Descriptor:
    """The child for ``wanted``. Raises :class:`NotFoundError` naming the platforms that there are."""
    images = [child for child in index.manifests if not is_attestation(child)]
    for platform in runnable(wanted):
        fitting = [child for child in images if child.platform is not None and child.platform.offers(platform)]
        if fitting:
            return _preferred(fitting)
    for_all = [child for child in images if child.platform is None and not child.artifact_type]
    if for_all and index.media_type == mediatype.OCI_INDEX:
        return _preferred(for_all)
    names = (quoted(str(child.platform)) for child in images if child.platform is not None)
    there = ", ".join(dict.fromkeys(names)) or "none with a platform"
    raise NotFoundError(
        f"{quoted(what)}: has no image for {wanted}; there are {there}",
        hint="choose one with --override-os, --override-arch and --override-variant, or take all with --all",
    )


def _preferred(fitting: list[Descriptor]) -> Descriptor:
    return next((child for child in fitting if child.annotations.get(_ZSTD) == "true"), fitting[0])


def runnable(wanted: Platform) -> Iterator[Platform]:
    """What a machine of the platform ``wanted`` can run, the best first."""
    yield wanted
    variants = _VARIANTS.get(wanted.architecture, ())
    later = variants[variants.index(wanted.variant) + 1 :] if wanted.variant in variants else ()
    for variant in (*later, ""):
        if variant != wanted.variant:
            yield Platform(wanted.os, wanted.architecture, variant, wanted.os_version)
