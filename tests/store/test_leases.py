"""Leases outlive a broken pull for a week, and not a successful one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bundler.errors import StoreError
from bundler.oci.digest import digest_of
from bundler.store.directory import Directory
from bundler.store.leases import lease, leased

A, B, C = (digest_of(name) for name in (b"a", b"b", b"c"))


@pytest.fixture
def leases(tmp_path: Path) -> Directory:
    (tmp_path / "leases").mkdir()
    return Directory(str(tmp_path / "leases"))


@pytest.fixture
def tmp(tmp_path: Path) -> Directory:
    (tmp_path / "tmp").mkdir()
    return Directory(str(tmp_path / "tmp"))


def broken(leases: Directory, tmp: Directory, *digests: str) -> None:
    with pytest.raises(ZeroDivisionError), lease(leases, digests, via=tmp):  # type: ignore[arg-type]  # digests are text
        raise ZeroDivisionError


def test_holds_while_the_block_runs(leases: Directory, tmp: Directory) -> None:
    with lease(leases, [A, B], via=tmp):
        assert leased(leases) == (frozenset({A, B}), [])
    assert leased(leases) == (frozenset(), [])
    assert leases.names() == tmp.names() == []


def test_stays_after_an_error_for_its_grace(leases: Directory, tmp: Directory) -> None:
    broken(leases, tmp, A)
    assert leased(leases)[0] == {A}
    digests, old = leased(leases, grace=timedelta(seconds=-5))
    assert digests == frozenset()
    assert len(old) == 1


def test_success_clears_dead_ones_that_wanted_nothing_else(leases: Directory, tmp: Directory) -> None:
    broken(leases, tmp, A)
    broken(leases, tmp, A, C)
    with lease(leases, [A], via=tmp), lease(leases, [A, B], via=tmp):
        pass  # the inner one ends while the outer one lives
    assert leased(leases)[0] == {A, C}
    assert len(leases.names()) == 1


def test_a_living_one_is_not_cleared(leases: Directory, tmp: Directory) -> None:
    with lease(leases, [A], via=tmp):
        with lease(leases, [A, B], via=tmp):
            pass
        assert leased(leases)[0] == {A}


def test_other_files_are_no_leases(leases: Directory, tmp_path: Path) -> None:
    (tmp_path / "leases" / "README").write_text("x")
    assert leased(leases) == (frozenset(), [])


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"digests": [1]}'], ids=["empty", "none", "number"])
def test_an_unreadable_one_stops_gc(leases: Directory, tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "leases" / "x.json").write_bytes(raw)
    with pytest.raises(StoreError):
        leased(leases)


def test_one_that_vanishes_while_being_looked_at(
    leases: Directory, tmp: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(leases, tmp, A)
    monkeypatch.setattr(Directory, "names", lambda self: ["gone.json"])
    assert leased(leases) == (frozenset(), [])
    with lease(leases, [B], via=tmp):
        pass


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    "raw", [DEEP, b"", b'{"digests": ["sha256:1"]}'], ids=["nested-too-deep", "empty", "no-digest"]
)
def test_an_unreadable_one_does_not_fail_a_pull_that_is_done(
    leases: Directory, tmp: Directory, tmp_path: Path, raw: bytes
) -> None:
    (tmp_path / "leases" / "x.json").write_bytes(raw)
    with lease(leases, [A], via=tmp):
        pass
    assert leases.names() == ["x.json"]
    with pytest.raises(StoreError, match=r"x\.json") as caught:
        leased(leases)
    assert "remove this file" in caught.value.hint
