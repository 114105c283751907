"""Packing: the same bytes whatever happens on the way, and nothing half done is taken for a bundle."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.bundle import hashing, pen, writer
from bundler.bundle.inventory import parse_inventory
from bundler.bundle.pack import Pack, write_signed
from bundler.bundle.statement import bundle_id
from bundler.content import Buffer, Job, copy
from bundler.errors import (
    BundlerError,
    ConfigError,
    DigestError,
    DiskError,
    LimitError,
    LockedError,
    ReadOnlyError,
    SpaceError,
)
from bundler.oci import mediatype
from tests.bundle.making import MIB, big, carried, check, chunks, make
from tests.images import Image, Part, family, image, part, parts_of
from tests.memory import Memory

GIANT = big("giant", 2 * MIB + 12_345)
TEXT = big("text", 6 * MIB, media_type=mediatype.OCI_LAYER, dense=False)
RAW = big("raw", 5 * MIB, media_type=mediatype.OCI_LAYER)
EMPTY = part(b"", mediatype.OCI_LAYER, diff_id="sha256:" + "0" * 64)
LONG = big("long", 40_000, algorithm="sha512")


def mixed() -> dict[str, Image]:
    """Stored, compressed, cut, empty and sha512 contents, and a text too large to be compressed in memory."""
    return {
        **family(),
        "giant": image(GIANT, LONG, EMPTY),
        "text": image(TEXT),
        "raw": image(RAW, big("small text", 30_000, media_type=mediatype.OCI_LAYER, dense=False)),
    }


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the mixed images are packed to, by one thread and in order."""
    return files_of(make(tmp_path_factory.mktemp("reference") / "out", mixed(), limit=MIB + MIB // 2).directory)


@contextmanager
def opened(directory: Path, *parts: Part) -> Iterator[Pack]:
    """A pack that is about to hold ``parts``."""
    wants = [part.descriptor for part in parts]
    identity = bundle_id(name="n", channel="c", serial=1, digests=[want.digest for want in wants])
    with Pack(directory, wants, bundle_id=identity, images=(), limit=MIB) as pack:
        yield pack


def test_the_files_of_a_bundle(reference: dict[str, bytes]) -> None:
    volumes = sorted(name for name in reference if name.startswith("volume-"))
    assert len(volumes) > 3
    assert sorted(reference) == sorted([*volumes, "bundle.dsse.json", "inventory.json", "SHA256SUMS", "VERIFY.txt"])
    sums = dict(reversed(line.split("  ")) for line in reference["SHA256SUMS"].decode().splitlines())
    assert sums == {
        name: hashlib.sha256(raw).hexdigest()
        for name, raw in reference.items()
        if name not in ("SHA256SUMS", "bundle.dsse.json")
    }


def test_all_methods_are_used(reference: dict[str, bytes]) -> None:
    rows = {row.digest: row for row in parse_inventory(reference["inventory.json"]).rows}
    assert rows[GIANT.descriptor.digest].part == 2 or rows[GIANT.descriptor.digest].part == 3
    assert rows[TEXT.descriptor.digest].method == "zstd"
    assert rows[RAW.descriptor.digest].method == "stored"
    assert rows[EMPTY.descriptor.digest].method == "stored"


@pytest.mark.parametrize("seed", range(6))
def test_any_order_and_any_threads_give_the_same_bytes(
    tmp_path: Path, reference: dict[str, bytes], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(hashing, "MEMORY", 2_000)  # most waiting frames go to spool files
    order = [part.descriptor for part in parts_of(mixed())]
    random.Random(seed).shuffle(order)
    made = make(tmp_path / "out", mixed(), limit=MIB + MIB // 2, order=order, threads=seed + 1)
    assert files_of(made.directory) == reference


def test_large_contents_wait_in_spool_files(tmp_path: Path) -> None:
    first = big("one", 5 * MIB, media_type=mediatype.OCI_LAYER, dense=False)
    second = big("two", 5 * MIB, media_type=mediatype.OCI_LAYER, dense=False)
    third = big("three", 5 * MIB, media_type=mediatype.OCI_LAYER)
    images = {"app": image(first, second, third)}
    straight = make(tmp_path / "straight", images)
    order = [p.descriptor for p in reversed(parts_of(images))]
    assert files_of(make(tmp_path / "reversed", images, order=order).directory) == files_of(straight.directory)


def test_what_was_wrong_can_be_pushed_again(tmp_path: Path, reference: dict[str, bytes]) -> None:
    images = mixed()
    parts = {p.descriptor.digest: p for p in parts_of(images)}
    wants = [p.descriptor for p in parts_of(images)]
    identity = bundle_id(name="edge", channel="stable", serial=1, digests=list(parts))
    memory = Memory()
    with Pack(tmp_path / "out", wants, bundle_id=identity, images=carried(images), limit=MIB + MIB // 2) as pack:
        for want in pack.order:
            raw = parts[want.digest].raw
            for spoilt in (raw[: len(raw) // 2], raw[:-1] + b"\xff\xff", raw + b"x", bytes(len(raw))):
                if spoilt != raw:
                    memory.contents[want.digest] = spoilt
                    with pytest.raises(DigestError):
                        copy(Job(memory, pack, want))
                    assert not pack.has(want)
            memory.contents[want.digest] = raw
            copy(Job(memory, pack, want))
            assert pack.has(want)
        pack.finish()
    assert {name: raw for name, raw in reference.items() if name != "bundle.dsse.json"} == files_of(tmp_path / "out")


def test_the_hash_falls_back_when_a_content_fails_after_it_was_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pen, "PENS", 0)
    blob = big("late", 600_000)
    with opened(tmp_path / "out", blob) as pack:
        volume = pack._volumes[0]

        def late() -> Generator[Buffer, None, None]:
            yield bytes(500_000)
            for _ in range(2_000):
                if volume._hashed > 400_000:
                    raise SpaceError("the source broke")
                threading.Event().wait(0.005)

        with pytest.raises(SpaceError):
            pack.push(blob.descriptor, late())
        pack.push(blob.descriptor, chunks(blob.raw))
        packed = pack.finish()
    found = hashlib.sha256((tmp_path / "out" / "volume-0001.tar.zst").read_bytes()).hexdigest()
    assert packed.subjects[0].sha256 == found


def test_nothing_counts_before_its_end(tmp_path: Path) -> None:
    blob = big("slow", 300_000)
    with opened(tmp_path / "out", blob) as pack:

        def content() -> Generator[Buffer, None, None]:
            for piece in chunks(blob.raw):
                assert not pack.has(blob.descriptor)
                yield piece
            assert not pack.has(blob.descriptor)

        pack.push(blob.descriptor, content())
        assert pack.has(blob.descriptor)
        pack.push(blob.descriptor, chunks(blob.raw))  # again, and nothing changes
        pack.finish()


def test_chunks_of_any_size(tmp_path: Path) -> None:
    blob = big("odd", 700_000)
    whole = big("whole", 20 * MIB)
    for size in (1_000, 131_072, 131_075, 700_000):
        with opened(tmp_path / f"out-{size}", blob) as pack:
            pack.push(blob.descriptor, chunks(blob.raw, size))
            pack.finish()
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.glob("out-*/volume*")}
    assert len(set(found.values())) == 1
    make(tmp_path / "whole", {"app": image(whole)}, limit=None)
    assert check(tmp_path / "whole").sound
    with Pack(tmp_path / "huge", [whole.descriptor], bundle_id=whole.descriptor.digest, images=()) as pack:
        pack.push(whole.descriptor, [whole.raw])  # more than one vectored write may take
        pack.finish()
    assert whole.raw[-1000:] in (tmp_path / "huge" / "volume-0001.tar.zst").read_bytes()


def test_a_content_without_a_place_is_refused(tmp_path: Path) -> None:
    blob, other = big("in", 1_000), big("out", 1_000)
    with opened(tmp_path / "out", blob) as pack:
        assert not pack.has(other.descriptor)
        with pytest.raises(BundlerError, match="has no place"):
            pack.push(other.descriptor, chunks(other.raw))


def test_one_content_is_written_by_one_thread(tmp_path: Path) -> None:
    blob = big("race", 100_000)
    with opened(tmp_path / "out", blob) as pack:

        def content() -> Generator[Buffer, None, None]:
            with pytest.raises(BundlerError, match="being written already"):
                pack.push(blob.descriptor, chunks(blob.raw))
            yield blob.raw

        pack.push(blob.descriptor, content())
        pack.finish()


def test_a_bundle_with_a_content_missing_is_not_finished(tmp_path: Path) -> None:
    blob = big("missing", 1_000)
    with opened(tmp_path / "out", blob) as pack, pytest.raises(BundlerError, match="was not written"):
        pack.finish()
    assert not (tmp_path / "out").exists()


def test_names_are_those_it_was_begun_with(tmp_path: Path) -> None:
    images = {"app": image(big("app", 1_000))}
    wants = [p.descriptor for p in parts_of(images)]
    with Pack(tmp_path / "out", wants, bundle_id=wants[0].digest, images=carried(images)) as pack:
        pack.tag("app", images["app"].root)
        with pytest.raises(ConfigError, match="other"):
            pack.tag("other", images["app"].root)


def test_bounds_are_kept(tmp_path: Path) -> None:
    images = mixed()
    wants = [p.descriptor for p in parts_of(images)]
    with Pack(tmp_path / "out", wants, bundle_id=wants[0].digest, images=carried(images), limit=MIB) as pack:
        assert all(bound <= MIB for bound in pack.bounds)
        for p in parts_of(images):
            pack.push(p.descriptor, chunks(p.raw))
        packed = pack.finish()
        assert all(size <= bound for size, bound in zip(packed.inventory.sizes, pack.bounds, strict=True))


# The directory


def _begin(directory: Path) -> None:
    with opened(directory, big("x", 100)):
        pass


def test_a_failed_pack_leaves_nothing(tmp_path: Path) -> None:
    blob = big("x", 100_000)
    kept = tmp_path / "kept"
    kept.mkdir()
    for directory in (tmp_path / "new", kept):
        with pytest.raises(SpaceError), opened(directory, blob) as pack:
            pack.push(blob.descriptor, _broken(SpaceError("full")))
    assert not (tmp_path / "new").exists()
    assert list(kept.iterdir()) == []


def _broken(problem: BundlerError) -> Generator[Buffer, None, None]:
    yield bytes(1_000)
    raise problem


def test_a_finished_bundle_is_not_touched(tmp_path: Path) -> None:
    made = make(tmp_path / "out", family())
    before = files_of(made.directory)
    with pytest.raises(ConfigError, match="holds a finished bundle"):
        _begin(made.directory)
    assert files_of(made.directory) == before


@pytest.mark.parametrize("name", ["notes.txt", "lost+found", "volume-1.tar.zst", "volume-0001.tar.zst.bak", ".part"])
def test_a_directory_with_other_files_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    (tmp_path / "volume-0001.tar.zst.part").write_text("left over")
    with pytest.raises(ConfigError, match="is not empty"):
        _begin(tmp_path)
    assert sorted(files_of(tmp_path)) == sorted([name, "volume-0001.tar.zst.part"])


def test_an_unfinished_bundle_is_begun_again(tmp_path: Path) -> None:
    made = make(tmp_path / "out", family())
    before = files_of(made.directory)
    (made.directory / "bundle.dsse.json").unlink()
    (made.directory / "volume-0001.tar.zst").write_bytes(b"half")
    (made.directory / "volume-0009.tar.zst.000001.spool.part").write_bytes(b"left over")
    (made.directory / "SHA256SUMS.0123456789abcdef.sig.part").write_bytes(b"left over")
    assert files_of(make(made.directory, family()).directory) == before


def test_two_packs_do_not_share_a_directory(tmp_path: Path) -> None:
    with opened(tmp_path / "out", big("x", 100)), pytest.raises(LockedError, match="another process"):
        _begin(tmp_path / "out")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DiskError, match="out"):
        _begin(tmp_path / "out")


def test_a_link_in_the_place_of_a_volume_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    blob = big("x", 1_000)
    with pytest.raises(BundlerError), opened(tmp_path / "out", blob) as pack:
        (tmp_path / "out" / "volume-0001.tar.zst.part").symlink_to(victim)
        pack.push(blob.descriptor, chunks(blob.raw))
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        pytest.param(28, SpaceError, id="full"),
        pytest.param(30, ReadOnlyError, id="read-only"),
        pytest.param(5, DiskError, id="io"),
    ],
)
@pytest.mark.parametrize("call", ["pwritev", "preadv", "fsync", "open"])
def test_a_failing_system_call_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[BundlerError], call: str
) -> None:
    blob = big("x", 300_000)
    real: Callable[..., int] = getattr(os, call)

    def fail(*args: object, **kwargs: object) -> int:
        if call == "open" and not str(args[0]).endswith(".part"):
            return real(*args, **kwargs)
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match="out"), opened(tmp_path / "out", blob) as pack:
        monkeypatch.setattr(writer.os, call, fail)
        try:
            pack.push(blob.descriptor, chunks(blob.raw))
            pack.finish()
        finally:
            monkeypatch.undo()
    assert not (tmp_path / "out").exists()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = big("short", 300_000)
    real = os.pwritev

    def some(fd: int, buffers: list[Buffer], offset: int) -> int:
        return real(fd, [b"".join(bytes(b) for b in buffers)[:1000]], offset)

    monkeypatch.setattr(writer.os, "pwritev", some)
    images = {"app": image(blob)}
    made = make(tmp_path / "out", images)
    monkeypatch.undo()
    assert check(made.directory).sound


