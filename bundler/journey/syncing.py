"""Keeps a destination like a list of images, as ``skopeo sync`` does: what is there already as it should be is not touched.

    list ──▶ each name's digest (one HEAD) ──▶ is it there? (one HEAD) ──▶ the rest in one pass ──▶ tags

Without ``keep_going`` all images are carried together, each content once, and no tag moves unless all have arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bundler.content import Note, Observer, Outcome, Source, silent
from bundler.convert import Recipe
from bundler.errors import BundlerError, ConfigError, quoted
from bundler.journey.beside import kept_by
from bundler.journey.destination import Destination, Held
from bundler.journey.fitting import Chosen, Fitted, Instances, Wanted, as_usual, choose, fit
from bundler.journey.policy_gate import check_policy
from bundler.journey.signatures_carried import check_keeps, keep_signatures, made_ready, signatures_of
from bundler.journey.sync_list import Item
from bundler.medium import Peeking
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference
from bundler.push import Shipment, deliver
from bundler.scratch import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.journey.ends import Ends
    from bundler.journey.image_signatures import Signer, SigstoreSigner


@dataclass(frozen=True, slots=True)
class Rules:
    """How images are carried, and what they are called; see :mod:`bundler.journey.copying` for what both commands share.

    ``signer`` and ``sigstore`` have no name yet, as each image is signed under its own.
    """

    wanted: Wanted
    scoped: bool = False
    suffix: str = ""
    keep_going: bool = False
    remove_signatures: bool = False
    signer: Signer | None = None
    sigstore: SigstoreSigner | None = None

    @property
    def signers(self) -> Sequence[Signer | SigstoreSigner]:
        """All that sign."""
        return [each for each in (self.signer, self.sigstore) if each is not None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a sync with its name at the destination; ``load`` has no root before it was looked up."""

    item: Item
    load: Shipment


@dataclass(frozen=True, slots=True)
class Seen:
    """What an image stands for now, and whether the destination has it already."""

    entry: Entry
    chosen: Chosen
    there: bool


@dataclass(slots=True)
class Synced:
    """What became of a sync.

    ``landed`` are names at the destination with their digests, unchanged ones included; ``failed`` the images that did not
    arrive, with why.
    """

    landed: list[tuple[str, Digest]] = field(default_factory=list)
    copied: int = 0
    unchanged: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    failed: list[tuple[str, BundlerError]] = field(default_factory=list)

    def raise_for_failures(self) -> None:
        """Raise the first failure, saying how many there were."""
        if self.failed:
            image, problem = self.failed[0]
            raise problem.about(f"{len(self.failed)} images failed; the first, {quoted(image)}")


def entries_of(items: Sequence[Item], destination: Destination, rules: Rules) -> list[Entry]:
    """Each image with its name at the destination. Raises :class:`ConfigError` where two would get the same."""
    found: dict[str, Entry] = {}
    for item in items:
        path, tag = item.landing(scoped=rules.scoped, suffix=rules.suffix, colons=destination.colons)
        repository = f"{destination.prefix}/{path}" if destination.prefix else path
        root = Descriptor("", item.digest or Digest(""), 0)
        at_home = item.reference is not None and item.reference.registry == destination.name
        origin = item.reference.repository if item.reference is not None and at_home else ""
        load = Shipment(item.image, root, repository, tag, origin="" if origin == repository else origin)
        entry = found.setdefault(load.name, Entry(item, load))
        if entry.item is not item:
            raise ConfigError(
                f"{quoted(entry.item.image)} and {quoted(item.image)} would both become {load.name}",
                hint="keep them apart with --scoped, or sync them to different places",
            )
    return list(found.values())


