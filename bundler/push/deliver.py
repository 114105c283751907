"""One forward pass into a registry, from a bundle or from wherever else images are.

Blobs are uploaded once, in the order in which they lie, to the first repository that needs them, and mounted into the
others; then manifests, children before parents; and last, when everything has arrived and the volumes were found to be
what was signed, the tags. So no tag moves at the destination unless all content of all images is there.

    blobs ──▶ mounts ──▶ manifests ──▶ volumes as signed? ──▶ tags
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace

from bundler.content import (
    Durable,
    Held,
    Job,
    Observer,
    Outcome,
    Planned,
    Referred,
    Source,
    Target,
    copy_all,
    read,
    silent,
    verified,
)
from bundler.errors import (
    AuthError,
    BundlerError,
    DigestError,
    LimitError,
    NotFoundError,
    ProtocolError,
    PushError,
    UnsupportedError,
)
from bundler.graph import Graph, Manifests, walk_named
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.push.naming import Shipment

SourceOf = Callable[[Shipment], Source]
"""Where a shipment's contents come from."""
OpenTarget = Callable[[str], Target]
"""The target for a repository path at the destination."""
Check = Callable[[], None]
"""Raises if anything about the bundle, besides its contents, is not as it was signed."""


def _nothing() -> None:
    """The check where nothing but contents was carried."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a push: counts per outcome, and which shipments were there already as they should be."""

    outcomes: Counter[Outcome]
    unchanged: tuple[Shipment, ...]
    delivered: tuple[Shipment, ...]


def deliver(
    source_of: SourceOf,
    shipments: Sequence[Shipment],
    open_target: OpenTarget,
    *,
    order: Mapping[Digest, int] | None = None,
    check: Check = _nothing,
    repair: bool = False,
    executor: Executor,
    observer: Observer = silent,
) -> Delivery:
    """Carry all shipments to their destinations.

    ``order`` gives each content's place in the volumes; without it the largest go first. ``check`` runs when all contents
    have arrived, each verified by its digest, and before the first tag is written; not if everything is at the destination
    already. With ``repair``, a root that is at the destination is not taken for a sign that all below it is, and every
    content is looked for. Raises what reading raises, and :class:`PushError` or the transport's errors if the destination refuses;
    whatever had arrived by then stays there, and the same call again goes on from it.
    """
    targets = {shipment.repository: open_target(shipment.repository) for shipment in shipments}
    there = list(executor.map(lambda s: not repair and _is_there(source_of(s), targets[s.repository], s), shipments))
    unchanged = tuple(s for s, found in zip(shipments, there, strict=True) if found)
    pending = tuple(s for s, found in zip(shipments, there, strict=True) if not found)
    if not pending:
        return Delivery(Counter(), unchanged, ())
    shared = Manifests()
    sources = [source_of(s) for s in pending]
    graphs = executor.map(
        lambda s, source: walk_named(source, s.source, s.root, chosen=s.chosen, shared=shared), pending, sources
    )
    load = _Load(tuple(map(_Item, pending, graphs, sources)), targets, executor)
    outcomes = _blobs(load, order, observer)
    outcomes += _manifests(load)
    check()
    for target in targets.values():
        if isinstance(target, Durable):
            target.flush()
    # Signatures before the images whose admission may depend on them. Images before the indexes that list them: a registry
    # that looks at the images of an index while one of them is being tagged may find it half written.
    for turn in range(3):
        named = [s for s in pending if _turn(s) == turn]
        list(executor.map(_tag, (targets[s.repository] for s in named), named))
    return Delivery(outcomes, unchanged, pending)


def _turn(shipment: Shipment) -> int:
    return 0 if shipment.attached else 2 if is_index(shipment.root.media_type) else 1


@dataclass(frozen=True, slots=True)
class _Item:
    """One shipment with all it needs, and where that is."""

    shipment: Shipment
    graph: Graph
    source: Source


@dataclass(frozen=True, slots=True)
class _Load:
    """What is to be delivered, and the hands to do it with."""

    pending: Sequence[_Item]
    targets: Mapping[str, Target]
    executor: Executor


