"""Constants of Go."""

from __future__ import annotations

import pytest

from bundler.cli.gotemplate.literals import number, quoted_as_go, unquoted


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('"plain"', "plain"),
        (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
        (r'"\x41\101\u00e9\U0001f600"', "AAé😀"),
        (r"`raw\n`", r"raw\n"),
        (r"'\''", "'"),
        ('""', ""),
    ],
)
def test_strings(text: str, meant: str) -> None:
    assert unquoted(text) == meant


@pytest.mark.parametrize("text", [r'"\z"', r'"\x4"', r'"\ud800"', r'"\U00110000"', r'"\8"'])
def test_escapes_that_go_does_not_know(text: str) -> None:
    with pytest.raises(ValueError):  # the parser says what and where
        unquoted(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0", 0), ("-12", -12), ("+3", 3), ("1_000", 1000), ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("017", 15),
        ("1.5", 1.5), ("1e3", 1000), ("-2.5e-1", -0.25), (".5", 0.5), ("1e30", 1e30), ("1.0", 1.0),
        ("9223372036854775807", (1 << 63) - 1),
    ],
)  # fmt: skip
def test_numbers(text: str, meant: float) -> None:
    found = number(text)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize("text", ["9223372036854775808", "1e999", "08", "9" * 5000])
def test_numbers_beyond_go(text: str) -> None:
    with pytest.raises(ValueError):  # the parser says what and where
        number(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [("a", '"a"'), ('"\\', r'"\"\\"'), ("\x00\n'", r'''"\x00\n'"'''), ("ä\u200b\U000e0001", r'"ä\u200b\U000e0001"')],
)
def test_quoting(text: str, written: str) -> None:
    assert quoted_as_go(text) == written
    assert unquoted(written) == text
