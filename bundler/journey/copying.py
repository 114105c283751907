"""Copies one image from anywhere to anywhere, as ``skopeo copy`` does.

    copy("docker://docker.io/library/nginx:1.27", "dir:nginx", Orders(Wanted(running_platform())), near, far, …)

The image is chosen, made to fit, and carried like everything else (:mod:`bundler.push.deliver`): its name is given last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundler.content import Note, Observer, Outcome, silent
from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.journey.beside import keeper, kept_by
from bundler.journey.ends import Ends
from bundler.journey.fitting import Wanted, as_usual, choose, fit
from bundler.journey.landing import Landing, landing
from bundler.journey.policy_gate import check_policy
from bundler.journey.signatures_carried import check_keeps, keep_signatures, made_ready, signatures_of
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import check_tag, parse_reference, split_transport
from bundler.push import Shipment, deliver
from bundler.scratch import Spool

if TYPE_CHECKING:
    from bundler.journey.image_signatures import Signer, SigstoreSigner

_FREE = ("oci", "oci-archive")
"""Transports whose names of images may be any text."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What is asked of a copy: ``also`` are further names for it, ``signer`` and ``sigstore`` sign it at its destination."""

    wanted: Wanted
    also: tuple[str, ...] = ()
    remove_signatures: bool = False
    signer: Signer | None = None
    sigstore: SigstoreSigner | None = None

    @property
    def signers(self) -> Sequence[Signer | SigstoreSigner]:
        """All that sign."""
        return [each for each in (self.signer, self.sigstore) if each is not None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a copy: the root at the destination, counts per outcome, and what had to be changed."""

    root: Descriptor
    outcomes: Mapping[Outcome, int] = field(default_factory=Counter)
    changes: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        """The digest of the manifest at the destination."""
        return self.root.digest


def copy(
    image: str, to: str, orders: Orders, near: Ends, far: Ends, *, executor: Executor, observer: Observer = silent
) -> Copied:
    """Copy one image. ``near`` opens the source, ``far`` the destination.

    Raises what the media raise, :class:`UnsupportedError` for what the destination can't hold, :class:`ConfigError`
    for orders that can't be followed, and :class:`PolicyError`, before anything is written, for what ``policy.json`` refuses.
    """
    source, name = near.source(image)
    chosen = choose(source, source.resolve(name), orders.wanted, what=image)
    check_policy(near, image, source, chosen)
    with landing(to, far) as place, Spool.open(far.surroundings.tmp) as scratch:
        names = _names(place, orders.also)
        keeps = None if orders.remove_signatures else kept_by(near, image, source)
        signatures = signatures_of(keeps, source, chosen.root, chosen.children)
        to_keep = keeper(far, place.reference, place.target)
        check_keeps(to_keep, signatures, orders.signers, to)
        made = fit(
            source,
            chosen,
            as_usual(orders.wanted, place.transport),
            place.holds,
            scratch=scratch,
            executor=executor,
            observer=observer,
            what=image,
        )
        for change in made.changes:
            observer(Note(change))
        key = place.reference.repository if place.reference is not None else to
        origin = _neighbour(image, place)
        loads = [Shipment(image, made.root, key, each, made.children, origin=origin) for each in names]
        beside = made_ready(to_keep, made, signatures, orders.signers, observer)
        done = deliver(lambda _: made.source, loads, lambda _: place.target, executor=executor, observer=observer)
        keep_signatures(to_keep, beside)
        return Copied(made.root, done.outcomes, made.changes)


def _names(place: Landing, also: Sequence[str]) -> list[str | None]:
    """Every name that the image gets at its destination."""
    if place.reference is not None and place.reference.digest:
        if also:
            raise ConfigError("--additional-tag: the destination is named by its digest")
        return [None]
    names: list[str | None] = [place.name]
    for text in also:
        if place.transport == "docker":
            names.append(_tag_here(text, place))
        elif place.transport == "dir":
            raise UnsupportedError("--additional-tag: a dir: holds one image without a name")
        else:
            names.append(str(parse_reference(text, what="--additional-tag")) if place.transport not in _FREE else text)
    return list(dict.fromkeys(names))


def _tag_here(text: str, place: Landing) -> str:
    """A tag of the destination's repository, given alone or with the repository's name."""
    if "/" not in text and ":" not in text:
        return check_tag(text, what="--additional-tag")
    reference = parse_reference(text, what="--additional-tag")
    assert place.reference is not None
    if reference.name != place.reference.name or not reference.tag:
        raise ConfigError(
            f"--additional-tag {quoted(text)!r}: is in another repository than {place.reference.name}",
            hint="copy the image there by a command of its own",
        )
    return reference.tag


def _neighbour(image: str, place: Landing) -> str:
    """The source's repository, if it is of the destination's registry: its blobs can be mounted."""
    transport, rest = split_transport(image)
    if transport != "docker" or place.reference is None:
        return ""
    reference = parse_reference(rest)
    same = reference.registry == place.reference.registry and reference.repository != place.reference.repository
    return reference.repository if same else ""
