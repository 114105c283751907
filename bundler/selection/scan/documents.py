"""Texts of many documents read one by one: a document that cannot be read is reported and the next one still is.

``---`` at the start of a line ends a document wherever it stands (YAML 1.2, 9.1.2), so a text can be cut before it is
parsed. Sizes, depth and what aliases expand to are bounded; templates that were not rendered are told from broken YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bundler.errors import BundlerError, LimitError, quoted
from bundler.oci.strict_json import loads
from bundler.selection.scan.finding import Undecided
from bundler.selection.yaml_load import is_too_deep
from bundler.selection.yaml_tree import Value

SIZE_CAP = 16 << 20
"""The most bytes of a text."""
MAX_DEPTH = 100
"""Schemas inside of resource definitions nest about half as deep."""
MAX_NODES = 200_000
MAX_DOCUMENTS = 20_000
RENDER = "is a template that was not rendered; render it first and scan the output"

_START = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_CONTENT = re.compile(r"^(?!---|%|\.\.\.)[ \t]*[^\s#]|^---[ \t]+[^\s#]", re.MULTILINE)
_IMAGE_LINE = re.compile(
    r"""^[ \t]*(?:-[ \t]+)?["']?image["']?:[ \t]*["']?([A-Za-z0-9][A-Za-z0-9./:@_-]*)["']?[ \t]*(?:,[ \t]*)?(?:\#.*)?\r?$""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """The line of a node, in the whole text."""

    line: int


def read_documents(raw: bytes, source: str) -> Iterator[Value | Undecided]:
    """The documents of a YAML or JSON text, in order. ``source`` is a file's name made fit to print."""
    if len(raw) > SIZE_CAP:
        yield Undecided(source, f"holds {len(raw)} bytes, more than the {SIZE_CAP} that are read; split it")
        return
    if b"\0" in raw:
        yield Undecided(source, "is not text")
        return
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        yield Undecided(source, f"is not UTF-8 at byte {problem.start}")
        return
    for count, (line, chunk) in enumerate(_chunks(text)):
        if count >= MAX_DOCUMENTS:
            yield Undecided(f"{source}:{line + 1}", f"holds more than {MAX_DOCUMENTS} documents; split it")
            return
        yield from _read(chunk, source, line)


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """Each document with something in it, and how many lines stand before it."""
    starts = [match.start() for match in _START.finditer(text)]
    line = 0
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        chunk = text[start:end]
        if _CONTENT.search(chunk):
            yield line, chunk
        line += chunk.count("\n")


def _read(chunk: str, source: str, before: int) -> Iterator[Value | Undecided]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        try:
            _check_depth(yaml.parse(chunk, Loader=loader), source, before)
            nodes = list(yaml.compose_all(chunk, Loader=loader))
        except yaml.YAMLError:
            if not chunk.lstrip().startswith(("{", "[")):
                raise
            nodes = [_of_json(chunk, source, loader)]
        for node in nodes:
            twice = _settle(node, source, before)
            yield Value(node, source)
            yield from twice
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = before + (mark.line if mark is not None else 0) + 1
        said = ", ".join(str(part) for part in (problem.context, problem.problem) if part)
        if is_too_deep(problem):
            yield Undecided(f"{source}:{line}", f"nested more than {MAX_DEPTH} deep")
            return
        yield _unreadable(chunk, f"{source}:{line}", f"not YAML: {quoted(said)}")
    except yaml.YAMLError as problem:
        yield _unreadable(chunk, f"{source}:{before + 1}", f"not YAML: {quoted(str(problem).splitlines()[0])}")
    except BundlerError as problem:
        where, _, reason = str(problem).rpartition(": ")
        yield Undecided(where, reason)


def _unreadable(chunk: str, where: str, problem: str) -> Undecided:
    return Undecided(where, RENDER if "{{" in chunk or "{%" in chunk else problem)


def _of_json(chunk: str, source: str, loader: Any) -> Any:
    """JSON that YAML does not take, as with tabs or escaped pairs of surrogates. Its lines are lost."""
    import yaml

    try:
        value = loads(chunk.strip().encode(), what=source)
    except BundlerError:
        return yaml.compose(chunk, Loader=loader)  # for its error, which has a line
    return yaml.compose(json.dumps(value, ensure_ascii=False), Loader=loader)


def _check_depth(events: Any, source: str, before: int) -> None:
    depth = 0
    for count, event in enumerate(events):
        if count > 2 * MAX_NODES:  # before they are composed, which takes many times their memory
            raise LimitError(f"{source}:{before + event.start_mark.line + 1}: more than {MAX_NODES} values")
        name = type(event).__name__
        if name.endswith("StartEvent") and name[0] in "MS" and name != "StreamStartEvent":
            depth += 1
            if depth > MAX_DEPTH:
                raise LimitError(f"{source}:{before + event.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1


def _settle(root: Any, source: str, before: int) -> list[Undecided]:
    """Bound what aliases expand to, give every node its line in the whole text, and list keys that are there twice."""
    stack: list[tuple[Any, int]] = [(root, 1)]
    count = 0
    twice: dict[int, Undecided] = {}
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise LimitError(f"{source}:{before + 1}: more than {MAX_NODES} values once aliases are expanded")
        if not isinstance(node.start_mark, Mark):
            node.start_mark, node.end_mark = Mark(node.start_mark.line + before), None
        if depth > MAX_DEPTH + 1:
            raise LimitError(f"{source}:{node.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")
        if node.id == "sequence":
            stack.extend((child, depth + 1) for child in node.value)
        elif node.id == "mapping":
            if key := _ambiguous(node):
                where = f"{source}:{node.start_mark.line + 1}"
                twice[id(node)] = Undecided(where, f"has the key {quoted(key, 80)!r} twice; the last one was read")
            stack.extend((child, depth + 1) for pair in node.value for child in pair)
    return list(twice.values())


def _ambiguous(mapping: Any) -> str:
    """A key of a mapping that has two values, if there is one."""
    seen: dict[str, Any] = {}
    for key, value in mapping.value:
        if isinstance(key.value, str) and not key.tag.endswith(":merge"):
            before = seen.setdefault(key.value, value)
            if before is not value and not (isinstance(value.value, str) and value.value == before.value):
                return key.value
    return ""


def lines_with_images(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers from 1, and image names, of lines ``image: name`` in a text that need not be YAML."""
    line, counted = 1, 0
    for match in _IMAGE_LINE.finditer(text):
        line, counted = line + text.count("\n", counted, match.start(1)), match.start(1)
        yield line, match[1]
