"""What a site remembers: the file, and what a statement may do to it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bundler.errors import BundlerError, ConfigError, LimitError, PolicyError, TrustError
from bundler.oci.digest import digest_of
from bundler.trust import state as module
from bundler.trust.state import (
    MAX_OVERRIDES,
    STATE_CAP,
    Mark,
    Override,
    State,
    accepted,
    check_reason,
    judge,
    parse_state,
    seen,
    write_state,
)
from tests.trust.papers import NOW, Papers

LINE = ("edge", "stable")
ONE, TWO = digest_of(b"one"), digest_of(b"two")
AT = datetime(2029, 1, 1, tzinfo=UTC)
HERE = State(marks={LINE: Mark(1, 7, ONE, ONE, AT)})
FULL = State(
    marks={LINE: Mark(1, 7, ONE, TWO, AT), ("Edge", "stable"): Mark(0, 1, TWO, TWO, AT)},
    floor=AT,
    overrides=(Override(AT, "the disk died", "edge", "stable", 0, 6, TWO),),
    pinned=(3, "0" * 64),
)


def statement(epoch: int, serial: int) -> Any:
    return replace(Papers(serial=serial).statement(), epoch=epoch)


@pytest.mark.parametrize("state", [State(), HERE, FULL], ids=["empty", "one", "full"])
def test_round_trip(state: State) -> None:
    assert parse_state(write_state(state)) == state
    assert write_state(parse_state(write_state(state))) == write_state(state)


JUDGED = {
    "next": (1, 8, ONE, "newer"),
    "far-ahead": (1, 999, ONE, "newer"),
    "next-epoch-starts-again": (2, 1, TWO, "newer"),
    "same": (1, 7, ONE, "same"),
}


@pytest.mark.parametrize(("epoch", "serial", "digest", "relation"), JUDGED.values(), ids=JUDGED)
def test_judged(epoch: int, serial: int, digest: Any, relation: str) -> None:
    assert judge(HERE, statement(epoch, serial), digest) == relation


def test_first_contact() -> None:
    assert judge(State(), statement(0, 1), ONE) == "first"
    assert judge(State(marks={("edge", "beta"): HERE.marks[LINE]}), statement(0, 1), ONE) == "first"
    assert judge(State(), statement(0, 7), ONE, min_serial=7) == "first"
    with pytest.raises(PolicyError, match="below the serial 8 that --min-serial demands"):
        judge(State(), statement(0, 7), ONE, min_serial=8)


REFUSED = {
    "older": (1, 6, TWO, "rollback: edge stable 6 .* is older than serial 7"),
    "older-epoch-with-a-higher-serial": (0, 99, TWO, r"rollback: edge stable 99 \(epoch 0\)"),
    "same-serial-other-content": (1, 7, TWO, "ALARM: equivocation"),
}


@pytest.mark.parametrize(("epoch", "serial", "digest", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(epoch: int, serial: int, digest: Any, message: str) -> None:
    for go in (judge, lambda *args: accepted(*args, now=AT)):
        with pytest.raises(PolicyError, match=message) as caught:
            go(HERE, statement(epoch, serial), digest)
        assert caught.value.hint


def test_an_override_lets_an_older_one_in_and_leaves_the_mark() -> None:
    state = accepted(HERE, statement(1, 6), TWO, now=NOW, reason="the new one is broken")
    mark = state.marks[LINE]
    assert (mark.epoch, mark.serial, mark.statement, mark.accepted) == (1, 7, ONE, TWO)
    assert state.overrides == (Override(NOW, "the new one is broken", "edge", "stable", 1, 6, TWO),)
    with pytest.raises(PolicyError, match="rollback"):
        judge(state, statement(1, 6), TWO)
    assert judge(state, statement(1, 7), ONE) == "same"


def test_no_override_of_equivocation() -> None:
    with pytest.raises(PolicyError, match="equivocation"):
        accepted(HERE, statement(1, 7), TWO, now=NOW, reason="never mind")


def test_an_override_that_was_not_needed_leaves_no_trace() -> None:
    assert accepted(HERE, statement(1, 8), TWO, now=NOW, reason="just in case").overrides == ()


def test_accepting() -> None:
    state = accepted(HERE, statement(1, 8), TWO, now=NOW)
    assert state.marks == {LINE: Mark(1, 8, TWO, TWO, NOW)}
    assert state.floor is not None
    again = accepted(state, statement(1, 8), TWO, now=NOW)
    assert again == state


def test_only_the_floor_rises_by_looking() -> None:
    state = seen(HERE, statement(1, 8), now=NOW)
    assert state.marks == HERE.marks
    assert state.floor == datetime(2030, 1, 2, tzinfo=UTC)  # issued on the first, and a day
    assert seen(state, statement(1, 8), now=NOW) == state


def test_the_newest_overrides_are_kept() -> None:
    state = HERE
    for n in range(MAX_OVERRIDES + 5):
        state = accepted(state, statement(1, 6), TWO, now=NOW, reason=f"reason {n}")
    assert len(state.overrides) == MAX_OVERRIDES
    assert state.overrides[-1].reason == f"reason {MAX_OVERRIDES + 4}"
    assert parse_state(write_state(state)) == state


def test_more_lines_than_a_site_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MARKS", 1)
    assert accepted(HERE, statement(1, 8), TWO, now=NOW)
    with pytest.raises(LimitError, match="takes no more"):
        accepted(State(marks={("other", "stable"): HERE.marks[LINE]}), statement(1, 8), TWO, now=NOW)


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "\x1b[2J", "x" * 501])
def test_reasons_that_say_nothing_or_too_much(reason: str) -> None:
    with pytest.raises(ConfigError, match="1 to 500 printable characters") as caught:
        check_reason(reason)
    assert caught.value.hint
    assert check_reason(" the disk died ") == "the disk died"


Change = Callable[[dict[str, Any]], object]


def first(**values: Any) -> Change:
    return lambda document: document["marks"][0].update(values)


BAD: dict[str, Change] = {
    "another-version": lambda d: d.update(apiVersion="bundler/v2"),
    "another-kind": lambda d: d.update(kind="Receipt"),
    "no-marks": lambda d: d.pop("marks"),
    "marks-no-list": lambda d: d.update(marks={}),
    "no-overrides": lambda d: d.pop("overrides"),
    "unknown-key": lambda d: d.update(surprise=1),
    "unknown-key-in-a-mark": first(surprise=1),
    "line-twice": lambda d: d["marks"].append(d["marks"][0]),
    "name-missing": lambda d: d["marks"][0].pop("name"),
    "name-with-a-slash": first(name="a/b"),
    "channel-with-control": first(channel="a\x00"),
    "serial-0": first(serial=0),
    "serial-text": first(serial="1"),
    "epoch--1": first(epoch=-1),
    "epoch-1.5": first(epoch=1.5),
    "statement-no-digest": first(statement="one"),
    "accepted-missing": lambda d: d["marks"][0].pop("accepted"),
    "when-with-an-offset": first(when="2029-01-01T00:00:00+00:00"),
    "floor-no-time": lambda d: d.update(clockFloor="now"),
    "floor-number": lambda d: d.update(clockFloor=0),
    "reason-with-control": lambda d: d["overrides"][0].update(reason="\x1b"),
    "reason-empty": lambda d: d["overrides"][0].update(reason=""),
    "reason-too-long": lambda d: d["overrides"][0].update(reason="x" * 501),
    "override-with-more": lambda d: d["overrides"][0].update(by="me"),
    "pinned-version-0": lambda d: d["pinned"].update(version=0),
    "pinned-upper-case": lambda d: d["pinned"].update(sha256="A" * 64),
    "pinned-with-more": lambda d: d["pinned"].update(by="me"),
}


def changed(change: Change) -> bytes:
    document = copy.deepcopy(json.loads(write_state(FULL)))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_bad_files(change: Change) -> None:
    with pytest.raises(TrustError) as caught:
        parse_state(changed(change))
    assert caught.value.hint


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", write_state(FULL)[:-9], write_state(FULL) + b"x", b'{"kind": 1, "Kind": 2}', b"\xff"],
    ids=["empty", "nothing", "list", "cut", "continued", "case-folded", "not-utf-8"],
)
def test_broken_files(raw: bytes) -> None:
    with pytest.raises(TrustError):
        parse_state(raw)


def test_oversized_file() -> None:
    with pytest.raises(LimitError) as caught:
        parse_state(b" " * (STATE_CAP + 1))
    assert "from a copy" in caught.value.hint


@pytest.mark.parametrize("letter", [",", "\U00010400", '"'], ids=["commas", "wide", "escaped"])
def test_a_full_state_fits(letter: str) -> None:
    """Whatever the reasons say: a state that was written can be read again."""
    long = "x" * 128
    marks = {(f"{n:05}{long}"[:128], long): FULL.marks[LINE] for n in range(module.MAX_MARKS)}
    overrides = (Override(AT, letter * 500, long, long, 2**63 - 1, 2**63 - 1, ONE),) * MAX_OVERRIDES
    state = State(marks=marks, overrides=overrides, floor=AT, pinned=(1, "0" * 64))
    try:
        assert parse_state(write_state(state)) == state
    except BundlerError as problem:
        pytest.fail(str(problem))
