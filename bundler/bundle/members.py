"""Members that the documents of the format share: names of lines, digests, times, numbers, text for people to read.

    fields = Fields(loads(raw, …), what="statement", error=ArchiveError)
    line_in(fields, "channel"), time_in(fields, "issued")

Each raises the error that the document's fields were given.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bundler.errors import quoted
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields

_LINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MAX_TEXT = 1024


def format_time(moment: datetime) -> str:
    """``YYYY-MM-DDThh:mm:ssZ`` (RFC 3339, UTC, whole seconds)."""
    return moment.astimezone(UTC).strftime(_TIME)


def line_in(fields: Fields, name: str) -> str:
    """The name of a line of bundles, or of a channel, in a document of ours."""
    text = fields.text(name)
    if not _LINE.fullmatch(text):
        raise fields.fail(
            name, f"{quoted(text)!r} may hold only letters, digits and . _ -, and begins with one of the first two"
        )
    return text


def digest_in(fields: Fields, name: str) -> Digest:
    """A digest in a document of ours."""
    text = fields.text(name)
    if not is_digest(text):
        raise fields.fail(name, f"must be a sha256 or sha512 digest, not {quoted(text)!r}")
    return Digest(text)


def digests_in(fields: Fields, name: str) -> tuple[Digest, ...]:
    """Digests, each once."""
    texts = fields.texts(name)
    for text in texts:
        if not is_digest(text):
            raise fields.fail(name, f"must hold sha256 or sha512 digests, not {quoted(text)!r}")
    if len(set(texts)) != len(texts):
        raise fields.fail(name, "lists a digest twice")
    return tuple(Digest(text) for text in texts)


def time_in(fields: Fields, name: str) -> datetime:
    """A time in a document of ours, in the one form that :func:`format_time` writes."""
    text = fields.text(name)
    try:
        moment = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None or format_time(moment) != text:
        raise fields.fail(name, f"must be a UTC time like 2026-01-31T12:00:00Z, not {quoted(text)!r}")
    return moment


def positive_in(fields: Fields, name: str) -> int:
    """A whole number from 1 on."""
    value = fields.size(name)
    if value < 1:
        raise fields.fail(name, "must be at least 1")
    return value


def printable_in(fields: Fields, name: str) -> str:
    """Text that a terminal can show: 1 to 1024 characters."""
    text = fields.text(name)
    if not 0 < len(text) <= _MAX_TEXT or not text.isprintable():
        raise fields.fail(name, f"must be 1 to {_MAX_TEXT} printable characters, not {quoted(text)!r}")
    return text
