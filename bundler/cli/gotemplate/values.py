"""Values that are more to Go than to JSON: structs with their field names, times, and what is nil.

    Struct({"Os": "linux", "Created": Time("1970-01-01T00:00:00Z")}, {"os": "linux", "created": "1970-01-01T00:00:00Z"})

A template sees the fields, as ``{{.Os}}``; ``json`` prints the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bundler.cli.gotemplate.times import Time


class Struct(Mapping[str, Any]):
    """A Go struct: ``fields`` in Go's order, ``document`` as its JSON. ``promoted`` are fields of an embedded struct."""

    def __init__(
        self, fields: Mapping[str, Any], document: Mapping[str, Any], promoted: Mapping[str, Any] | None = None
    ) -> None:
        self.fields, self.document, self._promoted = fields, document, promoted or {}

    def __getitem__(self, name: str) -> Any:
        """A field, or a promoted one."""
        return self.fields[name] if name in self.fields else self._promoted[name]

    def __iter__(self) -> Iterator[str]:
        """All names that a template may ask for."""
        return iter([*self.fields, *self._promoted])

    def __len__(self) -> int:
        """Their number, which is never 0: a struct is true."""
        return len(self.fields) + len(self._promoted)


class NilList(tuple[Any, ...]):
    """A nil slice: empty, and null in JSON."""

    __slots__ = ()


class NilMap(dict[str, Any]):
    """A nil map: empty, and null in JSON."""

    __slots__ = ()


class NilPointer:
    """A nil pointer: false, ``<nil>``, and null in JSON."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """False."""
        return False


def listed(value: Any) -> Any:
    """A list, or a nil one for None."""
    return NilList() if value is None else value


def mapped(value: Any) -> Any:
    """A map, or a nil one for None."""
    return NilMap() if value is None else dict(sorted(value.items()))


def timed(value: Any) -> Any:
    """A pointer to a time, nil for None."""
    return NilPointer() if value is None else Time(value)


def as_json(value: Any) -> Any:
    """The JSON value."""
    if isinstance(value, Struct):
        return value.document
    if isinstance(value, NilList | NilMap | NilPointer):
        return None
    return value
