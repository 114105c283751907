"""What every Source and every Target must do, whatever its medium: a medium's tests subclass these and give a fixture.

    class TestLayoutIsASource(SourceSuite):
        @pytest.fixture
        def open_source(self, tmp_path: Path) -> OpenSource:
            return lambda images: Layout(write_layout(tmp_path / "layout", images))

    class TestStoreIsATarget(TargetSuite):
        @pytest.fixture
        def target(self, tmp_path: Path) -> Store:
            return Store(tmp_path / "store")

A medium that cannot do something says so in a class attribute (``moves_tags = False``), which is then to be read as
documentation; it does not override the test. ``name`` maps a plain name to how the medium writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from bundler.content import (
    Buffer,
    Job,
    Outcome,
    Ranged,
    Referred,
    Source,
    Tagged,
    Target,
    copy,
    copy_all,
    read,
    verified,
)
from bundler.errors import BundlerError, DigestError, NotFoundError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from tests.images import Image, Part, artifact, family, image, index, layer, part, parts_of
from tests.memory import Memory

OpenSource = Callable[[Mapping[str, Image]], Source]
ABSENT = Digest("sha256:" + "0" * 64)


class SourceSuite:
    """Subclasses give the fixture ``open_source``: a source that holds the images it is called with."""

    lone_artifact = True
    """Whether an artifact without a subject can be held."""

    def name(self, plain: str) -> str:
        """How the medium writes the name of an image."""
        return plain

    @pytest.fixture
    def images(self) -> dict[str, Image]:
        """The images that the source will hold."""
        return family()

    @pytest.fixture
    def source(self, open_source: OpenSource, images: dict[str, Image]) -> Source:
        """The source under test."""
        return open_source(images)

    def test_resolves_each_name_to_its_root(self, source: Source, images: dict[str, Image]) -> None:
        for plain, wanted in images.items():
            found = source.resolve(self.name(plain))
            assert (found.media_type, found.digest, found.size) == (
                wanted.root.media_type,
                wanted.root.digest,
                wanted.root.size,
            )

    def test_a_missing_name_is_not_found(self, source: Source) -> None:
        with pytest.raises(NotFoundError):
            source.resolve(self.name("missing"))

    def test_each_content_comes_back_verified(self, source: Source, images: dict[str, Image]) -> None:
        for wanted in parts_of(images):
            assert read(source, wanted.descriptor) == wanted.raw

    def test_missing_content_is_an_error(self, source: Source) -> None:
        absent = Descriptor(mediatype.OCI_LAYER_GZIP, ABSENT, 10)
        with pytest.raises(BundlerError):
            read(source, absent)

    def test_a_wrong_size_is_refused(self, source: Source, images: dict[str, Image]) -> None:
        wanted = images["web"].blobs[0].descriptor
        for size in (wanted.size - 1, wanted.size + 1):
            with pytest.raises(BundlerError):
                read(source, Descriptor(wanted.media_type, wanted.digest, size))

    def test_a_fetch_can_be_given_up(self, source: Source, images: dict[str, Image]) -> None:
        wanted = images["web"].blobs[0]
        with closing(source.fetch(wanted.descriptor)) as chunks:
            next(chunks)
        assert read(source, wanted.descriptor) == wanted.raw

    def test_many_fetches_at_once(self, source: Source, images: dict[str, Image]) -> None:
        parts = parts_of(images)
        with ThreadPoolExecutor(4) as executor:
            got = list(executor.map(lambda wanted: read(source, wanted.descriptor), parts))
        assert got == [wanted.raw for wanted in parts]

    def test_an_empty_blob(self, open_source: OpenSource) -> None:
        empty = part(b"", mediatype.OCI_LAYER, diff_id="sha256:" + "0" * 64)
        source = open_source({"odd": image(empty, layer("odd", 100))})
        assert read(source, empty.descriptor) == b""

    def test_sha512(self, open_source: OpenSource) -> None:
        long = layer("long", 3_000, algorithm="sha512")
        held = image(long)
        source = open_source({"long": held})
        assert read(source, long.descriptor) == long.raw
        assert source.resolve(self.name("long")).digest == held.root.digest

    def test_an_artifact_without_a_subject(self, open_source: OpenSource) -> None:
        if not self.lone_artifact:
            pytest.skip("this medium holds images only")
        chart = artifact(b"a chart", artifact_type="application/vnd.example.chart")
        source = open_source({"chart": chart})
        assert [read(source, wanted.descriptor) for wanted in chart.parts] == [wanted.raw for wanted in chart.parts]

    def test_ranged_starts_in_the_middle(self, source: Source, images: dict[str, Image]) -> None:
        if not isinstance(source, Ranged):
            pytest.skip("not Ranged")
        for wanted in images["web"].blobs:
            size = wanted.descriptor.size
            for offset in (0, 1, size // 2, size - 1):
                with closing(source.fetch_from(wanted.descriptor, offset)) as chunks:
                    tail = b"".join(
                        bytes(chunk) for chunk in verified(wanted.descriptor, chunks, head=[wanted.raw[:offset]])
                    )
                assert tail == wanted.raw[offset:]

    def test_tagged_lists_each_name_once(self, source: Source, images: dict[str, Image]) -> None:
        if not isinstance(source, Tagged):
            pytest.skip("not Tagged")
        assert sorted(source.tags()) == sorted(self.name(plain) for plain in images)

    def test_referred_finds_what_is_about_an_image(self, source: Source, images: dict[str, Image]) -> None:
        if not isinstance(source, Referred):
            pytest.skip("not Referred")
        assert [found.digest for found in source.referrers(images["web"].root.digest)] == [images["sbom"].root.digest]
        assert list(source.referrers(images["docker"].root.digest)) == []


class TargetSuite:
    """Subclasses give the fixture ``target``: a fresh, empty one. A target that is no Source overrides ``reopened``."""

    moves_tags = True
    """Whether a name may be given to another root later."""
    lists_by_kind = True
    """Whether one digest may be pushed as a manifest and as a blob."""

    def name(self, plain: str) -> str:
        """How the medium writes the name of an image."""
        return plain

    def reopened(self, target: Any) -> Source:
        """A source over what was committed to ``target``."""
        source: Source = target
        return source

    def visible(self, target: Target, wanted: Descriptor) -> bool:
        """Whether a reader would find it."""
        try:
            read(self.reopened(target), wanted)
        except BundlerError:
            return False
        return True

    def test_everything_comes_back(self, target: Target) -> None:
        images = family()
        self.put_all(target, images)
        source = self.reopened(target)
        for wanted in parts_of(images):
            assert read(source, wanted.descriptor) == wanted.raw
        for plain, wanted_image in images.items():
            assert source.resolve(self.name(plain)).digest == wanted_image.root.digest

    def test_has_says_no_before_and_yes_after(self, target: Target) -> None:
        wanted = layer("has", 4_000)
        assert not target.has(wanted.descriptor)
        target.push(wanted.descriptor, iter([wanted.raw]))
        assert target.has(wanted.descriptor)

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda raw: bytes([raw[0] ^ 1]) + raw[1:], id="first-bit-flipped"),
            pytest.param(lambda raw: raw[:-1] + bytes([raw[-1] ^ 128]), id="last-bit-flipped"),
            pytest.param(lambda raw: raw[:-1], id="one-byte-short"),
            pytest.param(lambda raw: b"", id="nothing"),
            pytest.param(lambda raw: raw + b"\0", id="one-byte-long"),
            pytest.param(lambda raw: raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2), id="half-zeroed"),
        ],
    )
    def test_wrong_content_is_refused_and_not_visible(self, target: Target, spoil: Callable[[bytes], bytes]) -> None:
        wanted = layer("wrong", 70_000)
        memory = Memory()
        memory.contents[wanted.descriptor.digest] = spoil(wanted.raw)
        with pytest.raises(DigestError):
            copy(Job(memory, target, wanted.descriptor))
        assert not target.has(wanted.descriptor)
        assert not self.visible(target, wanted.descriptor)
        target.push(wanted.descriptor, iter([wanted.raw]))
        assert self.visible(target, wanted.descriptor)

    def test_nothing_is_committed_before_the_content_is_exhausted(self, target: Target) -> None:
        wanted = layer("late", 70_000)

        class SourceBrokeError(Exception):
            """Raised after the last byte."""

        def content() -> Generator[Buffer, None, None]:
            for start in range(0, len(wanted.raw), 10_000):
                assert not target.has(wanted.descriptor)
                yield wanted.raw[start : start + 10_000]
            raise SourceBrokeError

        with pytest.raises(SourceBrokeError):
            target.push(wanted.descriptor, content())
        assert not target.has(wanted.descriptor)
        assert not self.visible(target, wanted.descriptor)
        target.push(wanted.descriptor, iter([wanted.raw]))
        assert self.visible(target, wanted.descriptor)

    def test_reused_buffers(self, target: Target) -> None:
        wanted = layer("reused", 70_000)

        def content() -> Iterable[Buffer]:
            buffer = bytearray(1_000)
            for start in range(0, len(wanted.raw), len(buffer)):
                count = len(wanted.raw[start : start + len(buffer)])
                buffer[:count] = wanted.raw[start : start + count]
                yield memoryview(buffer)[:count]

        target.push(wanted.descriptor, content())
        assert read(self.reopened(target), wanted.descriptor) == wanted.raw

    def test_a_second_push_changes_nothing(self, target: Target) -> None:
        wanted = layer("twice", 5_000)
        for _ in range(2):
            target.push(wanted.descriptor, iter([wanted.raw]))
        assert read(self.reopened(target), wanted.descriptor) == wanted.raw

    def test_a_second_copy_finds_it_present(self, target: Target) -> None:
        wanted, memory = layer("present", 5_000), Memory()
        memory.contents[wanted.descriptor.digest] = wanted.raw
        assert copy(Job(memory, target, wanted.descriptor)) is Outcome.COPIED
        assert copy(Job(memory, target, wanted.descriptor)) is Outcome.PRESENT

    def test_the_same_digest_pushed_at_once(self, target: Target) -> None:
        wanted = layer("race", 200_000)
        with ThreadPoolExecutor(4) as executor:
            futures = [
                executor.submit(target.push, wanted.descriptor, chunks(wanted.raw, size))
                for size in (999, 4096, 65536, 7)
            ]
        for future in futures:
            future.result()
        assert read(self.reopened(target), wanted.descriptor) == wanted.raw

    def test_many_contents_at_once(self, target: Target) -> None:
        memory = Memory()
        wanted = [memory.put(layer(f"many {n}", 2_000 + n).raw, mediatype.OCI_LAYER_GZIP) for n in range(24)]
        with ThreadPoolExecutor(6) as executor:
            outcomes = copy_all([Job(memory, target, one) for one in wanted], executor=executor)
        assert outcomes == {Outcome.COPIED: 24}
        source = self.reopened(target)
        assert all(read(source, descriptor) == memory.contents[descriptor.digest] for descriptor in wanted)

    def test_an_empty_blob(self, target: Target) -> None:
        empty = part(b"", mediatype.OCI_LAYER)
        target.push(empty.descriptor, iter([]))
        assert read(self.reopened(target), empty.descriptor) == b""

    def test_sha512(self, target: Target) -> None:
        wanted = layer("long", 3_000, algorithm="sha512")
        self.put_all(target, {"long": image(wanted)})
        assert read(self.reopened(target), wanted.descriptor) == wanted.raw

    def test_a_name_moves(self, target: Target) -> None:
        if not self.moves_tags:
            pytest.skip("names are final in this medium")
        old, new = image(layer("old", 1_000)), image(layer("new", 1_000))
        self.put_all(target, {"app": old})
        self.put_all(target, {"app": new})
        assert self.reopened(target).resolve(self.name("app")).digest == new.root.digest
        assert self.visible(target, old.root)

    def test_two_names_for_one_root(self, target: Target) -> None:
        wanted = image(layer("both", 1_000))
        self.put_all(target, {"one": wanted, "two": wanted})
        source = self.reopened(target)
        assert {source.resolve(self.name(plain)).digest for plain in ("one", "two")} == {wanted.root.digest}

    def test_one_digest_as_manifest_and_as_blob(self, target: Target) -> None:
        if not self.lists_by_kind:
            pytest.skip("this medium keeps a content once, whatever it is listed as")
        inner = image(layer("inner", 500))
        as_blob = part(inner.raw, mediatype.OCI_LAYER)
        outer = image(as_blob)
        self.put_all(target, {"outer": outer, "inner": inner})
        source = self.reopened(target)
        assert source.resolve(self.name("inner")).media_type == mediatype.OCI_MANIFEST
        assert read(source, as_blob.descriptor) == inner.raw

    def test_raw_manifest_bytes_stay_as_they_are(self, target: Target) -> None:
        spaced = index(image(layer("spaced", 500)))
        raw = json.dumps(json.loads(spaced.raw), indent=7).encode() + b"\n"
        root = part(raw, mediatype.OCI_INDEX)
        parts = (*spaced.parts[:-1], root)
        self.put_all(target, {"spaced": Image(root.descriptor, parts)})
        assert read(self.reopened(target), root.descriptor) == raw

    def put_all(self, target: Target, images: Mapping[str, Image]) -> None:
        """Push and tag, as a user of the target does."""
        for wanted in parts_of(images):
            put(target, wanted)
        for plain, wanted_image in images.items():
            target.tag(self.name(plain), wanted_image.root)


def put(target: Target, wanted: Part) -> None:
    """Push one content unless it is there."""
    if not target.has(wanted.descriptor):
        target.push(wanted.descriptor, iter([wanted.raw]))


def chunks(raw: bytes, size: int) -> Generator[bytes, None, None]:
    """``raw`` in buffers of ``size`` bytes."""
    for start in range(0, len(raw), size):
        yield raw[start : start + size]
