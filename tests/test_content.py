"""The copy: verification is part of reading, and a failure leaves nothing half done."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.content import (
    MAX_RESTARTS,
    Buffer,
    Event,
    Finished,
    Held,
    Job,
    Moved,
    Note,
    Outcome,
    copy,
    copy_all,
    read,
    verified,
)
from bundler.errors import DigestError, LimitError, NetworkError, NotFoundError, UploadLostError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from tests.memory import Fault, Memory, Plain, Resumable


def wanted(raw: bytes, algorithm: str = "sha256") -> Descriptor:
    return Descriptor("application/octet-stream", digest_of(raw, algorithm), len(raw))


def split(raw: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    return [raw[a:b] for a, b in pairwise(edges)]


class TestVerified:
    @given(st.binary(max_size=300), st.lists(st.integers(0, 300)), st.sampled_from(["sha256", "sha512"]))
    def test_any_split_of_the_right_bytes_passes_unchanged(self, raw: bytes, cuts: list[int], algorithm: str) -> None:
        assert b"".join(verified(wanted(raw, algorithm), split(raw, cuts))) == raw

    @given(st.binary(max_size=300), st.lists(st.integers(0, 300)), st.integers(0, 300))
    def test_a_head_is_hashed_and_not_yielded(self, raw: bytes, cuts: list[int], cut: int) -> None:
        at = cut % (len(raw) + 1)
        assert b"".join(verified(wanted(raw), split(raw[at:], cuts), head=split(raw[:at], cuts))) == raw[at:]

    @given(st.binary(max_size=300), st.binary(max_size=300), st.lists(st.integers(0, 300)))
    def test_any_other_bytes_raise(self, raw: bytes, other: bytes, cuts: list[int]) -> None:
        if raw != other:
            with pytest.raises(DigestError):
                list(verified(wanted(raw), split(other, cuts)))

    @pytest.mark.parametrize(
        ("received", "message"),
        [
            pytest.param([b"abc"], "ends after 3 of 6", id="short"),
            pytest.param([], "ends after 0 of 6", id="nothing"),
            pytest.param([b"abcdef", b"g"], "more than the 6", id="trailing-byte"),
            pytest.param([b"abcdeX"], "hash to", id="wrong-byte"),
        ],
    )
    def test_the_message_says_what_is_wrong(self, received: list[bytes], message: str) -> None:
        with pytest.raises(DigestError, match=message):
            list(verified(wanted(b"abcdef"), received))

    def test_reads_at_most_one_chunk_past_the_size(self) -> None:
        read_so_far = []

        def endless() -> Iterator[bytes]:
            while True:
                read_so_far.append(1)
                yield b"xx"

        with pytest.raises(DigestError):
            list(verified(wanted(b"x" * 6), endless()))
        assert len(read_so_far) == 4

    def test_a_wrong_head_raises(self) -> None:
        with pytest.raises(DigestError):
            list(verified(wanted(b"abcdef"), [b"def"], head=[b"abX"]))


class TestRead:
    def test_returns_verified_bytes(self) -> None:
        memory = Memory(chunk=3)
        assert read(memory, memory.put(b"a manifest")) == b"a manifest"

    def test_does_not_ask_for_more_than_the_cap(self) -> None:
        memory = Memory()
        with pytest.raises(LimitError, match="11 bytes, more than the 10"):
            read(memory, memory.put(b"x" * 11), cap=10)
        assert memory.calls == []

    def test_closes_the_fetch_when_it_fails(self) -> None:
        closed = []

        class Long(Plain):
            def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
                try:
                    while True:
                        yield b"too much"
                finally:
                    closed.append(want)

        with pytest.raises(DigestError):
            read(Long(Memory()), wanted(b"x"))
        assert closed == [wanted(b"x")]


class TestHeld:
    def test_gives_what_it_holds_and_nothing_else(self) -> None:
        held = Held({wanted(b"one").digest: b"one"})
        assert read(held, wanted(b"one")) == b"one"
        with pytest.raises(NotFoundError):
            read(held, wanted(b"two"))
        with pytest.raises(NotFoundError):
            held.resolve("latest")


class TestCopy:
    def test_copies_once(self) -> None:
        source, target = Memory(chunk=4), Memory()
        want = source.put(b"ten bytes!")
        events: list[Event] = []
        assert copy(Job(source, target, want), observer=events.append) is Outcome.COPIED
        assert copy(Job(source, target, want), observer=events.append) is Outcome.PRESENT
        assert source.count("fetch") == 1
        assert target.contents == source.contents
        assert [event.count for event in events if isinstance(event, Moved)] == [4, 4, 2]
        assert events[-1] == Finished(want, Outcome.PRESENT)

    def test_mounts_rather_than_uploads(self) -> None:
        host: dict[str, Memory] = {}
        near, far = Memory("near", host), Memory("far", host)
        want, source = near.put(b"blob"), Memory()
        assert copy(Job(source, far, want, origin="near")) is Outcome.MOUNTED
        assert source.calls == []

    def test_uploads_if_the_mount_is_declined(self) -> None:
        host: dict[str, Memory] = {}
        source, far = Memory("near", host), Memory("far", host)
        want = source.put(b"blob")
        far.faults.append(Fault("mount", decline=True))
        assert copy(Job(source, far, want, origin="near")) is Outcome.COPIED

    def test_needs_no_power_beyond_source_and_target(self) -> None:
        source, target = Memory(), Memory()
        want = source.put(b"blob")
        assert copy(Job(Plain(source), Plain(target), want, origin="near")) is Outcome.COPIED

    def test_resumes_from_what_was_kept(self) -> None:
        source, target = Memory(chunk=4), Resumable()
        want = source.put(b"a rather long content")
        source.faults.append(Fault("fetch", error=NetworkError("reset"), after=10, times=1))
        with pytest.raises(NetworkError):
            copy(Job(source, target, want))
        assert target.held(want) == 10
        assert not target.has(want)
        events: list[Event] = []
        assert copy(Job(source, target, want), observer=events.append) is Outcome.COPIED
        assert target.contents[want.digest] == b"a rather long content"
        assert sum(event.count for event in events if isinstance(event, Moved)) == want.size
        assert isinstance(events[0], Moved)
        assert events[0].count == 10

    def test_does_not_resume_from_a_source_that_cannot_start_in_the_middle(self) -> None:
        source, target = Memory(), Resumable()
        want = source.put(b"content")
        target.partial[want.digest] = b"con"
        assert copy(Job(Plain(source), target, want)) is Outcome.COPIED

    def test_a_kept_beginning_that_is_wrong_is_found_out_and_fetched_again(self) -> None:
        source, target = Memory(), Resumable()
        want = source.put(b"content")
        target.partial[want.digest] = b"CON"
        events: list[Event] = []
        assert copy(Job(source, target, want), observer=events.append) is Outcome.COPIED
        assert target.contents[want.digest] == b"content"
        assert [event.text for event in events if isinstance(event, Note)] == [
            f"{want.digest}: what was kept of it is damaged; fetching all of it"
        ]

    def test_a_source_that_is_wrong_too_is_not_asked_for_ever(self) -> None:
        source, target = Memory(), Resumable()
        want = source.put(b"content")
        source.faults.append(Fault("fetch", flip=5))
        target.partial[want.digest] = b"con"
        with pytest.raises(DigestError):
            copy(Job(source, target, want))
        assert source.count("fetch") == 2
        assert not target.has(want)
        assert target.held(want) == 0

    @pytest.mark.parametrize("times", range(MAX_RESTARTS + 2))
    def test_a_lost_upload_starts_again_three_times_at_most(self, times: int) -> None:
        source, target = Memory(), Memory()
        want = source.put(b"content")
        target.faults.append(Fault("push", error=UploadLostError("session is gone"), times=times))
        events: list[Event] = []
        if times > MAX_RESTARTS:
            with pytest.raises(UploadLostError):
                copy(Job(source, target, want), observer=events.append)
        else:
            assert copy(Job(source, target, want), observer=events.append) is Outcome.COPIED
        notes = [event.text for event in events if isinstance(event, Note)]
        assert len(notes) == min(times, MAX_RESTARTS)
        assert all("session is gone" in note for note in notes)

    def test_the_fetch_is_closed_when_the_target_fails(self) -> None:
        closed = threading.Event()

        class Watched(Plain):
            def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
                try:
                    yield b"con"
                    yield b"tent"
                finally:
                    closed.set()

        class Full(Plain):
            def push(self, want: Descriptor, content: Iterable[Buffer]) -> None:
                next(iter(content))
                raise NetworkError("broken pipe")

        with pytest.raises(NetworkError):
            copy(Job(Watched(Memory()), Full(Memory()), wanted(b"content")))
        assert closed.is_set()


class TestCopyAll:
    def test_moves_everything_and_counts(self) -> None:
        source, target = Memory(), Memory()
        wants = [source.put(f"content {n}".encode()) for n in range(50)]
        target.put(b"content 7")
        with ThreadPoolExecutor(4) as executor:
            outcomes = copy_all([Job(source, target, want) for want in wants], executor=executor)
        assert outcomes == {Outcome.COPIED: 49, Outcome.PRESENT: 1}
        assert target.contents == source.contents

    def test_begins_in_the_given_order(self) -> None:
        source, target = Memory(), Memory()
        wants = [source.put(f"content {n}".encode()) for n in range(20)]
        with ThreadPoolExecutor(1) as executor:
            copy_all([Job(source, target, want) for want in reversed(wants)], executor=executor)
        assert [name for verb, name in source.calls if verb == "fetch"] == [want.digest for want in reversed(wants)]

    def test_the_first_failure_stops_the_others_and_is_raised(self) -> None:
        source, target = Memory(), Memory()
        wants = [source.put(f"content {n}".encode()) for n in range(200)]
        source.faults.append(Fault("fetch", wants[3].digest, flip=0))

        class Slow(Plain):
            def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
                time.sleep(0.005)
                return self.memory.fetch(want)

        with ThreadPoolExecutor(2) as executor, pytest.raises(DigestError, match=wants[3].digest):
            copy_all([Job(Slow(source), target, want) for want in wants], executor=executor)
        assert not target.has(wants[3])
        assert source.count("fetch") < 200

    def test_a_long_copy_under_way_is_stopped(self) -> None:
        source, target = Memory(), Memory()
        bad = source.put(b"bad")
        source.faults.append(Fault("fetch", bad.digest, flip=0))
        started = threading.Event()

        class Slow(Plain):
            def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
                started.set()
                for _ in range(10_000):
                    time.sleep(0.002)
                    yield b"x"

        class Late(Plain):
            def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
                started.wait(5)
                return self.memory.fetch(want)

        slow = wanted(b"x" * 10_000)
        begin = time.monotonic()
        with ThreadPoolExecutor(2) as executor, pytest.raises(DigestError):
            copy_all([Job(Slow(Memory()), target, slow), Job(Late(source), target, bad)], executor=executor)
        assert time.monotonic() - begin < 10
        assert not target.has(slow)

    def test_an_observer_that_raises_stops_the_work(self) -> None:
        source, target = Memory(), Memory()
        wants = [source.put(f"content {n}".encode()) for n in range(50)]

        def interrupted(event: Event) -> None:
            raise KeyboardInterrupt

        with ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
            copy_all([Job(source, target, want) for want in wants], executor=executor, observer=interrupted)
        assert target.contents == {}

    def test_nothing_to_do(self) -> None:
        with ThreadPoolExecutor(1) as executor:
            assert copy_all([], executor=executor) == {}
