"""Collecting garbage beside pushes and pulls, and what keeps a store from being swept too clean.

Kept are what every name leads to, what a pull has leased, and what came to a repository, or was asked for by somebody who
may push, within the grace. The rest goes: blobs that no manifest came to list, manifests whose tags were moved or deleted
before that, broken uploads. On request also manifests that were pushed by their digest and that nothing in their
repository leads to: no tag, no index, no subject that is still there.

    collect(store, arrivals, dry_run=True).blobs
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, parse_digest
from bundler.oci.strict_json import Fields, loads
from bundler.registry.arrivals import Arrivals
from bundler.registry.contents import Contents
from bundler.registry.layers import Layer
from bundler.registry.names import Named
from bundler.registry.reach import Reach
from bundler.registry.store_layer import StoreLayer
from bundler.registry.uploads import PATIENCE_SECONDS
from bundler.store import Store

GRACE = timedelta(hours=1)
PATH = "/admin/gc"
"""Where a served registry does it for an admin, with ``dry-run=true`` and ``untagged=true`` in the query if wanted."""
_CAP = 64 << 20


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or would be: names, blobs with their sizes, leftovers of broken uploads; ``size`` in bytes."""

    names: tuple[str, ...]
    blobs: tuple[tuple[Digest, int], ...]
    leftovers: tuple[str, ...]
    size: int

    def document(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "names": list(self.names),
            "blobs": [{"digest": digest, "size": size} for digest, size in self.blobs],
            "leftovers": list(self.leftovers),
            "size": self.size,
        }


def parse_collected(raw: bytes, *, what: str) -> Collected:
    """What a registry answered; :class:`bundler.errors.ProtocolError` if it is no such answer."""
    fields = Fields(loads(raw, what=what, cap=_CAP), what=what)
    blobs = ((parse_digest(each.text("digest"), what=what), each.size("size")) for each in fields.objects("blobs"))
    return Collected(fields.texts("names"), tuple(blobs), fields.texts("leftovers"), fields.size("size"))


def collect(
    store: Store,
    arrivals: Arrivals,
    *,
    dry_run: bool = False,
    untagged: bool = False,
    grace: timedelta = GRACE,
    behind: Sequence[Layer] = (),
) -> Collected:
    """Collect garbage in a store that may be served at the same time, by this process or another.

    ``untagged`` also takes manifests that were pushed by digest and that nothing leads to, neither in the store nor in the
    layers ``behind`` it. Raises what :meth:`bundler.store.Store.gc` raises, and :class:`bundler.errors.LockedError` while a
    pull or a pack is at work.
    """
    oldest = time.time() - grace.total_seconds()

    def young() -> list[Descriptor]:
        return [content for _, content, _ in arrivals.all(since=oldest)]

    names: tuple[str, ...] = ()
    if untagged:
        layer = StoreLayer(store)
        contents = Contents([layer, *behind], arrivals)
        names = _loose(contents, layer, oldest)
        if names and not dry_run:
            # Once more, while nothing can come that leads to one of them or is one of them.
            with store.exclusive("registry gc", patience=PATIENCE_SECONDS):
                names = _loose(contents, layer, oldest)
                if names:
                    store.untag(names)
    swept = store.gc(dry_run=dry_run, keep=young, patience=PATIENCE_SECONDS, without=names if dry_run else ())
    if not dry_run:
        arrivals.forget_before(oldest)
    return Collected(names, swept.blobs, swept.leftovers, swept.size)


def _loose(contents: Contents, layer: StoreLayer, oldest: float) -> tuple[str, ...]:
    """Names by digest that are old, and that nothing else in their repository leads to, sorted."""
    young: dict[str, list[Named]] = {}
    for path, content, _ in contents.arrivals.all(since=oldest):
        if content.is_manifest:
            young.setdefault(path, []).append(Named("", content))
    found: list[str] = []
    for path, own in layer.names().exact.items():
        recent = {named.root.digest for named in young.get(path, ())}
        loose = {digest: named for digest, named in own.digests.items() if digest not in recent}
        if loose:
            names = {named.name for named in loose.values()}
            held = [each.names().repository(path) for each in contents.layers]
            firm = [named for each in held if each for named in each.named() if named.name not in names]
            found += _unled(contents, [*firm, *young.get(path, ())], loose)
    return tuple(sorted(found))


def _unled(contents: Contents, firm: Iterable[Named], loose: dict[Digest, Named]) -> list[str]:
    """Those of ``loose`` that ``firm`` roots don't lead to, downwards or by being their referrers."""

    def reach(named: Named) -> Reach:
        # A child that an index once did without counts too: it may have come since.
        return contents.reach(Named(named.name, named.root))

    referring: dict[Digest, list[Digest]] = {}
    for named in loose.values():
        for subject, referrer in reach(named).referrers:
            referring.setdefault(subject, []).append(referrer.digest)
    led: set[Digest] = set()
    stack = [reach(named) for named in firm]
    while stack:
        for digest in stack.pop().manifests.keys() - led:
            led.add(digest)
            stack.extend(reach(loose.pop(each)) for each in (digest, *referring.get(digest, ())) if each in loose)
    return [named.name for named in loose.values()]