def sync(
    entries: Sequence[Entry],
    destination: Destination,
    rules: Rules,
    *,
    near: Ends,
    transport: str,
    tmp: Path | None = None,
    executor: Executor,
    observer: Observer = silent,
) -> Synced:
    """Carry what is missing or has changed. With ``keep_going`` failures are gathered, else the first is raised.

    ``near`` opened the sources, and knows the policy that they must satisfy: :class:`PolicyError` where they don't, before
    anything is written. ``transport`` is the destination's; ``tmp`` is where converted contents wait.
    """
    hands = _Hands(near, destination, rules, transport, executor, observer)
    done = Synced()
    pending = []
    for seen in executor.map(hands.look, entries):
        if isinstance(seen, Seen) and seen.there:
            done.unchanged += 1
            done.landed.append((seen.entry.load.name, seen.chosen.root.digest))
        elif isinstance(seen, Seen):
            pending.append(seen)
        else:
            hands.failed(done, *seen)
    if pending:
        with destination.at_work(), Spool.open(tmp) as scratch:
            for some in [[seen] for seen in pending] if rules.keep_going else [pending]:
                try:
                    hands.carry(some, scratch, done)
                except BundlerError as problem:
                    if not rules.keep_going:
                        raise
                    hands.failed(done, some[0].entry.item, problem)
    return done


@dataclass(frozen=True, slots=True)
class _Ready:
    """An image that fits: its shipment as the list and as the destination call it, and what goes with it."""

    load: Shipment
    berth: Shipment
    made: Fitted
    beside: Sequence[tuple[Descriptor, Sequence[bytes]]]