def test_a_file_that_shrinks_under_us_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = big("shrinking", 300_000)
    monkeypatch.setattr(writer.os, "preadv", lambda *_: 0)
    with pytest.raises(DiskError, match="changed while being written"), opened(tmp_path / "out", blob) as pack:
        pack.push(blob.descriptor, chunks(blob.raw))
        pack.finish()


# Killed at any moment

KILLER = """
    import os, signal, sys
    from pathlib import Path
    from bundler.bundle import directory, writer
    from tests.bundle.making import MIB, big, make
    from tests.bundle.test_pack import files_of
    from tests.images import image

    work = Path(sys.argv[1])
    images = {"app": image(big("a", 1_500_000), big("b", 200_000)), "other": image(big("c", 90_000))}
    calls = ("pwritev", "fsync", "open")

    def pack(kill_at):
        left = kill_at
        def counted(real):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)
            return call
        for name in calls:
            setattr(os, name, counted(getattr(os, name)))
        real_rename = Path.rename
        Path.rename = counted(real_rename)
        make(work / "out", images, limit=MIB)

    def run(kill_at):
        child = os.fork()
        if child == 0:
            pack(kill_at)
            os._exit(0)
        return os.waitpid(child, 0)[1]

    assert run(-1) == 0
    wanted = files_of(work / "out")
    (work / "out").rename(work / "wanted")
    kills = 0
    for at in range(1, 1000):
        status = run(at)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, (at, status)
        kills += 1
        left = files_of(work / "out") if (work / "out").exists() else {}
        if "bundle.dsse.json" in left:
            assert left == wanted, at
        else:
            assert run(-1) == 0, at
            assert files_of(work / "out") == wanted, at
        os.system(f"rm -r {work / 'out'}")
    print(kills)
"""


def test_killed_at_every_system_call_and_run_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLER), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 25


def test_the_envelope_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        order.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    write_signed(tmp_path, b"{}", {"0123456789abcdef" * 4: b"one", "fedcba9876543210" * 4: b"two"})
    assert order == ["SHA256SUMS.0123456789abcdef.sig", "SHA256SUMS.fedcba9876543210.sig", "bundle.dsse.json"]


def test_more_contents_than_an_inventory_lists_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.bundle.pack.MAX_ROWS", 2)
    with pytest.raises(LimitError, match="3 contents and parts, more than the 2 of a bundle"):
        make(tmp_path / "out", {"app": image(big("x", 100))})
    assert not (tmp_path / "out").exists()


def test_a_verify_text_that_no_reader_takes_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.bundle.pack.VERIFY_CAP", 100)
    with pytest.raises(LimitError, match=r"VERIFY\.txt"):
        make(tmp_path / "out", {"app": image(big("x", 100))})
    assert not (tmp_path / "out").exists()
