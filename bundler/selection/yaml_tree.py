"""YAML read as a tree of located nodes: every value knows its line, and text stays the text that was written.

PyYAML composes the nodes and no value is constructed, so ``1.10``, ``no`` and ``2024-01-01`` are what the operator typed
wherever text is meant. Anchors, aliases and merge keys work. Keys that are equal, or equal but for case, are errors.

    load_yaml(b"images: [{tags: 1.10}]", "bundle.yaml").fields(["images"])["images"].items()[0]
    └── errors about it read "bundle.yaml:1: images[0]: …"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, quoted

if TYPE_CHECKING:
    import yaml

_STANDARD = "tag:yaml.org,2002:"
_SCALARS = frozenset(
    _STANDARD + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TRUTH = {"true": True, "false": False}
_KINDS = {"SequenceNode": "list", "MappingNode": "mapping"}
_LOOSE_TRUTH = {**_TRUTH, "yes": True, "no": False, "on": True, "off": False, "y": True, "n": False}


@dataclass(frozen=True, slots=True)
class Value:
    """A node with its document's name and its path from the top, such as ``images[3].tags``."""

    node: yaml.Node
    source: str
    path: str = ""

    @property
    def line(self) -> int:
        """The line it starts on, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def where(self) -> str:
        """``bundle.yaml:12``."""
        return f"{self.source}:{self.line}"

    @property
    def what(self) -> str:
        """``bundle.yaml:12: images[3].tags``: what an error about this value starts with."""
        return f"{self.where}: {self.path}" if self.path else self.where

    @property
    def kind(self) -> str:
        """``mapping``, ``list``, ``text`` or ``nothing`` (an empty plain scalar, ``~`` or ``null``)."""
        if isinstance(self.node.value, str):
            return "nothing" if self.node.tag == _STANDARD + "null" and self._is_plain else "text"
        return _KINDS[type(self.node).__name__]

    @property
    def _is_plain(self) -> bool:
        return not getattr(self.node, "style", None)

    def fail(self, problem: str, *, hint: str | None = None) -> ConfigError:
        """An error about this value, for the caller to raise."""
        return ConfigError(f"{self.what}: {problem}", hint=hint)

    def text(self, *, hint: str | None = None) -> str:
        """A scalar as it was written, whatever YAML would make of it."""
        if self.kind != "text":
            raise self.fail(f"must be text, not {_article(self.kind)}", hint=hint)
        if self.node.tag not in _SCALARS:
            raise self.fail(f"has the YAML tag {quoted(self.node.tag)!r}, which means nothing here")
        return str(self.node.value)

    def choice(self, choices: Sequence[str]) -> str:
        """A text that must be one of ``choices``."""
        text = self.text(hint=f"one of: {', '.join(choices)}")
        if text not in choices:
            raise self.fail(f"{quoted(text)!r} is not a choice here", hint=suggestion(text, choices))
        return text

    def whole(self, *, least: int) -> int:
        """A whole number written in decimal, from ``least`` to 999999999."""
        text = self.text()
        if not self._is_plain or not _WHOLE.fullmatch(text) or int(text) < least:
            raise self.fail(f"must be a whole number from {least} up, not {quoted(text)!r}")
        return int(text)

    def boolean(self, *, loose: bool = False) -> bool:
        """``true`` or ``false``; ``loose`` also takes ``yes``, ``no``, ``on``, ``off`` as YAML 1.1 did."""
        text = self.text()
        words = _LOOSE_TRUTH if loose else _TRUTH
        if not self._is_plain or text.lower() not in words:
            raise self.fail(f"must be true or false, not {quoted(text)!r}", hint="write it without quotes")
        return words[text.lower()]

    def items(self, *, hint: str | None = None) -> list[Value]:
        """The values of a list."""
        if self.kind != "list":
            raise self.fail(f"must be a list, not {_article(self.kind)}", hint=hint)
        return [Value(node, self.source, f"{self.path}[{n}]") for n, node in enumerate(self.node.value)]

    def entries(self) -> dict[str, Value]:
        """The values of a mapping with free keys, merge keys resolved. Each key's own line is lost, its value's is not."""
        return {key: value for _, key, value in self.pairs()}

    def fields(self, known: Sequence[str]) -> dict[str, Value]:
        """The values of a mapping whose keys are among ``known``; another key is an error with the nearest one named."""
        values: dict[str, Value] = {}
        for key_value, key, value in self.pairs():
            if key not in known:
                where = f"{key_value.where}: {self.path}" if self.path else key_value.where
                raise ConfigError(f"{where}: {quoted(key)!r} is not a known key", hint=suggestion(key, known))
            values[key] = value
        return values

    def pairs(self) -> Iterator[tuple[Value, str, Value]]:
        """Key with its place, key, value: of a mapping, its merge keys resolved, without equal keys."""
        if self.kind != "mapping":
            raise self.fail(f"must be a mapping (key: value), not {_article(self.kind)}")
        seen: dict[str, str] = {}
        merged: list[Value] = []
        for key_node, value_node in self.node.value:
            if key_node.tag == _STANDARD + "merge":
                merged.append(Value(value_node, self.source, self.path))
                continue
            key_value = Value(key_node, self.source, self.path)
            if key_value.kind != "text":
                raise key_value.fail(f"a key must be text, not {_article(key_value.kind)}")
            key = key_value.text()
            folded = key.casefold()
            if folded in seen:
                how = "twice" if seen[folded] == key else f"also as {quoted(seen[folded])!r}"
                raise key_value.fail(f"key {quoted(key)!r} appears {how}")
            seen[folded] = key
            yield key_value, key, self._below(key, value_node)
        for mapping in (m for given in merged for m in (given.items() if given.kind == "list" else [given])):
            for key_value, key, value in mapping.pairs():
                if key.casefold() not in seen:
                    seen[key.casefold()] = key
                    yield key_value, key, self._below(key, value.node)

    def _below(self, key: str, node: yaml.Node) -> Value:
        if _PLAIN_KEY.fullmatch(key):
            return Value(node, self.source, f"{self.path}.{key}" if self.path else key)
        return Value(node, self.source, f'{self.path}["{quoted(key, 80)}"]')


def suggestion(given: str, known: Iterable[str]) -> str:
    """A hint: "did you mean `…`?", or the list of what is known."""
    from difflib import get_close_matches

    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(given.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[near[0]]}`?" if near else f"known here: {', '.join(names)}"


def _article(kind: str) -> str:
    return kind if kind in ("text", "nothing") else f"a {kind}"
