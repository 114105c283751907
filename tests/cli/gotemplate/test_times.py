"""Times by layouts, as Go's own ``Format`` writes them."""

from __future__ import annotations

import pytest

from bundler.cli.gotemplate.times import METHODS, Time

AFTERNOON, EAST = Time("2020-01-02T15:04:05.12Z"), Time("1999-11-30T00:07:09+05:30")


@pytest.mark.parametrize(
    ("time", "layout", "written"),
    [
        (AFTERNOON, "2006-01-02T15:04:05Z07:00", "2020-01-02T15:04:05Z"),
        (EAST, "2006-01-02T15:04:05Z07:00", "1999-11-30T00:07:09+05:30"),
        (AFTERNOON, "Monday, Jan _2 06 at 3:04PM", "Thursday, Jan  2 20 at 3:04PM"),
        (EAST, "Mon January 2 03:4:5 pm", "Tue November 30 12:7:9 am"),
        (AFTERNOON, "05.000 05.999999 05,00", "05.120 05.12 05,12"),
        (EAST, "05.000 05.999", "09.000 09"),
        (AFTERNOON, "-0700 -07:00 -07 MST Z0700", "+0000 +00:00 +00 UTC Z"),
        (EAST, "-0700 -07:00 -07 MST Z0700", "+0530 +05:30 +05 +0530 +0530"),
        (AFTERNOON, "002 1/2", "002 1/2"),
        (EAST, "002 1/2", "334 11/30"),
        (AFTERNOON, "no time", "no time"),
        (AFTERNOON, "a_2006", "a_2020"),
        (AFTERNOON, "Janet Money", "Janet Money"),
    ],
)
def test_layouts(time: Time, layout: str, written: str) -> None:
    assert time.format(layout) == written


def test_methods() -> None:
    assert METHODS["String"](EAST) == "1999-11-30 00:07:09 +0530 +0530"
    assert METHODS["String"](AFTERNOON) == "2020-01-02 15:04:05.12 +0000 UTC"
    assert METHODS["Year"](EAST) == 1999
    assert METHODS["Unix"](Time("1970-01-02T00:00:00Z")) == 86_400
    assert METHODS["Unix"](Time("0001-01-01T00:00:00Z")) == -62_135_596_800
