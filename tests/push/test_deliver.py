"""Delivery: what is uploaded, mounted and skipped, in which order, and what a failure leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from bundler.content import Buffer, Event, Observer, Outcome, Planned
from bundler.errors import (
    ArchiveError,
    AuthError,
    BundlerError,
    DigestError,
    LimitError,
    NetworkError,
    ProtocolError,
    PushError,
    UnsupportedError,
)
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.push import Delivery, Shipment, deliver
from tests.images import Image, artifact, image, index, layer, load, part, parts_of
from tests.memory import Fault, Memory, Plain

BASE = layer("base", 900)
WEB, API = (image(BASE, layer(name, 300)) for name in ("web", "api"))
ARMS = tuple(image(layer(f"multi {name}", 80), platform=f"linux/{name}") for name in ("amd64", "arm64", "s390x"))
MULTI = index(*ARMS)
IMAGES = {"web": WEB, "api": API, "multi": MULTI, "sbom": artifact(b"{}", subject=WEB)}


class Check:
    """What is asked when all contents have arrived; ``before`` says what was at the destination by then."""

    def __init__(self, error: BundlerError | None = None, far: Far | None = None) -> None:
        self.error, self.far = error, far
        self.calls = 0
        self.before: set[Digest] = set()

    def __call__(self) -> None:
        self.calls += 1
        if self.far is not None:
            assert self.far.tags() == {}
            self.before = {digest for memory in self.far.host.values() for digest in memory.contents}
        if self.error is not None:
            raise self.error


class Lasting(Memory):
    """A Memory that is Durable too."""

    def flush(self) -> None:
        self.calls.append(("tags", "flushed"))


@dataclass
class Far:
    """The registry at the far side: a Memory per repository, made when it is opened."""

    host: dict[str, Memory] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    strict: bool = True
    wrap: Callable[[Memory], object] = lambda memory: memory

    def open(self, repository: str) -> object:
        if repository not in self.host:
            self.host[repository] = Lasting(repository, self.host, strict=self.strict)
        return self.wrap(self.host[repository])

    def calls(self, verb: str) -> list[tuple[str, str]]:
        return [(name, what) for name, memory in self.host.items() for v, what in memory.calls if v == verb]

    def forget(self) -> None:
        for memory in self.host.values():
            memory.calls.clear()

    def tags(self) -> dict[str, Digest]:
        return {f"{n}:{tag}": root.digest for n, memory in self.host.items() for tag, root in memory.names.items()}

    def assert_whole(self) -> None:
        """I8: every tag's content is all there."""
        for memory in self.host.values():
            for root in memory.names.values():
                for held in (*IMAGES.values(), *ARMS):
                    if held.root.digest == root.digest:
                        assert held.digests() <= memory.contents.keys()


@pytest.fixture
def source() -> Memory:
    memory = Memory("volumes")
    load(memory, IMAGES)
    memory.calls.clear()
    return memory


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def shipment(repository: str, held: Image, tag: str | None = "1", **more: object) -> Shipment:
    return Shipment(f"near.io/{repository}:{tag}", held.root, repository, tag, **more)  # type: ignore[arg-type]  # tests


TWO = (shipment("team/web", WEB), shipment("team/api", API))
ORDER = {part.descriptor.digest: n for n, part in enumerate(parts_of(IMAGES))}


def send(
    far: Far,
    source: Memory,
    executor: ThreadPoolExecutor,
    *loads: Shipment,
    check: Callable[[], None] | None = None,
    order: Mapping[Digest, int] = ORDER,
    observer: Observer = lambda event: None,
) -> Delivery:
    return deliver(
        lambda _: source,
        loads or TWO,
        far.open,  # type: ignore[arg-type]  # a Memory, or what wraps one
        order=order,
        check=check or Check(),
        executor=executor,
        observer=observer,
    )


# What moves


