"""What Go's ``fmt`` prints for values and verbs."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.cli.gotemplate.printing import go_json, plain_json, printed, printf, shown
from bundler.cli.gotemplate.times import Time
from bundler.cli.gotemplate.values import NilList, NilMap, NilPointer, Struct
from bundler.errors import ConfigError

PAIR = Struct({"Size": 3, "Name": "n"}, {"size": 3})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "<no value>"), (True, "true"), (3, "3"), ("a", "a"), (["a", 1], "[a 1]"), ({"b": 1, "a": "x"}, "map[a:x b:1]"),
        (NilList(), "[]"), (NilMap(), "map[]"), (NilPointer(), "<nil>"), (PAIR, "{3 n}"), (1.0, "1"), (1.5, "1.5"),
        (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-5, "1e-05"), (0.0, "0"),
        (Time("1970-01-01T00:00:00Z"), "1970-01-01 00:00:00 +0000 UTC"),
    ],
)  # fmt: skip
def test_shown(value: Any, said: str) -> None:
    assert shown(value) == said


FORMATTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "texts": (("%s|%-3s|%3s|%.1s|%q", "a", "b", "c", "de", '"'), 'a|b  |  c|d|"\\""'),
    "texts in hexadecimal": (("%x %X", "hi", "hj"), "6869 686A"),
    "numbers": (("%d|%3d|%-3d|%03d|%+d|% d|%x|%X|%o|%b", 1, 2, 3, -4, 5, 6, 255, 255, 8, 5), "1|  2|3  |-04|+5| 6|ff|FF|10|101"),
    "characters": (("%c %q %U", 65, 39, 8364), r"A ''' U+20AC"),
    "fractions": (("%f %.2f %6.1f %e %v", 1.5, 1.5, 1.5, 1.5, 1.5), "1.500000 1.50    1.5 1.500000e+00 1.5"),
    "truths": (("%t %v %6t", True, False, True), "true false   true"),
    "lists, by their members": (("%q %d %2d", ["a"], [1, 2], [3]), '["a"] [1 2] [ 3]'),
    "maps, by their members": (("%q %v", {"b": "c", "a": "d"}, PAIR), 'map["a":"d" "b":"c"] {3 n}'),
    "nil": (("%v %s %d %v", None, None, None, NilPointer()), "<nil> %!s(<nil>) %!d(<nil>) <nil>"),
    "kinds that do not fit": (("%s %d %t %q %x", 1, "x", 1, True, 1.5), "%!s(int=1) %!d(string=x) %!t(int=1) %!q(bool=true) %!x(float64=1.5)"),
    "too few": (("%s %s", "a"), "a %!s(MISSING)"),
    "too many": (("a", 1, "b", None), "a%!(EXTRA int=1, string=b, <nil>=<nil>)"),
    "no verb": (("%d%%%", 1), "1%%!(NOVERB)"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMATTED)
def test_printf(case: str) -> None:
    given, said = FORMATTED[case]
    assert printf(*given) == said


@pytest.mark.parametrize("form", ["%z", "%T", "%*d", "%9999d", "%.9999f", 3])
def test_what_printf_does_not_know(form: Any) -> None:
    with pytest.raises(ConfigError, match="printf"):
        printf(form, 1)


def test_print_puts_spaces_between_what_is_no_text() -> None:
    assert printed(1, 2, "a", 3, None, "b") == "1 2a3 <nil>b"


def test_json_for_programs_and_for_people() -> None:
    text = "<a>\u2028\x7f\u200b"
    assert plain_json(text) == '"<a>\\u2028\x7f\u200b"'
    assert go_json(text) == '"\\u003ca\\u003e\\u2028\\u007f\\u200b"'
    assert go_json({"a": [], "b": {}}, 4) == '{\n    "a": [],\n    "b": {}\n}'
