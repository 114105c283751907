"""Sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.cli.sizes import human, parse_size
from bundler.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("4096", 4096),
        ("1k", 1000),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("1ki", 1024),
        ("650MB", 650_000_000),
        ("40Mi", 40 << 20),
        ("40MiB", 40 << 20),
        ("4GiB", 4 << 30),
        ("4g", 4_000_000_000),
        ("1.5GiB", 3 << 29),
        (" 2 TiB ", 2 << 40),
        ("3T", 3 * 10**12),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, what="--volume-size") == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "GiB", "-1", "1.", ".5", "1e3", "4 GiBs", "5iB", "1PB", "0x10", "1_000", "٣", "1,5GiB", "9" * 400],
)
def test_texts_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--volume-size: .* is not a size") as caught:
        parse_size(text, what="--volume-size")
    assert "4GiB" in caught.value.hint


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (int(999.96 * 1024), "1.0 MiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_for_people(size: int, text: str) -> None:
    assert human(size) == text


@given(st.integers(0, 1 << 50))
def test_what_is_shown_is_near_and_can_be_typed_again(size: int) -> None:
    shown = human(size)
    again = parse_size(shown, what="test")
    assert abs(again - size) <= 1 + size * 0.06
    assert shown.endswith("TiB") or len(shown.partition(" ")[0]) <= 5