def test_everything_arrives_and_is_named(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    check = Check(far=far)
    delivery = send(far, source, executor, *TWO, shipment("multi", MULTI, "2"), check=check)
    assert far.tags() == {
        "team/web:1": WEB.root.digest,
        "team/api:1": API.root.digest,
        "multi:2": MULTI.root.digest,
    }
    far.assert_whole()
    assert check.calls == 1
    assert check.before == WEB.digests() | API.digests() | MULTI.digests()
    assert len(delivery.delivered) == 3
    assert delivery.unchanged == ()


def test_a_blob_is_uploaded_once_and_mounted_into_the_other_repositories(
    source: Memory, executor: ThreadPoolExecutor
) -> None:
    far = Far()
    delivery = send(far, source, executor)
    uploads = [what for _, what in far.calls("push") if what == BASE.descriptor.digest]
    assert uploads == [BASE.descriptor.digest]
    assert far.calls("mount") == [("team/api", BASE.descriptor.digest)]
    assert source.count("fetch", BASE.descriptor.digest) == 1
    manifests = len(WEB.manifests) + len(API.manifests)
    assert delivery.outcomes == {
        Outcome.COPIED: len({*WEB.digests(), *API.digests()} - {WEB.root.digest, API.root.digest}) + manifests,
        Outcome.MOUNTED: 1,
    }


@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda far: far.open("team/api").faults.append(Fault("mount", decline=True)), id="declined"),
        pytest.param(lambda far: setattr(far, "wrap", Plain), id="no-mounts-at-all"),
    ],
)
def test_what_is_not_mounted_is_uploaded(
    source: Memory, executor: ThreadPoolExecutor, prepare: Callable[[Far], object]
) -> None:
    far = Far()
    prepare(far)
    send(far, source, executor)
    assert sorted(name for name, what in far.calls("push") if what == BASE.descriptor.digest) == [
        "team/api",
        "team/web",
    ]
    far.assert_whole()
    assert len(far.tags()) == 2


