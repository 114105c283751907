"""What time it is, where clocks stop, are set back, or run ahead.

Three things are known to lie in the past: the day this release was made, the moment of the last good run, and the issue of
a statement that trusted signers have signed. The greatest of these and of the system clock is the time that expiry is
judged by. So a clock at 1970 is of no use to whoever carries in an old bundle.

What lies below the floor is refused for ever, so nobody's word alone may lift it far. A statement lifts the time by at most
24 hours beyond the clock (the system's, or the release's day if that is later): one issued in 2099 can't make everything
expire. And of the clock, a good run keeps only what its statement vouches for: up to the statement's expiry, which the
clock has not reached then, or up to 24 hours behind its issue if it never expires. So a clock at 2099 makes things expire
while it is wrong, and what is left of it refuses no bundle that expires later than the one that passed.

    clock      = max(system, release)
    reckoned   = max(clock, floor, min(issued, clock + 24 h))
    next floor = max(floor, min(issued, clock + 24 h))                 issued after the clock
                 max(floor, min(clock, max(expires, issued + 24 h)))   issued before it
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bundler import BUILD_DATE

LIFT = timedelta(hours=24)
BUILD = datetime.strptime(BUILD_DATE, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def reckoned(now: datetime, *, floor: datetime | None = None, issued: datetime | None = None) -> datetime:
    """The time to judge by. ``issued`` only of a statement whose signers are trusted."""
    clock = max(now, BUILD)
    lifted = clock if issued is None else min(issued, _later(clock))
    return max(clock, lifted, clock if floor is None else floor)


def next_floor(now: datetime, *, floor: datetime | None, issued: datetime, expires: datetime | None = None) -> datetime:
    """The floor to keep after a run that ended well, over a statement with these times."""
    clock = max(now, BUILD)
    vouched = min(issued, _later(clock)) if issued > clock else min(clock, max(_later(issued), expires or issued))
    return vouched if floor is None else max(floor, vouched)


def _later(moment: datetime) -> datetime:
    return _END if moment > _END - LIFT else moment + LIFT
