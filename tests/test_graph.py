"""The walk from a root to everything it needs."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler import graph
from bundler.content import Source, read
from bundler.errors import DigestError, LimitError, NotFoundError, ProtocolError
from bundler.graph import MAX_DEPTH, Graph, walk, walk_named
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from tests.images import Image, artifact, as_json, family, image, index, layer, part, parts_of
from tests.memory import Fault, Memory


def holding(*images: Image) -> Memory:
    memory = Memory()
    for each in parts_of({str(n): each for n, each in enumerate(images)}):
        memory.put(each.raw, each.descriptor.media_type)
    return memory


def assert_in_order(found: Graph) -> None:
    """Each content once, children before parents, the root last."""
    keys = [node.key for node in found.nodes]
    assert len(set(keys)) == len(keys)
    assert found.nodes[-1] == found.root or not found.nodes
    place = {key: n for n, key in enumerate(keys)}
    for node in found.nodes:
        if node.is_manifest:
            for child in found.manifests[node.digest][1].children():
                if child.key in place:
                    assert place[child.key] < place[node.key]


@pytest.mark.parametrize("name", list(family(size=200)))
def test_finds_all_of_an_image_and_nothing_else(name: str) -> None:
    wanted = family(size=200)[name]
    found = walk(holding(*family(size=200).values()), wanted.root)
    assert {node.digest for node in found.nodes} == wanted.digests()
    assert {node.digest for node in found.blobs} == {each.descriptor.digest for each in wanted.blobs}
    assert found.size == sum(len(each.raw) for each in wanted.parts)
    assert found.manifests.keys() == {each.descriptor.digest for each in wanted.manifests}
    assert found.manifests[wanted.root.digest][0] == wanted.raw
    assert_in_order(found)


def test_each_manifest_is_read_once_and_no_blob() -> None:
    web = image(layer("web", 100))
    both = index(web, image(layer("arm", 100), platform="linux/arm64"))
    outer = index(both, web)
    memory = holding(outer)
    walk(memory, outer.root)
    fetched = [name for verb, name in memory.calls if verb == "fetch"]
    assert sorted(fetched) == sorted(each.descriptor.digest for each in outer.manifests)


def test_a_blob_can_be_the_root() -> None:
    blob = layer("alone", 10)
    found = walk(Memory(), blob.descriptor)
    assert found.nodes == (blob.descriptor,)
    assert found.manifests == {}


def test_the_subject_of_an_artifact_is_not_a_child() -> None:
    web = image(layer("web", 100))
    sbom = artifact(b"{}", subject=web)
    found = walk(holding(sbom), sbom.root)
    assert web.root.digest not in {node.digest for node in found.nodes}


def test_a_sparse_index_is_walked_where_it_was_chosen() -> None:
    arms = [image(layer(f"l{n}", 50), platform=f"linux/arm/v{n}") for n in (5, 6, 7)]
    every = index(*arms)
    found = walk(holding(every), every.root, chosen={arms[1].root.digest})
    assert {node.digest for node in found.nodes} == arms[1].digests() | {every.root.digest}
    assert_in_order(found)


def test_chosen_limits_the_root_alone() -> None:
    leaf, other = image(layer("leaf", 50)), image(layer("other", 50), platform="linux/arm64")
    inner = index(leaf, other)
    outer = index(inner)
    found = walk(holding(outer), outer.root, chosen={inner.root.digest})
    assert leaf.digests() | other.digests() <= {node.digest for node in found.nodes}


def test_chosen_says_nothing_about_an_image_manifest() -> None:
    web = image(layer("web", 50))
    assert {node.digest for node in walk(holding(web), web.root, chosen=set()).nodes} == web.digests()


def test_foreign_layers_are_listed_and_not_needed() -> None:
    foreign = part(b"x" * 30, mediatype.DOCKER_FOREIGN_LAYER, urls=("https://example.com/layer",))
    kept = image(layer("own", 50, docker=True), foreign, docker=True)
    assert foreign.descriptor.digest not in {node.digest for node in walk(holding(kept), kept.root).nodes}


def test_one_digest_listed_as_manifest_and_as_blob_is_visited_as_both() -> None:
    inner = image(layer("inner", 50))
    as_blob = part(inner.raw, mediatype.OCI_LAYER)
    outer = index(inner, image(as_blob, platform="linux/arm64"))
    found = walk(holding(outer), outer.root)
    assert [node.is_manifest for node in found.nodes if node.digest == inner.root.digest].count(True) == 1
    assert [node.is_manifest for node in found.nodes if node.digest == inner.root.digest].count(False) == 1
    assert_in_order(found)


def nested(depth: int) -> Image:
    """``depth`` manifests below each other, counting the image at the bottom."""
    held = image(layer("bottom", 10))
    for _ in range(depth - 1):
        held = index(held)
    return held


@pytest.mark.parametrize("depth", [1, 2, MAX_DEPTH])
def test_depth_that_is_allowed(depth: int) -> None:
    held = nested(depth)
    assert_in_order(walk(holding(held), held.root))


def test_one_deeper_is_refused() -> None:
    held = nested(MAX_DEPTH + 1)
    with pytest.raises(LimitError, match=f"{held.root.digest}: indexes nested more than {MAX_DEPTH} deep"):
        walk(holding(held), held.root)


def test_too_many_contents_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    held = image(*(layer(f"l{n}", 10) for n in range(20)))
    monkeypatch.setattr(graph, "MAX_NODES", 22)
    assert len(walk(holding(held), held.root).nodes) == 22
    monkeypatch.setattr(graph, "MAX_NODES", 20)
    with pytest.raises(LimitError, match="more than 20 contents"):
        walk(holding(held), held.root)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda memory, root: memory.contents.pop(root.digest), NotFoundError, id="a-manifest-is-missing"),
        pytest.param(
            lambda memory, root: memory.faults.append(Fault("fetch", root.digest, flip=3)),
            DigestError,
            id="a-manifest-is-damaged",
        ),
        pytest.param(
            lambda memory, root: memory.contents.update({root.digest: b"x" * root.size}),
            DigestError,
            id="a-manifest-was-replaced",
        ),
    ],
)
def test_what_reading_raises_comes_through(spoil: object, error: type[Exception]) -> None:
    inner = image(layer("inner", 50))
    held = index(inner)
    memory = holding(held)
    spoil(memory, inner.root)  # type: ignore[operator]  # a lambda of the table
    with pytest.raises(error):
        walk(memory, held.root)


def test_an_ambiguous_manifest_is_refused() -> None:
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [], "layers": []}
    memory = Memory()
    root = memory.put(as_json(document), mediatype.OCI_INDEX)
    with pytest.raises(ProtocolError):
        walk(memory, root)


def test_a_manifest_above_its_cap_is_not_read() -> None:
    memory = Memory()
    root = Descriptor(mediatype.OCI_MANIFEST, Digest("sha256:" + "0" * 64), 5 << 20)
    with pytest.raises(LimitError):
        walk(memory, root)
    assert memory.calls == []


def test_walk_named_puts_the_image_in_front() -> None:
    root = image(layer("web", 50)).root
    with pytest.raises(NotFoundError, match=r"^docker://far/app:1: app: no sha256:"):
        walk_named(Memory(), "docker://far/app:1", root)
    web = image(layer("web", 50))
    assert walk_named(holding(web), "web", web.root) == walk(holding(web), web.root)


@st.composite
def forests(draw: st.DrawFn) -> Image:
    """An index over images and indexes that share what hypothesis likes them to share."""
    layers = [layer(f"h{n}", 20) for n in range(4)]
    held: list[Image] = [
        image(*(layers[n] for n in draw(st.lists(st.integers(0, 3), max_size=4, unique=True))), labels={"n": str(n)})
        for n in range(draw(st.integers(1, 3)))
    ]
    for _ in range(draw(st.integers(1, 4))):
        held.append(index(*draw(st.lists(st.sampled_from(held), min_size=1, max_size=4))))
    return held[-1]


@given(forests())
def test_always_complete_and_in_order(held: Image) -> None:
    found = walk(holding(held), held.root)
    assert {node.digest for node in found.nodes} == held.digests()
    assert_in_order(found)


@given(forests(), st.data())
def test_whatever_is_chosen_the_rest_is_left_out(held: Image, data: st.DataObject) -> None:
    listed = [child["digest"] for child in json.loads(held.raw)["manifests"]]
    chosen = set(data.draw(st.lists(st.sampled_from(listed), max_size=3)))
    found = walk(holding(held), held.root, chosen=chosen)
    assert_in_order(found)
    memory = holding(held)
    below = {held.root.digest}
    for child in found.manifests[held.root.digest][1].manifests:
        if child.digest in chosen:
            below |= {node.digest for node in walk(memory, replace(child, platform=None)).nodes}
    assert {node.digest for node in found.nodes} == below


def test_an_index_over_padded_manifests_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MAX_BYTES", 1 << 20)
    memory = Memory()
    bare = json.loads(image(layer("web", 10)).raw)
    padded = [memory.put(as_json({**bare, "n": n}) + b" " * 100_000, mediatype.OCI_MANIFEST) for n in range(20)]
    document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [each.document() for each in padded]}
    root = memory.put(as_json(document), mediatype.OCI_INDEX)
    with pytest.raises(LimitError, match=r"^web: sha256:[0-9a-f]+: its manifests need more than 1 MiB of memory"):
        walk_named(memory, "web", root)
    assert memory.count("fetch") == 12  # the index, ten that fit, and the one that does not


def test_short_texts_weigh_more_than_they_are_long() -> None:
    held = image(*(layer(f"l{n}", 10) for n in range(50)))
    raw, manifest = walk(holding(held), held.root).manifests[held.root.digest]
    assert graph.weight(raw, manifest) > len(raw) + 50 * 300


def test_walks_that_share_read_each_manifest_once_and_count_it_once() -> None:
    web = image(layer("web", 100))
    first, second = index(web), index(web, image(layer("arm", 100), platform="linux/arm64"))
    memory = holding(first, second)
    shared = graph.Manifests(10_000)
    found = [walk(memory, each.root, shared=shared) for each in (first, second, second, first) * 20]
    assert memory.count("fetch", web.root.digest) == 1
    assert found[0] == walk(memory, first.root)
    assert found[0].manifests[web.root.digest][0] is found[1].manifests[web.root.digest][0]


def test_a_wrong_size_is_found_out_by_walks_that_share_too() -> None:
    web = image(layer("web", 100))
    memory = holding(web)
    shared = graph.Manifests()
    walk(memory, web.root, shared=shared)
    with pytest.raises(DigestError):
        walk(memory, replace(web.root, size=web.root.size + 1), shared=shared)


def test_threads_that_read_the_same_manifest_keep_one(monkeypatch: pytest.MonkeyPatch) -> None:
    web = image(layer("web", 100))
    both = threading.Barrier(2)
    memory = holding(web)

    def slow(source: Source, want: Descriptor) -> bytes:
        both.wait(5)
        return read(source, want)

    monkeypatch.setattr(graph, "read", slow)
    shared = graph.Manifests()
    with ThreadPoolExecutor(2) as executor:
        one, two = executor.map(lambda _: walk(memory, web.root, shared=shared), range(2))
    assert one.manifests[web.root.digest][0] is two.manifests[web.root.digest][0]


def test_annotations_are_not_kept_in_memory() -> None:
    described = part(b"x" * 30, mediatype.OCI_LAYER, annotations={"note": "of no use for carrying"})
    held = image(described)
    found = walk(holding(held), held.root)
    assert held.raw == found.manifests[held.root.digest][0]
    assert [node.annotations for node in found.blobs] == [{}, {}]
