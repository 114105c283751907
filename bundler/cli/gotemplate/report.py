r"""What container tools do around a template: ``\n`` and ``\t`` written out, a newline at the end, tables.

reported(r"table {{.Name}}\t{{.Digest}}", document)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bundler.cli.gotemplate.parser import parse
from bundler.cli.gotemplate.render import render
from bundler.cli.gotemplate.tree import Node
from bundler.errors import ConfigError

_RANGE = re.compile(r"\{\{\s*range\s*\.\s*\}\}.*\{\{\s*end\s*-?\s*\}\}", re.DOTALL)
_NARROWEST, _GAP = 12, 2
_JSON = re.compile(r"\s*(?:json|\{\{\s*json\.?\s*\}\})\s*")


def asks_for_json(template: str) -> bool:
    """Whether all that is wanted is the document as JSON."""
    return _JSON.fullmatch(template) is not None


def normalized(template: str) -> str:
    """The template that is meant by what was typed. A table's header is left out, as there is one row at most."""
    if template.startswith("table "):
        template = template.removeprefix("table ").replace(" ", "\t")
    template = template.replace(r"\t", "\t").replace(r"\n", "\n")
    return template if template.endswith("\n") else f"{template}\n"


def parsed(template: str) -> tuple[Node, ...]:
    r"""The tree of what was typed. Raises :class:`ConfigError` naming the place of a mistake.

    A template whose ``\n`` stands in a string has no meaning with a newline there, and is taken as it was typed.
    """
    try:
        return parse(normalized(template))
    except ConfigError:
        return parse(template.removeprefix("table "))


def reported(template: str, document: Mapping[str, Any]) -> str:
    """What is printed for one document, its newline included."""
    nodes = parsed(template)
    made = render(nodes, [document] if _RANGE.search(template) else document)
    return aligned(made) if template.startswith("table ") else made


def aligned(text: str) -> str:
    """Tabs made columns: a cell that ends with a tab is as wide as the widest of its column in neighbouring lines."""
    lines = [line.split("\t") for line in text.split("\n")]
    deepest = max(len(cells) for cells in lines)
    for column in range(deepest - 1):
        start = 0
        while start < len(lines):
            if len(lines[start]) - 1 <= column:
                start += 1
                continue
            end = start
            while end < len(lines) and len(lines[end]) - 1 > column:
                end += 1
            width = max(_NARROWEST, *(len(cells[column]) + _GAP for cells in lines[start:end]))
            for cells in lines[start:end]:
                cells[column] = cells[column].ljust(width)
            start = end
    return "\n".join("".join(cells) for cells in lines)
