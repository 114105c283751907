r"""Variables of a text replaced by what is known: the same for every dialect that writes them with brackets.

>>> filler(r"\$\(params\.([a-z]+)\)", {"tag": "1"})("app:$(params.tag)")
Filled(text='app:1', missing=(), used=('tag',))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bundler.selection.scan.finding import Fill, Filled
from bundler.selection.scan.tree import get, items, word
from bundler.selection.yaml_tree import Value


def filler(pattern: str, values: Mapping[str, str]) -> Fill:
    """Replaces what ``pattern`` finds, its first non-empty group being the name. Values are not looked into again."""
    compiled = re.compile(pattern)

    def fill(text: str) -> Filled:
        missing: list[str] = []
        used: list[str] = []

        def value(match: re.Match[str]) -> str:
            name = next((group for group in match.groups() if group), match[0])
            (used if name in values else missing).append(name)
            return values.get(name, "")

        return Filled(compiled.sub(value, text), tuple(missing), tuple(used))

    return fill


def parameters(listed: Value | None, *keys: str) -> dict[str, str]:
    """Values by name from a list of ``{name, default|value}``; ``keys`` in order of preference."""
    found: dict[str, str] = {}
    for each in items(listed):
        text = next((word(each, key) for key in keys if get(each, key) is not None), None)
        if text is not None and (name := word(each, "name")):
            found[name] = text
    return found


def settled(values: Mapping[str, str], pattern: str, outer: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """``values`` with their own variables replaced from ``outer``; those that cannot be are left out."""
    fill = filler(pattern, dict(outer))
    filled = {name: fill(text) for name, text in values.items()}
    return {name: each.text for name, each in filled.items() if not each.missing}
