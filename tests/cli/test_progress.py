"""Progress: tallies that never run backwards, lines, JSON, bars."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.cli.progress import Tally, bars, json_lines, lines, outcome_counts
from bundler.content import Event, Finished, Moved, Note, Outcome, Planned
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import digest_of


def want(name: str, size: int = 100) -> Descriptor:
    return Descriptor(mediatype.OCI_LAYER, digest_of(name.encode()), size)


A, B = want("a"), want("b", 50)
STORY: list[Event] = [
    Planned("pull", 2, 150),
    Moved(A, 60),
    Note("a retry"),
    Moved(A, 40),
    Finished(A, Outcome.COPIED),
    Finished(B, Outcome.PRESENT),
]


# The tally


def test_a_stage() -> None:
    tally = Tally()
    assert [tally.take(event) for event in STORY] == [0, 60, 0, 40, 0, 50]
    assert (tally.stage, tally.count, tally.size, tally.done, tally.moved) == ("pull", 2, 150, 2, 150)
    assert tally.take(Planned("pack", 1, 7)) == 0
    assert (tally.stage, tally.done, tally.moved, tally.per_content) == ("pack", 0, 0, {})


def test_a_content_that_starts_again_is_not_counted_twice() -> None:
    tally = Tally()
    steps = [tally.take(event) for event in (Moved(A, 90), Moved(A, 90), Moved(A, 90), Finished(A, Outcome.COPIED))]
    assert steps == [90, 10, 0, 0]


@given(st.lists(st.one_of(st.builds(Moved, st.sampled_from([A, B]), st.integers(0, 200)), st.just(Note("x")))))
def test_never_backwards_and_never_beyond_the_sizes(events: list[Event]) -> None:
    tally = Tally()
    tally.take(Planned("pull", 2, 150))
    steps = [tally.take(event) for event in [*events, Finished(A, Outcome.COPIED), Finished(B, Outcome.MOUNTED)]]
    assert all(step >= 0 for step in steps)
    assert sum(steps) == tally.moved == 150


# Lines


def test_a_line_when_a_stage_begins_and_for_each_note(capsys: pytest.CaptureFixture[str]) -> None:
    with lines() as observer:
        for event in STORY:
            observer(event)
    assert capsys.readouterr() == ("", "pull: 2 contents, 150 B\na retry\n")


def test_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bundler.cli.progress.time.monotonic", lambda: now[0])
    with lines() as observer:
        for event in STORY:
            now[0] += 2
            observer(event)
    assert capsys.readouterr().err.splitlines() == [
        "pull: 2 contents, 150 B",
        "a retry",
        "pull: 100 B of 150 B, 0 of 2 contents",
        "pull: 150 B of 150 B, 2 of 2 contents",
    ]


# JSON


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with json_lines() as observer:
        for event in STORY:
            observer(event)
    out, err = capsys.readouterr()
    assert out == ""
    events = [json.loads(line) for line in err.splitlines()]
    assert events[0] == {"event": "planned", "stage": "pull", "count": 2, "bytes": 150}
    assert {"event": "note", "text": "a retry"} in events
    assert sum(e["bytes"] for e in events if e["event"] == "moved" and e["digest"] == A.digest) == 100
    assert [(e["digest"], e["outcome"]) for e in events if e["event"] == "finished"] == [
        (A.digest, "copied"),
        (B.digest, "present"),
    ]
    kinds = [e["event"] for e in events]
    assert kinds.index("finished") > kinds.index("moved")


def test_bytes_are_gathered_and_none_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("bundler.cli.progress.time.monotonic", lambda: now[0])
    with json_lines() as observer:
        for _ in range(100):
            now[0] += 0.011
            observer(Moved(A, 1))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(events) < 15
    assert sum(event["bytes"] for event in events) == 100


def test_many_threads_write_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with json_lines() as observer:
        threads = [
            threading.Thread(target=lambda: [observer(Finished(A, Outcome.COPIED)) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len([json.loads(line) for line in capsys.readouterr().err.splitlines()]) == 200


# Bars


def test_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with bars() as observer:
        observer(Moved(A, 1))
        for event in [*STORY, Planned("pack", 1, 7)]:
            observer(event)
    err = capsys.readouterr().err
    assert "pull" in err
    assert "pack" in err
    assert "a retry" in err


def test_bars_without_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with bars():
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ({}, "nothing to do"),
        ({Outcome.COPIED: 0}, "nothing to do"),
        ({Outcome.PRESENT: 3, Outcome.COPIED: 12}, "12 copied, 3 present"),
        ({Outcome.MOUNTED: 1}, "1 mounted"),
    ],
)
def test_outcome_counts(outcomes: dict[Outcome, int], text: str) -> None:
    assert outcome_counts(outcomes) == text
