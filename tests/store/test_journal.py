"""The journal survives torn lines, foreign lines, other writers and compaction; at worst it knows less."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ReadOnlyError
from bundler.oci.digest import Digest, digest_of
from bundler.store.directory import Directory
from bundler.store.journal import Journal, Mark

A, B, C = (digest_of(name) for name in (b"a", b"b", b"c"))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    for name in "abc":
        (tmp_path / name).write_text(name)
    return Directory(str(tmp_path))


def knows(directory: Directory, journal: Journal, name: str) -> bool:
    found = directory.stat(name)
    assert found is not None
    return journal.knows(digest_of(name.encode()), found)


def add(directory: Directory, journal: Journal, *names: str) -> None:
    for name in names:
        found = directory.stat(name)
        assert found is not None
        journal.add(digest_of(name.encode()), found)


def test_is_remembered_by_the_next_process(directory: Directory) -> None:
    journal = Journal(directory)
    assert not knows(directory, journal, "a")
    add(directory, journal, "a")
    journal.sync()
    journal.sync()
    assert knows(directory, journal, "a")
    assert knows(directory, Journal(directory), "a")
    assert not knows(directory, Journal(directory), "b")


def test_a_changed_file_is_not_believed(directory: Directory, tmp_path: Path) -> None:
    journal = Journal(directory)
    add(directory, journal, "a")
    (tmp_path / "a").write_text("x")
    assert not knows(directory, journal, "a")


def test_another_writer_is_heard(directory: Directory) -> None:
    one, two = Journal(directory), Journal(directory)
    add(directory, one, "a")
    assert knows(directory, two, "a")
    add(directory, two, "b")
    assert knows(directory, one, "b")


@pytest.mark.parametrize("cut", [1, 2, 30, 100])
def test_a_torn_last_line_is_ignored_and_does_not_swallow_the_next(
    directory: Directory, tmp_path: Path, cut: int
) -> None:
    add(directory, Journal(directory), "a", "b")
    path = tmp_path / "journal"
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(directory)
    assert knows(directory, journal, "a")
    assert not knows(directory, journal, "b")
    add(directory, journal, "c")
    fresh = Journal(directory)
    assert [knows(directory, fresh, name) for name in "abc"] == [True, cut == 1, True]


def test_compaction_is_noticed_by_others(directory: Directory) -> None:
    one, two = Journal(directory), Journal(directory)
    add(directory, one, "a", "b")
    assert knows(directory, two, "b")
    one.compact({A}, via=directory)
    add(directory, one, "c")
    assert knows(directory, two, "c")
    fresh = Journal(directory)
    assert [knows(directory, fresh, name) for name in "abc"] == [True, False, True]


def test_without_a_directory_it_lives_in_memory(directory: Directory) -> None:
    journal = Journal(None)
    add(directory, journal, "a")
    journal.sync()
    assert knows(directory, journal, "a")
    assert not knows(directory, journal, "b")
    with pytest.raises(ReadOnlyError):
        journal.compact(set(), via=directory)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_costs_at_most_a_line(tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes) -> None:
    path = tmp_path_factory.mktemp("journal")
    (path / "a").write_text("a")
    directory = Directory(str(path))
    (path / "journal").write_bytes(before)
    journal = Journal(directory)
    add(directory, journal, "a")
    with (path / "journal").open("ab") as file:
        file.write(after)
    fresh = Journal(directory)
    assert not fresh.knows(Digest("sha256:" + "0" * 64), (path / "a").stat())
    if b"\n" not in after and b"\r" not in after and not before:
        assert knows(directory, fresh, "a") or after
    add(directory, fresh, "a")
    assert knows(directory, fresh, "a")


def test_a_mark_is_size_time_and_inode(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    found = (tmp_path / "a").stat()
    assert Mark.of(found) == Mark(3, found.st_mtime_ns, found.st_ino)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[" * 200_000, id="nested-too-deep"),
        pytest.param(b'{"a":' * 200_000, id="objects-nested-too-deep"),
        pytest.param(b"9" * 10_000, id="a-number-too-long"),
    ],
)
def test_a_line_that_can_not_be_parsed_is_ignored(directory: Directory, tmp_path: Path, line: bytes) -> None:
    add(directory, Journal(directory), "a")
    with (tmp_path / "journal").open("ab") as file:
        file.write(line + b"\n")
    add(directory, Journal(directory), "b")
    fresh = Journal(directory)
    assert [knows(directory, fresh, name) for name in "abc"] == [True, True, False]
