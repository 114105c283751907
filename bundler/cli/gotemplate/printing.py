"""How values look when Go prints them: ``%v``, the verbs of ``printf``, and its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bundler.cli.gotemplate.literals import quoted_as_go
from bundler.cli.gotemplate.times import Time
from bundler.cli.gotemplate.values import NilPointer, Struct, as_json
from bundler.errors import ConfigError, quoted

MAX_WIDTH = 1000
_DIRECTIVE = re.compile(r"%([-+0 ]*)(\d{1,9})?(?:\.(\d{0,9}))?(.?)", re.DOTALL)
_KNOWN = "vsqdtxXobcUfFe%"
_INTEGERS = {"v": "d", "d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}


def shown(value: Any) -> str:
    """A value as Go's ``%v`` prints it; what a template finds nowhere is ``<no value>``."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Time):
        return value.shown()
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, NilPointer):
        return "<nil>"
    if isinstance(value, Struct):
        return f"{{{' '.join(map(shown, value.fields.values()))}}}"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{shown(value[key])}' for key in sorted(value))}]"
    if isinstance(value, Sequence):
        return f"[{' '.join(map(shown, value))}]"
    return str(value)


def _float(value: float) -> str:
    if value and not 1e-4 <= abs(value) < 1e21:
        return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", repr(value).replace(".0e", "e"))
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def printed(*values: Any) -> str:
    """With a space between two neighbours of which neither is a string."""
    made = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            made += " "
        made += argument(value)
    return made


def argument(value: Any) -> str:
    """As :func:`shown`, where nil was given itself."""
    return "<nil>" if value is None else shown(value)


def printf(form: Any, *values: Any) -> str:
    """As Go's ``fmt.Sprintf``. Raises :class:`ConfigError` for a verb that is not known here."""
    rest = list(values)

    def filled(found: re.Match[str]) -> str:
        flags, width, digits, verb = found[1], int(found[2] or 0), found[3], found[4]
        if not verb:
            return "%!(NOVERB)"
        if verb not in _KNOWN or max(width, int(digits or 0)) > MAX_WIDTH:
            raise ConfigError(f"--format: printf: {quoted(found[0])} is not known here")
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        return _all(rest.pop(0), flags, width, None if digits is None else int(digits or 0), verb)

    if not isinstance(form, str):
        raise ConfigError("--format: printf: its first operand must be a text")
    text = _DIRECTIVE.sub(filled, form)
    return text + (f"%!(EXTRA {', '.join(f'{_kind(each)}={argument(each)}' for each in rest)})" if rest else "")


def _all(value: Any, flags: str, width: int, digits: int | None, verb: str) -> str:
    """The verb holds for each member of a list or map."""
    if isinstance(value, Struct):
        return f"{{{' '.join(_all(each, flags, width, digits, verb) for each in value.fields.values())}}}"
    if isinstance(value, Mapping):
        pairs = (
            ":".join(_all(part, flags, width, digits, verb) for part in (key, value[key])) for key in sorted(value)
        )
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(_all(each, flags, width, digits, verb) for each in value)}]"
    text = _one(value, flags, digits, verb)
    if text is None:
        told = argument(value)
        return f"%!{verb}({told})" if value is None else f"%!{verb}({_kind(value)}={told})"
    if "-" in flags:
        return text.ljust(width)
    return (
        (text.zfill(width) if isinstance(value, int | float) else text.rjust(width, "0"))
        if "0" in flags
        else text.rjust(width)
    )


def _one(value: Any, flags: str, digits: int | None, verb: str) -> str | None:
    """None where the verb does not fit the value."""
    if isinstance(value, bool):
        return shown(value) if verb in "vt" else None
    if isinstance(value, int):
        return _integer(value, flags, verb)
    if isinstance(value, float):
        if verb not in "vfFe":
            return None
        return _float(value) if verb == "v" else f"{value:.{6 if digits is None else digits}{verb}}"
    if value is None or isinstance(value, NilPointer):
        return "<nil>" if verb == "v" else None
    text = shown(value)
    if verb in "xX":
        return text.encode().hex() if verb == "x" else text.encode().hex().upper()
    text = text if digits is None else text[:digits]
    return quoted_as_go(text) if verb == "q" else text if verb in "vs" else None


def _integer(value: int, flags: str, verb: str) -> str | None:
    if verb in ("c", "q", "U"):
        if not 0 <= value < 0xD800:
            return "\ufffd" if verb != "U" else f"U+{value & (1 << 64) - 1:04X}"
        return {"c": chr(value), "q": f"'{quoted_as_go(chr(value))[1:-1]}'", "U": f"U+{value:04X}"}[verb]
    if verb not in _INTEGERS:
        return None
    sign = "+" if "+" in flags else " " if " " in flags else ""
    return f"{value:{sign}{_INTEGERS[verb]}}"


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {bool: "bool", int: "int", float: "float64", NilPointer: "*time.Time"}
    return kinds.get(type(value), "string" if value is not None else "<nil>")


def go_json(value: Any, indent: int | None = None) -> str:
    """JSON as Go's encoder writes it, with what HTML would take for its own escaped."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(as_json(value), default=as_json, ensure_ascii=False, indent=indent, separators=separators)
    return "".join(c if (c.isprintable() and c not in "<>&") or c == "\n" else _escaped(c) for c in text)


def plain_json(value: Any) -> str:
    """As the function of templates writes it: nothing escaped that JSON does not need escaped."""
    text = json.dumps(as_json(value), default=as_json, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _escaped(character: str) -> str:
    """As JSON escapes it: with what a terminal could act on, too."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
