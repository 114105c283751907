"""The merged plan: each content once, in writing order, with its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.graph import Graph, walk
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import Manifest
from bundler.plan import Item, Plan, Share, make_plan
from tests.images import Image, family, image, index, layer, part, parts_of
from tests.memory import Memory


def planned(*images: Image, held: set[Digest] | frozenset[Digest] = frozenset()) -> Plan:
    memory = Memory()
    for each in parts_of({str(n): each for n, each in enumerate(images)}):
        memory.put(each.raw, each.descriptor.media_type)
    return make_plan([Item(str(n), walk(memory, each.root)) for n, each in enumerate(images)], held=held)


def test_nothing() -> None:
    plan = make_plan([])
    assert (plan.order, plan.size, plan.naive_size, plan.shares(), plan.assumed) == ((), 0, 0, (), ())


def test_each_content_once_with_its_figures() -> None:
    images = list(family(size=500).values())
    plan = planned(*images)
    assert Counter(want.digest for want in plan.order) == Counter({d: 1 for each in images for d in each.digests()})
    assert plan.size == sum(len(each.raw) for each in parts_of(family(size=500)))
    assert plan.naive_size == sum(len(each.raw) for held in images for each in held.parts)
    assert plan.size < plan.naive_size


def test_blobs_largest_first_then_manifests_children_first() -> None:
    plan = planned(*family(size=500).values())
    sizes = [want.size for want in plan.blobs]
    assert sizes == sorted(sizes, reverse=True)
    assert not any(want.is_manifest for want in plan.blobs)
    assert all(want.is_manifest for want in plan.manifests)
    assert plan.order == plan.blobs + plan.manifests
    place = {want.digest: n for n, want in enumerate(plan.order)}
    for item in plan.items:
        for digest, (_, manifest) in item.graph.manifests.items():
            assert all(place[child.digest] < place[digest] for child in manifest.children())


def test_equal_sizes_stand_in_the_order_of_digests() -> None:
    blobs = [Descriptor(mediatype.OCI_LAYER, digest_of(bytes([n])), 1) for n in range(9)]
    orders = {make_plan([Item("a", Graph(b[-1], tuple(b), {}))]).order for b in (blobs, blobs[::-1])}
    assert orders == {tuple(sorted(blobs, key=lambda want: want.digest))}


def test_the_cost_of_each_image() -> None:
    base, own = layer("base", 900), layer("own", 300)
    first, second = image(base), image(base, own)
    plan = planned(first, second)
    shares = {share.name: share for share in plan.shares()}
    assert shares["0"].size == sum(len(each.raw) for each in first.parts)
    assert shares["0"].unique == shares["0"].size - len(base.raw)
    assert shares["1"].unique == shares["1"].size - len(base.raw)
    assert sum(share.unique for share in plan.shares()) + len(base.raw) == plan.size


def test_an_image_with_attachments_is_one_line_with_what_it_shares_with_nobody_else() -> None:
    """An image's own attachments travel under its name; what only these two need is the image's alone."""
    blob = Descriptor(mediatype.OCI_LAYER, digest_of(b"a"), 100)
    root = Descriptor(mediatype.OCI_LAYER, digest_of(b"b"), 10)
    note = Descriptor(mediatype.OCI_LAYER, digest_of(b"c"), 1)
    items = [Item("app", Graph(root, (blob, root), {})), Item("app", Graph(note, (blob, note), {}))]
    assert make_plan(items).shares() == (Share("app", 111, 111),)
    assert make_plan(items).naive_size == 111


def test_what_the_far_side_holds_is_assumed_and_not_carried() -> None:
    base = layer("base", 900)
    old, new = image(base), image(base, layer("new", 300))
    plan = planned(old, new, held=old.digests() | {digest_of(b"something else")})
    assert set(plan.assumed) == old.digests()
    assert list(plan.assumed) == sorted(plan.assumed)
    assert {want.digest for want in plan.order} == new.digests() - old.digests()


def test_one_digest_listed_as_manifest_and_as_blob_travels_as_a_manifest() -> None:
    inner = image(layer("inner", 50))
    outer = image(part(inner.raw, mediatype.OCI_LAYER), platform="linux/arm64")
    for images in ((inner, outer), (outer, inner)):
        plan = planned(*images)
        found = [want for want in plan.order if want.digest == inner.root.digest]
        assert [want.is_manifest for want in found] == [True]


def test_one_layer_listed_under_two_media_types_travels_once() -> None:
    base = layer("base", 300)
    docker = part(base.raw, mediatype.DOCKER_LAYER_GZIP, diff_id=base.diff_id)
    plan = planned(image(base), image(docker, docker=True))
    assert [want.digest for want in plan.blobs].count(base.descriptor.digest) == 1


class Counted(frozenset[Digest]):
    """A set that counts how often it is asked."""

    asked = 0

    def __contains__(self, item: object) -> bool:
        type(self).asked += 1
        return super().__contains__(item)


@pytest.mark.parametrize("images", [500, 2000])
def test_many_images_that_share_blobs_take_one_look_at_each_entry(images: int) -> None:
    blobs = [Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(f"b{n}".encode()), 1000 + n) for n in range(200)]
    items = []
    for n in range(images):
        root = Descriptor(mediatype.OCI_MANIFEST, digest_of(f"m{n}".encode()), 500)
        layers = tuple(blobs[(n + k) % 200] for k in range(10))
        meaning = Manifest(mediatype.OCI_MANIFEST, config=layers[0], layers=layers[1:])
        items.append(Item(f"app:{n}", Graph(root, (*layers, root), {root.digest: (b"", meaning)})))
    Counted.asked = 0
    plan = make_plan(items, held=Counted())
    assert Counted.asked == images * 11
    assert (len(plan.blobs), len(plan.manifests), len(plan.shares())) == (200, images, images)
    assert plan.size == sum(blob.size for blob in blobs) + 500 * images


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), max_size=8), st.sets(st.integers(0, 30)))
def test_carried_and_assumed_are_all_there_is(shapes: list[list[int]], there: set[int]) -> None:
    nodes = {n: Descriptor(mediatype.OCI_LAYER, digest_of(bytes([n])), n) for n in range(31)}
    items = [
        Item(str(n), Graph(nodes[shape[-1]], tuple(dict.fromkeys(nodes[k] for k in shape)), {}))
        for n, shape in enumerate(shapes)
    ]
    held = {nodes[n].digest for n in there}
    plan = make_plan(items, held=held)
    needed = {nodes[n].digest for shape in shapes for n in shape}
    carried = [want.digest for want in plan.order]
    assert len(set(carried)) == len(carried)
    assert set(carried) | set(plan.assumed) == needed
    assert not set(carried) & held
    assert set(plan.assumed) <= held
    assert sum(share.unique for share in plan.shares()) <= plan.size + sum(nodes[n].size for n in there)


def test_an_index_and_its_child_by_itself() -> None:
    web = image(layer("web", 100))
    both = index(web, image(layer("arm", 100), platform="linux/arm64"))
    alone = replace(web.root, platform=None)
    plan = planned(both, replace(web, root=alone))
    assert [want.digest for want in plan.manifests].count(web.root.digest) == 1
