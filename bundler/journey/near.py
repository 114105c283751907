"""The connected side: lock, forecast, pull.

A :class:`Run` is one manifest being worked on: its wishes, the lock beside it, and open ends.

    with open_run(Path("bundle.yaml"), Access(), executor=executor, observer=observer) as run:
        pull(run, Path("/srv/store"), now=now)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.content import Observer, Outcome, Source
from bundler.errors import ConfigError, PolicyError
from bundler.journey.access import Access, Surroundings
from bundler.journey.ends import Ends, check_one_origin
from bundler.journey.files import read_file, write_over
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import parse_reference
from bundler.pull.carry import carry, survey
from bundler.pull.nearest import Nearest
from bundler.selection import Wishes, read_wishes
from bundler.selection.account import account
from bundler.selection.drift import drift, matching, stale
from bundler.selection.lock import Lock, LockedImage, next_lock, read_lock, write_lock

if TYPE_CHECKING:
    from bundler.medium import Signed
    from bundler.pull.resolve import Resolved
    from bundler.store import Store


@dataclass(slots=True)
class Run:
    """One manifest being worked on. ``known`` holds small contents read while resolving, for the pull that follows."""

    path: Path
    wishes: Wishes
    ends: Ends
    executor: Executor
    observer: Observer
    known: Mapping[Digest, bytes] = field(default_factory=dict)

    @property
    def lock_path(self) -> Path:
        """The lock beside the manifest: ``bundle.yaml`` has ``bundle.lock.json``."""
        return self.path.with_name(f"{self.path.stem}.lock.json")

    def signed(self, image: str, source: Source) -> Signed | None:
        """What keeps the simple signatures of an image."""
        from bundler.journey.signature_stores import signatures_of

        return signatures_of(self.ends, image, source)

    def previous(self) -> Lock | None:
        """The lock as it lies there."""
        if not self.lock_path.exists():
            return None
        return read_lock(read_file(self.lock_path, what="lock"), str(self.lock_path))


@contextmanager
def open_run(
    path: Path, access: Access, *, surroundings: Surroundings | None = None, executor: Executor, observer: Observer
) -> Iterator[Run]:
    """Read a manifest and get ready to work on it."""
    wishes = read_wishes(read_file(path, what="manifest"), str(path))
    hosts = {parse_reference(wish.name).registry for wish in wishes.wishes if wish.transport == "docker"}
    check_one_origin(access, hosts)
    with Ends(
        access, surroundings=surroundings, registries=wishes.registries, base=path.parent, observer=observer
    ) as ends:
        yield Run(path, wishes, ends, executor, observer)


def make_lock(
    run: Run,
    *,
    now: datetime,
    update: Sequence[str] | None = None,
    valid_for: int | None = None,
    serial: int | None = None,
) -> Lock:
    """Resolve what the lock doesn't hold yet, and what ``update`` names, and write it.

    ``valid_for`` is in days. Raises :class:`bundler.errors.NotFoundError` for an update of nothing.
    """
    previous = run.previous()
    for pattern in update or ():
        if previous is not None and pattern != "*":
            matching(previous, pattern)
    resolved = _resolve(run, previous, update or ())
    run.known = resolved.known
    lock = next_lock(
        previous,
        name=run.wishes.name,
        channel=run.wishes.channel,
        images=resolved.images,
        issued=now,
        expires=None if valid_for is None else now + timedelta(days=valid_for),
        renew=valid_for is not None,
    )
    if serial is not None:
        lock = replace(lock, serial=serial)
    if lock != previous:
        write_over(run.lock_path, write_lock(lock))
    return lock


def check_lock(run: Run) -> None:
    """Raise :class:`PolicyError` naming what moved, if the registries no longer hold what the lock says."""
    previous = required_lock(run)
    fresh = replace(previous, images=_resolve(run, None, ()).images)
    moved = drift(previous, read_lock(write_lock(fresh), "lock"))
    if moved:
        raise PolicyError(
            f"{run.lock_path}: {len(moved)} differences: " + "; ".join(moved),
            hint=f"bundler lock {run.path} --update '*' takes what is there now",
        )


def _resolve(run: Run, previous: Lock | None, update: Sequence[str]) -> Resolved:
    from bundler.pull.resolve import resolve_wishes

    return resolve_wishes(
        run.wishes,
        run.ends.source_of,
        executor=run.executor,
        previous=previous,
        update=tuple(update),
        signed=run.signed,
    )


def required_lock(run: Run) -> Lock:
    """The lock, which must be there and be one for this manifest."""
    lock = run.previous()
    if lock is None:
        raise ConfigError(f"{run.lock_path} does not exist", hint=f"make it with `bundler lock {run.path}`")
    reasons = stale(lock, run.wishes)
    if reasons:
        raise ConfigError(
            f"{run.lock_path} is not for this manifest any more: {reasons[0]}",
            hint=f"run `bundler lock {run.path}`; what did not change keeps its digests",
        )
    return lock


def ensure_lock(
    run: Run,
    *,
    now: datetime,
    update: Sequence[str] | None = None,
    valid_for: int | None = None,
    serial: int | None = None,
) -> Lock:
    """The lock if it suits the manifest, else a new one that keeps what it can."""
    previous = run.previous()
    if previous is None or update or valid_for is not None or serial is not None or stale(previous, run.wishes):
        return make_lock(run, now=now, update=update, valid_for=valid_for, serial=serial)
    return previous


@dataclass(frozen=True, slots=True)
class Pulled:
    """A finished pull: the lock it followed, the store it filled, and counts per outcome."""

    lock: Lock
    store: Path
    outcomes: Counter[Outcome]

    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "store": str(self.store),
            "serial": self.lock.serial,
            "images": len(self.lock.images),
            "outcomes": {outcome.value: count for outcome, count in self.outcomes.items()},
            "attachments": [account(image) for image in self.lock.images],
        }


def pull(run: Run, directory: Path, *, now: datetime) -> Pulled:
    """Fetch all that the lock names into the store at ``directory``; a lock is made if there is none."""
    from bundler.journey.policy_gate import check_locked
    from bundler.store import Store

    lock = ensure_lock(run, now=now)
    check_locked(run.ends, lock.images, run.executor)
    with Store.open(str(directory), create=True, observer=run.observer) as store, store.shared("pull"):
        surveyed = survey(
            lock.images,
            lambda image: Nearest(store, store.has, lambda: run.ends.locked(image.source, image.origin.digest)),
            executor=run.executor,
            known=run.known,
            signed=run.signed,
        )
        with store.lease(want.digest for want in surveyed.plan.order):
            outcomes = carry(surveyed, store, executor=run.executor, observer=run.observer)
            names = _names(store, lock)
            if names:
                store.tag_all(names)
    return Pulled(lock, directory, outcomes)


def _names(store: Store, lock: Lock) -> list[tuple[str, Descriptor]]:
    """The index entries that the store lacks: those of images and of their attachments."""
    there = dict(store.images())
    wanted: dict[str, Descriptor] = {}
    for image in lock.images:
        name = full_name(image)
        wanted[name] = image.root
        head, slash, last = name.partition("@")[0].rpartition("/")
        repository = head + slash + last.partition(":")[0]
        for attachment in image.attachments:
            tag = f":{attachment.tag}" if attachment.tag else f"@{attachment.root.digest}"
            wanted[repository + tag] = attachment.root
    return [(name, root) for name, root in wanted.items() if name not in there or there[name].digest != root.digest]


def full_name(image: LockedImage) -> str:
    """The name of an image in a store and in a bundle: without ``docker://``, otherwise as the manifest says."""
    return image.source.removeprefix("docker://")
