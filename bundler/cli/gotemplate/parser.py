"""From tokens to the tree, by recursive descent."""

from __future__ import annotations

from typing import NoReturn, cast

from bundler.cli.gotemplate.functions import FUNCTIONS
from bundler.cli.gotemplate.lexer import Token, tokens
from bundler.cli.gotemplate.literals import number, unquoted
from bundler.cli.gotemplate.tree import Block, Call, Constant, Kind, Leave, Node, Operand, Path, Pipeline, Print, Text
from bundler.errors import ConfigError, quoted

MAX_DEPTH = 40
_WORDS = {"true": True, "false": False, "nil": None}
_CLOSERS = ("else", "end")
_END = Token("end", "", 0)


def parse(template: str) -> tuple[Node, ...]:
    """The template's tree. Raises :class:`ConfigError` naming the place of a mistake."""
    parser = _Parser(tokens(template))
    nodes = parser.nodes(0)
    parser.finished()
    return nodes


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens, self._next = found, 0
        self._ranges = 0

    def _peek(self, ahead: int = 0) -> Token:
        place = self._next + ahead
        return self._tokens[place] if place < len(self._tokens) else _END

    def _take(self, kind: str = "", text: str = "") -> Token:
        token = self._peek()
        if (kind and token.kind != kind) or (text and token.text != text):
            self._fail(token, f"expected {text or kind}")
        self._next += 1
        return token

    def _fail(self, token: Token, why: str) -> NoReturn:
        where = f"at {token.at}" if token.at else "at the end"
        said = f", not {quoted(token.text)!r}" if token.text else ""
        raise ConfigError(f"--format: {where}: {why}{said}")

    def finished(self) -> None:
        """Nothing may be left."""
        if self._peek() is not _END:
            self._fail(self._peek(1), "this closes nothing")

    def nodes(self, depth: int) -> tuple[Node, ...]:
        """Everything up to the action that closes this block."""
        if depth > MAX_DEPTH:
            self._fail(self._peek(), f"blocks nested more than {MAX_DEPTH} deep")
        found: list[Node] = []
        while True:
            token = self._peek()
            if token is _END or (token.kind == "open" and self._peek(1).text in _CLOSERS):
                return tuple(found)
            self._next += 1
            found.append(Text(token.text) if token.kind == "text" else self._action(depth))

    def _action(self, depth: int) -> Node:
        word = self._peek()
        if word.kind == "name" and word.text in ("if", "with", "range"):
            self._next += 1
            return self._block(cast("Kind", word.text), depth)
        if word.kind == "name" and word.text in ("break", "continue"):
            if not self._ranges:
                self._fail(word, "this is in no range")
            self._next += 1
            self._take("close")
            return Leave("break" if word.text == "break" else "continue")
        pipeline = self._pipeline(depth)
        self._take("close")
        if isinstance(pipeline.calls[0], Constant) and pipeline.calls[0].value is None:
            self._fail(word, "nil can't be printed")
        return Print(pipeline)

    def _block(self, kind: Kind, depth: int) -> Block:
        pipeline = self._pipeline(depth)
        self._take("close")
        self._ranges += kind == "range"
        body = self.nodes(depth + 1)
        self._ranges -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        self._take("open")
        if self._take("name").text == "else":
            word = self._peek()
            if word.kind == "name" and word.text in ("if", "with"):
                self._next += 1
                return Block(kind, pipeline, body, (self._block(cast("Kind", word.text), depth + 1),))
            self._take("close")
            otherwise = self.nodes(depth + 1)
            self._take("open")
            self._take("name", "end")
        self._take("close")
        return Block(kind, pipeline, body, otherwise)

    def _pipeline(self, depth: int) -> Pipeline:
        sets: tuple[str, ...] = ()
        declares = True
        if self._peek().kind == "variable":
            ahead = 3 if self._peek(1).text == "," and self._peek(2).kind == "variable" else 1
            if self._peek(ahead).text in (":=", "="):
                sets = tuple(self._peek(n).text for n in range(0, ahead, 2))
                declares = self._peek(ahead).text == ":="
                self._next += ahead + 1
        calls = [self._command(depth)]
        while self._peek().text == "|" and self._peek().kind == "mark":
            self._next += 1
            calls.append(self._command(depth))
        return Pipeline(tuple(calls), sets, declares)

    def _command(self, depth: int) -> Operand:
        token = self._peek()
        if token.kind == "name" and token.text not in _WORDS:
            self._next += 1
            if token.text not in FUNCTIONS:
                self._fail(token, "no such function")
            return Call(token.text, self._operands(depth), token.at)
        operand = self._operand(depth)
        if isinstance(operand, Path) and operand.fields:
            return Path(operand.start, operand.fields, operand.at, self._operands(depth))
        return operand

    def _operands(self, depth: int) -> tuple[Operand, ...]:
        found = []
        while self._peek().kind not in ("close", "mark", "end") or self._peek().text == "(":
            found.append(self._operand(depth))
        return tuple(found)

    def _operand(self, depth: int) -> Operand:
        token = self._take()
        if token.kind == "mark" and token.text == "(":
            return self._brackets(token, depth)
        if token.kind == "dot":
            return Path("", (), token.at)
        if token.kind in ("field", "variable"):
            start, *fields = token.text.split(".")
            return Path(start, tuple(fields), token.at)
        if token.kind in ("string", "number", "character"):
            return Constant(self._literal(token))
        if token.kind == "name" and token.text in _WORDS:
            return Constant(_WORDS[token.text])
        if token.kind == "name" and token.text in FUNCTIONS:
            return Call(token.text, (), token.at)
        return self._fail(token, "expected a value")

    def _brackets(self, token: Token, depth: int) -> Operand:
        if depth > MAX_DEPTH:
            self._fail(token, f"brackets nested more than {MAX_DEPTH} deep")
        inner = self._pipeline(depth + 1)
        closing = self._take("mark", ")")
        after = self._peek()
        if after.kind == "field" and after.text.startswith(".") and after.at == closing.end:
            self._next += 1
            return Path(inner, tuple(after.text.split(".")[1:]), after.at)
        return inner

    def _literal(self, token: Token) -> str | int | float:
        try:
            if token.kind == "number":
                return number(token.text)
            text = unquoted(token.text)
            return text if token.kind == "string" else ord(text)
        except (ValueError, TypeError):
            self._fail(token, "not a constant that can be read")
