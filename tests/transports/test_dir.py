"""``dir:``: one image, read whoever wrote it, written as others write it, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Job, Ranged, Source, copy, read
from bundler.errors import (
    BundlerError,
    ConfigError,
    DigestError,
    DiskError,
    LimitError,
    LockedError,
    NotFoundError,
    ProtocolError,
    StoreError,
    UnsupportedError,
)
from bundler.graph import walk
from bundler.medium import Signable, Signed
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of, hex_of
from bundler.transports import dir as module
from bundler.transports.dir import NewFolder, open_source, open_target, remove, split
from tests.images import Image, artifact, family, image, layer, load, write_dir
from tests.memory import Fault, Memory
from tests.schema1 import document, signed
from tests.suites import OpenSource, SourceSuite, TargetSuite, put

FAMILY = family()
WEB, MULTI = FAMILY["web"], FAMILY["multi"]
OLD = image(layer("old", 3000))


def write(place: Path, held: Image) -> Path:
    """A directory of ours."""
    with open_target(str(place)) as target:
        load(target, {"": held})
    return place


def names(place: Path) -> set[str]:
    return {each.name for each in place.iterdir()}


def check(place: Path, held: Image) -> None:
    """The directory holds this image, and nothing more."""
    source = open_source(str(place))
    assert source.resolve().digest == held.root.digest
    for each in held.parts:
        assert read(source, each.descriptor) == each.raw
    assert len(names(place)) == len(held.parts) + 1


class TestIsASource(SourceSuite):
    """It holds one image, without a name."""

    def name(self, plain: str) -> str:
        return plain if plain == "missing" else ""

    @pytest.fixture
    def images(self) -> dict[str, Image]:
        return {"web": WEB}

    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Source:
            (held,) = images.values()
            return open_source(str(write(tmp_path / "image", held)))

        return opened


class TestIsATarget(TargetSuite):
    """The image that was tagged last is the one."""

    def name(self, plain: str) -> str:
        return ""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Iterator[NewFolder]:
        with open_target(str(tmp_path / "image")) as target:
            yield target

    def test_everything_comes_back(self, target: Any) -> None:
        for held in FAMILY.values():
            self.put_all(target, {"": held})
            assert target.resolve().digest == held.root.digest
            for each in held.parts:
                assert read(target, each.descriptor) == each.raw


def test_powers(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "image", WEB)))
    assert isinstance(source, Ranged)
    assert isinstance(source, Signed)
    with open_target(str(tmp_path / "new")) as target:
        assert isinstance(target, Signable)


@pytest.mark.parametrize("rest", ["a", "/srv/a:b", "./a@b", "C:"])
def test_split(rest: str) -> None:
    assert split(rest) == (rest, "")


def test_no_path() -> None:
    with pytest.raises(ConfigError, match="names no directory"):
        split("")


class TestReading:
    @pytest.mark.parametrize("name", FAMILY)
    def test_as_skopeo_writes_it(self, tmp_path: Path, name: str) -> None:
        source = open_source(str(write_dir(tmp_path / "image", FAMILY[name])))
        graph = walk(source, source.resolve())
        assert graph.root.media_type == FAMILY[name].root.media_type
        assert {node.digest for node in graph.nodes} == FAMILY[name].digests()

    def test_a_child_by_its_digest(self, tmp_path: Path) -> None:
        source = open_source(str(write(tmp_path / "image", MULTI)))
        assert source.resolve(WEB.root.digest).digest == WEB.root.digest
        assert source.resolve(MULTI.root.digest).digest == MULTI.root.digest
        with pytest.raises(NotFoundError, match="holds no manifest"):
            source.resolve(OLD.root.digest)

    def test_the_root_by_another_algorithm(self, tmp_path: Path) -> None:
        source = open_source(str(write(tmp_path / "image", WEB)))
        long = digest_of(WEB.raw, "sha512")
        root = source.resolve(long)
        assert (root.digest, read(source, root)) == (long, WEB.raw)

    def test_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="one image without a name, and no 'x'"):
            open_source(str(write(tmp_path / "image", WEB))).resolve("x")

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such directory") as caught:
            open_source(str(tmp_path / "missing"))
        assert caught.value.hint
        (tmp_path / "file").touch()
        with pytest.raises(NotFoundError, match="not a directory"):
            open_source(str(tmp_path / "file"))
        with pytest.raises(ConfigError, match="not a path"):
            open_source("a\0b")

    def test_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"has no manifest\.json") as caught:
            open_source(str(tmp_path)).resolve()
        assert "directory of one image" in caught.value.hint

    def test_schema_1_goes_by_its_bytes(self, tmp_path: Path) -> None:
        raw = signed(document([WEB.parts[0].descriptor.digest], [{"os": "linux"}]))
        (tmp_path / "manifest.json").write_bytes(raw)
        source = open_source(str(tmp_path))
        root = source.resolve()
        assert root == Descriptor(mt.DOCKER_SCHEMA1_SIGNED, digest_of(raw), len(raw))
        assert read(source, root) == raw

    def test_signatures(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", MULTI)
        (place / "signature-1").write_bytes(b"one")
        (place / "signature-2").write_bytes(b"two")
        (place / "signature-4").write_bytes(b"not reached")
        (place / f"{hex_of(WEB.root.digest)}.signature-1").write_bytes(b"of web")
        source = open_source(str(place))
        assert source.signatures(MULTI.root) == [b"one", b"two"]
        assert source.signatures(WEB.root) == [b"of web"]
        assert source.signatures(OLD.root) == []

    @pytest.mark.parametrize(
        ("kept", "found"),
        [
            (b"\x89simple", b"\x89simple"),
            (b"\0simple-signing\n\x89simple", b"\x89simple"),
            (b'\0sigstore-json\n{"untrusted": 1}', b'\0sigstore-json\n{"untrusted": 1}'),
        ],
        ids=["bare", "with-its-kind", "of-another-kind"],
    )
    def test_kinds_of_signatures(self, tmp_path: Path, kept: bytes, found: bytes) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "signature-1").write_bytes(kept)
        assert open_source(str(place)).signatures(WEB.root) == [found]
        with open_target(str(tmp_path / "again")) as target:
            load(target, {"": WEB})
            target.put_signatures(WEB.root, [found])
        assert (tmp_path / "again/signature-1").read_bytes() == found

    @pytest.mark.parametrize("version", [None, b"1.0", b"1.1", b"1.2"])
    def test_known_versions(self, tmp_path: Path, version: bytes | None) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "version").unlink()
        if version is not None:
            (place / "version").write_bytes(b"Directory Transport Version: %s\n" % version)
        assert open_source(str(place)).resolve().digest == WEB.root.digest


def _link(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


class TestHostileSources:
    @pytest.mark.parametrize("spoil", [_link, _fifo, _folder], ids=["link", "fifo", "directory"])
    @pytest.mark.parametrize("which", ["manifest", "child", "layer"])
    def test_what_is_no_regular_file_is_not_read(
        self, tmp_path: Path, spoil: Callable[[Path], None], which: str
    ) -> None:
        place = write_dir(tmp_path / "image", MULTI)
        layer_ = WEB.parts[0].descriptor
        file = {
            "manifest": "manifest.json",
            "child": f"{hex_of(WEB.root.digest)}.manifest.json",
            "layer": hex_of(layer_.digest),
        }[which]
        spoil(place / file)
        source = open_source(str(place))
        with pytest.raises(BundlerError) as caught:
            graph = walk(source, source.resolve())
            for node in graph.blobs:
                read(source, node)
        assert isinstance(caught.value, StoreError | DiskError | NotFoundError)
        assert "store check" not in caught.value.hint

    def test_a_manifest_of_5_mb(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "manifest.json").write_bytes(WEB.raw + b" " * (5 << 20))
        with pytest.raises(LimitError, match="more than the"):
            open_source(str(place)).resolve()

    @pytest.mark.parametrize("version", [b"1.3", b"2.0", b"10.1"])
    def test_a_later_version(self, tmp_path: Path, version: bytes) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "version").write_bytes(b"Directory Transport Version: %s\n" % version)
        with pytest.raises(UnsupportedError, match=f"is of version {version.decode()}"):
            open_source(str(place))
        with pytest.raises(UnsupportedError, match="only those up to"):
            write(place, OLD)
        assert (place / "manifest.json").read_bytes() == WEB.raw

    @pytest.mark.parametrize(
        "version", [b"", b"1.1\n", b"Directory Transport Version: 1.1", b"Directory Transport Version: 1.1\nmore\n"]
    )
    def test_a_version_that_is_none(self, tmp_path: Path, version: bytes) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "version").write_bytes(version)
        with pytest.raises(StoreError, match="not the one of an image's directory") as caught:
            open_source(str(place))
        assert "store check" not in caught.value.hint

    def test_a_signature_of_5_mb(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / "signature-1").write_bytes(bytes(5 << 20))
        with pytest.raises(LimitError):
            open_source(str(place)).signatures(WEB.root)

    def test_too_many_signatures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_SIGNATURES", 2)
        place = write_dir(tmp_path / "image", WEB)
        for n in (1, 2, 3):
            (place / f"signature-{n}").write_bytes(b"x")
        with pytest.raises(LimitError, match="more than 2 signatures"):
            open_source(str(place)).signatures(WEB.root)

    def test_a_child_that_is_another(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", MULTI)
        (place / f"{hex_of(WEB.root.digest)}.manifest.json").write_bytes(OLD.raw)
        source = open_source(str(place))
        with pytest.raises(DigestError):
            walk(source, source.resolve())
        with pytest.raises(StoreError, match="hashes to") as caught:
            source.resolve(WEB.root.digest)
        assert "copy the image into it again" in caught.value.hint

    def test_a_layer_that_is_another(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / hex_of(WEB.parts[0].descriptor.digest)).write_bytes(OLD.parts[0].raw)
        with pytest.raises(DigestError):
            read(open_source(str(place)), WEB.parts[0].descriptor)

    def test_a_layer_that_is_missing(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", WEB)
        (place / hex_of(WEB.parts[0].descriptor.digest)).unlink()
        with pytest.raises(StoreError, match="is not there") as caught:
            read(open_source(str(place)), WEB.parts[0].descriptor)
        assert "incomplete" in caught.value.hint

    @pytest.mark.parametrize(
        "raw",
        [b"", b"[]", b"{}", b"<html>", b'{"mediaType": "text/html"}', b'{"schemaVersion": "1"}', b"\xff"],
    )
    def test_a_manifest_that_is_none(self, tmp_path: Path, raw: bytes) -> None:
        (tmp_path / "manifest.json").write_bytes(raw)
        with pytest.raises(ProtocolError):
            open_source(str(tmp_path)).resolve()


class TestWriting:
    @pytest.mark.parametrize("name", FAMILY)
    def test_the_same_files_as_skopeo_has(self, tmp_path: Path, name: str) -> None:
        theirs = write_dir(tmp_path / "theirs", FAMILY[name])
        ours = write(tmp_path / "ours", FAMILY[name])
        assert {f: (ours / f).read_bytes() for f in names(ours)} == {
            f: (theirs / f).read_bytes() for f in names(theirs)
        }
        check(ours, FAMILY[name])

    def test_a_lone_artifact(self, tmp_path: Path) -> None:
        chart = artifact(b"chart")
        check(write(tmp_path / "image", chart), chart)

    def test_other_digests_make_another_version(self, tmp_path: Path) -> None:
        place = write(tmp_path / "image", image(layer("long", 300, algorithm="sha512")))
        assert (place / "version").read_bytes() == b"Directory Transport Version: 1.2\n"
        assert any(name.startswith("sha512-") for name in names(place))

    def test_the_root_alone_by_another_digest_does_not(self, tmp_path: Path) -> None:
        place = write(tmp_path / "image", image(layer("short", 300), algorithm="sha512"))
        assert (place / "version").read_bytes() == b"Directory Transport Version: 1.1\n"

    def test_directories_above_are_made(self, tmp_path: Path) -> None:
        check(write(tmp_path / "a/b/c", WEB), WEB)

    def test_an_older_image_is_replaced(self, tmp_path: Path) -> None:
        place = write_dir(tmp_path / "image", OLD)
        (place / "signature-1").write_bytes(b"of the old one")
        (place / f"{hex_of(OLD.root.digest)}.signature-1").write_bytes(b"of the old one")
        (place / f"sha512-{'a' * 128}.signature-1").write_bytes(b"of the old one")
        write(place, MULTI)
        check(place, MULTI)
        assert names(tmp_path) == {"image"}

    def test_an_empty_directory_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "image").mkdir()
        check(write(tmp_path / "image", WEB), WEB)

    def test_a_link_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        place = write_dir(tmp_path / "elsewhere/image", OLD)
        (tmp_path / "image").symlink_to(place)
        write(tmp_path / "image", WEB)
        assert (tmp_path / "image").is_symlink()
        check(place, WEB)
        assert names(tmp_path) == {"image", "elsewhere"}
        assert names(tmp_path / "elsewhere") == {"image"}

    def test_the_directory_where_we_stand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        for held in (OLD, WEB, MULTI):
            write(Path(), held)
            check(here, held)
            assert Path.cwd().exists()

    @pytest.mark.parametrize("older", [None, OLD], ids=["empty", "older"])
    def test_a_directory_that_can_not_be_renamed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: Image | None
    ) -> None:
        """A mounted medium."""
        place = tmp_path / "usb"
        place.mkdir()
        if older is not None:
            write_dir(place, older)
            (place / "signature-1").write_bytes(b"of the old one")
        monkeypatch.setattr(Path, "is_mount", lambda self: self == place)
        inode = place.stat().st_ino
        write(place, MULTI)
        check(place, MULTI)
        assert place.stat().st_ino == inode

    def test_signatures(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "image")) as target:
            load(target, {"": MULTI})
            target.put_signatures(MULTI.root, [b"one", b"two"])
            target.put_signatures(WEB.root, [b"of web"])
        source = open_source(str(tmp_path / "image"))
        assert source.signatures(MULTI.root) == [b"one", b"two"]
        assert source.signatures(WEB.root) == [b"of web"]
        signatures = {name for name in names(tmp_path / "image") if "signature" in name}
        assert signatures == {"signature-1", "signature-2", f"{hex_of(WEB.root.digest)}.signature-1"}

    def test_signatures_before_the_image_has_its_name(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "image")) as target:
            for each in MULTI.parts:
                put(target, each)
            target.put_signatures(MULTI.root, [b"one", b"two", b"three"])
            target.put_signatures(MULTI.root, [b"four"])
            assert target.signatures(MULTI.root) == [b"four"]
            target.tag("", MULTI.root)
        assert {name for name in names(tmp_path / "image") if "signature" in name} == {"signature-1"}
        assert open_source(str(tmp_path / "image")).signatures(MULTI.root) == [b"four"]

    def test_nothing_tagged_nothing_written(self, tmp_path: Path) -> None:
        with open_target(str(tmp_path / "image")) as target:
            put(target, WEB.parts[0])
        assert names(tmp_path) == set()


class TestFailures:
    @contextmanager
    def failing(self, place: Path) -> Generator[NewFolder, None, None]:
        class SourceBrokeError(Exception):
            pass

        with pytest.raises(SourceBrokeError), open_target(str(place)) as target:
            yield target
            raise SourceBrokeError

    @pytest.mark.parametrize("tagged", [True, False])
    def test_in_the_middle(self, tmp_path: Path, tagged: bool) -> None:
        with self.failing(tmp_path / "image") as target:
            if tagged:
                load(target, {"": WEB})
            else:
                put(target, WEB.parts[0])
        assert names(tmp_path) == set()

    def test_in_the_middle_with_an_older_image(self, tmp_path: Path) -> None:
        place = write(tmp_path / "image", OLD)
        with self.failing(place) as target:
            load(target, {"": WEB})
        check(place, OLD)
        assert names(tmp_path) == {"image"}

    def test_in_the_middle_where_we_stand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = write(tmp_path / "image", OLD)
        monkeypatch.chdir(place)
        with self.failing(Path()) as target:
            load(target, {"": WEB})
        check(place, OLD)

    def test_a_wrong_content(self, tmp_path: Path) -> None:
        place = write(tmp_path / "image", OLD)
        memory = Memory()
        load(memory, {"web": WEB})
        memory.faults.append(Fault("fetch", WEB.parts[0].descriptor.digest, flip=5))
        with pytest.raises(DigestError), open_target(str(place)) as target:
            for each in WEB.parts:
                copy(Job(memory, target, each.descriptor))
        check(place, OLD)
        assert names(tmp_path) == {"image"}

    LEFT = ".bundler-123-0123456789abcdef"

    @pytest.mark.parametrize("act", ["write", "remove"])
    def test_what_a_killed_copy_left_within(self, tmp_path: Path, act: str) -> None:
        place = write_dir(tmp_path / "image", OLD)
        (place / self.LEFT).mkdir()
        (place / self.LEFT / "half").write_bytes(b"done")
        if act == "write":
            write(place, WEB)
            check(place, WEB)
        else:
            remove(str(place))
            assert names(tmp_path) == set()

    def test_two_at_once_within(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = write_dir(tmp_path / "image", OLD)
        monkeypatch.setattr(Path, "is_mount", lambda self: self == place)
        with open_target(str(place)) as first:
            load(first, {"": WEB})
            with pytest.raises(LockedError, match="another copy is writing there"):
                write(place, MULTI)
            with pytest.raises(LockedError):
                remove(str(place))
        check(place, WEB)

    def test_a_link_called_like_ours_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/thesis.txt").write_text("three years")
        place = write_dir(tmp_path / "image", OLD)
        (place / self.LEFT).symlink_to(tmp_path / "mine")
        with pytest.raises(ConfigError, match="not the directory of an image alone"):
            write(place, WEB)
        assert (tmp_path / "mine/thesis.txt").read_text() == "three years"

    def test_the_last_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = write(tmp_path / "image", OLD)
        rename = os.rename

        def failing(source: Any, target: Any, **options: Any) -> None:
            manifest = Path(source) / "manifest.json"
            if Path(target) == place and manifest.read_bytes() == WEB.raw:
                raise OSError(5, "Input/output error")
            rename(source, target, **options)

        monkeypatch.setattr(os, "rename", failing)
        with pytest.raises(DiskError, match="write"), open_target(str(place)) as target:
            load(target, {"": WEB})
        check(place, OLD)
        assert names(tmp_path) == {"image"}


def _users(place: Path) -> None:
    (place / "thesis.txt").write_text("three years")


def _beside_an_image(place: Path) -> None:
    write_dir(place, OLD)
    (place / "notes.txt").write_text("mine")


def _looks_like_one(place: Path) -> None:
    (place / "version").write_text("2.0\n")
    (place / "manifest.json").write_text('{"name": "a web app"}')


def _no_version(place: Path) -> None:
    (place / "manifest.json").write_text('{"name": "a web app"}')


def _folder_named_like_a_layer(place: Path) -> None:
    write_dir(place, OLD)
    (place / ("a" * 64)).mkdir()
    (place / ("a" * 64) / "inside").write_text("mine")


def _hidden(place: Path) -> None:
    (place / ".git").mkdir()


USERS = [_users, _beside_an_image, _looks_like_one, _no_version, _folder_named_like_a_layer, _hidden]


class TestWhatIsTheUsersStays:
    @pytest.mark.parametrize("fill", USERS)
    @pytest.mark.parametrize(
        "act", [lambda place: write(place, WEB), lambda place: remove(str(place))], ids=["write", "remove"]
    )
    def test_a_directory_with_other_things(
        self, tmp_path: Path, fill: Callable[[Path], None], act: Callable[[Path], Any]
    ) -> None:
        place = tmp_path / "mine"
        place.mkdir()
        fill(place)
        before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
        with pytest.raises(ConfigError, match="not the directory of an image alone") as caught:
            act(place)
        assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before
        assert "choose another place" in caught.value.hint
        assert names(tmp_path) == {"mine"}

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ConfigError, match="not a directory"):
            write(tmp_path / "file", WEB)
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_link_to_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(ConfigError, match="not a directory"):
            write(tmp_path / "link", WEB)

    def test_nul(self) -> None:
        with pytest.raises(ConfigError, match="not a path"):
            write(Path("a\0b"), WEB)


class TestRemove:
    def test_an_image(self, tmp_path: Path) -> None:
        place = write(tmp_path / "image", WEB)
        remove(str(place))
        assert not place.exists()

    def test_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(write(tmp_path / "image", WEB))
        with pytest.raises(ConfigError, match="a link"):
            remove(str(tmp_path / "link"))
        check(tmp_path / "image", WEB)

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such directory"):
            remove(str(tmp_path / "missing"))


def test_several_images_share_a_pool(tmp_path: Path) -> None:
    pool = module.new_folder(tmp_path / "pool")
    long = image(layer("long", 300, algorithm="sha512"))
    load(pool, {"web": WEB, "multi": MULTI, "long": long})
    for name, held in (("one", WEB), ("two", MULTI), ("three", long)):
        pool.export(held.root, tmp_path / name)
        check(tmp_path / name, held)
        assert ((tmp_path / name / "version").read_bytes()[-4:-1] == b"1.2") is (held is long)
