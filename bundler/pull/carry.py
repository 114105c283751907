"""Survey what locked images need, then carry each content once into one target.

The survey reads manifests only, each once, and keeps their bytes; blobs are fetched while carrying. Blobs go first and
are flushed, then manifests, children before parents, and are flushed; names are the caller's business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from bundler.content import (
    Durable,
    Held,
    Job,
    Observer,
    Outcome,
    Planned,
    Source,
    Target,
    copy_all,
    read,
    silent,
)
from bundler.errors import NotFoundError, StoreError
from bundler.graph import Graph, Manifests, walk_named
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.plan import Item, Plan, make_plan
from bundler.pull.beside import Beside, SignedOf, own_signatures, with_signatures
from bundler.pull.nearest import Nearest
from bundler.selection.lock import LockedImage
from bundler.selection.platforms import strip

SourceOf = Callable[[LockedImage], Source]


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be carried, and where each content comes from: memory, for those that were read while surveying."""

    plan: Plan
    sources: dict[Digest, Source]


def survey(
    images: Sequence[LockedImage],
    source_of: SourceOf,
    *,
    executor: Executor,
    known: Mapping[Digest, bytes] | None = None,
    signed: SignedOf = own_signatures,
) -> Survey:
    """Read the manifests of all images, several at once, and plan.

    ``source_of`` gives the source of an image's manifests and blobs; ``known`` holds contents that were read already,
    and ``signed`` tells where simple signatures are kept. Raises what reading raises, and :class:`bundler.errors.LimitError` where the manifests of all images together would
    take too much memory, with the image named.
    """
    sources = [with_signatures(source_of(image), image, signed) for image in images]
    shared = Manifests()
    surveyed = list(executor.map(lambda image, source: _graphs(image, source, shared), images, sources))
    manifests = dict(known or {})
    memory = Held(manifests)
    origins: dict[Digest, Source] = {}
    items = []
    for image, source, graphs in zip(images, sources, surveyed, strict=True):
        for graph in graphs:
            items.append(Item(image.source, graph))
            manifests.update((digest, raw) for digest, (raw, _) in graph.manifests.items())
            for node in graph.nodes:
                origins.setdefault(node.digest, memory if node.digest in manifests else source)
    return Survey(make_plan(items), origins)


def _graphs(image: LockedImage, source: Source, shared: Manifests) -> list[Graph]:
    name = image.source
    chosen = {child.digest for child in image.children} if image.children else None
    if image.index == "strip":
        raw = stripped(image, source)
        inner = Nearest(Held({image.root.digest: raw}), lambda want: want.digest == image.root.digest, lambda: source)
        root_graph = walk_named(inner, name, image.root, shared=shared)
    else:
        root_graph = walk_named(source, name, image.root, chosen=chosen, shared=shared)
    attached = (walk_named(source, name, attachment.root, shared=shared) for attachment in image.attachments)
    return [root_graph, *attached]


def stripped(image: LockedImage, source: Source) -> bytes:
    """The written-anew index of an image that is carried with ``index: strip``.

    It is made again from the original, which gives the same bytes. A store that was filled with the stripped index has
    that one instead. A registry has only the original, and is not asked for anything else.
    """
    if isinstance(source, (Nearest, Beside)) and source.is_near(image.root):
        return read(source, image.root)
    try:
        original = read(source, image.origin)
    except (NotFoundError, StoreError):
        return read(source, image.root)
    return strip(original, {child.digest for child in image.children}, what=image.source)


def carry(
    surveyed: Survey,
    target: Target,
    *,
    executor: Executor,
    observer: Observer = silent,
    stage: str = "pull",
) -> Counter[Outcome]:
    """Move everything that was surveyed into ``target``; nothing is named yet."""
    plan = surveyed.plan
    observer(Planned(stage, len(plan.order), plan.size))
    outcomes: Counter[Outcome] = Counter()
    for rounds in ((plan.blobs,), _rounds(plan)):
        for wants in rounds:
            jobs = (Job(surveyed.sources[want.digest], target, want) for want in wants)
            outcomes += copy_all(jobs, executor=executor, observer=observer)
        if isinstance(target, Durable):
            target.flush()
    return outcomes


def _rounds(plan: Plan) -> Iterable[Sequence[Descriptor]]:
    """Manifests in rounds that can be moved at once: none needs another of its own round or of a later one."""
    meanings = {digest: manifest for item in plan.items for digest, (_, manifest) in item.graph.manifests.items()}
    heights: dict[Digest, int] = {}
    rounds: dict[int, list[Descriptor]] = {}
    for want in plan.manifests:
        children = meanings[want.digest].children()
        height = heights[want.digest] = 1 + max((heights.get(child.digest, 0) for child in children), default=0)
        rounds.setdefault(height, []).append(want)
    return [rounds[height] for height in sorted(rounds)]
