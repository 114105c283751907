"""Reading contents out of volumes: as a Source, from the middle, and only out of the files that belong there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.bundle import unpack
from bundler.bundle.statement import CarriedImage
from bundler.bundle.unpack import Volumes, read_documents
from bundler.bundle.volume import ref_names
from bundler.content import CHUNK, Buffer, read
from bundler.errors import ArchiveError, BundlerError, DigestError, DiskError, LimitError, NotFoundError, SignatureError
from bundler.oci import mediatype
from tests.bundle.making import MIB, Made, big, make, trusted
from tests.images import Image, family, image, part
from tests.suites import OpenSource, SourceSuite

LAYERS = {
    "stored": big("stored", 3 * MIB + 5),
    "compressed": big("compressed", 3 * MIB + 5, media_type=mediatype.OCI_LAYER, dense=False),
    "cut": big("cut", 9 * MIB),
}


class TestABundleIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        def open_source(images: Mapping[str, Image]) -> Volumes:
            made = make(tmp_path / "bundle", images, limit=MIB)
            return Volumes(made.directory, trusted(made.directory))

        return open_source


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three layers, one read in each way."""
    return make(tmp_path_factory.mktemp("made") / "bundle", {"app": image(*LAYERS.values())}, limit=4 * MIB)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(made.directory, tmp_path / "copy"))


def test_the_layers_lie_as_their_names_say(made: Made) -> None:
    rows = {row.digest: row for row in made.inventory.rows}
    assert rows[LAYERS["stored"].descriptor.digest].method == "stored"
    assert rows[LAYERS["compressed"].descriptor.digest].method == "zstd"
    assert (rows[LAYERS["cut"].descriptor.digest].part or 0) > 1


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("offset", [0, 1, 131_071, 131_072, CHUNK, 2 * CHUNK + 77, 3 * MIB + 4, 3 * MIB + 5, 9 * MIB])
def test_reading_from_any_offset(made: Made, kind: str, offset: int) -> None:
    layer = LAYERS[kind]
    with Volumes(made.directory, trusted(made.directory)) as volumes:
        pieces = [bytes(piece) for piece in volumes.fetch_from(layer.descriptor, offset)]
    assert b"".join(pieces) == layer.raw[offset:]
    assert all(0 < len(piece) <= CHUNK for piece in pieces)


def test_names_targets_and_digests_resolve(tmp_path: Path) -> None:
    images = {"app": image(big("x", 100))}
    made = make(tmp_path / "out", images)
    root = images["app"].root
    with Volumes(made.directory, trusted(made.directory)) as volumes:
        for name in ("app", root.digest):
            assert volumes.resolve(name).digest == root.digest
        assert volumes.sizes[root.digest] == root.size
        assert volumes.names == {1: "volume-0001.tar.zst"}
        with pytest.raises(NotFoundError, match="not an image"):
            volumes.resolve("app:2\x1b")


def test_a_name_of_several_contents_needs_its_target(tmp_path: Path) -> None:
    images = {"amd64": image(big("x", 100)), "arm64": image(big("y", 100), platform="linux/arm64")}
    roots = {name: replace(given.root, platform=None) for name, given in images.items()}
    named = tuple(CarriedImage("app:1", f"app-{name}:1", root) for name, root in roots.items())
    named += (CarriedImage("app:1", "third:1", roots["amd64"]),)
    made = make(tmp_path / "out", images, carried=named)
    with Volumes(made.directory, trusted(made.directory)) as volumes:
        assert volumes.resolve("app-arm64:1") == roots["arm64"]
        assert volumes.resolve("third:1") == roots["amd64"]
        with pytest.raises(NotFoundError, match="several contents"):
            volumes.resolve("app:1")
    assert [name for name, _ in ref_names(named)] == ["app:1", "app-arm64:1"]


def test_a_content_that_is_not_carried_is_named(made: Made) -> None:
    other = big("other", 100).descriptor
    with Volumes(made.directory, trusted(made.directory)) as volumes:
        with pytest.raises(ArchiveError, match=other.digest):
            read(volumes, other)
        listed = replace(LAYERS["stored"].descriptor, size=7)
        with pytest.raises(DigestError, match="where 7 are listed"):
            list(volumes.fetch(listed))


# Which file is which volume


def shuffle(directory: Path) -> None:
    names = sorted(path.name for path in directory.glob("volume-*"))
    for name in names:
        (directory / name).rename(directory / f"tmp-{name}")
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        (directory / f"tmp-{name}").rename(directory / other)


def rename(directory: Path) -> None:
    for n, path in enumerate(sorted(directory.glob("volume-*"))):
        path.rename(directory / f"disk {9 - n}.bin")


