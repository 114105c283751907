"""Survey and carry: what is read, in which order contents go, and when they are made to last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bundler.content import Buffer, Event, Finished, Held, Outcome, Planned, Source, read
from bundler.errors import DigestError, LimitError, NetworkError, NotFoundError
from bundler.graph import MAX_TOGETHER, weight
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.manifest import parse_manifest
from bundler.oci.platform import parse_platform
from bundler.pull.carry import Survey, carry, survey
from bundler.pull.nearest import Nearest
from bundler.selection.lock import Attachment, LockedImage
from bundler.selection.platforms import strip
from tests.images import Image, artifact, family, image, index, layer, load
from tests.memory import Fault, Memory, Plain

NAMES = ("amd64", "arm64", "s390x")
WHOLE = index(*(image(layer(f"multi {name}", 80), platform=f"linux/{name}") for name in NAMES))
CHILDREN = tuple(
    part.descriptor for part in WHOLE.manifests[:-1] if part.descriptor.platform != parse_platform("linux/s390x")
)


def locked(name: str, held: Image, **more: object) -> LockedImage:
    return replace(LockedImage(f"docker://reg.io/{name}:1", f"{name}:1", held.root, held.root), **more)  # type: ignore[arg-type]  # of the table


def sparse() -> LockedImage:
    return locked("multi", WHOLE, children=CHILDREN, index="sparse")


def stripped() -> LockedImage:
    raw = strip(WHOLE.raw, {child.digest for child in CHILDREN}, what="multi")
    root = Descriptor(mediatype.OCI_INDEX, digest_of(raw), len(raw))
    return locked("multi", WHOLE, root=root, children=CHILDREN, index="strip")


def upstream(**images: Image) -> Memory:
    memory = Memory("reg.io/all")
    load(memory, images)
    memory.calls.clear()
    return memory


def surveyed(source: Source, *images: LockedImage, known: Mapping[object, bytes] | None = None) -> Survey:
    with ThreadPoolExecutor(3) as executor:
        return survey(images, lambda _: source, executor=executor, known=known)  # type: ignore[arg-type]  # digests


class Lasting(Memory):
    """A Memory that is also Durable: it says when it was flushed, and what was whole by then."""

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        super().push(want, content)
        self.calls.append(("tags", f"pushed {want.digest}"))

    def flush(self) -> None:
        self.calls.append(("tags", "flushed"))

    def story(self) -> list[str]:
        return [what for verb, what in self.calls if verb == "tags"]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


# Survey


def test_manifests_are_read_once_each_and_blobs_not_at_all() -> None:
    images = family(size=300)
    memory = upstream(**images)
    found = surveyed(memory, *(locked(name, held) for name, held in images.items()))
    manifests = [part.descriptor.digest for held in images.values() for part in held.manifests]
    fetched = [name for verb, name in memory.calls if verb == "fetch"]
    assert set(fetched) == set(manifests)
    assert set(found.sources) == {digest for held in images.values() for digest in held.digests()}
    assert [item.name for item in found.plan.items] == [f"docker://reg.io/{name}:1" for name in images]


def test_attachments_are_surveyed_under_the_image_s_name() -> None:
    web, sbom = image(layer("web", 50)), artifact(b"{}")
    found = surveyed(upstream(web=web, sbom=sbom), locked("web", web, attachments=(Attachment("", sbom.root),)))
    assert [share.name for share in found.plan.shares()] == ["docker://reg.io/web:1"]
    assert {want.digest for want in found.plan.order} == web.digests() | sbom.digests()


def test_errors_name_the_image() -> None:
    memory = upstream(web=image(layer("web", 50)))
    gone = image(layer("gone", 50))
    with pytest.raises(NotFoundError, match=r"docker://reg\.io/gone:1: "):
        surveyed(memory, locked("web", image(layer("web", 50))), locked("gone", gone))


def test_a_sparse_index_without_the_children_left_out() -> None:
    memory = upstream(multi=WHOLE)
    found = surveyed(memory, sparse())
    assert {want.digest for want in found.plan.manifests} == {WHOLE.root.digest, *(c.digest for c in CHILDREN)}
    assert found.plan.manifests[-1].digest == WHOLE.root.digest


# Stripped indexes


def test_a_stripped_index_is_made_again_from_the_original(executor: ThreadPoolExecutor) -> None:
    wanted = stripped()
    memory, target = upstream(multi=WHOLE), Memory()
    found = surveyed(memory, wanted)
    assert WHOLE.root.digest not in found.sources
    carry(found, target, executor=executor)
    assert digest_of(target.contents[wanted.root.digest]) == wanted.root.digest
    assert set(target.contents) == {want.digest for want in found.plan.order}


def test_a_registry_is_not_asked_whether_it_has_the_stripped_index() -> None:
    """It can't have it, and to ask takes the right to push, which a puller need not have."""
    memory = upstream(multi=WHOLE)
    surveyed(memory, stripped())
    assert memory.count("has") == 0
    assert [name for verb, name in memory.calls if name in (stripped().root.digest, WHOLE.root.digest)] == [
        WHOLE.root.digest
    ]


