"""``oci-archive:``: a layout in a tar file, read whoever packed it, written whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Job, Ranged, Source, Tagged, copy, read
from bundler.errors import ArchiveError, BundlerError, ConfigError, DigestError, LimitError, NotFoundError, StoreError
from bundler.medium import Closing
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.store.index import LEFT_OUT
from bundler.transports.oci_archive import ArchivedLayout, NewLayoutArchive, open_source, open_target, split
from bundler.transports.tarball import NewTarball
from tests.images import Image, family, image, layer, load, write_layout
from tests.memory import Fault, Memory
from tests.suites import OpenSource, SourceSuite, TargetSuite, put

FAMILY = family()
WEB, MULTI = FAMILY["web"], FAMILY["multi"]


def pack(folder: Path, path: Path, *, prefix: str = "", mode: Any = "w") -> Path:
    """A layout's archive as tar makes it: directories are members, and the order is the file system's."""
    with tarfile.open(path, mode) as tar:
        tar.add(folder, arcname=prefix or ".")
    return path


def write(path: Path, images: Mapping[str, Image]) -> Path:
    """An archive of ours."""
    with open_target(str(path)) as target:
        load(target, images)
    return path


def indexed(path: Path) -> list[dict[str, Any]]:
    """The entries of its index."""
    with tarfile.open(path) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        entries: list[dict[str, Any]] = json.load(file)["manifests"]
        return entries


class TestIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> Iterator[OpenSource]:
        opened: list[ArchivedLayout] = []

        def make(images: Mapping[str, Image]) -> Source:
            folder = write_layout(tmp_path / f"layout{len(opened)}", images)
            opened.append(open_source(str(pack(folder, tmp_path / f"{len(opened)}.tar"))))
            return opened[-1]

        yield make
        for each in opened:
            each.close()


class TestACompressedOneIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> Iterator[OpenSource]:
        opened: list[ArchivedLayout] = []

        def make(images: Mapping[str, Image]) -> Source:
            path = pack(write_layout(tmp_path / "layout", images), tmp_path / "a.tar.gz", mode="w:gz")
            opened.append(open_source(str(path), tmp=tmp_path))
            return opened[-1]

        yield make
        for each in opened:
            each.close()


class TestIsATarget(TargetSuite):
    """It is no source before it is finished; so a copy of it is, as if it ended here."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Iterator[NewLayoutArchive]:
        self.place = tmp_path
        self.opened: list[ArchivedLayout] = []
        with open_target(str(tmp_path / "a.tar")) as target:
            yield target
        for each in self.opened:
            each.close()

    def reopened(self, target: Any) -> Source:
        copied = self.place / f"copy{len(self.opened)}.tar"
        with target._writing:
            target._file._file.flush()
            (unfinished,) = self.place.glob(".bundler-*")
            shutil.copy(unfinished, copied)
            size = target._file._file.tell()
        with copied.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            ending = NewTarball(file)
            marker = b'{"imageLayoutVersion": "1.0.0"}'
            for name, raw in (("index.json", target._index.serialised()), ("oci-layout", marker)):
                ending.append(name, len(raw), [raw])
            ending.finish()
        self.opened.append(open_source(str(copied)))
        return self.opened[-1]


def test_powers(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "a.tar", FAMILY)))
    for power in (Ranged, Tagged, Closing):
        assert isinstance(source, power)
    source.close()


@pytest.mark.parametrize(
    ("rest", "path", "name"),
    [
        ("a.tar", "a.tar", ""),
        ("a.tar:app:1", "a.tar", "app:1"),
        ("/x/a.tar:docker.io/a/b:1", "/x/a.tar", "docker.io/a/b:1"),
    ],
)
def test_split(rest: str, path: str, name: str) -> None:
    assert split(rest) == (path, name)


