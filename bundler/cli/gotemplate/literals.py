r"""Constants as Go writes them: ``"\x41\n"``, ```raw```, ``'a'``, ``0x10``, ``1_000``, ``1.5e3``.

unquoted(r'"a\tb"') == "a\tb"
quoted_as_go("a\tb") == r'"a\tb"'
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\\(?:(?P<mark>[abfnrtv\\'\"])|(?P<octal>[0-7]{3})"
    r"|(?:x(?P<x>[\da-fA-F]{2})|u(?P<u>[\da-fA-F]{4})|U(?P<U>[\da-fA-F]{8}))|(?P<wrong>.?))",
    re.DOTALL,
)
_MARKS = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
_WRITTEN = {character: f"\\{mark}" for mark, character in _MARKS.items() if mark != "'"}
MAX_INT = (1 << 63) - 1


def unquoted(text: str) -> str:
    """What a quoted string means. Raises :class:`ValueError` for an escape that Go does not know."""
    return text[1:-1] if text[0] == "`" else _ESCAPE.sub(_meant, text[1:-1])


def _meant(found: re.Match[str]) -> str:
    if found["mark"]:
        return _MARKS[found["mark"]]
    if found["wrong"] is not None:
        raise ValueError
    code = int(found["octal"], 8) if found["octal"] else int(found["x"] or found["u"] or found["U"], 16)
    if 0xD800 <= code < 0xE000:
        raise ValueError
    return chr(code)


def number(text: str) -> int | float:
    """What a number means: whole if it can be. Raises :class:`ValueError` beyond what Go holds."""
    digits = text.lstrip("+-").replace("_", "")
    value: int | float
    if digits[:1] == "0" and digits.isdigit():
        value = int(digits, 8)
    elif re.fullmatch(r"[\d.]+(?:[eE][+-]?\d+)?", digits) and not digits.isdigit():
        value = float(digits)
        if value == float("inf"):
            raise ValueError
        value = int(value) if value.is_integer() and value <= MAX_INT and "." not in digits else value
    else:
        value = int(digits, 0)
    if isinstance(value, int) and value > MAX_INT:
        raise ValueError
    return -value if text[0] == "-" else value


def quoted_as_go(text: str) -> str:
    """A string as ``%q`` writes it."""
    return f'"{"".join(_WRITTEN.get(c) or (c if c.isprintable() else _escaped(c)) for c in text)}"'


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