def test_a_store_that_was_filled_with_the_stripped_index_is_enough(executor: ThreadPoolExecutor) -> None:
    store = Memory("store")
    carry(surveyed(upstream(multi=WHOLE), stripped()), store, executor=executor)
    again = surveyed(store, stripped())
    assert {want.digest for want in again.plan.order} == set(store.contents)


def test_a_second_pull_of_a_stripped_index_asks_the_far_side_for_nothing(executor: ThreadPoolExecutor) -> None:
    store, memory = Memory("store"), upstream(multi=WHOLE)
    for _ in range(2):
        memory.calls.clear()
        carry(surveyed(Nearest(store, store.has, lambda: memory), stripped()), store, executor=executor)
    assert memory.calls == []


def test_a_lock_whose_stripped_index_is_not_what_comes_out_is_refused() -> None:
    wrong = replace(stripped(), children=CHILDREN[:1])
    with pytest.raises(DigestError, match=r"docker://reg\.io/multi:1"):
        surveyed(upstream(multi=WHOLE), wrong)


# Carry


def test_everything_arrives_and_nothing_is_named(executor: ThreadPoolExecutor) -> None:
    images = family(size=300)
    target = Memory()
    found = surveyed(upstream(**images), *(locked(name, held) for name, held in images.items()))
    outcomes = carry(found, target, executor=executor)
    assert {digest: digest_of(raw) for digest, raw in target.contents.items()} == {d: d for d in found.sources}
    assert outcomes == {Outcome.COPIED: len(found.plan.order)}
    assert target.names == {}
    assert carry(found, target, executor=executor) == {Outcome.PRESENT: len(found.plan.order)}


def test_blobs_flush_manifests_flush(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50), layer("more", 400))
    target = Lasting()
    found = surveyed(upstream(web=web), locked("web", web))
    carry(found, target, executor=executor)
    story = target.story()
    assert story[-1] == "flushed"
    first = story.index("flushed")
    assert set(story[:first]) == {f"pushed {want.digest}" for want in found.plan.blobs}
    assert story[first + 1 : -1] == [f"pushed {want.digest}" for want in found.plan.manifests]


def test_a_target_that_is_not_durable_is_not_flushed(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50))
    target = Memory()
    carry(surveyed(upstream(web=web), locked("web", web)), Plain(target), executor=executor)
    assert set(target.contents) == web.digests()


@pytest.mark.parametrize("jobs", [1, 8])
def test_a_strict_target_never_gets_a_parent_before_its_child(jobs: int) -> None:
    """Indexes in indexes, several workers: a registry would refuse the parent."""
    inner = index(image(layer("a", 50)), image(layer("b", 50), platform="linux/arm64"))
    outer = index(inner, image(layer("c", 50), platform="linux/arm/v7"))
    images = {"outer": outer, "inner": inner} | family(size=200)

    class Slow(Memory):
        def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
            threading.Event().wait(0.003 if want.is_manifest and want.size < 600 else 0)
            super().push(want, content)

    target = Slow()
    found = surveyed(upstream(**images), *(locked(name, held) for name, held in images.items()))
    with ThreadPoolExecutor(jobs) as executor:
        carry(found, target, executor=executor)
    assert set(target.contents) == set(found.sources)


def test_what_was_read_already_is_not_fetched_again(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50))
    config = next(part for part in web.blobs if part.descriptor.media_type == mediatype.OCI_CONFIG)
    memory = upstream(web=web)
    found = surveyed(memory, locked("web", web), known={config.descriptor.digest: config.raw})
    memory.calls.clear()
    carry(found, Memory(), executor=executor)
    fetched = [name for verb, name in memory.calls if verb == "fetch"]
    assert fetched == [part.descriptor.digest for part in web.blobs if part is not config]


def test_what_was_known_and_wrong_is_refused(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50))
    config = web.parts[-2]
    found = surveyed(upstream(web=web), locked("web", web), known={config.descriptor.digest: b"x" * len(config.raw)})
    target = Memory()
    with pytest.raises(DigestError):
        carry(found, target, executor=executor)
    assert config.descriptor.digest not in target.contents
    assert web.root.digest not in target.contents