def test_blobs_that_are_there_are_not_sent_again(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    load(far.open("team/web"), {"0": image(BASE)})  # type: ignore[arg-type]  # a Memory
    far.forget()
    delivery = send(far, source, executor)
    assert ("team/web", BASE.descriptor.digest) not in far.calls("push")
    assert delivery.outcomes[Outcome.PRESENT] == 1


def test_blobs_go_in_the_order_of_the_volumes(source: Memory) -> None:
    far = Far()
    wanted = sorted({p.descriptor.digest for held in (WEB, API) for p in held.blobs})
    with ThreadPoolExecutor(1) as executor:
        send(far, source, executor, order={digest: n for n, digest in enumerate(reversed(wanted))})
    fetched = [what for verb, what in source.calls if verb == "fetch" and what in wanted]
    assert fetched == wanted[::-1]


def test_manifests_follow_blobs_and_tags_follow_everything(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    send(far, source, executor, *TWO, shipment("team/web", MULTI, "multi"))
    for name, memory in far.host.items():
        pushed = [what for verb, what in memory.calls if verb == "push"]
        manifests = [what for what in pushed if mediatype.is_manifest(memory.media_types[Digest(what)])]
        assert pushed[-len(manifests) :] == manifests, name
        verbs = [verb for verb, _ in memory.calls]
        assert verbs.index("tag") > max(n for n, verb in enumerate(verbs) if verb in ("push", "mount", "tags"))
    assert ("team/web", "flushed") in far.calls("tags")


def test_no_tag_before_all_images_are_there(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    seen: list[bool] = []

    class Watching(Lasting):
        def tag(self, name: str, root: Descriptor) -> None:
            seen.append(all(held.digests() <= far.host[n].contents.keys() for n, held in whole.items()))
            super().tag(name, root)

    whole = {"team/web": WEB, "team/api": API}
    for name in whole:
        far.host[name] = Watching(name, far.host)
    send(far, source, executor)
    assert seen == [True, True]


def test_progress_tells_of_uploads_and_mounts(source: Memory, executor: ThreadPoolExecutor) -> None:
    events: list[Event] = []
    send(Far(), source, executor, observer=events.append)
    (planned,) = [event for event in events if isinstance(event, Planned)]
    blobs = {p.descriptor for held in (WEB, API) for p in held.blobs}
    assert planned == Planned("push", len(blobs) + 1, sum(b.size for b in blobs) + BASE.descriptor.size)


def test_attachments_and_images_without_a_tag(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    sbom = shipment("team/web", IMAGES["sbom"], None, attached=True)
    signature = shipment("team/web", IMAGES["sbom"], "sha256-x.sbom", attached=True)
    send(far, source, executor, shipment("team/web", WEB, None), sbom, signature)
    memory = far.host["team/web"]
    assert WEB.digests() | IMAGES["sbom"].digests() == memory.contents.keys()
    assert memory.names.keys() == {"sha256-x.sbom"}
    pushes = [what for verb, what in memory.calls if verb == "push"]
    assert len(set(pushes)) == len(pushes)


def test_attachments_are_named_before_images_and_images_before_their_indexes(source: Memory) -> None:
    far = Far()
    with ThreadPoolExecutor(1) as one:
        loads = (
            shipment("app", MULTI, "multi"),
            shipment("app", WEB, "web"),
            shipment("app", IMAGES["sbom"], "sha256-x.sbom", attached=True),
        )
        send(far, source, one, *loads)
    assert [tag for _, tag in far.calls("tag")] == ["sha256-x.sbom", "web", "multi"]


class Unlisting(Memory):
    """A registry where a push broke off between a manifest and its entry in the list that clients keep."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]  # passed through
        self.listed: set[Digest] = set()

    def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
        super().push(want, content)
        self.listed.add(want.digest)

    def referrers(self, subject: Digest) -> list[Descriptor]:
        return [one for one in super().referrers(subject) if one.digest in self.listed]


def test_an_attachment_that_is_there_and_not_listed_is_sent_again(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    memory = far.host["team/web"] = Unlisting("team/web", far.host)
    sbom = shipment("team/web", IMAGES["sbom"], None, attached=True, subject=WEB.root.digest)
    loads = (shipment("team/web", WEB), sbom)
    send(far, source, executor, *loads)
    assert send(far, source, executor, *loads).unchanged == loads
    memory.listed.clear()
    again = send(far, source, executor, *loads)
    assert (again.unchanged, again.delivered) == (loads[:1], loads[1:])
    assert memory.referrers(WEB.root.digest)[0].digest == sbom.root.digest


def test_a_sparse_index_goes_without_what_was_left_out(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far(strict=False)
    send(far, source, executor, shipment("multi", MULTI, chosen=frozenset({ARMS[1].root.digest})))
    assert far.host["multi"].contents.keys() == ARMS[1].digests() | {MULTI.root.digest}


# Repeating


def test_a_second_push_moves_nothing_and_reads_no_volume(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    loads = (*TWO, shipment("multi", MULTI), shipment("pinned", WEB, ""))
    send(far, source, executor, *loads)
    far.forget()
    source.calls.clear()
    check = Check()
    again = send(far, source, executor, *loads, check=check)
    assert {what for verb, what in source.calls} == {MULTI.root.digest}
    assert (again.outcomes, again.unchanged, again.delivered) == ({}, loads, ())
    assert check.calls == 0
    assert far.calls("push") == far.calls("tag") == []
    assert {what for _, what in far.calls("resolve")} == {"1", WEB.root.digest}


def test_only_what_changed_moves(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    send(far, source, executor)
    far.host["team/api"].names["1"] = WEB.root
    far.forget()
    again = send(far, source, executor)
    assert [s.repository for s in again.unchanged] == ["team/web"]
    assert far.calls("tag") == [("team/api", "1")]
    assert far.tags()["team/api:1"] == API.root.digest


def test_a_target_that_cannot_resolve_is_sent_everything(source: Memory, executor: ThreadPoolExecutor) -> None:
    class Blind:
        def __init__(self, memory: Memory) -> None:
            self.has, self.push, self.tag = memory.has, memory.push, memory.tag

    far = Far(wrap=Blind)
    for _ in range(2):
        assert send(far, source, executor).unchanged == ()
    far.assert_whole()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(frozenset({ARMS[0].root.digest}), frozenset(a.root.digest for a in ARMS[:2]), id="one-more"),
        pytest.param(frozenset({ARMS[0].root.digest}), None, id="all-of-them"),
        pytest.param(frozenset({ARMS[0].root.digest}), frozenset({ARMS[2].root.digest}), id="another"),
    ],
)
def test_the_same_index_with_more_platforms_is_not_unchanged(
    source: Memory, executor: ThreadPoolExecutor, before: frozenset[Digest], now: frozenset[Digest] | None
) -> None:
    """Its digest is that of the sparse index that is there; what its children need is not."""
    far = Far(strict=False)
    send(far, source, executor, shipment("multi", MULTI, chosen=before))
    second = send(far, source, executor, shipment("multi", MULTI, chosen=now))
    assert second.unchanged == ()
    for arm in ARMS:
        if now is None or arm.root.digest in now:
            assert arm.digests() <= far.host["multi"].contents.keys()
    assert len(send(far, source, executor, shipment("multi", MULTI, chosen=now)).unchanged) == 1


def test_a_destination_that_refuses_to_say_what_is_there_ends_the_push(
    source: Memory, executor: ThreadPoolExecutor
) -> None:
    far = Far()
    far.open("team/web")
    far.host["team/web"].faults.append(Fault("resolve", error=AuthError("denied")))
    with pytest.raises(AuthError):
        send(far, source, executor)
    assert far.calls("push") == []


# The check


def test_a_failing_check_leaves_no_tag(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    check = Check(ArchiveError("volume 2"), far)
    with pytest.raises(ArchiveError, match="volume 2"):
        send(far, source, executor, check=check)
    assert check.before == WEB.digests() | API.digests()
    assert far.tags() == {}
    send(far, source, executor)
    assert len(far.tags()) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_few_workers_are_enough(source: Memory, jobs: int) -> None:
    far = Far()
    with ThreadPoolExecutor(jobs) as executor:
        send(far, source, executor)
    far.assert_whole()
    assert len(far.tags()) == 2


# The destination fails


def test_after_a_failing_upload_nothing_is_checked_or_tagged(source: Memory, executor: ThreadPoolExecutor) -> None:
    far, check = Far(), Check()
    far.open("team/web")
    far.host["team/web"].faults.append(Fault("push", error=PushError("no room")))
    with pytest.raises(PushError, match="no room"):
        send(far, source, executor, check=check)
    assert check.calls == 0
    assert far.tags() == {}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("push", error=NetworkError("reset"), times=1), id="an-upload"),
        pytest.param(Fault("push", WEB.root.digest, error=NetworkError("reset"), times=1), id="a-manifest"),
        pytest.param(Fault("tag", error=NetworkError("reset"), times=1), id="a-tag"),
    ],
)
def test_the_same_push_again_goes_on(source: Memory, executor: ThreadPoolExecutor, fault: Fault) -> None:
    far = Far()
    far.open("team/web")
    far.host["team/web"].faults.append(fault)
    with pytest.raises(NetworkError):
        send(far, source, executor)
    far.assert_whole()
    send(far, source, executor)
    assert len(far.tags()) == 2
    far.assert_whole()


def test_an_error_at_a_tag_names_it(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    far.open("team/api")
    far.host["team/api"].faults.append(Fault("tag", error=PushError("locked")))
    with pytest.raises(PushError, match=r"^tag team/api:1: locked"):
        send(far, source, executor)


def test_a_damaged_blob_leaves_no_manifest_that_needs_it(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far(strict=False)
    source.faults.append(Fault("fetch", BASE.descriptor.digest, flip=5))
    with pytest.raises(DigestError):
        send(far, source, executor)
    assert not any(WEB.root.digest in memory.contents for memory in far.host.values())
    assert far.tags() == {}


def test_a_damaged_manifest_ends_it_before_anything_moves(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    source.faults.append(Fault("fetch", WEB.root.digest, flip=5))
    with pytest.raises(DigestError, match=r"near\.io/team/web:1"):
        send(far, source, executor)
    assert far.calls("push") == []


# A registry that claims what it has not


def claiming(far: Far, repository: str, *digests: Digest) -> Memory:
    far.open(repository)
    for digest in digests:
        far.host[repository].faults.append(Fault("has", digest, lie=True, times=1))
    return far.host[repository]


@pytest.mark.parametrize("digest", [BASE.descriptor.digest, WEB.parts[-2].descriptor.digest])
def test_children_are_sent_once_more_if_the_parent_is_refused(
    source: Memory, executor: ThreadPoolExecutor, digest: Digest
) -> None:
    far = Far()
    memory = claiming(far, "team/web", digest)
    send(far, source, executor, TWO[0])
    assert WEB.digests() == memory.contents.keys()
    assert memory.count("push", WEB.root.digest) == 2
    assert memory.names["1"] == WEB.root


def test_a_child_manifest_is_sent_once_more(source: Memory, executor: ThreadPoolExecutor) -> None:
    """As a registry that garbage-collects untagged manifests behind the push's back makes necessary."""
    far = Far()

    class Forgetful(Lasting):
        forgets = 1

        def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
            if want.digest == MULTI.root.digest and self.forgets:
                self.forgets -= 1
                del self.contents[ARMS[1].root.digest]
            super().push(want, content)

    far.host["multi"] = Forgetful("multi", far.host)
    send(far, source, executor, shipment("multi", MULTI))
    assert far.tags() == {"multi:1": MULTI.root.digest}
    far.assert_whole()


def test_a_child_listed_for_two_platforms_is_sent_once_more_too(source: Memory, executor: ThreadPoolExecutor) -> None:
    """Its two descriptors differ, so the one that was walked is not the one that is listed second."""
    arm = image(layer("arm", 50), platform="linux/arm/v6")
    twin = Image(Descriptor(arm.root.media_type, arm.root.digest, arm.root.size), arm.parts)
    both = index(arm, twin)
    load(source, {"both": both})
    far = Far()

    class Forgetful(Lasting):
        forgets = 1

        def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
            if want.digest == both.root.digest and self.forgets:
                self.forgets -= 1
                del self.contents[arm.root.digest]
            super().push(want, content)

    far.host["both"] = Forgetful("both", far.host)
    alone = Shipment("near.io/alone:1", Descriptor(arm.root.media_type, arm.root.digest, arm.root.size), "both", "a")
    send(far, source, executor, alone, shipment("both", both))
    assert far.tags()["both:1"] == both.root.digest


def test_a_registry_that_refuses_for_good_is_asked_twice_and_believed(
    source: Memory, executor: ThreadPoolExecutor
) -> None:
    far = Far()
    far.open("team/web")
    far.host["team/web"].faults.append(Fault("push", WEB.root.digest, error=PushError("media type")))
    with pytest.raises(PushError, match="media type"):
        send(far, source, executor, TWO[0])
    assert far.host["team/web"].count("push", WEB.root.digest) == 2
    assert far.tags() == {}


def test_a_sparse_index_that_is_refused_does_not_bring_its_other_children(
    source: Memory, executor: ThreadPoolExecutor
) -> None:
    far = Far()
    with pytest.raises(PushError, match="MANIFEST_BLOB_UNKNOWN"):
        send(far, source, executor, shipment("multi", MULTI, chosen=frozenset({ARMS[1].root.digest})))
    assert far.host["multi"].contents.keys() == ARMS[1].digests()
    assert far.tags() == {}


def test_a_layer_listed_as_a_manifest_elsewhere(source: Memory, executor: ThreadPoolExecutor) -> None:
    inner = image(layer("inner", 50))
    outer = image(part(inner.raw, mediatype.OCI_LAYER), platform="linux/arm64")
    load(source, {"inner": inner, "outer": outer})
    far = Far()
    send(far, source, executor, shipment("odd", inner, "inner"), shipment("odd", outer, "outer"))
    assert far.tags() == {"odd:inner": inner.root.digest, "odd:outer": outer.root.digest}


# What is under a tag and can't be read


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ProtocolError("no config"), id="not-a-manifest"),
        pytest.param(UnsupportedError("schema 1"), id="schema-1"),
        pytest.param(DigestError("another"), id="wrong-digest"),
        pytest.param(LimitError("4194305 bytes"), id="too-large"),
    ],
)
def test_a_bad_manifest_under_a_tag_is_replaced(
    source: Memory, executor: ThreadPoolExecutor, error: BundlerError
) -> None:
    far = Far()
    far.open("team/web")
    far.host["team/web"].faults.append(Fault("resolve", "1", error=error))  # type: ignore[arg-type]  # a tag
    assert send(far, source, executor).unchanged == ()
    assert far.tags() == {"team/web:1": WEB.root.digest, "team/api:1": API.root.digest}


def test_a_destination_that_does_not_answer_ends_the_push(source: Memory, executor: ThreadPoolExecutor) -> None:
    far = Far()
    far.open("team/web")
    far.host["team/web"].faults.append(Fault("resolve", error=NetworkError("reset")))
    with pytest.raises(NetworkError):
        send(far, source, executor)
    assert far.calls("push") == []