def _is_there(source: Source, target: Target, shipment: Shipment) -> bool:
    """Whether the destination's name stands for the right root already, with every child that is carried.

    An index has one digest whichever of its children came with it, so those are looked for. What is found by its subject
    is there if it is listed: a push that broke off may have left it without its entry in a list that clients keep.
    """
    resolve = getattr(target, "resolve", None)
    if resolve is None:
        return False
    root = shipment.root
    try:
        found: Descriptor = resolve(shipment.tag or root.digest)
    except (NotFoundError, ProtocolError, UnsupportedError, DigestError, LimitError):
        return False  # what can't be read there is not what was to be there, and is about to be replaced
    if found.digest == root.digest and not _is_listed(target, shipment):
        return False
    if found.digest != root.digest or not is_index(root.media_type):
        return found.digest == root.digest
    listed = parse_manifest(read(source, root), root.media_type, what=shipment.source).manifests
    return all(target.has(child) for child in listed if shipment.chosen is None or child.digest in shipment.chosen)


def _is_listed(target: Target, shipment: Shipment) -> bool:
    if shipment.tag or shipment.subject is None or not isinstance(target, Referred):
        return True
    try:
        listed = target.referrers(shipment.subject)
    except (NotFoundError, ProtocolError, UnsupportedError, LimitError, AuthError):
        return True  # nobody can ask that registry, so nothing is gained by sending it again
    return any(entry.digest == shipment.root.digest for entry in listed)


def _blobs(load: _Load, order: Mapping[Digest, int] | None, observer: Observer) -> Counter[Outcome]:
    """Each blob once into the first repository that needs it, then into the others from there."""
    first: dict[Digest, tuple[str, Job]] = {}
    others: dict[tuple[str, Digest], Job] = {}
    for item in load.pending:
        repository = item.shipment.repository
        for want in item.graph.blobs:
            job = Job(item.source, load.targets[repository], want, origin=item.shipment.origin)
            home, _ = first.setdefault(want.digest, (repository, job))
            if home != repository:
                others[repository, want.digest] = replace(job, origin=home)
    uploads = [job for _, job in first.values()]
    if order is None:
        uploads.sort(key=lambda job: -job.want.size)
    else:
        uploads.sort(key=lambda job: order.get(job.want.digest, 0))
    jobs = (*uploads, *others.values())
    observer(Planned("push", len(jobs), sum(job.want.size for job in jobs)))
    outcomes = copy_all(uploads, executor=load.executor, observer=observer)
    return outcomes + copy_all(others.values(), executor=load.executor, observer=observer)


def _manifests(load: _Load) -> Counter[Outcome]:
    """Each repository's manifests one after the other, repositories beside each other."""
    wanted: dict[str, dict[Digest, tuple[Descriptor, _Item]]] = {}
    for item in load.pending:
        mine = wanted.setdefault(item.shipment.repository, {})
        for node in item.graph.nodes:
            if node.is_manifest:
                mine.setdefault(node.digest, (node, item))

    def put(repository: str) -> int:
        return _put_manifests(load.targets[repository], wanted[repository].values())

    return Counter({Outcome.COPIED: sum(load.executor.map(put, wanted))})


def _put_manifests(target: Target, nodes: Iterable[tuple[Descriptor, _Item]]) -> int:
    count = 0
    for node, item in nodes:
        graph = item.graph
        raw, manifest = graph.manifests[node.digest]
        try:
            target.push(node, verified(node, [raw]))
        except PushError:
            # The destination may have claimed to hold a child and then miss it: send the children once, unasked.
            walked = {each.key for each in graph.nodes}
            for child in manifest.children():
                if child.key in walked:
                    _send(item.source, graph, target, child)
            target.push(node, verified(node, [raw]))
        count += 1
    return count


def _send(source: Source, graph: Graph, target: Target, want: Descriptor) -> None:
    held: Source = Held({digest: raw for digest, (raw, _) in graph.manifests.items()}) if want.is_manifest else source
    with closing(held.fetch(want)) as chunks:
        target.push(want, verified(want, chunks))


def _tag(target: Target, shipment: Shipment) -> None:
    if shipment.tag is None:
        return
    try:
        target.tag(shipment.tag, shipment.root)
    except BundlerError as problem:
        raise problem.about(f"tag {shipment.name}") from problem