def test_progress_tells_the_plan_first(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50))
    events: list[Event] = []
    found = surveyed(upstream(web=web), locked("web", web))
    carry(found, Memory(), executor=executor, observer=events.append, stage="try")
    assert events[0] == Planned("try", len(web.parts), found.plan.size)
    finished = [event.want.digest for event in events if isinstance(event, Finished)]
    assert sorted(finished) == sorted(web.digests())


def test_a_broken_blob_leaves_no_manifest_behind(executor: ThreadPoolExecutor) -> None:
    web = image(layer("web", 50), layer("more", 400))
    memory, target = upstream(web=web), Memory(strict=False)
    found = surveyed(memory, locked("web", web))
    memory.faults.append(Fault("fetch", web.parts[0].descriptor.digest, error=NetworkError("reset"), times=1))
    with pytest.raises(NetworkError):
        carry(found, target, executor=executor)
    assert not any(want.digest in target.contents for want in found.plan.manifests)
    carry(found, target, executor=executor)
    assert set(target.contents) == web.digests()


# Nearest


class Only:
    """A source that may not be touched but for ``allowed``."""

    def __init__(self, memory: Memory, allowed: set[str]) -> None:
        self.memory, self.allowed = memory, allowed

    def resolve(self, name: str) -> Descriptor:
        return self.memory.resolve(name)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        assert want.digest in self.allowed
        return self.memory.fetch(want)


def test_nearest_takes_the_near_side_s_and_fetches_the_rest() -> None:
    web = image(layer("web", 50))
    near, far = Memory("near"), upstream(web=web)
    first, *rest = web.parts
    near.put(first.raw, first.descriptor.media_type)
    source = Nearest(near, near.has, lambda: Only(far, {part.descriptor.digest for part in rest}))
    assert [read(source, part.descriptor) for part in web.parts] == [part.raw for part in web.parts]
    assert source.resolve("web") == far.names["web"]


def test_nearest_opens_the_far_side_only_if_it_must() -> None:
    web = image(layer("web", 50))
    near = upstream(web=web)

    def never() -> Source:
        raise AssertionError("opened")

    source = Nearest(near, near.has, never)
    assert read(source, web.root) == web.raw
    assert source.is_near(web.root)


@pytest.mark.parametrize("wrap", [pytest.param(lambda m: m, id="ranged"), pytest.param(Plain, id="not-ranged")])
@pytest.mark.parametrize("near", [True, False])
def test_nearest_starts_in_the_middle(wrap: Callable[[Memory], Source], near: bool) -> None:
    blob = layer("long", 400)
    memory = Memory(chunk=70)
    memory.put(blob.raw, blob.descriptor.media_type)
    nothing = Memory("nothing")
    source = (
        Nearest(wrap(memory), memory.has, lambda: wrap(nothing))
        if near
        else Nearest(wrap(nothing), nothing.has, lambda: wrap(memory))
    )
    for offset in (0, 1, 69, 70, 71, 399, len(blob.raw)):
        assert b"".join(bytes(chunk) for chunk in source.fetch_from(blob.descriptor, offset)) == blob.raw[offset:]


def test_held_contents_have_no_names() -> None:
    with pytest.raises(NotFoundError):
        Held({}).resolve("web")


# Memory


def padded(name: str, size: int) -> tuple[Memory, LockedImage]:
    held = image(layer(name, 50))
    memory = upstream(**{name: held})
    root = memory.put(held.raw + b" " * size, held.root.media_type)
    return memory, replace(locked(name, held), root=root, origin=root)


def test_manifests_of_many_images_do_not_fill_memory_and_the_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.graph.MAX_TOGETHER", 1 << 20)
    sources = [padded(f"i{n}", 300_000) for n in range(5)]
    by_name = {each.source: memory for memory, each in sources}
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(
            LimitError, match=r"^docker://reg\.io/i3:1: the manifests of all images together need more than 1"
        ),
    ):
        survey([each for _, each in sources], lambda each: by_name[each.source], executor=executor)


def test_one_large_manifest_under_many_names_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.graph.MAX_TOGETHER", 1 << 20)
    memory, same = padded("same", 300_000)
    found = surveyed(memory, *(replace(same, source=f"docker://reg.io/same:{n}") for n in range(20)))
    assert len(found.plan.items) == 20
    assert len(found.plan.manifests) == 1


def test_2000_images_of_usual_manifests_fit() -> None:
    """Three platforms each, 15 layers, 5 KB: some 6,000 manifests."""
    assert MAX_TOGETHER == 128 << 20
    layers = [layer(f"usual {n}", 20) for n in range(15)]
    manifest = parse_manifest((held := image(*layers)).raw, held.root.media_type, what="usual")
    assert 6000 * weight(held.raw + b" " * 2500, manifest) < MAX_TOGETHER
