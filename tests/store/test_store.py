"""The store as a whole: the suites, opening, names, resuming, quarantine, and what the disk looks like meanwhile."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.content import CHUNK, Buffer, Durable, Event, Job, Note, Ranged, Resuming, Tagged, copy, read
from bundler.errors import (
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    LockedError,
    NetworkError,
    NotFoundError,
    ReadOnlyError,
    SpaceError,
    StoreError,
)
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.store import Store
from bundler.store import state as state_module
from bundler.store.incoming import PARTIAL_FROM, partial_name
from tests.images import Image, Part, family, image, index, layer, load, parts_of, write_layout
from tests.memory import Memory
from tests.suites import OpenSource, SourceSuite, TargetSuite

NAME = "docker.io/library/nginx:1.27"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


@pytest.fixture(scope="module")
def big() -> Part:
    """Large enough to be worth resuming: some 3 MiB."""
    return layer("big", 3 * CHUNK)


class TestStoreIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Store:
            store = Store.open(tmp_path / f"store-{len(images)}", create=True)
            load(store, images)
            return store

        return opened


class TestStoreIsATarget(TargetSuite):
    @pytest.fixture
    def target(self, store: Store) -> Store:
        return store

    def reopened(self, target: Store) -> Store:
        target.flush()
        return Store.open(target.path)


class TestBlobsOfSomeSizeAreATarget(TargetSuite):
    """The same with every blob large enough to be resumed."""

    @pytest.fixture
    def target(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setattr("bundler.store.incoming.PARTIAL_FROM", 1)
        monkeypatch.setattr("bundler.store.store.PARTIAL_FROM", 1)
        return store


def test_powers(store: Store) -> None:
    for power in (Ranged, Resuming, Tagged, Durable):
        assert isinstance(store, power)


def at(store: Store, wanted: Descriptor) -> Path:
    return Path(store.path) / "blobs" / "sha256" / hex_of(wanted.digest)


def put(store: Store, wanted: Part) -> None:
    store.push(wanted.descriptor, [wanted.raw])


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class TestOpening:
    def test_a_new_store_is_an_empty_layout(self, store: Store) -> None:
        assert json.loads(Path(store.path, "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        assert store.images() == []
        assert store.check().sound

    def test_nothing_is_made_unless_asked(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such directory"):
            Store.open(tmp_path / "missing")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(StoreError, match="not an OCI layout"):
            Store.open(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_missing_parents_are_made(self, tmp_path: Path) -> None:
        assert Store.open(tmp_path / "a" / "b", create=True).images() == []

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for create in (True, False):
            with pytest.raises(ConfigError, match="not a directory"):
                Store.open(tmp_path / "file", create=create)

    def test_a_path_through_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for create in (True, False):
            with pytest.raises(ConfigError, match="director"):
                Store.open(tmp_path / "file" / "store", create=create)
            with pytest.raises(ConfigError, match="not a path"):
                Store.open("a\0b", create=create)

    def test_other_things_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("x")
        for create in (True, False):
            with pytest.raises(ConfigError, match="neither empty nor an OCI layout"):
                Store.open(tmp_path, create=create)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_the_root_of_an_empty_file_system_will_do(self, tmp_path: Path) -> None:
        (tmp_path / "lost+found").mkdir()
        assert Store.open(tmp_path, create=True).images() == []

    @pytest.mark.parametrize("lacking", ["oci-layout", "index.json", "blobs"])
    def test_a_broken_off_beginning_is_finished(self, tmp_path: Path, lacking: str) -> None:
        Store.open(tmp_path, create=True)
        for name in {"oci-layout": ["oci-layout"], "index.json": ["oci-layout", "index.json"]}.get(lacking, []):
            (tmp_path / name).unlink()
        if lacking == "blobs":
            for name in ("oci-layout", "index.json"):
                (tmp_path / name).unlink()
            (tmp_path / "blobs" / "sha256").rmdir()
            (tmp_path / "blobs").rmdir()
        store = Store.open(tmp_path, create=True)
        load(store, family())
        assert store.check().sound

    def test_a_link_to_the_store_is_followed(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(store.path)
        assert Store.open(tmp_path / "link").images() == []

    def test_a_layout_of_another_tool_becomes_a_store(self, tmp_path: Path) -> None:
        images = family()
        folder = write_layout(tmp_path / "layout", images)
        store = Store.open(folder)
        assert all(store.has(wanted.descriptor) for wanted in parts_of(images))
        store.tag(NAME, images["web"].root)
        assert store.resolve(NAME).digest == images["web"].root.digest
        assert sorted(store.tags()) == sorted([*images, NAME])
        assert store.check().sound

    @pytest.mark.parametrize("name", [".bundler", "blobs", "blobs/sha256"])
    def test_a_linked_directory_is_refused(self, store: Store, tmp_path: Path, name: str) -> None:
        wanted = layer("x", 100)
        put(store, wanted)
        (Path(store.path) / name).rename(tmp_path / "elsewhere")
        (Path(store.path) / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="not a directory"):
            Store.open(store.path).has(wanted.descriptor)


class TestReadOnly:
    @pytest.fixture
    def frozen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        """A layout on a medium where nothing can be made."""

        def refuse(*args: object, **options: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        folder = write_layout(tmp_path / "layout", family())
        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", refuse)
            return Store.open(folder)

    def test_it_can_be_read(self, frozen: Store) -> None:
        with frozen.shared("pack"):
            for wanted in parts_of(family()):
                assert frozen.has(wanted.descriptor)
                assert read(frozen, wanted.descriptor) == wanted.raw
                assert frozen.held(wanted.descriptor) == 0
            assert frozen.check().sound

    def test_it_cannot_be_written(self, frozen: Store) -> None:
        wanted = layer("x", 100)
        writes: list[Callable[[], object]] = [
            lambda: put(frozen, wanted),
            lambda: frozen.tag(NAME, family()["web"].root),
            frozen.gc,
            lambda: frozen.lease([]),
            lambda: frozen.remove(["web"]),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError, match="can't be written"):
                write()

    def test_a_journal_that_cannot_be_written_is_done_without(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_layout(tmp_path / "layout", family())
        store = Store.open(folder)
        original = os.open

        def refuse(path: str, flags: int, *args: int, **options: int) -> int:
            if path == "journal" and flags & os.O_WRONLY:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return original(path, flags, *args, **options)

        monkeypatch.setattr(os, "open", refuse)
        assert store.has(family()["web"].root)


class TestNames:
    def test_an_entry_carries_the_full_name_for_skopeo_and_containerd(self, store: Store) -> None:
        web = family()["web"]
        load(store, {NAME: web})
        (entry,) = json.loads(Path(store.path, "index.json").read_text())["manifests"]
        assert entry["annotations"] == {
            "org.opencontainers.image.ref.name": NAME,
            "io.containerd.image.name": NAME,
        }
        assert store.images() == [(NAME, web.root)]
        assert store.resolve(NAME).annotations == {}

    def test_a_root_that_is_not_there_gets_no_name(self, store: Store) -> None:
        with pytest.raises(StoreError, match="can't be named"):
            store.tag(NAME, family()["web"].root)
        assert store.images() == []

    @pytest.mark.parametrize("which", ["layer", "config"])
    def test_an_incomplete_image_gets_no_name(self, store: Store, which: str) -> None:
        web = family()["web"]
        lacking = web.blobs[-1 if which == "config" else 0].descriptor
        for wanted in web.parts:
            if wanted.descriptor != lacking:
                put(store, wanted)
        with pytest.raises(StoreError, match=lacking.digest):
            store.tag(NAME, web.root)
        assert store.images() == []

    @pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "x" * 2000], ids=["newline", "bidi", "long"])
    def test_names_that_cannot_be_shown_are_refused(self, store: Store, name: str) -> None:
        load(store, {"web": family()["web"]})
        with pytest.raises(ConfigError, match="cannot be the name"):
            store.tag(name, family()["web"].root)

    def test_a_name_is_never_a_path(self, store: Store, tmp_path: Path) -> None:
        before = {path for path in tmp_path.rglob("*") if "blobs" not in path.parts}
        load(store, {"../../escape": family()["web"]})
        assert {path for path in tmp_path.rglob("*") if "blobs" not in path.parts} - before <= {
            Path(store.path) / ".bundler" / name for name in ("journal", "index.lock")
        }
        assert store.resolve("../../escape").digest == family()["web"].root.digest

    def test_the_order_of_tagging_does_not_show(self, tmp_path: Path) -> None:
        images = family()
        written = []
        for n, order in enumerate((list(images), list(reversed(images)))):
            store = Store.open(tmp_path / str(n), create=True)
            load(store, {name: images[name] for name in order})
            written.append(Path(store.path, "index.json").read_bytes())
        assert written[0] == written[1]

    def test_many_names_are_one_change(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        web = family()["web"]
        load(store, {"web": web})
        written = []
        original = os.rename

        def rename(source: str, target: str, **options: int) -> None:
            written.append(target)
            original(source, target, **options)

        monkeypatch.setattr(os, "rename", rename)
        store.tag_all((f"web:{n}", web.root) for n in range(50))
        store.tag_all((f"web:{n}", web.root) for n in range(50))  # changes nothing, so it writes nothing
        assert written == ["index.json"]
        assert len(store.images()) == 51

    def test_another_process_changed_the_index_meanwhile(self, store: Store) -> None:
        images = family()
        load(store, {"web": images["web"]})
        load(Store.open(store.path), {"base": images["base"]})
        store.tag("web:2", images["web"].root)
        assert store.tags() == ["base", "web", "web:2"]

    def test_untag(self, store: Store) -> None:
        load(store, family())
        store.untag(["web", "docker"])
        assert not {"web", "docker"} & set(store.tags())
        with pytest.raises(NotFoundError, match="no image 'web'"):
            store.untag(["base", "web"])
        assert "base" in store.tags()

    def test_untag_needs_a_name_not_a_digest(self, store: Store) -> None:
        web = family()["web"]
        load(store, {"web": web})
        with pytest.raises(NotFoundError, match="no image is called"):
            store.untag([web.root.digest])

    def test_untag_by_any_name_and_nameless_ones_by_digest(self, tmp_path: Path) -> None:
        web, base = family()["web"], family()["base"]
        store = Store.open(write_layout(tmp_path, {"web": web}))
        entries = [base.root.document(), web.root.document()]
        entries[1]["annotations"] = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "full:1"}
        Path(store.path, "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        store.remove([base.root.digest])
        assert store.images() == [("1", web.root)]
        store.remove(["full:1"])
        assert store.images() == []

    def test_left_out_children_are_written_down(self, store: Store) -> None:
        multi = family()["multi"]
        amd, arm = (wanted.descriptor for wanted in multi.manifests[:2])
        for wanted in multi.parts:
            if wanted.descriptor.digest != arm.digest:
                put(store, wanted)
        store.tag("multi", multi.root)
        (entry,) = store.index().entries
        assert entry.left_out == frozenset({arm.digest})
        assert store.check().sound
        at(store, amd).unlink()
        report = Store.open(store.path).check()
        assert [missing.want.digest for missing in report.missing] == [amd.digest]

    def test_a_child_without_its_layers_counts_as_left_out(self, store: Store) -> None:
        multi = family()["multi"]
        arm = multi.manifests[1]
        for wanted in multi.manifests:
            put(store, wanted)
        for wanted in family()["web"].parts:
            put(store, wanted)
        store.tag("multi", multi.root)
        assert store.index().entries[0].left_out == frozenset({arm.descriptor.digest})
        assert store.check().sound


class TestHas:
    def test_a_blob_that_nobody_vouches_for_is_hashed_once(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = layer("x", 1000)
        put(store, wanted)
        (Path(store.path) / ".bundler" / "journal").unlink()
        hashed = []
        original = Store.damage

        def damage(self: Store, digest: Digest) -> str:
            hashed.append(digest)
            return original(self, digest)

        monkeypatch.setattr(Store, "damage", damage)
        other = Store.open(store.path)
        assert other.has(wanted.descriptor)
        assert other.has(wanted.descriptor)
        assert Store.open(store.path).has(wanted.descriptor)
        assert hashed == [wanted.descriptor.digest]

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda path: path.write_bytes(b"\0" * path.stat().st_size), id="zeroed"),
            pytest.param(lambda path: path.write_bytes(b""), id="empty-as-after-a-power-cut"),
            pytest.param(lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), id="link"),
            pytest.param(lambda path: (path.unlink(), path.mkdir()), id="directory"),
            pytest.param(_fifo, id="fifo"),
        ],
    )
    def test_a_bad_one_goes_into_quarantine_and_is_told(self, store: Store, damage: Callable[[Path], object]) -> None:
        wanted = layer("x", 1000)
        put(store, wanted)
        damage(at(store, wanted.descriptor))
        heard: list[Event] = []
        other = Store.open(store.path, observer=heard.append)
        assert not other.has(wanted.descriptor)
        assert ["quarantine" in event.text for event in heard if isinstance(event, Note)] == [True]
        assert not at(store, wanted.descriptor).is_symlink()
        quarantine = Path(store.path) / ".bundler" / "quarantine"
        assert [path.name for path in quarantine.iterdir()] == [partial_name(wanted.descriptor.digest)]
        put(other, wanted)
        assert other.has(wanted.descriptor)

    def test_a_good_one_that_came_meanwhile_stays(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = layer("x", 1000)
        put(store, wanted)
        at(store, wanted.descriptor).write_bytes(b"bad")
        other = Store.open(store.path)

        def slow(self: Store, digest: str) -> str:
            put(other, wanted)
            return "bad"

        monkeypatch.setattr(Store, "damage", slow)
        assert not store.has(wanted.descriptor)
        assert at(store, wanted.descriptor).read_bytes() == wanted.raw

    def test_a_lie_about_the_size(self, store: Store) -> None:
        wanted = layer("x", 1000)
        put(store, wanted)
        assert not store.has(Descriptor(wanted.descriptor.media_type, wanted.descriptor.digest, 7))
        assert store.has(wanted.descriptor)


class TestPush:
    def test_an_unverified_content_of_the_wrong_size_is_refused(self, store: Store) -> None:
        wanted = layer("x", 1000)
        with pytest.raises(DigestError, match="bytes were written"):
            store.push(wanted.descriptor, [wanted.raw[:-1]])
        assert not store.has(wanted.descriptor)

    def test_files_can_be_read_by_all_and_temp_files_by_nobody_else(self, store: Store) -> None:
        wanted = layer("x", 1000)

        def content() -> Iterator[Buffer]:
            (temp,) = (Path(store.path) / ".bundler" / "tmp").iterdir()
            assert temp.stat().st_mode & 0o777 == 0o600
            yield wanted.raw

        store.push(wanted.descriptor, content())
        assert at(store, wanted.descriptor).stat().st_mode & 0o777 == 0o644
        assert list((Path(store.path) / ".bundler" / "tmp").iterdir()) == []

    def test_an_upload_whose_digest_comes_last(self, store: Store) -> None:
        with store.incoming() as file:
            file.write(b"ab")
            file.write(memoryview(b"cd"))
            assert b"".join(bytes(chunk) for chunk in file.chunks()) == b"abcd"
            store.commit(Descriptor("x/y", digest_of(b"abcd"), 4), file)
        assert read(store, Descriptor("x/y", digest_of(b"abcd"), 4)) == b"abcd"
        with pytest.raises(ZeroDivisionError), store.incoming() as file:
            file.write(b"ab")
            raise ZeroDivisionError
        assert list((Path(store.path) / ".bundler" / "tmp").iterdir()) == []


def broken(wanted: Part, length: int, error: BaseException) -> Generator[Buffer, None, None]:
    """A content that breaks after ``length`` bytes."""
    yield wanted.raw[:length]
    raise error


class TestResuming:
    @pytest.mark.parametrize(
        "error", [NetworkError("reset"), KeyboardInterrupt(), SpaceError("full"), OSError(5, "?")], ids=repr
    )
    def test_what_arrived_is_kept_and_continued(
        self, store: Store, big: Part, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(type(error)):
            store.push(big.descriptor, broken(big, 2 * CHUNK, error))
        assert not store.has(big.descriptor)
        other = Store.open(store.path)
        assert other.held(big.descriptor) == 2 * CHUNK
        memory = Memory()
        memory.contents[big.descriptor.digest] = big.raw
        asked: list[int] = []
        original = memory.fetch_from

        def fetch_from(want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
            asked.append(offset)
            return original(want, offset)

        monkeypatch.setattr(memory, "fetch_from", fetch_from)
        copy(Job(memory, other, big.descriptor))
        assert asked == [2 * CHUNK]
        assert read(other, big.descriptor) == big.raw
        assert other.held(big.descriptor) == 0
        assert list((Path(store.path) / ".bundler" / "partial").iterdir()) == []

    def test_little_is_not_kept(self, store: Store, big: Part) -> None:
        with pytest.raises(NetworkError):
            store.push(big.descriptor, broken(big, PARTIAL_FROM - 1, NetworkError("reset")))
        assert store.held(big.descriptor) == 0

    def test_wrong_bytes_are_not_kept(self, store: Store, big: Part) -> None:
        with pytest.raises(DigestError):
            store.push(big.descriptor, broken(big, 2 * CHUNK, DigestError("wrong")))
        assert store.held(big.descriptor) == 0

    def test_a_kept_part_that_is_wrong_is_thrown_away_so_that_the_next_run_succeeds(
        self, store: Store, big: Part
    ) -> None:
        partial = Path(store.path) / ".bundler" / "partial" / partial_name(big.descriptor.digest)
        partial.write_bytes(bytes(2 * CHUNK))
        memory = Memory()
        memory.contents[big.descriptor.digest] = big.raw
        try:
            copy(Job(memory, store, big.descriptor))
        except DigestError:
            assert store.held(big.descriptor) == 0
            copy(Job(memory, store, big.descriptor))
        assert read(store, big.descriptor) == big.raw

    def test_a_whole_part_that_was_not_committed(self, store: Store, big: Part) -> None:
        partial = Path(store.path) / ".bundler" / "partial" / partial_name(big.descriptor.digest)
        partial.write_bytes(big.raw)
        assert store.held(big.descriptor) == big.descriptor.size - 1
        memory = Memory()
        memory.contents[big.descriptor.digest] = big.raw
        copy(Job(memory, store, big.descriptor))
        assert read(store, big.descriptor) == big.raw

    def test_a_part_longer_than_the_whole_is_cut(self, store: Store, big: Part) -> None:
        partial = Path(store.path) / ".bundler" / "partial" / partial_name(big.descriptor.digest)
        partial.write_bytes(big.raw + b"more")
        memory = Memory()
        memory.contents[big.descriptor.digest] = big.raw
        copy(Job(memory, store, big.descriptor))
        assert at(store, big.descriptor).read_bytes() == big.raw

    def test_two_at_once_do_not_meet(self, store: Store, big: Part) -> None:
        other = Store.open(store.path)

        def content() -> Generator[Buffer, None, None]:
            yield big.raw[: 2 * CHUNK]
            assert other.held(big.descriptor) == 0
            with pytest.raises(LockedError, match="being fetched"):
                other.append(big.descriptor, CHUNK, [big.raw[CHUNK:]])
            other.push(big.descriptor, [big.raw])
            yield big.raw[2 * CHUNK :]

        store.push(big.descriptor, content())
        assert read(store, big.descriptor) == big.raw

    def test_less_is_there_than_was_said(self, store: Store, big: Part) -> None:
        with pytest.raises(LockedError):
            store.append(big.descriptor, CHUNK, [big.raw[CHUNK:]])
        (Path(store.path) / ".bundler" / "partial" / partial_name(big.descriptor.digest)).write_bytes(b"little")
        with pytest.raises(LockedError):
            store.append(big.descriptor, CHUNK, [big.raw[CHUNK:]])

    def test_no_head_without_a_part(self, store: Store, big: Part) -> None:
        assert list(store.head(big.descriptor, CHUNK)) == []

    def test_a_linked_part_is_not_written_through(self, store: Store, big: Part, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("precious")
        name = partial_name(big.descriptor.digest)
        (Path(store.path) / ".bundler" / "partial" / name).symlink_to(tmp_path / "victim")
        with pytest.raises(StoreError, match="symbolic link"):
            put(store, big)
        assert (tmp_path / "victim").read_text() == "precious"


class TestUpkeep:
    def test_remove_then_gc_frees_what_only_it_had(self, store: Store) -> None:
        images = family()
        load(store, images)
        usage = {each.name: each for each in store.usage()}
        before = store.check().size
        store.remove(["zstd"])
        collected = store.gc()
        assert collected.size == usage["zstd"].unique
        report = store.check()
        assert report.sound
        assert report.size == before - collected.size
        assert report.orphans == ()

    def test_work_in_progress_keeps_gc_repair_and_rm_away(self, store: Store) -> None:
        load(store, family())
        other = Store.open(store.path)
        upkeep: list[Callable[[], object]] = [
            other.gc,
            lambda: other.check(repair=True),
            lambda: other.remove(["web"]),
        ]
        with store.shared("pull"):
            for work in upkeep:
                with pytest.raises(LockedError, match=f"pull.*{os.getpid()}"):
                    work()
            assert other.check().sound
            with other.shared("pack"):
                pass
        with store.exclusive("store gc"), pytest.raises(LockedError, match="store gc"), other.shared("pull"):
            pass
        other.gc()

    def test_a_broken_pull_is_kept_for_its_next_try(self, store: Store) -> None:
        web = family()["web"]
        with (
            pytest.raises(NetworkError),
            store.shared("pull"),
            store.lease([wanted.descriptor.digest for wanted in web.parts]),
        ):
            put(store, web.parts[0])
            raise NetworkError("reset")
        assert store.gc().blobs == ()
        assert store.has(web.parts[0].descriptor)
        assert store.gc(grace=timedelta(seconds=-5)).blobs == (
            (web.parts[0].descriptor.digest, web.parts[0].descriptor.size),
        )

    def test_the_with_block_flushes_only_when_all_went_well(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flushed = []
        monkeypatch.setattr(Store, "flush", lambda self: flushed.append(1))
        with store:
            pass
        with pytest.raises(ZeroDivisionError), store:
            raise ZeroDivisionError
        assert flushed == [1]

    def test_a_failed_flush_is_tried_again(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        put(store, layer("x", 100))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _fails)
            with pytest.raises(BundlerError):
                store.flush()
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        store.flush()
        store.flush()
        assert len(synced) == 2  # blobs/sha256 and the journal, once


def _fails(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_state_that_cannot_be_made_while_laying_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "open_state", lambda root: None)
    with pytest.raises(ReadOnlyError):
        Store.open(tmp_path / "store", create=True)


def test_a_parent_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **options: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ReadOnlyError, match="create"):
        Store.open(tmp_path / "store", create=True)


def test_deep_nesting_of_indexes_is_bounded(store: Store) -> None:
    nested = index(image(layer("x", 10)))
    for _ in range(9):
        nested = index(nested)
    with pytest.raises(BundlerError, match="nested"):
        load(store, {"deep": nested})


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o755), (0o022, 0o755), (0o077, 0o700)])
def test_nobody_else_may_write_in_a_new_store_whatever_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        Store.open(tmp_path / "new" / "store", create=True)
    finally:
        os.umask(before)
    for place in (tmp_path / "new", tmp_path / "new" / "store", tmp_path / "new" / "store" / "blobs"):
        assert place.stat().st_mode & 0o777 == mode


class TestLeavingOut:
    """What is no part of an index though it is there."""

    MULTI = family()["multi"]
    CHILDREN = tuple(each.descriptor for each in MULTI.manifests[:-1])

    def left_out(self, store: Store, name: str) -> frozenset[Digest] | None:
        (found,) = (each.left_out for each in store.index().entries if each.name == name)
        return found

    def test_a_child_that_is_there(self, store: Store) -> None:
        load(store, {"multi": self.MULTI})
        store.tag_all([("other", self.MULTI.root)], without=[self.CHILDREN[0].digest])
        assert self.left_out(store, "other") == {self.CHILDREN[0].digest}
        assert self.left_out(store, "multi") == frozenset()
        store.untag(["multi"])
        gone = {digest for digest, _ in store.gc().blobs}
        assert self.CHILDREN[0].digest in gone
        assert self.CHILDREN[1].digest not in gone
        assert store.check().sound

    def test_one_more_from_now_on(self, store: Store) -> None:
        """What was left out before stays so, even if it has come since for another image."""
        load(store, {"multi": self.MULTI})
        store.tag_all([("other", self.MULTI.root)], without=[self.CHILDREN[0].digest])
        store.leave_out(self.CHILDREN[1].digest, ["other"])
        assert self.left_out(store, "other") == {each.digest for each in self.CHILDREN}
        assert self.left_out(store, "multi") == frozenset()
        store.untag(["multi"])
        store.gc()
        assert {digest for digest, _ in store.blobs()} == {self.MULTI.root.digest}
        assert store.check().sound

    def test_of_an_entry_that_another_tool_made(self, tmp_path: Path) -> None:
        folder = write_layout(tmp_path / "layout", {"multi": self.MULTI})
        (folder / "blobs/sha256" / hex_of(self.CHILDREN[0].digest)).unlink()
        store = Store.open(folder)
        assert self.left_out(store, "multi") is None
        store.leave_out(self.CHILDREN[1].digest, ["multi"])
        assert self.left_out(store, "multi") == {each.digest for each in self.CHILDREN}

    def test_of_no_image(self, store: Store) -> None:
        load(store, {"multi": self.MULTI})
        before = (Path(store.path) / "index.json").stat().st_ino
        store.leave_out(self.CHILDREN[0].digest, ["nobody"])
        assert (Path(store.path) / "index.json").stat().st_ino == before

    def test_names_that_go_in_the_same_change(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        load(store, {"multi": self.MULTI, "a": family()["web"], "b": family()["web"]})
        written: list[bytes] = []
        real = store._root.write

        def write(name: str, content: bytes, **more: object) -> object:
            written.append(content)
            return real(name, content, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(type(store._root), "write", lambda _self, *args, **more: write(*args, **more))
        store.tag_all([("new", self.MULTI.root)], instead_of=["a", "not there"])
        assert {name for name, _ in store.images()} == {"multi", "new", "b"}
        assert len(written) == 1

    def test_nothing_goes_if_nothing_can_come(self, store: Store) -> None:
        load(store, {"a": family()["web"]})
        with pytest.raises(StoreError):
            store.tag_all([("new", self.MULTI.root)], instead_of=["a"])
        assert {name for name, _ in store.images()} == {"a"}


def test_an_index_that_could_not_be_read_is_not_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    web = family()["web"]
    load(store, {"web": web})
    monkeypatch.setattr("bundler.store.store.INDEX_CAP", 2000)
    with pytest.raises(LimitError, match="would have") as caught:
        store.tag_all([(f"name-{n}", web.root) for n in range(50)])
    assert "another store" in caught.value.hint
    assert {name for name, _ in Store.open(store.path).images()} == {"web"}
    store.untag(["web"])


def test_private_and_quarantined(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.private is not None
    assert store.private.path == f"{store.path}/.bundler"
    web = family()["web"]
    load(store, {"web": web})
    assert store.quarantined == 0
    at(store, web.blobs[0].descriptor).write_bytes(b"damaged")
    assert not store.has(web.blobs[0].descriptor)
    assert store.quarantined == 1
    monkeypatch.setattr(state_module, "open_state", lambda _root: None)
    unwritable = Store.open(store.path)
    assert (unwritable.private, unwritable.quarantined) == (None, 0)