def add_others(directory: Path) -> None:
    (directory / "README").write_text("copied on Tuesday")
    (directory / "empty").touch()
    (directory / "lost+found").mkdir()
    (directory / "link").symlink_to("/etc/passwd")
    os.mkfifo(directory / "pipe")


@pytest.mark.parametrize("change", [shuffle, rename, add_others])
def test_volumes_are_recognised_by_content(copied: Path, change: Callable[[Path], None]) -> None:
    change(copied)
    with Volumes(copied, trusted(copied)) as volumes:
        for layer in LAYERS.values():
            assert read(volumes, layer.descriptor, cap=1 << 30) == layer.raw


def missing(directory: Path) -> None:
    (directory / "volume-0002.tar.zst").unlink()


def duplicated(directory: Path) -> None:
    shutil.copy(directory / "volume-0002.tar.zst", directory / "volume-0002 (copy).tar.zst")


def replaced_by_another(directory: Path) -> None:
    shutil.copy(directory / "volume-0003.tar.zst", directory / "volume-0002.tar.zst")


def foreign(directory: Path) -> None:
    other = make(directory.parent / "other", {"other": image(big("other", 3 * MIB), big("more", MIB))}, limit=2 * MIB)
    shutil.copy(other.directory / "volume-0001.tar.zst", directory / "volume-0002.tar.zst")


def cut(directory: Path) -> None:
    path = directory / "volume-0002.tar.zst"
    os.truncate(path, path.stat().st_size - 1)


def continued(directory: Path) -> None:
    with (directory / "volume-0002.tar.zst").open("ab") as file:
        file.write(b"\0")


def emptied(directory: Path) -> None:
    os.truncate(directory / "volume-0002.tar.zst", 0)


def linked(directory: Path) -> None:
    path = directory / "volume-0002.tar.zst"
    path.rename(directory.parent / "elsewhere")
    path.symlink_to(directory.parent / "elsewhere")


def a_directory(directory: Path) -> None:
    missing(directory)
    (directory / "volume-0002.tar.zst").mkdir()


