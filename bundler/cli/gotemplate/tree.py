"""What a template means: a tree of frozen nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["if", "with", "range"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, a number, true, false or nil."""

    value: Any


@dataclass(frozen=True, slots=True)
class Path:
    """Fields of the dot (``start`` empty), of a variable (``$``, ``$x``) or of what stands in brackets.

    ``operands`` are for a method, which only the last field may be.
    """

    start: str | Pipeline
    fields: tuple[str, ...]
    at: int
    operands: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its operands."""

    name: str
    operands: tuple[Operand, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Calls, each given the result of the one before as its last operand.

    ``sets`` are variables that take the result: new ones if it ``declares`` them.
    """

    calls: tuple[Operand, ...]
    sets: tuple[str, ...] = ()
    declares: bool = True


Operand = Constant | Path | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Printed as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Print:
    """A pipeline whose result is printed, unless a variable takes it."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Leave:
    """``break`` or ``continue``."""

    word: Literal["break", "continue"]


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range`` with its two bodies."""

    kind: Kind
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node = Text | Print | Leave | Block
