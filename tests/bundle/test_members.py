"""What the format's documents have in common: what is taken, and that whatever is refused is named and can be printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bundler.bundle.members import digest_in, digests_in, format_time, line_in, positive_in, printable_in, time_in
from bundler.errors import ArchiveError
from bundler.oci.strict_json import Fields

DIGEST = "sha256:" + "a" * 64


def fields(value: Any) -> Fields:
    return Fields({"it": value}, what="document", error=ArchiveError)


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (line_in, "Edge_2.x-", "Edge_2.x-"),
        (line_in, "a" * 128, "a" * 128),
        (digest_in, DIGEST, DIGEST),
        (digests_in, [DIGEST], (DIGEST,)),
        (digests_in, [], ()),
        (positive_in, 1, 1),
        (printable_in, "Größe 1", "Größe 1"),
        (time_in, "2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_what_is_taken(read: Callable[[Fields, str], Any], value: Any, found: Any) -> None:
    assert read(fields(value), "it") == found


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((line_in, value) for value in ("", "-a", "a b", "a\n", "a\x1b[2J", "a" * 129, "ä", "a\u202e")),
        *((digest_in, value) for value in ("", "sha256:a", DIGEST.upper(), DIGEST + "\n", "md5:" + "a" * 32)),
        *((digests_in, value) for value in ([DIGEST, DIGEST], ["\x1b"])),
        *((positive_in, value) for value in (0, -1)),
        *((printable_in, value) for value in ("", "a\n", "\u202e", "\x1b", "a" * 1025)),
        *(
            (time_in, value)
            for value in ("", "2026-1-31T12:00:00Z", "2026-01-31T12:00:00+00:00", "2026-02-30T12:00:00Z")
        ),
        (time_in, "2026-01-31T12:00:00Z\n"),
    ],
)
def test_what_is_refused(read: Callable[[Fields, str], Any], value: Any) -> None:
    with pytest.raises(ArchiveError, match="document: it") as caught:
        read(fields(value), "it")
    assert str(caught.value).isprintable()


def test_times_are_written_in_one_form() -> None:
    assert format_time(datetime.fromisoformat("2026-01-31T14:00:00.9+02:00")) == "2026-01-31T12:00:00Z"
