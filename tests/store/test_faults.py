"""The k-th system call fails: the error says what happened, the store is sound, and the same again succeeds."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bundler.content import CHUNK, Job, copy
from bundler.errors import BundlerError, DiskError, ReadOnlyError, SpaceError
from bundler.store import Store
from tests.images import Image, family, image, layer, parts_of
from tests.memory import Memory
from tests.store.invariants import assert_sound

WANTED: dict[str, Image] = {
    "multi": family(size=500)["multi"],
    "big": image(layer("big", 2 * CHUNK), layer("small", 300)),
}
CALLS = [
    "open",
    "write",
    "fsync",
    "rename",
    "mkdir",
    "ftruncate",
    "fchmod",
    "preadv",
    "stat",
    "fstat",
    "lseek",
    "scandir",
]
MOST = 15
FAULTS = [(errno.ENOSPC, SpaceError), (errno.EDQUOT, SpaceError), (errno.EIO, DiskError), (errno.EROFS, ReadOnlyError)]


def pull(folder: Path) -> None:
    """What a pull does with a store, in one thread so that the k-th call is the same every time."""
    memory = Memory(strict=False)
    for part in parts_of(WANTED):
        memory.put(part.raw, part.descriptor.media_type)
    with Store.open(folder, create=True) as store:
        parts = parts_of(WANTED)
        with store.shared("pull"), store.lease(part.descriptor.digest for part in parts):
            for part in parts:
                copy(Job(memory, store, part.descriptor))
            store.flush()
            store.tag_all((name, each.root) for name, each in WANTED.items())


class Counter:
    """Counts the calls of one function of ``os``; the ``fail_at``-th raises."""

    def __init__(self, name: str, fail_at: int, code: int) -> None:
        self.count = 0
        self._original: Callable[..., Any] = getattr(os, name)
        self._fail_at, self._code = fail_at, code

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.count += 1
        if self.count == self._fail_at:
            raise OSError(self._code, os.strerror(self._code))
        return self._original(*args, **options)


@contextmanager
def counting(name: str, fail_at: int = -1, code: int = 0) -> Iterator[Counter]:
    with pytest.MonkeyPatch.context() as patch:
        counter = Counter(name, fail_at, code)
        patch.setattr(os, name, counter)
        yield counter


def attempt(folder: Path, name: str, k: int, code: int) -> BundlerError | None:
    """The error of a pull whose ``k``-th call fails, if it has one."""
    with counting(name, k, code):
        try:
            pull(folder)
        except BundlerError as error:
            return error
    return None


@pytest.mark.parametrize("name", CALLS)
def test_each_call_may_fail(tmp_path: Path, name: str) -> None:
    with counting(name) as counter:
        pull(tmp_path / "counted")
    assert counter.count > 0 or name == "lseek"
    named = assert_sound(tmp_path / "counted")
    for k in range(1, counter.count + 1, max(1, counter.count // MOST)):
        code, expected = FAULTS[k % len(FAULTS)]
        folder = tmp_path / f"{name}-{k}"
        folder.mkdir()
        error = attempt(folder, name, k, code)
        # None where the call only serves messages; another class where it was tried again for reading.
        assert error is None or (isinstance(error, (expected, ReadOnlyError)) and error.hint), (k, error)
        assert assert_sound(folder).items() <= named.items()
        left = list((folder / ".bundler" / "tmp").glob("*"))
        assert left == [], (k, left)
        pull(folder)
        assert assert_sound(folder) == named


def test_a_failed_fsync_is_final(tmp_path: Path) -> None:
    """The kernel may have dropped the pages, so what was written is not asked for again."""
    store = Store.open(tmp_path / "store", create=True)
    big = WANTED["big"].blobs[0]
    with counting("fsync", 1, errno.EIO), pytest.raises(DiskError):
        store.push(big.descriptor, [big.raw])
    assert store.held(big.descriptor) == 0
    assert not store.has(big.descriptor)
    assert list((tmp_path / "store" / ".bundler" / "partial").iterdir()) == []


def test_a_full_disk_keeps_what_arrived(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    big = WANTED["big"].blobs[0]
    with counting("write", 2, errno.ENOSPC), pytest.raises(SpaceError):
        store.push(big.descriptor, [big.raw[:CHUNK], big.raw[CHUNK:]])
    assert store.held(big.descriptor) == CHUNK


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda fd, content: original(fd, bytes(memoryview(content)[:1000])))
    store = Store.open(tmp_path / "store", create=True)
    big = WANTED["big"].blobs[0]
    store.push(big.descriptor, [big.raw])
    assert store.check().sound
    monkeypatch.setattr(os, "write", lambda fd, content: 0)
    with pytest.raises(DiskError, match="takes no more"):
        store.push(big.descriptor, [big.raw])


def test_gc_may_be_cut_off(tmp_path: Path) -> None:
    for k in range(1, 12):
        folder = tmp_path / str(k)
        pull(folder)
        store = Store.open(folder)
        store.remove(["big"])
        with counting("unlink", k, errno.EIO), suppress(DiskError):
            store.gc()
        assert set(assert_sound(folder)) == {"multi"}
        store.gc()
        assert store.check().orphans == ()
        assert store.check().sound


def test_fsync_comes_before_rename_and_the_index_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[tuple[str, str]] = []
    for name in ("fsync", "rename"):
        original = getattr(os, name)

        def logged(*args: Any, _name: str = name, _original: Callable[..., Any] = original, **options: Any) -> Any:
            if _name == "fsync":
                log.append(("fsync", str(Path(f"/proc/self/fd/{args[0]}").readlink()).removeprefix(str(tmp_path))))
            else:
                log.append(("rename", str(args[1])))
            return _original(*args, **options)

        monkeypatch.setattr(os, name, logged)
    pull(tmp_path)
    renames = [at for at, (call, _) in enumerate(log) if call == "rename"]
    for at in renames:
        assert log[at - 1][0] == "fsync"
        assert log[at - 1][1].startswith("/.bundler/")
    index = max(at for at, entry in enumerate(log) if entry == ("rename", "index.json"))
    assert index == renames[-1]
    assert ("fsync", "/blobs/sha256") in log[renames[-2] : index]
    assert log[index + 1] == ("fsync", "")
