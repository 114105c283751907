"""The report as data: its JSON is the schema's, sorted, and depends on time in one member only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # it has none

from bundler.report import Report
from bundler.report.report import Clock, Refusal, Step
from tests.report.samples import DAMAGED, NOW, RELEASE, REPORT, SIGNED, UNSIGNED

FOLDER = Path(__file__).parents[2] / "schemas" / "report"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
BARE = Report(
    Clock(NOW, NOW),
    "refused",
    (Step("signatures", "failed"),),
    refused=Refusal("SIG", "is not signed", "do not use it"),
)
UNCHECKED = replace(
    REPORT, verdict="unread", signing=None, last=None, managed=False, policy="", reading=None, changes=()
)


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(REPORT, id="everything"),
        pytest.param(BARE, id="refused-at-once"),
        pytest.param(UNCHECKED, id="unsigned-and-unread"),
        pytest.param(replace(REPORT, verdict="damaged", reading=DAMAGED), id="damaged"),
        pytest.param(replace(REPORT, release=replace(RELEASE, expires=None)), id="without-expiry"),
        pytest.param(replace(REPORT, images=(replace(SIGNED, assessment=None, size=None),)), id="not-assessed"),
    ],
)
def test_every_report_is_the_schema_s(report: Report) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(report.document())


def test_the_schema_knows_every_member_and_no_other() -> None:
    document = REPORT.document()
    for name in document:
        with pytest.raises(ValidationError):
            VALIDATOR.validate({key: value for key, value in document.items() if key != name})
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**document, "extra": 1})
    readme = (FOLDER / "README.md").read_text()
    assert [name for name in document if name not in ("apiVersion", "kind") and f"`{name}`" not in readme] == []


def test_only_time_depends_on_time() -> None:
    later = replace(REPORT, time=Clock(NOW + timedelta(days=3), NOW + timedelta(days=3)))
    one, other = REPORT.document(), later.document()
    assert one.pop("time") == {
        "clock": "1971-04-30T12:00:00Z",
        "used": "2026-01-31T12:00:00Z",
        "floor": "what this site saw before",
        "daysLeft": 12,
    }
    assert other.pop("time")["daysLeft"] == 9
    assert one == other


def test_the_order_in_which_things_were_found_does_not_matter() -> None:
    assert SIGNED.assessment is not None
    shuffled = replace(
        REPORT,
        images=(UNSIGNED, replace(SIGNED, attached=SIGNED.attached[::-1])),
        overrides=REPORT.overrides[::-1],
        signing=REPORT.signing and replace(REPORT.signing, signed=REPORT.signing.signed[::-1]),
    )
    assert shuffled.document() == REPORT.document()


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=1), 1),
        (timedelta(hours=23), 0),
        (timedelta(0), 0),
        (timedelta(seconds=-1), -1),
        (timedelta(days=-3), -3),
    ],
)
def test_days_left(left: timedelta, days: int) -> None:
    assert replace(REPORT, release=replace(RELEASE, expires=NOW + left)).days_left == days


def test_a_refusal_keeps_what_was_found() -> None:
    found: dict[str, Any] = replace(REPORT, verdict="refused", refused=Refusal("POLICY", "no", None)).document()
    assert found["refused"] == {"class": "POLICY", "message": "no", "hint": None}
    assert found["images"][0]["assessment"]["passed"] is False
    assert BARE.document()["bundle"] is None