class TestWriting:
    def test_what_was_written_comes_back(self, tmp_path: Path) -> None:
        source = open_source(str(write(tmp_path / "a.tar", FAMILY)))
        for name, held in FAMILY.items():
            assert source.resolve(name).digest == held.root.digest
            for each in held.parts:
                assert read(source, each.descriptor) == each.raw
        source.close()

    def test_equal_images_equal_files(self, tmp_path: Path) -> None:
        assert write(tmp_path / "a.tar", FAMILY).read_bytes() == write(tmp_path / "b.tar", FAMILY).read_bytes()

    def test_each_content_once(self, tmp_path: Path) -> None:
        with tarfile.open(write(tmp_path / "a.tar", FAMILY)) as tar:
            names = tar.getnames()
        assert len(names) == len(set(names))

    def test_without_a_name(self, tmp_path: Path) -> None:
        (entry,) = indexed(write(tmp_path / "a.tar", {"": WEB}))
        assert "annotations" not in entry
        source = open_source(str(tmp_path / "a.tar"))
        assert source.resolve("").digest == WEB.root.digest
        source.close()

    def test_left_out_children_are_listed_as_such(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "a.tar")) as target:
            for each in (*WEB.parts, MULTI.parts[-1]):
                put(target, each)
            target.tag("multi", MULTI.root)
        (entry,) = indexed(tmp_path / "a.tar")
        gone = [each.descriptor.digest for each in MULTI.manifests[:-1] if each.descriptor.digest != WEB.root.digest]
        assert entry["annotations"][LEFT_OUT].split() == gone
        (entry,) = indexed(write(tmp_path / "b.tar", {"multi": MULTI}))
        assert entry["annotations"][LEFT_OUT] == ""

    def test_a_root_that_was_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="was not written"), open_target(str(tmp_path / "a.tar")) as target:
            target.tag("web", WEB.root)
        assert list(tmp_path.iterdir()) == []

    def test_resolve_knows_what_was_tagged(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "a.tar")) as target:
            load(target, {"web": WEB})
            assert target.resolve("web").digest == WEB.root.digest
            assert [name for name, _ in target.images()] == ["web"]
            with pytest.raises(NotFoundError):
                target.resolve("other")

    def test_nothing_tagged_nothing_written(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "a.tar")) as target:
            put(target, WEB.parts[0])
        assert list(tmp_path.iterdir()) == []

    def test_an_error_leaves_the_older_one(self, tmp_path: Path) -> None:
        before = write(tmp_path / "a.tar", {"web": WEB}).read_bytes()
        memory = Memory()
        load(memory, {"multi": MULTI})
        memory.faults.append(Fault("fetch", MULTI.root.digest, flip=5))
        with pytest.raises(DigestError), open_target(str(tmp_path / "a.tar")) as target:
            for each in MULTI.parts:
                copy(Job(memory, target, each.descriptor))
        assert [each.read_bytes() for each in tmp_path.iterdir()] == [before]

    @pytest.mark.parametrize("place", [".", "a\0b"])
    def test_no_place_for_a_file(self, tmp_path: Path, place: str) -> None:
        with pytest.raises(ConfigError, match="not the name of a file") as caught, open_target(f"{tmp_path}/{place}"):
            pass
        assert "oci:" in caught.value.hint

    def test_an_index_of_5_mb(self, tmp_path: Path) -> None:
        raw = bytes(5 << 20)
        with pytest.raises(LimitError), open_target(str(tmp_path / "a.tar")) as target:
            target.push(Descriptor(mt.OCI_INDEX, digest_of(raw), len(raw)), [raw])


def members(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def tar_of(contents: Mapping[str, bytes | str]) -> bytes:
    """Members in the given order; text is the target of a symbolic link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda held: {key: raw for key, raw in held.items() if key != name}


def _with(name: str, raw: bytes | str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda held: {**held, name: raw}


LAYER = f"blobs/sha256/{WEB.parts[0].descriptor.digest.partition(':')[2]}"
HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], type[BundlerError], str]] = {
    "no index": (_without("index.json"), ArchiveError, r"has no index\.json"),
    "no marker": (_without("oci-layout"), ArchiveError, "has no oci-layout"),
    "an index that is none": (_with("index.json", b"[]"), StoreError, "must be an object"),
    "an index of 20 MB": (_with("index.json", bytes(20 << 20)), LimitError, "more than the"),
    "an index that is a link to nowhere": (_with("index.json", "/etc/passwd"), ArchiveError, "has no index"),
    "a missing layer": (_without(LAYER), StoreError, "is not there"),
    "a layer that is another": (_with(LAYER, b"x" * WEB.parts[0].descriptor.size), DigestError, "hash to"),
    "a layer that is too long": (_with(LAYER, WEB.parts[0].raw + b"x"), DigestError, "more than the"),
    "a layer that is a link out": (_with(LAYER, "../../../../etc/passwd"), StoreError, "is not there"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path: Path, name: str) -> None:
    spoil, error, said = HOSTILE[name]
    folder = write_layout(tmp_path / "layout", {"web": WEB})
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(spoil(members(folder))))
    with pytest.raises(error, match=said) as caught:
        source = open_source(str(path))
        try:
            source.resolve("web")
            for each in WEB.parts:
                read(source, each.descriptor)
        finally:
            source.close()
    assert "store check" not in caught.value.hint


def test_a_docker_archive_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of({"manifest.json": b"[]"}))
    with pytest.raises(ArchiveError, match="not the archive of an OCI layout") as caught:
        open_source(str(tmp_path / "a.tar"))
    assert "docker-archive:" in caught.value.hint


def test_a_blob_that_is_a_link_to_another_place_of_the_archive(tmp_path: Path) -> None:
    contents = members(write_layout(tmp_path / "layout", {"web": WEB}))
    contents["shared/layer"] = contents[LAYER]
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of({**contents, LAYER: "../../shared/layer"}))
    source = open_source(str(path))
    assert read(source, WEB.parts[0].descriptor) == WEB.parts[0].raw
    source.close()


def test_blobs_are_listed(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "a.tar", {"web": WEB})))
    assert dict(source.blobs()) == {each.descriptor.digest: each.descriptor.size for each in WEB.parts}
    assert [source.damage(each.descriptor.digest) for each in WEB.parts] == [""] * len(WEB.parts)
    source.close()


def descriptors(below: Path) -> list[str]:
    """Open files of this process below a directory."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(each.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return [link for link in links if link.startswith(str(below))]


def test_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(gzip.compress(tar_of({"manifest.json": b"[]"})))
    with pytest.raises(ArchiveError):
        open_source(str(tmp_path / "a.tar"), tmp=tmp_path)
    assert descriptors(tmp_path) == []
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar"]


def test_an_image_with_a_large_layer_is_named_by_its_layout(tmp_path: Path) -> None:
    held = image(layer("large", 3_000_000))
    source = open_source(str(write(tmp_path / "a.tar", {"large": held})))
    assert read(source, held.parts[0].descriptor) == held.parts[0].raw
    source.close()
