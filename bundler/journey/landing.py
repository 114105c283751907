"""One image's place at a destination, for `copy`: opened by its name, committed when the copy ends well.

with landing("docker-archive:app.tar:acme/app:1", ends) as place:
place.target.push(…)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from bundler.content import Target
from bundler.errors import UnsupportedError
from bundler.journey.ends import Ends, split_of
from bundler.medium import EVERYTHING, Choosy, Holds
from bundler.oci.reference import Reference, parse_reference, split_transport


@dataclass(frozen=True, slots=True)
class Landing:
    """One image's place: ``name`` is what its target calls it, and may be empty where one place holds one image.

    ``reference`` is the name at a registry, if it is one; ``transport`` how the place was given.
    """

    target: Target
    name: str
    transport: str
    reference: Reference | None = None

    @property
    def holds(self) -> Holds:
        """What can be kept there as it is."""
        return self.target.holds if isinstance(self.target, Choosy) else EVERYTHING


@contextmanager
def landing(image: str, ends: Ends) -> Iterator[Landing]:
    """The place of one image, given with its transport; what was written is committed when the block ends well."""
    transport, rest = split_transport(image)
    if transport == "docker":
        reference = parse_reference(rest)
        yield Landing(ends.repository(reference), reference.identifier, transport, reference)
        return
    place, name = split_of(transport)(rest)
    with open_target(transport, place, ends) as target:
        yield Landing(target, name, transport)


def open_target(transport: str, place: str, ends: Ends) -> AbstractContextManager[Target]:
    """A place of any transport but a registry, to write one image or many to."""
    tmp = ends.surroundings.tmp
    if transport == "oci":
        from bundler.transports import oci

        return oci.open_target(place, shared_blob_dir=ends.access.shared_blob_dir)
    if transport == "dir":
        from bundler.transports import dir as folder

        return folder.open_target(place)
    if transport == "oci-archive":
        from bundler.transports import oci_archive

        return oci_archive.open_target(place, tmp=tmp)
    if transport == "docker-archive":
        from bundler.transports import docker_archive

        return docker_archive.open_target(place, tmp=tmp)
    if transport == "docker-daemon":
        from bundler.transports import docker_daemon

        verify = ends.access.tls_verify is not False
        host = ends.access.daemon_host or place
        return docker_daemon.open_target(host, tmp=tmp, cert_dir=ends.access.cert_dir, tls_verify=verify)
    if transport == "containers-storage":
        from bundler.transports import containers_storage

        return containers_storage.open_target(place, tmp=tmp)
    raise UnsupportedError(
        f"{transport}: images can't be written to this transport",
        hint="a bundle is made by `bundler pack` or `bundler build`" if transport == "bundle" else None,
    )
