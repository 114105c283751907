"""Places for many images, for `push` and `sync`, opened by their names.

docker://registry.local:5000/site     a repository each, below a prefix
oci:DIR, docker-archive:all.tar, …    full names, in one place
dir:BASE                              a directory each
"""

from __future__ import annotations

from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.journey.destination import Destination
from bundler.journey.destination_files import in_archive, in_folders, in_layout
from bundler.journey.destination_registry import at_registry
from bundler.journey.ends import Ends, split_of
from bundler.oci.reference import split_transport

_PLACELESS = ("docker-daemon", "containers-storage")
"""Transports with one place, which need not be said."""


def open_destination(place: str, ends: Ends, *, option: str = "--to") -> Destination:
    """The destination that the operator named; nothing is made before it is at work.

    Raises :class:`ConfigError` where the name is of one image.
    """
    transport, rest = split_transport(place)
    what = f"{option} {quoted(place)!r}"
    if transport == "docker":
        return at_registry(what, rest, ends)
    where, name = ("", "") if transport in _PLACELESS and not rest else split_of(transport)(rest)
    if name:
        raise ConfigError(f"{what}: names an image, and each image has its own name", hint=f"{transport}:{where}")
    if transport == "oci" and ends.access.shared_blob_dir is None:
        return in_layout(place, where)
    if transport == "dir":
        return in_folders(place, where, ends)
    if transport == "bundle":
        raise UnsupportedError(f"{what}: bundles are made by `bundler pack` or `bundler build`")
    return in_archive(place, transport, where, ends)
