"""Sizes, times and digests for people; what a stranger wrote, made visible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.registry.pages.text import counted, moment, short_digest, size_text, time_text, visible

SHOWN = {
    "plain": ("team/app", "team/app"),
    "other scripts": ("Größe 大小 שלום", "Größe 大小 שלום"),
    "right-to-left override": ("a\u202eb", "a\\u202eb"),
    "isolate": ("a\u2066b", "a\\u2066b"),
    "zero width": ("a\u200bb", "a\\u200bb"),
    "line feed": ("a\nb", "a\\nb"),
    "escape sequence": ("\x1b[2J", "\\x1b[2J"),
    "accents": ("e\u0301\u0323", "e\u0301\u0323"),
    "tower of accents": ("e" + "\u0301" * 4, "e\u0301\u0301\\u0301\\u0301"),
    "markup is left to the template": ("<b>&", "<b>&"),
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert visible("x" * 5000, 10) == "xxxxxxxxxx… (5,000 characters)"
    assert visible("x" * 10, 10) == "x" * 10


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown, 20_000) == shown


SIZES = {0: "0 B", 999: "999 B", 1000: "1.0 KiB", 5_400_000: "5.1 MiB", 3 << 30: "3.0 GiB", 1 << 50: "1024.0 TiB"}


@pytest.mark.parametrize(("size", "text"), SIZES.items())
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


TIMES = {
    "RFC 3339": ("2026-01-31T12:00:59Z", "2026-01-31 12:00 UTC"),
    "nanoseconds": ("2026-01-31T12:00:59.123456789Z", "2026-01-31 12:00 UTC"),
    "another zone": ("2026-01-31T14:00:00+02:00", "2026-01-31 12:00 UTC"),
    "never set": ("0001-01-01T00:00:00Z", ""),
    "the last hour of all": ("9999-12-31T23:59:00-10:00", "9999-12-31T23:59:00-10:00"),
    "no zone": ("2026-01-31T12:00:00", "2026-01-31T12:00:00"),
    "no time": ("yesterday\u202e", "yesterday\\u202e"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "shown"), TIMES.values(), ids=TIMES.keys())
def test_times(text: str, shown: str) -> None:
    assert time_text(text) == shown


def test_moments_are_told_in_utc() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert moment(datetime(2026, 1, 31, 17, 30, tzinfo=zone)) == moment(datetime(2026, 1, 31, 12, tzinfo=UTC))


def test_digests_and_counts() -> None:
    assert short_digest("sha256:" + "0123456789abcdef" * 4) == "sha256:0123456789ab"
    assert [counted(n, "tag") for n in (0, 1, 2000)] == ["0 tags", "1 tag", "2,000 tags"]
    assert counted(2, "repository", "repositories") == "2 repositories"
