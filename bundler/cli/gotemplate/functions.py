"""The functions that a template may call: Go's own, and those of the container tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from bundler.cli.gotemplate.printing import MAX_WIDTH, argument, plain_json, printed, printf
from bundler.cli.gotemplate.times import Time
from bundler.cli.gotemplate.values import NilList, NilMap, NilPointer, Struct
from bundler.errors import ConfigError, LimitError

MAX_TEXT = 16 << 20
"""Characters that one call may be given, and make."""

_MARKUP = {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;", ord("'"): "&#39;", ord('"'): "&#34;", 0: "\ufffd"}


def truth(value: Any) -> bool:
    """Whether a condition holds: not for nothing, zero, and what is empty."""
    return bool(value)


def call(name: str, values: Sequence[Any]) -> Any:
    """The result of a function. Raises :class:`ConfigError` for operands that it can't take."""
    check_size(sum(len(value) for value in values if isinstance(value, str)))
    try:
        made = FUNCTIONS[name](*values)
    except (TypeError, IndexError, ValueError):
        raise ConfigError(f"--format: {name} can't be used like this") from None
    check_size(len(made) if isinstance(made, str) else 0)
    return made


def check_size(length: int) -> None:
    """Raises :class:`LimitError` for a text beyond 16 MiB."""
    if length > MAX_TEXT:
        raise LimitError(f"--format: makes more than {MAX_TEXT} characters")


def _text(value: Any) -> str:
    if not isinstance(value, str) or isinstance(value, Time):
        raise ConfigError(f"--format: a text is expected, not {argument(value)}")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"--format: a whole number is expected, not {argument(value)}")
    return value


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping) and not isinstance(value, Struct):
            value = value.get(_text(key), "")
        elif isinstance(value, Sequence) and 0 <= _count(key) < len(value):
            value = value.encode()[key] if isinstance(value, str) else value[key]
        else:
            raise ConfigError(f"--format: index: there is no {key!r}")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    raw = value.encode() if isinstance(value, str) else value
    start, end = (*map(_count, bounds), *(0, len(raw))[len(bounds) :]) if len(bounds) < 3 else (0, -1)
    if not isinstance(raw, Sequence) or not 0 <= start <= end <= len(raw):
        raise ConfigError("--format: slice: these bounds do not fit")
    return raw[start:end].decode(errors="replace") if isinstance(raw, bytes) else raw[start:end]


def _is_nil(value: Any) -> bool:
    return value is None or isinstance(value, NilPointer | NilList | NilMap)


def _check_kinds(one: Any, other: Any) -> None:
    """Raises :class:`ConfigError` for values that are not of one basic kind."""
    if type(one) is not type(other) or not isinstance(one, str | int | float) or isinstance(one, Time):
        raise ConfigError(f"--format: {argument(one)} and {argument(other)} can't be compared")


def _same(one: Any, other: Any) -> bool:
    if _is_nil(one) or _is_nil(other):
        return _is_nil(one) and _is_nil(other)
    _check_kinds(one, other)
    return bool(one == other)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ConfigError("--format: eq: there is nothing to compare with")
    return any(_same(first, other) for other in others)


def _less(one: Any, other: Any) -> bool:
    _check_kinds(one, other)
    if isinstance(one, bool):
        raise ConfigError("--format: these values have no order")
    return bool(one < other)


def _length(value: Any) -> int:
    if not isinstance(value, Sequence | Mapping) or isinstance(value, Struct | Time):
        raise ConfigError("--format: len: this has no length")
    return len(value.encode() if isinstance(value, str) else value)


def _joined(values: Any, separator: Any) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError("--format: join: the first operand must be a list")
    check_size(len(values) * len(_text(separator)) + sum(len(value) for value in values if isinstance(value, str)))
    return _text(separator).join(map(_text, values))


def _split(text: Any, separator: Any) -> list[str]:
    return _text(text).split(separator) if _text(separator) else list(_text(text))


def _truncated(text: Any, length: Any) -> str:
    return _text(text).encode()[: max(0, _count(length))].decode(errors="replace")


def _padded(text: Any, before: Any, after: Any) -> str:
    spaces = [" " * max(0, min(_count(count), MAX_WIDTH)) for count in (before, after)]
    return f"{spaces[0]}{text}{spaces[1]}" if _text(text) else ""


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not truth(value)), values[-1]),
    "or": lambda *values: next((value for value in values if truth(value)), values[-1]),
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "lt": _less,
    "le": lambda one, other: not _less(other, one),
    "gt": lambda one, other: _less(other, one),
    "ge": lambda one, other: not _less(one, other),
    "index": _index,
    "slice": _slice,
    "len": _length,
    "print": printed,
    "println": lambda *values: " ".join(map(argument, values)) + "\n",
    "printf": printf,
    "html": lambda *values: printed(*values).translate(_MARKUP),
    "urlquery": lambda *values: quote_plus(printed(*values)),
    "json": plain_json,
    "join": _joined,
    "split": _split,
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "title": lambda text: re.sub(r"(?<!\w)\w", lambda found: found[0].upper(), _text(text)),
    "truncate": _truncated,
    "pad": _padded,
}