def spoilt_label(directory: Path) -> None:
    with (directory / "volume-0002.tar.zst").open("r+b") as file:
        file.seek(600)
        file.write(b"\xff")


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (missing, r"volume 2 of 5 is missing"),
    "duplicated": (duplicated, r"volume-0002 \(copy\)\.tar\.zst and volume-0002\.tar\.zst: are both volume 2"),
    "replaced-by-another": (replaced_by_another, r"volume-0002\.tar\.zst and volume-0003\.tar\.zst: are both volume 3"),
    "foreign": (foreign, r"volume-0002\.tar\.zst: is volume 1 of another bundle, sha256:"),
    "cut": (cut, r"volume-0002\.tar\.zst: is cut short at offset \d+"),
    "continued": (continued, r"volume-0002\.tar\.zst: goes on behind its end at offset \d+"),
    "emptied": (emptied, r"volume-0002\.tar\.zst: damaged at offset 0"),
    "linked": (linked, r"volume-0002\.tar\.zst: damaged at offset 0: .*symbolic link"),
    "a-directory": (a_directory, r"volume-0002\.tar\.zst: damaged at offset 0: .*not a regular file"),
    "spoilt-label": (spoilt_label, r"volume-0002\.tar\.zst: damaged at offset 0"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_named(copied: Path, change: Callable[[Path], None], message: str) -> None:
    change(copied)
    with pytest.raises(ArchiveError, match=message):
        Volumes(copied, trusted(copied))
    tolerant = Volumes(copied, trusted(copied), tolerant=True)
    assert tolerant.problems


def test_a_file_that_changes_while_it_is_read_is_refused(copied: Path) -> None:
    with Volumes(copied, trusted(copied)) as volumes:
        name = volumes.names[1]
        shutil.copy(copied / name, copied.parent / "new")
        (copied.parent / "new").rename(copied / name)
        with pytest.raises(ArchiveError, match="changed or replaced"):
            read(volumes, LAYERS["stored"].descriptor, cap=1 << 30)


def test_a_volume_that_is_not_there_is_named_on_reading(copied: Path) -> None:
    missing(copied)
    with Volumes(copied, trusted(copied), tolerant=True) as volumes, pytest.raises(ArchiveError, match="volume 2 of 5"):
        for layer in LAYERS.values():
            read(volumes, layer.descriptor, cap=1 << 30)


@pytest.mark.parametrize("kind", LAYERS)
def test_damaged_framing_is_named_with_file_and_offset(copied: Path, made: Made, kind: str) -> None:
    row = next(row for row in made.inventory.rows if row.digest == LAYERS[kind].descriptor.digest)
    for at in (0, 5, 14):
        path = copied / f"volume-{row.volume:04}.tar.zst"
        raw = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(row.offset + at)
            file.write(bytes([raw[row.offset + at] ^ 0x40]))
        with Volumes(copied, trusted(copied)) as volumes, pytest.raises(BundlerError) as caught:
            read(volumes, LAYERS[kind].descriptor, cap=1 << 30)
        if isinstance(caught.value, ArchiveError):
            assert path.name in str(caught.value)
            assert str(row.offset) in str(caught.value)
        else:  # in the content of a block, where only the digest can tell
            assert LAYERS[kind].descriptor.digest in str(caught.value)
        path.write_bytes(raw)


def test_short_reads_are_continued(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv

    def some(fd: int, buffers: list[Buffer], offset: int) -> int:
        first = memoryview(buffers[0])
        return real(fd, [first[: max(1, len(first) // 2)]], offset)

    with Volumes(made.directory, trusted(made.directory)) as volumes:
        monkeypatch.setattr(unpack.os, "preadv", some)
        for layer in LAYERS.values():
            assert read(volumes, layer.descriptor, cap=1 << 30) == layer.raw
        monkeypatch.setattr(unpack.os, "preadv", lambda *_: 0)
        with pytest.raises(ArchiveError, match="ends at offset"):
            read(volumes, LAYERS["stored"].descriptor, cap=1 << 30)


def test_a_medium_that_fails_is_a_disk_error(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with Volumes(made.directory, trusted(made.directory)) as volumes:
        monkeypatch.setattr(unpack.os, "preadv", fail)
        with pytest.raises(DiskError, match=r"volume-.*Input/output error"):
            read(volumes, LAYERS["stored"].descriptor, cap=1 << 30)


# Documents


def test_documents_are_read_as_they_are(made: Made) -> None:
    documents = read_documents(made.directory)
    assert documents.envelope == (made.directory / "bundle.dsse.json").read_bytes()
    assert documents.inventory == (made.directory / "inventory.json").read_bytes()
    assert documents.sums == (made.directory / "SHA256SUMS").read_bytes()
    assert documents.text == (made.directory / "VERIFY.txt").read_bytes()
    assert documents.signatures == {}


def test_signatures_come_with_their_file_names(copied: Path) -> None:
    (copied / "SHA256SUMS.0123456789abcdef.sig").write_bytes(b"signature")
    (copied / "SHA256SUMS.nobody.sig").write_bytes(b"other")
    assert read_documents(copied).signatures == {"SHA256SUMS.0123456789abcdef.sig": b"signature"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bundle.dsse.json", SignatureError),
        ("inventory.json", ArchiveError),
        ("SHA256SUMS", ArchiveError),
        ("VERIFY.txt", ArchiveError),
    ],
)
def test_a_missing_document_is_named(copied: Path, name: str, kind: type[BundlerError]) -> None:
    (copied / name).unlink()
    with pytest.raises(kind, match=name):
        read_documents(copied)


def test_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", "file"):
        with pytest.raises(NotFoundError, match=name):
            read_documents(tmp_path / name)


@pytest.mark.parametrize("name", ["SHA256SUMS", "VERIFY.txt"])
def test_an_endless_document_is_refused(copied: Path, name: str) -> None:
    os.truncate(copied / name, 1 << 40)
    with pytest.raises(LimitError, match=name):
        read_documents(copied)


def test_a_document_that_is_a_pipe_is_refused(copied: Path) -> None:
    (copied / "SHA256SUMS").unlink()
    os.mkfifo(copied / "SHA256SUMS")
    with pytest.raises(ArchiveError, match="not a regular file"):
        read_documents(copied)


def test_a_document_that_is_a_link_is_not_followed(copied: Path) -> None:
    (copied / "inventory.json").unlink()
    (copied / "inventory.json").symlink_to("/etc/passwd")
    with pytest.raises(ArchiveError, match=r"inventory\.json: is a symbolic link"):
        read_documents(copied)


def test_statement_and_inventory_must_agree(tmp_path: Path) -> None:
    images = family()
    make(tmp_path / "out", images, total_size=1)
    with pytest.raises(ArchiveError, match="the size of all contents"):
        Volumes(tmp_path / "out", trusted(tmp_path / "out"))


def test_an_empty_content_has_a_frame_that_is_looked_at(tmp_path: Path) -> None:
    empty = part(b"", mediatype.OCI_LAYER, diff_id="sha256:" + "0" * 64)
    made = make(tmp_path / "out", {"app": image(empty)})
    row = next(row for row in made.inventory.rows if not row.size)
    path = made.directory / "volume-0001.tar.zst"
    raw = bytearray(path.read_bytes())
    raw[row.offset + 14] ^= 8
    path.write_bytes(raw)
    with (
        Volumes(made.directory, trusted(made.directory)) as volumes,
        pytest.raises(ArchiveError, match="damaged between"),
    ):
        read(volumes, empty.descriptor)
