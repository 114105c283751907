"""From text to tokens: what is printed as it is, and what stands between the double braces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bundler.errors import ConfigError, quoted

MAX_TEMPLATE = 64 << 10
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<field>(?:\$\w*)?(?:\.[^\W\d]\w*)+)
    |(?P<variable>\$\w*)
    |(?P<number>[+-]?(?:0[xX][\da-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))
    |(?P<dot>\.)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<character>'(?:[^'\\\n]|\\[^\n]+?)')
    |(?P<name>[^\W\d]\w*)
    |(?P<mark>:=|=|\||\(|\)|,)""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"\s*/\*.*?\*/\s*(-)?\}\}", re.DOTALL)
_CLOSING = re.compile(r"(?:\s+(-))?\s*\}\}")


@dataclass(frozen=True, slots=True)
class Token:
    """``kind`` is text, open, close, or that of a word; ``at`` the place in the template, counted from 1."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        """The place after it."""
        return self.at + len(self.text)


def tokens(template: str) -> list[Token]:
    """All tokens. Raises :class:`ConfigError` naming the place of what can't be one."""
    if len(template) > MAX_TEMPLATE:
        raise ConfigError(f"--format: longer than {MAX_TEMPLATE} characters")
    return list(_tokens(template))


def _tokens(template: str) -> Iterator[Token]:
    position, trim = 0, False
    while position < len(template):
        start = template.find("{{", position)
        end = len(template) if start < 0 else start
        text = template[position:end]
        cut = start >= 0 and re.match(r"-\s", template[start + 2 : start + 4]) is not None
        text = text.lstrip() if trim else text
        text = text.rstrip() if cut else text
        if text:
            yield Token("text", text, position + 1)
        if start < 0:
            return
        position = start + (3 if cut else 2)
        comment = _COMMENT.match(template, position)
        if comment is not None:
            position, trim = comment.end(), comment[1] is not None
            continue
        yield Token("open", "{{", start + 1)
        while True:
            closing = _CLOSING.match(template, position)
            if closing is not None:
                yield Token("close", "}}", position + 1)
                position, trim = closing.end(), closing[1] is not None
                break
            found = _TOKEN.match(template, position)
            if found is None:
                rest = quoted(template[position : position + 20])
                why = f"unexpected {rest!r}" if rest else "the action is not closed"
                raise ConfigError(f"--format: at {position + 1}: {why}")
            assert found.lastgroup is not None
            if found.lastgroup != "space":
                yield Token(found.lastgroup, found[0], position + 1)
            position = found.end()
