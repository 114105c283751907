"""The floor under the clock, as a table of lies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.trust.clock import BUILD, LIFT, next_floor, reckoned

Y = timedelta(days=365)
H = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = datetime(2099, 1, 1, tzinfo=UTC)
LATE = datetime.max.replace(tzinfo=UTC, microsecond=0)

RECKONED = {
    "right": (BUILD + Y, None, BUILD, BUILD + Y),
    "right-without-a-statement": (BUILD + Y, None, None, BUILD + Y),
    "1970": (EPOCH, None, None, BUILD),
    "1970-with-a-floor": (EPOCH, BUILD + Y, None, BUILD + Y),
    "1970-with-a-newer-statement": (EPOCH, None, BUILD + Y, BUILD + LIFT),
    "1970-with-an-older-statement": (EPOCH, None, BUILD - Y, BUILD),
    "set-back-behind-a-good-run": (BUILD + H, BUILD + 2 * H, None, BUILD + 2 * H),
    "slow-by-an-hour": (BUILD + Y, None, BUILD + Y + H, BUILD + Y + H),
    "slow-by-a-year": (BUILD + Y, None, BUILD + 2 * Y, BUILD + Y + LIFT),
    "2099": (FAR, None, BUILD, FAR),
    "statement-from-2099": (BUILD + Y, None, FAR, BUILD + Y + LIFT),
    "floor-from-2099": (BUILD + Y, FAR, None, FAR),
    "at-the-end-of-time": (LATE, None, LATE, LATE),
}


@pytest.mark.parametrize(("now", "floor", "issued", "wanted"), RECKONED.values(), ids=RECKONED)
def test_reckoned(now: datetime, floor: datetime | None, issued: datetime | None, wanted: datetime) -> None:
    assert reckoned(now, floor=floor, issued=issued) == wanted


KEPT = {
    "fresh": (BUILD + Y, None, BUILD + Y - H, BUILD + Y),
    "clock-slow": (BUILD + Y, None, BUILD + Y + H, BUILD + Y + H),
    "old-statement-vouches-for-a-day": (BUILD + Y, None, BUILD, BUILD + LIFT),
    "1970-keeps-the-release-and-a-day": (EPOCH, None, BUILD + Y, BUILD + LIFT),
    "2099-keeps-the-statement-and-a-day": (FAR, None, BUILD + Y, BUILD + Y + LIFT),
    "statement-from-2099": (BUILD + Y, None, FAR, BUILD + Y + LIFT),
    "never-down": (BUILD + Y, BUILD + 2 * Y, BUILD, BUILD + 2 * Y),
    "at-the-end-of-time": (LATE, None, LATE, LATE),
}
EXPIRING = {
    "good-run-within-its-time": (BUILD + Y, BUILD, BUILD + 2 * Y, BUILD + Y),
    "an-expired-one-that-was-allowed": (BUILD + 2 * Y, BUILD, BUILD + Y, BUILD + Y),
    "2099-and-an-expired-one-that-was-allowed": (FAR, BUILD, BUILD + Y, BUILD + Y),
    "expired-at-its-issue": (BUILD + Y, BUILD, BUILD - Y, BUILD + LIFT),
    "from-2099": (BUILD + Y, FAR, FAR + Y, BUILD + Y + LIFT),
    "1970": (EPOCH, BUILD + H, BUILD + Y, BUILD + H),
}


@pytest.mark.parametrize(("now", "floor", "issued", "wanted"), KEPT.values(), ids=KEPT)
def test_next_floor(now: datetime, floor: datetime | None, issued: datetime, wanted: datetime) -> None:
    assert next_floor(now, floor=floor, issued=issued) == wanted


@pytest.mark.parametrize(("now", "issued", "expires", "wanted"), EXPIRING.values(), ids=EXPIRING)
def test_next_floor_of_statements_that_expire(
    now: datetime, issued: datetime, expires: datetime, wanted: datetime
) -> None:
    assert next_floor(now, floor=None, issued=issued, expires=expires) == wanted


moments = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)).map(lambda m: m.replace(tzinfo=UTC))  # noqa: DTZ001


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=8))
def test_what_a_wrong_clock_leaves_refuses_nothing_that_expires_later(runs: list[tuple[datetime, datetime]]) -> None:
    """Statements issued on the release's day, each of which passed or was allowed, under whatever clock."""
    floor: datetime | None = None
    for clock, expires in runs:
        floor = next_floor(clock, floor=floor, issued=BUILD, expires=expires)
        assert floor <= max(BUILD + LIFT, *(each for _, each in runs))


@given(st.lists(st.tuples(moments, st.booleans()), min_size=1, max_size=8), moments)
def test_neither_alone_poisons_the_floor(runs: list[tuple[datetime, bool]], right: datetime) -> None:
    """If in every run one of clock and statement was right, the floor is a day ahead of the right time at most."""
    floor: datetime | None = None
    for lie, of_the_clock in runs:
        before = floor
        floor = next_floor(lie if of_the_clock else right, floor=floor, issued=right if of_the_clock else lie)
        assert before is None or floor >= before
        assert floor <= max(right, BUILD) + LIFT


def test_a_statement_from_2099_again_and_again_lifts_no_further() -> None:
    floor: datetime | None = None
    for _ in range(50):
        floor = next_floor(BUILD + Y, floor=floor, issued=FAR)
    assert floor == BUILD + Y + LIFT
