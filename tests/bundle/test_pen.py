"""The pen: what it writes and hashes is what was put, and whatever breaks, the volume can still become right."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle import frames, pen
from bundler.bundle.layout import layout
from bundler.bundle.pack import Pack, Packed
from bundler.bundle.pen import LENGTH, PENS, RING, Box, Pen
from bundler.bundle.volume import Label, documents, gap, index_json
from bundler.content import Buffer, Job, copy
from bundler.errors import BundlerError, DigestError, DiskError, ReadOnlyError, SpaceError
from bundler.oci import mediatype
from tests.bundle.making import MIB, big, chunks
from tests.images import Part, part
from tests.memory import Memory

BLOBS = (
    big("first", 3 * MIB + 1_234),
    big("second", 2 * MIB),
    big("third", 131_072),
    big("fourth", MIB - 1),
    big("fifth", 1),
    part(b"", mediatype.OCI_LAYER_GZIP, diff_id="sha256:" + "0" * 64),
)
NAME = "volume-0001.tar.zst"


def packed_in(directory: Path) -> Pack:
    wants = [blob.descriptor for blob in BLOBS]
    return Pack(directory, wants, bundle_id=wants[0].digest, images=())


def expected() -> bytes:
    """The volume with all blobs, put together in memory from front to end."""
    wants = [blob.descriptor for blob in BLOBS]
    raws = {blob.descriptor.digest: blob.raw for blob in BLOBS}
    index = index_json(())
    (only,) = layout(wants, None, index_size=len(index))
    assert all(member.stored for member in only.members)
    named = [(document.name, document.raw) for document in documents(Label(wants[0].digest, 1, 1), index)]
    named += [(member.name, raws[member.want.digest]) for member in only.members]
    pieces: list[bytes] = []
    before: int | None = None
    for name, raw in named:
        pieces += [gap(before, (name, len(raw)), mtime=0), raw]
        before = len(raw)
    pieces.append(gap(before, None, mtime=0))
    framed = [frames.stored(piece) for piece in pieces]
    table = [(len(frame), len(piece)) for frame, piece in zip(framed, pieces, strict=True)]
    return b"".join(framed) + frames.seek_table(table)


@pytest.fixture(scope="module")
def volume() -> bytes:
    return expected()


def right(packed: Packed, directory: Path, wanted: bytes) -> bool:
    """Whether the volume on disk, and the hash that was found for it, are as they should be."""
    same = (directory / NAME).read_bytes() == wanted
    return same and packed.subjects[0].sha256 == hashlib.sha256(wanted).hexdigest()


def blob_of(pack: Pack, n: int) -> Part:
    return next(blob for blob in BLOBS if blob.descriptor.digest == pack.order[n].digest)


def push_all(pack: Pack, *, size: int = 100_000) -> Packed:
    raws = {blob.descriptor.digest: blob.raw for blob in BLOBS}
    for want in pack.order:
        pack.push(want, chunks(raws[want.digest], size))
    return pack.finish()


# The pen alone


def made(path: Path, *, at: int = 0, length: int = 1_000, full: Callable[[], None] = lambda: None) -> Pen:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    pages = [memoryview(bytearray(length)) for _ in range(RING)]
    return Pen(fd, at, hashlib.sha256(), pages, full=full)


@given(parts=st.lists(st.binary(max_size=50), max_size=60), length=st.integers(1, 64))
def test_what_is_put_is_written_and_hashed(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "penned"
    path.write_bytes(b"front")
    fd = os.open(path, os.O_WRONLY)
    state = hashlib.sha256(b"front")
    with ThreadPoolExecutor(1) as other:
        each = Pen(fd, 5, state, [memoryview(bytearray(length)) for _ in range(RING)], full=lambda: drawn(other))

        def drawn(other: ThreadPoolExecutor) -> None:
            other.submit(each.draw)

        each.put(parts)
        each.drain()
        each.close()
    os.close(fd)
    wanted = b"front" + b"".join(parts)
    assert path.read_bytes() == wanted
    assert each.at == len(wanted)
    assert state.digest() == hashlib.sha256(wanted).digest()


def test_it_goes_on_when_nobody_else_draws(tmp_path: Path) -> None:
    calls: list[None] = []
    each = made(tmp_path / "x", length=10, full=lambda: calls.append(None))
    each.put([b"0123456789" * 8])
    assert len(calls) == 7
    each.put([b"end"])
    each.drain()
    assert (tmp_path / "x").read_bytes() == b"0123456789" * 8 + b"end"


def test_the_last_free_buffer_is_written_by_who_fills_it(tmp_path: Path) -> None:
    each = made(tmp_path / "x", length=10)
    each.put([b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 10])
    assert (tmp_path / "x").read_bytes() == b""
    each.put([b"e"])
    assert (tmp_path / "x").read_bytes() == b"a" * 10 + bytes(20) + b"d" * 10
    assert each.at == 10  # nobody else did it
    each.drain()
    assert (tmp_path / "x").read_bytes() == b"a" * 10 + b"b" * 10 + b"c" * 10 + b"d" * 10 + b"e"
    assert each.at == 41


def test_what_fits_one_buffer_calls_nobody(tmp_path: Path) -> None:
    each = made(tmp_path / "x", full=lambda: pytest.fail("called"))
    each.put([b"small", b"er"])
    assert not each.waiting()
    each.drain()
    assert not each.draw()
    assert (tmp_path / "x").read_bytes() == b"smaller"


def test_one_at_a_time_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go = threading.Event(), threading.Event()
    real = os.pwritev

    def slow(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        inside.set()
        assert go.wait(10)
        return real(fd, buffers, offset)

    each = made(tmp_path / "x", length=10)
    each.put([bytes(25)])
    monkeypatch.setattr(os, "pwritev", slow)
    with ThreadPoolExecutor(2) as others:
        drawing = others.submit(each.draw)
        assert inside.wait(10)
        assert not each.waiting()
        assert not each.draw()
        closing = others.submit(each.close)
        time.sleep(0.02)
        assert not closing.done()  # the buffer is still being written
        go.set()
        assert drawing.result()
        closing.result()
    assert each.at == 10
    assert not each.draw()  # the second one was forgotten


def test_an_error_while_drawing_is_raised_once_by_the_next_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = made(tmp_path / "x", length=10)
    each.put([bytes(35)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", _failing(28))
        assert each.draw()
    assert each.at == 0
    assert not each.draw()  # nothing is written behind a hole
    with pytest.raises(OSError, match="No space"):
        each.put([bytes(10)])
    each.close()


def test_there_are_only_so_many_pens() -> None:
    box = Box()
    taken = [box.take() for _ in range(PENS)]
    assert all(buffers is not None and len(buffers) == RING and len(buffers[0]) == LENGTH for buffers in taken)
    assert box.take() is None
    assert taken[0] is not None
    box.give(taken[0])
    assert box.take() is taken[0]


# In a volume


@pytest.mark.parametrize("size", [100_000, 131_072, MIB, 5 * MIB])
def test_in_order_nothing_but_head_and_tail_is_read_back(
    tmp_path: Path, volume: bytes, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    counts: list[int] = []
    real = os.preadv

    def counted(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        counts.append(real(fd, buffers, offset))
        return counts[-1]

    monkeypatch.setattr(os, "preadv", counted)
    with packed_in(tmp_path / "out") as pack:
        assert right(push_all(pack, size=size), tmp_path / "out", volume)
    assert 0 < sum(counts) < 10_000


@pytest.mark.parametrize("seed", range(8))
def test_any_width_and_order_give_the_expected_bytes(
    tmp_path: Path, volume: bytes, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(pen, "LENGTH", (50_000, LENGTH)[seed % 2])
    chance = random.Random(seed)
    order = list(BLOBS)
    if seed > 1:
        chance.shuffle(order)
    with packed_in(tmp_path / "out") as pack, ThreadPoolExecutor((1, 6, 2, 6)[seed % 4]) as executor:
        size = chance.choice([10_000, 131_073, 2 * MIB])
        list(executor.map(lambda blob: pack.push(blob.descriptor, chunks(blob.raw, size)), order))
        assert right(pack.finish(), tmp_path / "out", volume)


def test_empty_pieces_change_nothing(tmp_path: Path, volume: bytes) -> None:
    def pieces(raw: bytes) -> Iterator[Buffer]:
        for start in range(0, len(raw), 131_072):
            yield b""
            yield raw[start : start + 131_072]
        yield b""

    with packed_in(tmp_path / "out") as pack:
        for n, want in enumerate(pack.order):
            pack.push(want, pieces(blob_of(pack, n).raw))
        assert right(pack.finish(), tmp_path / "out", volume)


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda raw: raw[: len(raw) // 2],
    "last byte": lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
    "first byte": lambda raw: bytes([raw[0] ^ 1]) + raw[1:],
    "longer": lambda raw: raw + b"x",
    "nothing": lambda raw: b"",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
@pytest.mark.parametrize("place", [0, 1])
def test_wrong_in_front_then_right(tmp_path: Path, volume: bytes, spoil: Callable[[bytes], bytes], place: int) -> None:
    memory = Memory()
    with packed_in(tmp_path / "out") as pack:
        for n in range(place):
            pack.push(pack.order[n], chunks(blob_of(pack, n).raw))
        want = pack.order[place]
        memory.contents[want.digest] = spoil(blob_of(pack, place).raw)
        for _ in range(2):
            with pytest.raises(DigestError):
                copy(Job(memory, pack, want))
            assert not pack.has(want)
        assert right(push_all(pack), tmp_path / "out", volume)
    with pytest.raises(DigestError), packed_in(tmp_path / "other") as pack:
        copy(Job(memory, pack, want))
    assert not (tmp_path / "other").exists()


def test_the_one_in_front_fails_while_one_behind_it_is_written(tmp_path: Path, volume: bytes) -> None:
    with packed_in(tmp_path / "out") as pack:
        behind = blob_of(pack, 1)

        def front() -> Generator[Buffer, None, None]:
            yield from chunks(blob_of(pack, 0).raw[: 2 * MIB])
            with pytest.raises(SpaceError):
                pack.push(behind.descriptor, _breaking_off(behind.raw, MIB))
            pack.push(behind.descriptor, chunks(behind.raw))
            raise SpaceError("the source broke")

        with pytest.raises(SpaceError):
            pack.push(pack.order[0], front())
        assert pack.has(behind.descriptor)
        assert right(push_all(pack), tmp_path / "out", volume)


def test_one_behind_fails_and_the_one_in_front_does_not_mind(tmp_path: Path, volume: bytes) -> None:
    with packed_in(tmp_path / "out") as pack:
        behind = blob_of(pack, 1)

        def front() -> Generator[Buffer, None, None]:
            raw = blob_of(pack, 0).raw
            yield from chunks(raw[: 2 * MIB])
            with pytest.raises(SpaceError):
                pack.push(behind.descriptor, _breaking_off(behind.raw, MIB))
            yield from chunks(raw[2 * MIB :])

        pack.push(pack.order[0], front())
        assert right(push_all(pack), tmp_path / "out", volume)


def test_broken_off_after_some_of_it_was_hashed(tmp_path: Path, volume: bytes) -> None:
    with packed_in(tmp_path / "out") as pack:
        writing = pack._volumes[0]

        def content() -> Generator[Buffer, None, None]:
            yield bytes(3 * LENGTH)
            assert writing._pen is not None
            for _ in range(2_000):
                if writing._pen.at > LENGTH:
                    raise SpaceError("the source broke")
                time.sleep(0.005)

        with pytest.raises(SpaceError, match="source broke"):
            pack.push(pack.order[0], content())
        assert writing._pen is None
        assert right(push_all(pack), tmp_path / "out", volume)


def test_what_is_hashed_follows_when_the_claim_comes_late(tmp_path: Path, volume: bytes) -> None:
    """A claim waits for whoever hashes the little that is left before its member."""
    with packed_in(tmp_path / "out") as pack:
        writing = pack._volumes[0]
        writing.create()
        assert writing.take_up()
        with ThreadPoolExecutor(1) as executor:
            pushed = executor.submit(pack.push, pack.order[0], chunks(blob_of(pack, 0).raw))
            time.sleep(0.05)
            assert not pushed.done()
            writing.hash_on()
            writing.leave()
            pushed.result(10)
        assert right(push_all(pack), tmp_path / "out", volume)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        pytest.param(28, SpaceError, id="full"),
        pytest.param(30, ReadOnlyError, id="read-only"),
        pytest.param(5, DiskError, id="io"),
    ],
)
@pytest.mark.parametrize("call", range(1, 5))
def test_a_failing_write_is_raised_where_the_member_is_written(
    tmp_path: Path, volume: bytes, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[BundlerError], call: int
) -> None:
    """Call 0 makes the file; the others are the pen's, from whatever thread."""
    real, calls = os.pwritev, iter(range(1_000))

    def fail(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        if next(calls) >= call:
            raise OSError(number, os.strerror(number))
        return real(fd, buffers, offset)

    with packed_in(tmp_path / "out") as pack:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwritev", fail)
            given = iter(chunks(blob_of(pack, 0).raw))
            with pytest.raises(kind, match="volume-0001"):
                pack.push(pack.order[0], given)
            if call == 1:
                assert sum(len(rest) for rest in given) > 0  # it stopped before the end
        assert right(push_all(pack), tmp_path / "out", volume)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError), packed_in(tmp_path / "out") as pack:
        pack._volumes[0].create()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwritev", _failing(28))
            push_all(pack)
    assert not (tmp_path / "out").exists()


def test_an_abandoned_pack_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(SpaceError), packed_in(tmp_path / "out") as pack:
        pack.push(pack.order[0], _breaking_off(blob_of(pack, 0).raw, 2 * MIB))
    assert set(threading.enumerate()) == before
    assert not (tmp_path / "out").exists()


def test_who_still_writes_when_the_pack_is_closed_comes_to_an_end(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    going, closed = threading.Event(), threading.Event()
    pack = packed_in(tmp_path / "out")

    def content() -> Generator[Buffer, None, None]:
        for n, piece in enumerate(chunks(blob_of(pack, 0).raw)):
            yield piece
            if n == 5:
                going.set()
                assert closed.wait(10)

    with ThreadPoolExecutor(1) as executor:
        pushed = executor.submit(pack.push, pack.order[0], content())
        assert going.wait(10)
        pack.close()
        closed.set()
        pushed.result(10)
    assert set(threading.enumerate()) == before


def _failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def _breaking_off(raw: bytes, at: int) -> Generator[Buffer, None, None]:
    yield from chunks(raw[:at])
    raise SpaceError("the source broke")