@dataclass(frozen=True, slots=True)
class _Hands:
    """What every step of one sync needs."""

    near: Ends
    destination: Destination
    rules: Rules
    transport: str
    executor: Executor
    observer: Observer
    kept: dict[tuple[str, Digest], list[bytes]] = field(default_factory=dict)

    def look(self, entry: Entry) -> Seen | tuple[Item, BundlerError]:
        """What an image stands for now, or why that can't be told."""
        item, wanted = entry.item, self.rules.wanted
        source = item.source
        try:
            root = source.peek(item.name) if isinstance(source, Peeking) else source.resolve(item.name)
            chosen = Chosen(root)
            if mediatype.is_index(root.media_type) and wanted.instances is not Instances.ALL:
                chosen = choose(source, source.resolve(item.name), wanted, what=item.image)
            check_policy(self.near, item.image, source, chosen)
            there = self.destination.found(replace(entry.load, root=chosen.root))
            same = there == chosen.root.digest and wanted.recipe == Recipe()
            return Seen(entry, chosen, there=same and self.is_whole(source, entry, chosen))
        except BundlerError as problem:
            return item, problem

    def is_whole(self, source: Source, entry: Entry, chosen: Chosen) -> bool:
        """Whether nothing is left to do for an image whose name stands for the right root.

        A registry took the root only with all that it lists, but for the images of an index; a file may have been lost.
        """
        if self.rules.signers:
            return False
        if not self.rules.remove_signatures and self.has_signatures(source, entry.item, chosen):
            return False
        if self.transport == "docker" and not mediatype.is_index(chosen.root.media_type):
            return True
        return self.destination.has_all(entry.load, chosen.root, chosen.children)

    def has_signatures(self, source: Source, item: Item, chosen: Chosen) -> bool:
        """Whether there are signatures to carry: what the destination has of them is not compared."""
        keeps = kept_by(self.near, item.image, source)
        return bool(signatures_of(keeps, source, chosen.root, chosen.children))

    def failed(self, done: Synced, item: Item, problem: BundlerError) -> None:
        """Raise, or note where the others go on."""
        if not self.rules.keep_going:
            raise problem.about(quoted(item.image)) from problem
        done.failed.append((item.image, problem))
        self.observer(Note(f"{quoted(item.image)}: {problem}; going on with the others"))

    def carry(self, some: Sequence[Seen], scratch: Spool, done: Synced) -> None:
        """Deliver some images together."""
        ready = [self.fitted(seen, scratch) for seen in some]
        sources: Mapping[Shipment, Source] = {each.berth: each.made.source for each in ready}
        delivery = deliver(
            sources.__getitem__,
            tuple(sources),
            self.destination.target,
            executor=self.executor,
            observer=self.observer,
        )
        for each in ready:
            keep_signatures(self.destination.keeper(each.load), [self.with_others(each, *one) for one in each.beside])
        self.destination.keep((each.load.repository, each.load.root) for each in ready if each.load.tag is None)
        done.outcomes += delivery.outcomes
        done.copied += len(delivery.delivered)
        done.unchanged += len(delivery.unchanged)
        done.landed += [(each.load.name, each.load.root.digest) for each in ready]

    def with_others(
        self, ready: _Ready, root: Descriptor, signatures: Sequence[bytes]
    ) -> tuple[Descriptor, Sequence[bytes]]:
        """A manifest's signatures, with those that it got under other tags in this run: a store knows it by its digest."""
        kept = self.kept.setdefault((ready.berth.repository, root.digest), [])
        kept += [each for each in signatures if each not in kept]
        return root, kept

    def signers_of(self, item: Item, load: Shipment) -> Sequence[Signer | SigstoreSigner]:
        """Who signs an image, under the name that it gets at a registry, or else has at its own."""
        if not self.rules.signers:
            return ()
        reference = item.reference
        if self.transport == "docker":
            digest = None if load.tag else load.root.digest
            reference = Reference(self.destination.name, load.repository, load.tag or "", digest)
        if reference is None:
            raise ConfigError(
                f"{quoted(item.image)}: --sign-by: has no name at a registry to sign it under",
                hint="sign it with `bundler copy --sign-by … --sign-identity …`",
            )
        return [replace(signer, reference=str(reference)) for signer in self.rules.signers]

    def fitted(self, seen: Seen, scratch: Spool) -> _Ready:
        """One image as the destination can hold it and the rules want it."""
        item, rules = seen.entry.item, self.rules
        try:
            keeps = None if rules.remove_signatures else kept_by(self.near, item.image, item.source)
            signatures = signatures_of(keeps, item.source, seen.chosen.root, seen.chosen.children)
            keeper = self.destination.keeper(replace(seen.entry.load, root=seen.chosen.root))
            check_keeps(keeper, signatures, rules.signers, item.image)
            made = fit(
                item.source,
                seen.chosen,
                as_usual(rules.wanted, self.transport),
                self.destination.holds(),
                scratch=scratch,
                executor=self.executor,
                observer=self.observer,
                what=item.image,
            )
            load = replace(seen.entry.load, root=made.root, chosen=made.children)
            beside = made_ready(keeper, made, signatures, self.signers_of(item, load), self.observer)
        except BundlerError as problem:
            raise problem.about(quoted(item.image)) from problem
        for change in made.changes:
            self.observer(Note(f"{quoted(item.image)}: {change}"))
        return _Ready(load, self.destination.berth(load), made, beside)


def surplus(entries: Sequence[Entry], landed: Mapping[str, Digest], destination: Destination) -> list[Held]:
    """What the destination holds in the list's repositories and the list no longer names.

    ``landed`` are the names that the list stands for now, with their digests. A manifest that one of them needs is not
    offered, as registries delete by digest and an index would lose its image.
    """
    wanted = {entry.load.name for entry in entries} | landed.keys()
    extra: list[Held] = []
    for repository in dict.fromkeys(entry.load.repository for entry in entries):
        held = destination.listed(repository)
        roots = {each.digest for each in held if each.name in wanted}
        roots |= {digest for name, digest in landed.items() if _is_of(name, repository)}
        kept = destination.reached(repository, roots)
        extra += [each for each in held if each.name not in wanted and each.digest not in kept]
    return extra


def _is_of(name: str, repository: str) -> bool:
    return name.startswith((f"{repository}:", f"{repository}@"))
