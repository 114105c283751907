"""gc removes what nobody needs, and nothing where that can't be known."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from bundler.errors import LockedError, StoreError
from bundler.oci.digest import Digest, hex_of
from bundler.store import Store
from bundler.store.incoming import partial_name
from tests.images import artifact, family, layer, load

IMAGES = family()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path, create=True)
    load(store, IMAGES)
    return store


def at(store: Store, digest: Digest) -> Path:
    return Path(store.path) / "blobs" / "sha256" / hex_of(digest)


def private(store: Store, *names: str) -> Path:
    return Path(store.path, ".bundler", *names)


def test_nothing_to_do(store: Store) -> None:
    collected = store.gc()
    assert (collected.blobs, collected.leftovers, collected.size) == ((), (), 0)
    assert store.check().sound


def test_a_dry_run_says_the_same_and_does_nothing(store: Store) -> None:
    store.remove(["web", "multi"])
    private(store, "tmp", "left").write_bytes(b"abc")
    said = store.gc(dry_run=True)
    assert said.size > 3
    assert all(at(store, digest).stat().st_size == size for digest, size in said.blobs)
    assert private(store, "tmp", "left").exists()
    assert store.gc() == said
    assert not any(at(store, digest).exists() for digest, _ in said.blobs)
    assert not private(store, "tmp", "left").exists()
    assert store.check().sound


def test_everything_goes_when_nothing_is_named(store: Store) -> None:
    store.remove(list(IMAGES))
    store.gc()
    assert list(store.blobs()) == []
    assert private(store, "journal").read_bytes() == b""
    load(store, IMAGES)
    assert store.check().sound


def test_the_journal_forgets_what_is_gone(store: Store) -> None:
    store.remove(["zstd"])
    store.gc()
    kept = {digest for name, each in IMAGES.items() if name != "zstd" for digest in each.digests()}
    assert len(private(store, "journal").read_text().splitlines()) == len(kept)


@pytest.mark.parametrize("leased", [True, False])
def test_old_parts_go_unless_leased(store: Store, leased: bool) -> None:
    wanted = layer("part", 100).descriptor.digest
    path = private(store, "partial", partial_name(wanted))
    path.write_bytes(b"x" * 50)
    assert store.gc().leftovers == ()
    os.utime(path, (0, 0))
    if leased:
        with pytest.raises(ZeroDivisionError), store.lease([wanted]):
            raise ZeroDivisionError
    assert (store.gc().size, path.exists()) == ((0, True) if leased else (50, False))


def test_old_leases_go(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lease([layer("x", 10).descriptor.digest]):
        raise ZeroDivisionError
    store.gc()
    assert len(list(private(store, "leases").iterdir())) == 1
    store.gc(grace=timedelta(seconds=-5))
    assert list(private(store, "leases").iterdir()) == []


@pytest.mark.parametrize("which", range(4))
def test_a_store_that_lacks_something_is_not_swept(store: Store, which: int) -> None:
    lost = layer("lost", 100)
    store.push(lost.descriptor, [lost.raw])
    at(store, IMAGES["web"].parts[which].descriptor.digest).unlink()
    with pytest.raises(StoreError, match="can't be known") as caught:
        store.gc()
    assert "store rm" in caught.value.hint
    assert store.has(lost.descriptor)


def test_nor_one_with_a_damaged_manifest(store: Store) -> None:
    at(store, IMAGES["web"].root.digest).write_bytes(b"x" * IMAGES["web"].root.size)
    with pytest.raises(StoreError, match="can't be known"):
        store.gc()


def test_a_left_out_child_that_is_there_by_chance_is_not_kept_for_the_index(tmp_path: Path) -> None:
    store = Store.open(tmp_path, create=True)
    multi = IMAGES["multi"]
    arm = multi.manifests[1].descriptor
    for each in multi.parts:
        if each.descriptor.digest != arm.digest:
            store.push(each.descriptor, [each.raw])
    store.tag("multi", multi.root)
    store.push(arm, [multi.manifests[1].raw])
    assert arm.digest in {digest for digest, _ in store.gc().blobs}
    assert store.check().sound


def test_children_beyond_what_is_remembered_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.store.closure.REMEMBERED", 0)
    assert store.gc().blobs == ()
    assert store.check().sound


LOST = layer("lost", 100)


def test_what_the_caller_keeps_stays_with_all_that_it_leads_to(store: Store) -> None:
    """As far as it is there: nobody promised that it is whole."""
    multi = IMAGES["multi"]
    store.push(LOST.descriptor, [LOST.raw])
    store.remove(list(IMAGES))
    lost = multi.blobs[0].descriptor.digest
    at(store, lost).unlink()
    gone = {digest for digest, _ in store.gc(keep=lambda: [multi.root, layer("absent", 5).descriptor]).blobs}
    assert LOST.descriptor.digest in gone
    assert {digest for digest, _ in store.blobs()} == multi.digests() - {lost}


def test_a_kept_manifest_that_is_damaged_leads_nowhere(store: Store) -> None:
    web = IMAGES["web"]
    store.remove(list(IMAGES))
    at(store, web.root.digest).write_bytes(b"damaged")
    store.gc(keep=lambda: [web.root])
    assert {digest for digest, _ in store.blobs()} == {web.root.digest}


def test_what_is_to_stay_is_asked_while_the_store_is_held(store: Store) -> None:
    """Nothing can be pushed between the question and the sweep."""
    held = []

    def keep() -> tuple[()]:
        try:
            with store.shared("push"):
                held.append(False)
        except LockedError:
            held.append(True)
        return ()

    store.gc(keep=keep)
    assert held[-1]
    assert held[:-1] == [False]  # looked at beforehand too, beside others


def test_images_that_are_passed_over(store: Store) -> None:
    """A dry run without them says what gc frees once they are removed."""
    said = store.gc(dry_run=True, without=["web", "multi"])
    assert store.check().sound
    assert said.blobs
    store.remove(["web", "multi"])
    assert store.gc() == said


def test_uploads_under_way_are_no_leftovers(store: Store) -> None:
    with store.incoming() as file:
        file.write(b"half of it")
        private(store, "tmp", "left").write_bytes(b"left")
        assert [name.rpartition("/")[2] for name in store.gc().leftovers] == ["left"]
        file.write(LOST.raw)
        assert len(list(private(store, "tmp").iterdir())) == 1
    assert store.gc().leftovers == ()


def test_a_link_among_the_leftovers_is_removed_and_not_followed(store: Store, tmp_path: Path) -> None:
    victim = tmp_path / "oci-layout"
    private(store, "tmp", "link").symlink_to(victim)
    assert len(store.gc().leftovers) == 1
    assert victim.exists()
    assert list(private(store, "tmp").iterdir()) == []


def test_what_is_published_while_it_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that comes between listing the blobs and reading the index seems to lack all of them."""
    store.remove(["web"])
    real = store.index
    pushed: list[object] = []

    def index() -> object:
        if not pushed:
            pushed.append(None)
            late = IMAGES["sbom"].blobs[0]
            image = artifact(late.raw * 2)
            load(store, {"late": image})
        return real()

    monkeypatch.setattr(store, "index", index)
    store.gc()
    assert store.check().sound
    assert "late" in dict(store.images())


def test_patience(store: Store) -> None:
    begun = threading.Event()

    def pull() -> None:
        with store.shared("pull"):
            begun.set()
            time.sleep(0.2)

    thread = threading.Thread(target=pull)
    thread.start()
    begun.wait(5)
    with pytest.raises(LockedError, match="pull"):
        store.gc()
    assert store.gc(patience=10).blobs == ()
    thread.join()
