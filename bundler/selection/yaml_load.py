"""YAML composed into nodes by PyYAML, with size, depth, documents and what aliases expand to all bounded.

libyaml is used if PyYAML has it. No value is constructed: see :mod:`bundler.selection.yaml_tree`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bundler.errors import BundlerError, ConfigError, LimitError, quoted
from bundler.selection.yaml_tree import Value

if TYPE_CHECKING:
    import yaml

SIZE_CAP = 1 << 20
"""The most bytes of a document."""
MAX_DEPTH = 32
MAX_NODES = 100_000
"""The most nodes after every alias is expanded."""


def load_yaml(raw: bytes, filename: str) -> Value:
    """The one document in ``raw`` (UTF-8), its aliases, depth and size within bounds.

    Raises :class:`ConfigError` naming the line, or :class:`LimitError`.
    """
    import yaml

    if len(raw) > SIZE_CAP:
        raise LimitError(f"{filename}: {len(raw)} bytes, more than the {SIZE_CAP} allowed")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{filename}: not UTF-8 at byte {problem.start}") from None
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # The composer recurses, in C if it can: depth is looked at before it runs.
        _check_events(yaml.parse(text, Loader=loader), filename)
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as problem:
        raise _explained(problem, filename) from None
    except yaml.YAMLError as problem:
        raise ConfigError(f"{filename}: not YAML: {quoted(str(problem).splitlines()[0])}") from None
    if node is None:
        raise ConfigError(f"{filename}: is empty")
    _check_expansion(node, filename)
    return Value(node, filename)


def _check_events(events: Iterable[Any], filename: str) -> None:
    depth = documents = 0
    for event in events:
        name = type(event).__name__
        if name.endswith(("MappingStartEvent", "SequenceStartEvent")):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(filename, event)
        elif name.endswith(("MappingEndEvent", "SequenceEndEvent")):
            depth -= 1
        elif name == "DocumentStartEvent":
            documents += 1
            if documents > 1:
                line = event.start_mark.line + 1
                raise ConfigError(f"{filename}:{line}: a second document starts here", hint="put it in its own file")


def _check_expansion(root: yaml.Node, filename: str) -> None:
    stack: list[tuple[Any, int]] = [(root, 1)]
    count = 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise LimitError(f"{filename}: more than {MAX_NODES} values once aliases are expanded")
        if depth > MAX_DEPTH + 1:
            raise _too_deep(filename, node)
        if node.id == "sequence":
            stack.extend((child, depth + 1) for child in node.value)
        elif node.id == "mapping":
            stack.extend((child, depth + 1) for pair in node.value for child in pair)


def _too_deep(filename: str, at: Any) -> BundlerError:
    return LimitError(f"{filename}:{at.start_mark.line + 1}: nested more than {MAX_DEPTH} deep")


def _explained(problem: Any, filename: str) -> BundlerError:
    mark = problem.problem_mark or problem.context_mark
    place = f"{filename}:{mark.line + 1}" if mark is not None else filename
    if is_too_deep(problem):
        return LimitError(f"{place}: nested more than {MAX_DEPTH} deep")
    said = ", ".join(str(part) for part in (problem.context, problem.problem) if part)
    return ConfigError(f"{place}: not YAML: {quoted(said)}")


def is_too_deep(problem: Any) -> bool:
    """Whether the parser itself refused a nesting, as newer ones do before the events that are counted here."""
    return "nesting depth" in str(problem.problem or "")
