"""Asks ``policy.json`` before an image is copied: what is carried must be allowed in from where it comes.

Each image that is carried is judged by its own digest and signatures: of an index those images of it that are chosen, and
the index itself only where none of its images comes along. So do the programs that this file is written for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from bundler.content import Source, read
from bundler.errors import ConfigError, LimitError
from bundler.journey.beside import kept_by
from bundler.journey.fitting import Chosen
from bundler.oci import schema1
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import is_digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import SCHEMA1, is_index
from bundler.oci.reference import Reference, parse_reference, split_transport
from bundler.policy import Candidate, Place, docker_place, judge, named_place, path_place
from bundler.policy.places import PATHS, storage_place

if TYPE_CHECKING:
    from bundler.journey.ends import Ends
    from bundler.selection.lock import LockedImage

MOST_IMAGES = 10_000


def check_policy(ends: Ends, image: str, source: Source, chosen: Chosen) -> None:
    """Return if the policy lets in what was chosen of ``image``. Raises :class:`bundler.errors.PolicyError` otherwise."""
    policy = ends.rules.policy
    if policy is None:
        return
    place = place_of(ends, image)
    if policy.accepts_all(place):
        return
    for root in _carried(source, chosen):
        judge(policy, _candidate(ends, image, source, place, root), ends.rules.keys)


def check_locked(ends: Ends, images: Sequence[LockedImage], executor: Executor) -> None:
    """The same for all images of a lock, before any of them is fetched."""
    policy = ends.rules.policy
    if policy is None:
        return

    def check(image: LockedImage) -> None:
        if policy.accepts_all(place_of(ends, image.source)):
            return
        source = ends.locked(image.source, image.origin.digest)
        children = frozenset(child.digest for child in image.children) or None
        chosen = Chosen(image.root) if image.index == "single" else Chosen(image.origin, children)
        check_policy(ends, image.source, source, chosen)

    for _ in executor.map(check, images):
        pass


def _candidate(ends: Ends, image: str, source: Source, place: Place, root: Descriptor) -> Candidate:
    manifest: Callable[[], bytes] = partial(read, source, root)
    digest = schema1.digest(manifest(), what=root.digest) if root.media_type in SCHEMA1 else root.digest

    def signatures() -> Sequence[bytes]:
        keeps = kept_by(ends, image, source)
        return () if keeps is None else keeps.signatures(root)

    return Candidate(ends.meant(image), digest, place, manifest, signatures)


def _carried(source: Source, chosen: Chosen) -> list[Descriptor]:
    """The images that are carried; the index where there are none."""
    if not is_index(chosen.root.media_type):
        return [chosen.root]
    found: list[Descriptor] = []
    waiting = [
        each for each in _listed(source, chosen.root) if chosen.children is None or each.digest in chosen.children
    ]
    while waiting:
        each = waiting.pop(0)
        if is_index(each.media_type):
            waiting += _listed(source, each)
        else:
            found.append(each)
        if len(found) + len(waiting) > MOST_IMAGES:
            raise LimitError(f"{chosen.root.digest}: lists more than {MOST_IMAGES} images")
    return list(dict.fromkeys(found)) or [chosen.root]


def _listed(source: Source, index: Descriptor) -> list[Descriptor]:
    return list(parse_manifest(read(source, index), index.media_type, what=index.digest).manifests)


def place_of(ends: Ends, image: str) -> Place:
    """Where an image comes from, as a policy calls it."""
    transport, rest = split_transport(ends.meant(image))
    if transport == "docker":
        return docker_place(parse_reference(rest))
    from bundler.journey.ends import split_of

    place, name = split_of(transport)(rest)
    if transport in PATHS:
        return path_place(transport, str((ends.base / place).resolve()))
    if transport == "docker-daemon":
        if is_digest(name):
            return Place(transport)
        return docker_place(parse_reference(name), transport)
    if transport == "docker-archive":
        return named_place(transport, _name(name))
    return storage_place(place, name, _name(name))


def _name(name: str) -> Reference | None:
    if not name or name.startswith("@"):
        return None
    try:
        return parse_reference(name)
    except ConfigError:
        return None
