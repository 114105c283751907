"""Long lists, by pages."""

from __future__ import annotations

import pytest

from bundler.registry.pages.paging import Page, first_of, page_of

ASKED = {
    "nothing": ("", 1), "the first": ("1", 1), "the last": ("3", 3), "beyond": ("4", 3), "zero": ("0", 1),
    "a huge number": ("9" * 400, 1), "negative": ("-1", 1), "no number": ("two", 1), "other digits": ("\u0662", 1),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "number"), ASKED.values(), ids=ASKED.keys())
def test_what_is_asked_for(asked: str, number: int) -> None:
    page = page_of(range(25), asked, length=10)
    assert (page.number, page.count, page.total) == (number, 3, 25)
    assert page.items == tuple(range(25))[number * 10 - 10 : number * 10]
    assert (page.first, page.last) == (page.items[0] + 1, page.items[-1] + 1)


def test_nothing_is_one_empty_page() -> None:
    assert page_of([], "5", length=10) == Page((), 1, 1, 0, 1)


def test_the_first_of_many() -> None:
    assert first_of("abc", 2).more == 1
    assert first_of("abc", 3).more == 0
