"""What has to move, each content once, in the order in which it may be written at the far side.

Blobs come first, the largest first so that no core waits for a straggler at the end; then manifests, children before
parents. Nothing here reads or writes: graphs in, an order and its figures out, in time linear in their size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bundler.errors import ProtocolError
from bundler.graph import Graph
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a plan, or something attached to it: the image's name and a graph."""

    name: str
    graph: Graph


@dataclass(frozen=True, slots=True)
class Share:
    """What one image costs: all its bytes, and those that no other image of the plan needs."""

    name: str
    size: int
    unique: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Contents in writing order. ``assumed`` names what is not carried because the far side has it."""

    items: tuple[Item, ...]
    blobs: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    assumed: tuple[Digest, ...] = ()

    @property
    def order(self) -> tuple[Descriptor, ...]:
        """Everything, in writing order."""
        return self.blobs + self.manifests

    @property
    def size(self) -> int:
        """Bytes to move."""
        return sum(want.size for want in self.order)

    @property
    def naive_size(self) -> int:
        """Bytes if every image were carried by itself."""
        return sum(share.size for share in self.shares())

    def shares(self) -> tuple[Share, ...]:
        """The cost of each image, its attachments included, which have its name."""
        needs: dict[str, dict[tuple[bool, Digest], int]] = {}
        for item in self.items:
            needs.setdefault(item.name, {}).update((node.key, node.size) for node in item.graph.nodes)
        users = Counter(key for sizes in needs.values() for key in sizes)
        return tuple(
            Share(name, sum(sizes.values()), sum(size for key, size in sizes.items() if users[key] == 1))
            for name, sizes in needs.items()
        )


def make_plan(items: Iterable[Item], *, held: Collection[Digest] = ()) -> Plan:
    """Merge graphs into one plan. ``held`` are digests that the far side has: they are assumed, not carried.

    Raises :class:`ProtocolError` if one content is listed with two sizes.
    """
    items = tuple(items)
    blobs: dict[Digest, Descriptor] = {}
    manifests: dict[Digest, Descriptor] = {}
    assumed: set[Digest] = set()
    sizes: dict[Digest, int] = {}
    for item in items:
        for node in item.graph.nodes:
            size = sizes.setdefault(node.digest, node.size)
            if size != node.size:
                raise ProtocolError(f"{item.name}: lists {node.digest} with {node.size} bytes, another with {size}")
            if node.digest in held:
                assumed.add(node.digest)
            elif node.is_manifest:
                manifests.setdefault(node.digest, node)
            else:
                blobs.setdefault(node.digest, node)
    for digest in manifests:
        blobs.pop(digest, None)  # a manifest that is also listed as a blob travels once, as what it is
    largest_first = sorted(blobs.values(), key=lambda want: (-want.size, want.digest))
    return Plan(items, tuple(largest_first), tuple(manifests.values()), tuple(sorted(assumed)))
