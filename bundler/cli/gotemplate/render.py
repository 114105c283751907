"""From the tree and a document to text."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bundler.cli.gotemplate.functions import call, check_size, truth
from bundler.cli.gotemplate.printing import shown
from bundler.cli.gotemplate.times import METHODS, Time
from bundler.cli.gotemplate.tree import Block, Call, Constant, Leave, Node, Operand, Path, Pipeline, Print, Text
from bundler.cli.gotemplate.values import Struct
from bundler.errors import ConfigError, LimitError, quoted

MAX_STEPS = 1_000_000
_ABSENT = object()
Variables = ChainMap[str, Any]


def render(nodes: Iterable[Node], document: Any) -> str:
    """The text.

    Raises :class:`ConfigError` for a field that is not there, and :class:`LimitError` beyond 16 MiB or a million steps.
    """
    rendering = _Rendering()
    rendering.nodes(nodes, document, ChainMap({"$": document}))
    return "".join(rendering.parts)


class _Rendering:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._length = 0
        self._steps = 0

    def _put(self, text: str) -> None:
        self._length += len(text)
        check_size(self._length)
        self.parts.append(text)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise LimitError(f"--format: takes more than {MAX_STEPS} steps")

    def nodes(self, nodes: Iterable[Node], dot: Any, variables: Variables) -> str:
        """Render; ``break`` or ``continue`` if the range around is to be left, else empty."""
        for node in nodes:
            self._step()
            if isinstance(node, Text):
                self._put(node.text)
            elif isinstance(node, Print):
                value = self._value(node.pipeline, dot, variables)
                if not node.pipeline.sets:
                    self._put(shown(value))
            elif isinstance(node, Leave):
                return node.word
            else:
                word = self._block(node, dot, variables.new_child())
                if word:
                    return word
        return ""

    def _block(self, node: Block, dot: Any, variables: Variables) -> str:
        value = self._value(node.pipeline, dot, variables, assign=node.kind != "range")
        if not truth(value):
            return self.nodes(node.otherwise, dot, variables)
        if node.kind != "range":
            return self.nodes(node.body, value if node.kind == "with" else dot, variables)
        names = node.pipeline.sets
        for key, each in _items(value):
            self._step()
            inner = variables.new_child()
            _assign(node.pipeline, (key, each) if len(names) == 2 else (each,), inner)
            if self.nodes(node.body, each, inner) == "break":
                break
        return ""

    def _value(self, pipeline: Pipeline, dot: Any, variables: Variables, *, assign: bool = True) -> Any:
        value: Any = _ABSENT
        for each in pipeline.calls:
            value = self._operand(each, dot, variables, value)
        if assign:
            _assign(pipeline, (value,), variables)
        return value

    def _operand(self, operand: Operand, dot: Any, variables: Variables, piped: Any = _ABSENT) -> Any:
        self._step()
        if isinstance(operand, Call):
            return self._call(operand, dot, variables, piped)
        if isinstance(operand, Path):
            return self._path(operand, dot, variables, piped)
        if piped is not _ABSENT:
            raise ConfigError("--format: only a function can take what is piped to it")
        return operand.value if isinstance(operand, Constant) else self._value(operand, dot, variables)

    def _call(self, operand: Call, dot: Any, variables: Variables, piped: Any) -> Any:
        values = []
        for each in operand.operands:
            value = self._operand(each, dot, variables)
            if operand.name in ("and", "or") and truth(value) is (operand.name == "or"):
                return value
            values.append(value)
        if piped is not _ABSENT:
            values.append(piped)
        try:
            return call(operand.name, values)
        except ConfigError as problem:
            said = str(problem).removeprefix("--format: ")
            raise ConfigError(f"--format: at {operand.at}: {said}") from None

    def _path(self, path: Path, dot: Any, variables: Variables, piped: Any) -> Any:
        if isinstance(path.start, Pipeline):
            value = self._value(path.start, dot, variables)
        elif path.start and path.start not in variables:
            raise ConfigError(f"--format: at {path.at}: there is no variable {path.start}")
        else:
            value = variables[path.start] if path.start else dot
        operands = [self._operand(each, dot, variables) for each in path.operands]
        operands += [] if piped is _ABSENT else [piped]
        for number, name in enumerate(path.fields, 1):
            if isinstance(value, Time) and name in METHODS:
                given = operands if number == len(path.fields) else []
                operands = operands[len(given) :]
                value = _method(value, name, given, path.at)
            else:
                value = _field(value, name, path.at)
        if operands:
            raise ConfigError(f"--format: at {path.at}: only functions and methods take operands")
        return value


def _assign(pipeline: Pipeline, values: Sequence[Any], variables: Variables) -> None:
    for name, value in zip(pipeline.sets, values, strict=False):
        if pipeline.declares:
            variables.maps[0][name] = value
            continue
        holder = next((scope for scope in variables.maps if name in scope), None)
        if holder is None:
            raise ConfigError(f"--format: there is no variable {name}")
        holder[name] = value


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping) and not isinstance(value, Struct):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return enumerate(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return enumerate(range(value))
    raise ConfigError(f"--format: range can't go over {quoted(shown(value), 40)}")


def _method(value: Time, name: str, operands: Sequence[Any], at: int) -> Any:
    try:
        made = METHODS[name](value, *operands)
    except TypeError:
        raise ConfigError(f"--format: at {at}: {name} can't be used like this") from None
    return made


def _field(value: Any, name: str, at: int) -> Any:
    if not isinstance(value, Mapping):
        raise ConfigError(f"--format: at {at}: {quoted(shown(value), 40)} has no field {name}")
    if isinstance(value, Struct) and name not in value:
        known = ", ".join(map(str, value))
        raise ConfigError(f"--format: at {at}: there is no field {name}", hint=f"there are {quoted(known)}")
    return value.get(name)
