"""Variables as Compose writes them, and the ``.env`` file that gives them values.

    $VAR ${VAR}           the value          ${VAR:-text} ${VAR-text}   or text, if empty or unset | unset
    $$                    a dollar sign      ${VAR:+text} ${VAR+text}   text, if set and not empty | set
    ${VAR:?text} ${VAR?text}                 an error, if empty or unset | unset

Follows the Compose specification, "Interpolation"; the texts may hold variables themselves. Where Compose would put an
empty text and warn, the variable counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bundler.errors import ConfigError, quoted
from bundler.selection.scan.finding import Filled

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODIFIER = re.compile(r":?[-+?]")
_MAX_DEPTH = 20
_MAX_LENGTH = 4096
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]\s*(.*?)\s*")


def interpolate(text: str, values: Mapping[str, str]) -> Filled:
    """``text`` with its variables replaced; raises :class:`ConfigError` where Compose would refuse it."""
    if len(text) > _MAX_LENGTH:
        raise ConfigError(f"a text of {len(text)} characters is no image name")
    return _Reader(text, values).read()


class _Reader:
    def __init__(self, text: str, values: Mapping[str, str]) -> None:
        self._text, self._values = text, values
        self._missing: list[str] = []
        self._used: list[str] = []

    def read(self) -> Filled:
        text = self._expand(self._text, 0)
        return Filled(text, tuple(self._missing), tuple(self._used))

    def _expand(self, text: str, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise ConfigError(f"variables nested more than {_MAX_DEPTH} deep")
        parts, at = [], 0
        while (dollar := text.find("$", at)) >= 0:
            parts.append(text[at:dollar])
            following = text[dollar + 1 : dollar + 2]
            if following == "$":
                parts.append("$")
                at = dollar + 2
            elif following == "{":
                end = _closing(text, dollar + 2)
                parts.append(self._braced(text[dollar + 2 : end], depth))
                at = end + 1
            elif match := _NAME.match(text, dollar + 1):
                parts.append(self._value(match[0]))
                at = match.end()
            else:
                raise ConfigError(f"{quoted(text)!r}: a $ that starts no variable; $$ is a dollar sign")
        return "".join([*parts, text[at:]])

    def _value(self, name: str) -> str:
        if name not in self._values:
            self._missing.append(name)
            return ""
        self._used.append(name)
        return self._values[name]

    def _braced(self, inner: str, depth: int) -> str:
        name = _NAME.match(inner)
        if name is None:
            raise ConfigError(f"{quoted('${' + inner + '}')!r} is no variable")
        rest = inner[name.end() :]
        if not rest:
            return self._value(name[0])
        modifier = _MODIFIER.match(rest)
        if modifier is None:
            raise ConfigError(f"{quoted('${' + inner + '}')!r} is no variable")
        text = rest[modifier.end() :]
        is_set = name[0] in self._values and (":" not in modifier[0] or self._values[name[0]] != "")
        if modifier[0].endswith("+"):
            return self._expand(text, depth + 1) if is_set else ""
        if is_set or modifier[0].endswith("?"):
            if not is_set:
                self._missing.append(name[0])
                return ""
            return self._value(name[0])
        return self._expand(text, depth + 1)


def _closing(text: str, start: int) -> int:
    """Where the brace that was opened before ``start`` closes."""
    depth, at = 1, start
    while at < len(text):
        if text.startswith("${", at):
            depth, at = depth + 1, at + 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise ConfigError(f"{quoted(text)!r}: a brace that does not close")


def read_env(text: str) -> dict[str, str]:
    """The variables of an ``.env`` file; lines that set none are passed over, as are values that need unknown ones."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, value = match[1], match[2]
        if value[:1] in ("'", '"') and (end := value.find(value[0], 1)) > 0:
            literal = value[0] == "'"
            value = value[1:end]
        else:
            literal = False
            value = re.split(r"(?:^|\s)#", value)[0].rstrip()
        if not literal:
            try:
                filled = interpolate(value, values)
            except ConfigError:
                continue
            if filled.missing:
                continue
            value = filled.text
        values[name] = value
    return values
