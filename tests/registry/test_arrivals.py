"""What came when: the notes, and what becomes of a registry that can't keep them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bundler.errors import DiskError, StoreError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of
from bundler.oci.mediatype import OCI_LAYER_GZIP, OCI_MANIFEST
from bundler.registry import arrivals as module
from bundler.registry.arrivals import NAME, Arrivals
from bundler.registry.layers import BLOB
from bundler.store import Store
from bundler.store.directory import Directory
from tests import images
from tests.registry.caller import serving

LAYER = Descriptor(OCI_LAYER_GZIP, digest_of(b"layer"), 5)
MANIFEST = Descriptor(OCI_MANIFEST, digest_of(b"manifest"), 8)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    value = [1000.0]
    monkeypatch.setattr(time, "time", lambda: value[0])
    return value


@pytest.fixture
def notes(tmp_path: Path) -> Arrivals:
    return Arrivals(Directory(str(tmp_path)))


def test_what_was_noted_is_found(notes: Arrivals) -> None:
    notes.note("b/app", [LAYER, MANIFEST])
    notes.note("a/app", [LAYER])
    assert notes.find("b/app", LAYER.digest) == LAYER
    assert notes.find("a/app", MANIFEST.digest) is None
    assert notes.holding(LAYER.digest) == ["a/app", "b/app"]
    notes.forget("b/app", LAYER.digest)
    notes.forget("b/app", digest_of(b"never there"))
    assert notes.find("b/app", LAYER.digest) is None
    assert notes.find("b/app", MANIFEST.digest) == MANIFEST
    assert notes.holding(LAYER.digest) == ["a/app"]


def test_notes_outlive_the_registry_that_made_them(tmp_path: Path) -> None:
    first = Arrivals(Directory(str(tmp_path)))
    first.note("app", [LAYER])
    second = Arrivals(Directory(str(tmp_path)))  # another process, at the same time
    assert second.find("app", LAYER.digest) == LAYER
    second.forget("app", LAYER.digest)
    assert first.find("app", LAYER.digest) is None
    first.close()
    second.close()


def test_in_memory() -> None:
    notes = Arrivals(None)
    notes.note("app", [LAYER])
    assert notes.find("app", LAYER.digest) == LAYER
    notes.close()


def test_times(notes: Arrivals, now: list[float]) -> None:
    notes.note("app", [LAYER])
    now[0] = 1050.0
    notes.note("app", [LAYER])  # not worth a write
    assert [(path, at) for path, _, at in notes.all()] == [("app", 1000.0)]
    now[0] = 1100.0
    notes.note("app", [LAYER])
    assert notes.all() == [("app", LAYER, 1100.0)]
    assert notes.all(since=1100.0) == notes.all()
    assert notes.all(since=1100.5) == []
    notes.forget_before(1100.0)
    assert notes.all() != []
    notes.forget_before(1101.0)
    assert notes.all() == []


def test_a_manifest_stays_one_when_it_is_asked_for_as_a_blob(notes: Arrivals, now: list[float]) -> None:
    as_blob = Descriptor(BLOB, MANIFEST.digest, MANIFEST.size)
    notes.note("app", [as_blob])
    assert notes.find("app", MANIFEST.digest) == as_blob
    notes.note("app", [MANIFEST])
    now[0] = 5000.0
    notes.note("app", [as_blob])
    assert notes.all() == [("app", MANIFEST, 5000.0)]


def test_many_at_once(notes: Arrivals) -> None:
    wanted = [Descriptor(BLOB, digest_of(b"%d" % n), n) for n in range(200)]
    threads = [threading.Thread(target=notes.note, args=("app", wanted[n::4])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes.all()) == 200


@pytest.mark.parametrize(
    "raw", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4080], ids=["other", "torn"]
)
def test_a_damaged_file_is_told(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / NAME).write_bytes(raw)
    with pytest.raises(DiskError, match=NAME) as caught:
        Arrivals(Directory(str(tmp_path)))
    assert "remove it" in caught.value.hint


def test_a_file_damaged_while_it_is_used(tmp_path: Path) -> None:
    notes = Arrivals(Directory(str(tmp_path)))
    notes.note("app", [LAYER])
    notes.close()
    with pytest.raises(DiskError, match=NAME):
        notes.find("app", LAYER.digest)


@pytest.mark.parametrize("name", [NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    """A store may come from elsewhere, and SQLite writes to whatever lies beside its file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"not ours")
    private = tmp_path / "private"
    private.mkdir()
    (private / name).symlink_to(victim)
    with pytest.raises(StoreError, match="not a regular file"):
        Arrivals(Directory(str(private)))
    assert victim.read_bytes() == b"not ours"


def test_lost_notes_cost_an_upload_and_nothing_else(store: Store) -> None:
    app = images.image(images.layer("app", 500))
    with serving(store) as registry:
        registry.push("app", "1", app)
        registry.upload("app", b"loose", digest_of(b"loose"))
    for path in (Path(store.path) / ".bundler").glob(f"{NAME}*"):
        path.unlink()
    with serving(store) as registry:
        assert registry.call("GET", "/v2/app/manifests/1").body == app.raw
        assert registry.call("HEAD", f"/v2/app/blobs/{digest_of(b'loose')}").status == 404
        assert registry.upload("app", b"loose", digest_of(b"loose")).status == 201


def test_the_table_is_not_read_to_find_one(notes: Arrivals) -> None:
    plan = notes._database.execute(
        "explain query plan select repository from arrivals where digest = ?", ("sha256:x",)
    ).fetchall()
    assert "arrivals_by_digest" in plan[0][-1]
    assert module.NAME == "registry.sqlite"


def test_a_push_that_goes_on_keeps_its_first_blobs_young(now: list[float], notes: Arrivals) -> None:
    now[0] = 1_000_000.0
    notes.note("app", [LAYER])
    notes.note("other", [LAYER])
    for _ in range(3):
        now[0] += 3000
        notes.note("app", [MANIFEST])
    young = {(path, each.digest) for path, each, _ in notes.all(since=now[0] - 3600)}
    assert young == {("app", LAYER.digest), ("app", MANIFEST.digest)}
