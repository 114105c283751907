"""Go's ``time.Time`` in templates: printed, and written after a layout that shows how its author's moment looks.

Time("2020-01-02T03:04:05Z").format("Jan 2, 2006 at 15:04")     # "Jan 2, 2020 at 03:04"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|Z07:00|Z0700|-07:00|-0700|-07|002|0[1-6]|15|PM|pm|_2006|_2|[1-5]"
    r"|[.,](?:0{1,9}|9{1,9})(?!\d)"
)


class Time(str):
    """A time by its JSON."""

    __slots__ = ()

    def _parts(self) -> tuple[datetime, str, str]:
        """The moment with its zone, its nanoseconds, and the offset as ``+0200``."""
        found = _TIME.fullmatch(self)
        assert found is not None, "whoever read the config has seen that it is a time"
        offset = "+0000" if found[3] == "Z" else found[3].replace(":", "")
        return datetime.fromisoformat(f"{found[1]}{found[3]}"), (found[2] or "").ljust(9, "0"), offset

    def shown(self) -> str:
        """As Go prints it: ``1970-01-01 00:00:00 +0000 UTC``."""
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def format(self, layout: str) -> str:  # type: ignore[override]  # Go's method of this name, not Python's
        """The time, written as the layout writes Monday, January 2nd 2006, 15:04:05 at an offset of 7 hours."""
        moment, nanoseconds, offset = self._parts()
        return _LAYOUT.sub(lambda found: _written(found[0], moment, nanoseconds, offset), layout)

    def unix(self) -> int:
        """Seconds since 1970."""
        return int(self._parts()[0].timestamp())

    def year(self) -> int:
        """The year."""
        return self._parts()[0].year


def _written(mark: str, moment: datetime, nanoseconds: str, offset: str) -> str:
    if mark[0] in ".,":
        kept = nanoseconds[: len(mark) - 1]
        kept = kept.rstrip("0") if mark[1] == "9" else kept
        return mark[0] + kept if kept else ""
    if mark == "_2006":  # an underscore, and the year
        return f"_{moment:%Y}"
    hour = moment.hour % 12 or 12
    colon = f"{offset[:3]}:{offset[3:]}"
    zone = {"MST": "UTC", "Z07:00": "Z", "Z0700": "Z"} if offset == "+0000" else {"MST": offset, "Z0700": offset}
    known = {
        "January": f"{moment:%B}", "Jan": f"{moment:%b}", "Monday": f"{moment:%A}", "Mon": f"{moment:%a}",
        "2006": f"{moment.year:04}", "06": f"{moment.year % 100:02}", "002": f"{moment:%j}",
        "01": f"{moment.month:02}", "1": str(moment.month), "02": f"{moment.day:02}", "2": str(moment.day),
        "_2": f"{moment.day:2}", "15": f"{moment.hour:02}", "03": f"{hour:02}", "3": str(hour),
        "04": f"{moment.minute:02}", "4": str(moment.minute), "05": f"{moment.second:02}", "5": str(moment.second),
        "PM": "AM" if moment.hour < 12 else "PM", "pm": "am" if moment.hour < 12 else "pm",
        "-0700": offset, "-07:00": colon, "-07": offset[:3], "Z07:00": colon, **zone,
    }  # fmt: skip
    return known[mark]


METHODS: Mapping[str, Callable[..., Any]] = {
    "Format": Time.format,
    "String": Time.shown,
    "Unix": Time.unix,
    "Year": Time.year,
}
"""The methods that a template may call."""
