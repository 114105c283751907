"""One strict reader for every JSON document from outside.

Python and Go disagree on keys that differ only by case (Go's decoder folds them, U+017F and U+212A included), on
duplicates, on NaN and on trailing data; whoever verifies with one and acts with the other can be deceived. So all of
these are errors here, and so are a byte-order mark, lone surrogates, nesting beyond 64 and documents over their cap.

A byte of JSON can become 200 bytes of memory, so how many values a document may hold is counted before it is parsed.

>>> loads(b'{"a": 1}', what="example")
{'a': 1}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bundler.errors import BundlerError, LimitError, ProtocolError, quoted

MANIFEST_CAP = 4 << 20
TOKEN_CAP = 1 << 20
MAX_DEPTH = 64
MAX_SIZE = (1 << 63) - 1
MAX_VALUES = 1 << 17
"""Of a document no larger than a manifest; 25 MiB when parsed, at the worst."""
LARGE_VALUES = 802_100
"""Of a larger one: 100,000 objects of seven members, and 150 MiB when parsed, at the worst."""
MAX_MEMBERS = 10_000
"""Of one object."""

Object = Mapping[str, Any]


def loads(
    raw: bytes | bytearray | memoryview,
    *,
    what: str,
    cap: int = MANIFEST_CAP,
    values: int | None = None,
    keys: frozenset[str] | None = None,
    error: Callable[[str], BundlerError] = ProtocolError,
) -> Any:
    """The value of a JSON document (RFC 8259, UTF-8).

    ``what`` names the document in errors; ``error`` is the class to raise, :class:`ProtocolError` unless the document is
    of another side (:class:`LimitError` for size, depth and number in any case). ``cap`` is in bytes. ``values`` bounds
    commas, braces and brackets, those inside of texts included: :data:`MAX_VALUES` or, if the cap is larger than a
    manifest's, :data:`LARGE_VALUES`. ``keys``, for a document of ours, are all that its objects may have.
    """
    if len(raw) > cap:
        raise LimitError(f"{what}: {len(raw)} bytes, more than the {cap} allowed")
    content = bytes(raw)
    if values is None:
        values = MAX_VALUES if cap <= MANIFEST_CAP else LARGE_VALUES
    if content.count(b",") + content.count(b"{") + content.count(b"[") > values:
        raise LimitError(f"{what}: more than the {values} values allowed")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{what}: not UTF-8 at byte {problem.start}") from None
    if text.startswith("\ufeff"):
        raise error(f"{what}: starts with a byte-order mark")

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(items) > MAX_MEMBERS:
            raise LimitError(f"{what}: an object of more than the {MAX_MEMBERS} members allowed")
        if len({key.casefold() for key, _ in items}) < len(items):
            raise error(f"{what}: {_ambiguity(key for key, _ in items)} in one object")
        if keys is not None and not keys.issuperset(key for key, _ in items):
            unknown = next(key for key, _ in items if key not in keys)
            raise error(f"{what}: {quoted(unknown)} is not a known key")
        return dict(items)

    def constant(name: str) -> Any:
        raise error(f"{what}: {name} is not JSON")

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as problem:
        raise error(f"{what}: not JSON: {problem.msg} at line {problem.lineno} column {problem.colno}") from None
    except RecursionError:
        raise LimitError(f"{what}: nested more than {MAX_DEPTH} deep") from None
    except ValueError as problem:  # an integer of thousands of digits
        raise error(f"{what}: {problem}") from None
    _check(value, what, error, 1)
    return value


def _ambiguity(keys: Iterable[str]) -> str:
    """Which key is there already, in this spelling or another."""
    seen: dict[str, str] = {}
    for key in keys:
        other = seen.get(key.casefold())
        if other is not None:
            return f"key {quoted(key)!r} appears {'twice' if other == key else f'also as {quoted(other)!r}'}"
        seen[key.casefold()] = key
    return "no key appears twice"


def _check(node: Any, what: str, error: Callable[[str], BundlerError], depth: int) -> None:
    """Called for each node, no deeper than ``MAX_DEPTH``: a list of what is still to be visited would take memory."""
    if isinstance(node, (dict, list)):
        if depth > MAX_DEPTH:
            raise LimitError(f"{what}: nested more than {MAX_DEPTH} deep")
        if isinstance(node, dict):
            for key in node:
                _check(key, what, error, depth)
        for child in node.values() if isinstance(node, dict) else node:
            _check(child, what, error, depth + 1)
    elif isinstance(node, str):
        if not node.isascii():
            try:
                node.encode("utf-8")
            except UnicodeEncodeError:
                raise error(f"{what}: a lone surrogate in {quoted(node)!r}") from None
    elif isinstance(node, float) and not math.isfinite(node):  # 1e999
        raise error(f"{what}: a number beyond the range of floats")


def spellings(*names: str) -> Mapping[str, str]:
    """What :meth:`Fields.spelled` takes: the names that a reader knows, by their folded form."""
    return {name.casefold(): name for name in names}


class Fields:
    """Typed access to one JSON object, with errors that name the path.

    ``closed`` objects, which are those of our own formats, refuse keys that were never asked for when :meth:`done` is
    called.
    """

    __slots__ = ("_asked", "_error", "_value", "what")

    def __init__(self, value: Any, *, what: str, error: Callable[[str], BundlerError] = ProtocolError) -> None:
        if not isinstance(value, dict):
            raise error(f"{what}: must be an object, not {_kind(value)}")
        self._value: dict[str, Any] = value
        self._error = error
        self._asked: set[str] = set()
        self.what = what

    def __contains__(self, name: str) -> bool:
        self._asked.add(name)
        return self._value.get(name) is not None

    def fail(self, name: str, problem: str) -> BundlerError:
        """An error about one field, for the caller to raise."""
        return self._error(f"{self.what}: {name} {problem}")

    def spelled(self, names: Mapping[str, str]) -> None:
        """Refuse every key that is one of ``names`` but for its case: Go's decoder would take it for that one."""
        for key in self._value:
            name = names.get(key.casefold(), key)
            if name != key:
                raise self.fail(quoted(key), f"must be spelled {name}")

    def _get(self, name: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        self._asked.add(name)
        value = self._value.get(name)
        if value is None:
            raise self.fail(name, "is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fail(name, f"must be {wanted}, not {_kind(value)}")
        return value

    def text(self, name: str) -> str:
        """A string."""
        value: str = self._get(name, str, "text")
        return value

    def size(self, name: str, *, most: int = MAX_SIZE) -> int:
        """An exact integer from 0 to ``most``."""
        value: int = self._get(name, int, "a whole number")
        if not 0 <= value <= most:
            raise self.fail(name, f"must be between 0 and {most}, not {value}")
        return value

    def array(self, name: str) -> list[Any]:
        """A list."""
        value: list[Any] = self._get(name, list, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.array(name)
        if not all(isinstance(value, str) for value in values):
            raise self.fail(name, "must hold only text")
        return tuple(values)

    def object(self, name: str) -> Fields:
        """A nested object."""
        self._asked.add(name)
        return Fields(self._value.get(name), what=f"{self.what}: {name}", error=self._error)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects."""
        return list(self.each(name))

    def each(self, name: str) -> Iterator[Fields]:
        """The objects of a list, one after the other: for lists so long that all their fields would take much memory."""
        values = self.array(name)
        return (Fields(value, what=f"{self.what}: {name}[{n}]", error=self._error) for n, value in enumerate(values))

    def text_map(self, name: str) -> dict[str, str]:
        """An object whose values are all text; empty if absent."""
        if name not in self:
            return {}
        value = self._get(name, dict, "an object")
        if not all(isinstance(v, str) for v in value.values()):
            raise self.fail(name, "must hold only text")
        return dict(value)

    def done(self) -> None:
        """Refuse keys that nobody asked for: for closed formats."""
        for name in self._value:
            if name not in self._asked:
                raise self.fail(quoted(name), "is not a known key")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def canonical(value: Any) -> bytes:
    """How bundler writes JSON: sorted keys, two-space indent, UTF-8, a final newline; the same bytes every time."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")
