"""Templates with what Go's text/template prints for them."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.cli.gotemplate import asks_for_json, parse, render, reported
from bundler.cli.gotemplate.printing import go_json
from bundler.cli.gotemplate.times import Time
from bundler.cli.gotemplate.values import NilList, NilMap, NilPointer, Struct, mapped
from bundler.errors import BundlerError, ConfigError, LimitError

LAYER = Struct({"Size": 3, "Annotations": NilMap()}, {"size": 3, "annotations": None})
DOCUMENT = Struct(
    {
        "Name": "",
        "Os": "linux",
        "Count": 3,
        "Layers": ["a", "b"],
        "Data": [LAYER],
        "Labels": mapped({"k": "v", "a": "<b>"}),
        "Created": Time("2020-01-02T03:04:05.5+02:00"),
        "Never": NilPointer(),
        "Env": NilList(),
        "Annotations": NilMap(),
        "Yes": True,
    },
    {"os": "linux", "data": [LAYER]},
    {"Variant": "v7"},
)

PRINTED = {
    "text alone": "text alone",
    "{{.Os}}": "linux",
    "{{ .Os }}": "linux",
    "{{$.Os}}": "linux",
    "{{.Variant}}": "v7",
    "{{.Name}}|": "|",
    "{{.Created}}": "2020-01-02 03:04:05.5 +0200 +0200",
    "{{.Never}}{{.Env}}{{.Annotations}}": "<nil>[]map[]",
    "{{.Labels}}": "map[a:<b> k:v]",
    "{{.Labels.k}} {{.Labels.none}} {{.Annotations.none}}": "v <no value> <no value>",
    '{{index .Labels "k"}}{{index .Labels "none"}}{{index .Layers 1}}': "vb",
    "{{.Data}}": "[{3 map[]}]",
    "{{range .Layers}}<{{.}}>{{end}}": "<a><b>",
    "{{range $i, $l := .Layers}}{{$i}}{{$l}}{{end}}": "0a1b",
    "{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}": "a=<b> k=v ",
    "{{range .Env}}x{{else}}none{{end}}": "none",
    "{{range .Data}}{{.Size}}{{$.Os}}{{end}}": "3linux",
    "{{with .Name}}x{{else}}empty{{end}}": "empty",
    "{{with $x := .Os}}{{$x}}{{.}}{{end}}": "linuxlinux",
    "{{if .Never}}a{{else if .Yes}}b{{else}}c{{end}}": "b",
    "{{if and .Yes (eq .Os `linux`)}}y{{end}}": "y",
    '{{if or .Name "x"}}y{{end}}': "y",
    "{{not .Env}}": "true",
    '{{eq .Os "a" "linux"}}{{ne .Os "a"}}': "truetrue",
    "{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 2 2}}": "truetruefalsetrue",
    "{{len .Layers}}{{len .Os}}{{len .Env}}{{len .Labels}}": "2502",
    '{{len "ä"}}': "2",
    "a {{- .Os -}} b": "alinuxb",
    "a {{/* a comment */}} b": "a  b",
    "a {{- /* trimmed */ -}} b": "ab",
    '{{"\\u00e9" | printf "%s!"}}': "é!",
    "{{print 1 2 .Os 3}}": "1 2linux3",
    "{{println .Os 3}}|": "linux 3\n|",
    '{{printf "%s %d %v %t %%" .Os .Count .Layers .Yes}}': "linux 3 [a b] true %",
    "{{json .Labels}}": '{"a":"<b>","k":"v"}',
    "{{$x := 1}}{{if .Yes}}{{$x = 2}}{{end}}{{$x}}": "2",
    "{{$x := 1}}{{if .Yes}}{{$x := 2}}{{end}}{{$x}}": "1",
    "{{$n := 0}}{{range $i, $l := .Layers}}{{$n = $i}}{{end}}{{$n}}": "1",
    "{{range .Layers}}{{.}}{{break}}{{end}}": "a",
    "{{range .Layers}}{{if eq . `a`}}{{continue}}{{end}}{{.}}{{end}}": "b",
    "{{range 3}}{{.}}{{end}}": "012",
    "{{range $i := 2}}{{$i}}{{end}}": "01",
    "{{and .Env (index .Env 0)}}": "[]",
    "{{or .Os (index .Env 0)}}": "linux",
    "{{(index .Data 0).Size}} {{(.Os)}}": "3 linux",
    "{{with .Labels}}{{.none}}{{end}}": "<no value>",
    "{{.Created.Year}} {{.Created.Format `06`}} {{`2006` | .Created.Format}}": "2020 20 2020",
    "{{.Created.String | len}}": "33",
    "{{index .Os 0}} {{slice .Os 1 3}} {{slice .Layers 1}}": "108 in [b]",
    """{{html "<a&'b'>"}} {{urlquery "a b/"}}""": "&lt;a&amp;&#39;b&#39;&gt; a+b%2F",
    "{{print nil}} {{eq nil nil}} {{eq true true}}": "<nil> true true",
    "{{eq .Never nil}} {{eq .Env nil}} {{eq .Env .Env}} {{eq .Os nil}} {{eq .Layers nil}}": "true true true false false",
    "{{truncate `ä` 2}}{{truncate `ab` 9}}": "äab",
    "{{'a'}} {{0x10}} {{1e3}}": "97 16 1000",
    "{{json .}}": '{"os":"linux","data":[{"size":3,"annotations":null}]}',
    "{{json .Env}}{{json .Never}}{{json .Created}}": 'nullnull"2020-01-02T03:04:05.5+02:00"',
    '{{join .Layers ", "}}|{{join .Env ","}}': "a, b|",
    "{{upper .Os}}{{lower `A`}}{{title `it's one-two`}}": "LINUXaIt'S One-Two",
    '{{split .Os "n"}}': "[li ux]",
    "{{truncate .Os 2}}{{pad .Os 1 2}}|{{pad .Name 3 3}}": "li linux  |",
    "{{$x := 1}}{{if .Yes}}{{$x}}{{end}}": "1",
    "{{true}}{{1.5}}": "true1.5",
}


@pytest.mark.parametrize("template", PRINTED)
def test_what_is_printed(template: str) -> None:
    assert render(parse(template), DOCUMENT) == PRINTED[template]


WRONG: dict[str, tuple[str, type[BundlerError]]] = {
    "a field that is not there": ("{{.Nothing}}", ConfigError),
    "a field of a struct in a list": ("{{range .Data}}{{.Nothing}}{{end}}", ConfigError),
    "a field of a text": ("{{.Os.More}}", ConfigError),
    "an action that is not closed": ("{{.Os", ConfigError),
    "a block that is not closed": ("{{if .Os}}x", ConfigError),
    "an end too many": ("x{{end}}", ConfigError),
    "an else too many": ("{{else}}", ConfigError),
    "no such function": ("{{nonsense .Os}}", ConfigError),
    "no such variable": ("{{$x}}", ConfigError),
    "a pipe into a field": ("{{1 | .Os}}", ConfigError),
    "too few operands": ("{{lt 1}}", ConfigError),
    "different kinds": ('{{lt 1 "a"}}', ConfigError),
    "an index beyond the end": ("{{index .Layers 9}}", ConfigError),
    "a range over a text": ("{{range .Os}}x{{end}}", ConfigError),
    "the length of a number": ("{{len 3}}", ConfigError),
    "join of a text": ('{{join .Os ","}}', ConfigError),
    "a verb that is not known": ('{{printf "%z" .Os}}', ConfigError),
    "texts of a list that are none": ("{{join .Data `,`}}", ConfigError),
    "one text in upper case that is none": ("{{upper .Count}}", ConfigError),
    "a comparison of kinds": ("{{eq .Os 1}}", ConfigError),
    "a comparison of numbers of two kinds": ("{{eq 1 1.0}}", ConfigError),
    "a comparison of a truth with a number": ("{{eq true 1}}", ConfigError),
    "a comparison of lists": ("{{eq .Layers .Layers}}", ConfigError),
    "nothing to compare with": ("{{eq .Os}}", ConfigError),
    "an order of truths": ("{{lt true false}}", ConfigError),
    "the length of a document": ("{{len .}}", ConfigError),
    "nil alone": ("{{nil}}", ConfigError),
    "a break in no range": ("{{break}}", ConfigError),
    "a continue behind the range": ("{{range .Layers}}{{end}}{{continue}}", ConfigError),
    "a variable of a block, behind it": ("{{if .Yes}}{{$x := 1}}{{end}}{{$x}}", ConfigError),
    "another value for no variable": ("{{$x = 1}}", ConfigError),
    "operands of a field": ("{{.Os 1}}", ConfigError),
    "operands of a text": ('{{"a" "b"}}', ConfigError),
    "a method with too few operands": ("{{.Created.Format}}", ConfigError),
    "a method with too many": ("{{.Created.Year 1}}", ConfigError),
    "a method that is not there": ("{{.Created.Nothing}}", ConfigError),
    "a method of no time": ("{{.Never.Year}}", ConfigError),
    "a slice beyond the end": ("{{slice .Os 2 99}}", ConfigError),
    "a slice backwards": ("{{slice .Os 3 1}}", ConfigError),
    "a number beyond Go's": ("{{9999999999999999999}}", ConfigError),
    "two characters in one": ("{{'ab'}}", ConfigError),
    "a range beyond any length": ("{{range 999999999999}}{{end}}", LimitError),
    "ranges in ranges": ("{{range 9999}}{{range 9999}}{{end}}{{end}}", LimitError),
    "a text that doubles": ("{{$x := `x`}}{{range 99}}{{$x = print $x $x}}{{end}}", LimitError),
    "a text joined by itself": (
        "{{$x := `x`}}{{range 20}}{{$x = print $x $x}}{{end}}{{join (split $x ``) $x}}",
        LimitError,
    ),
    "a string that does not end": ('{{"x}}', ConfigError),
    "a width to fill the memory": ('{{printf "%999999999d" 1}}', ConfigError),
    "blocks beyond any depth": ("{{if 1}}" * 500 + "{{end}}" * 500, ConfigError),
    "brackets beyond any depth": ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", ConfigError),
    "a template beyond any length": ("x" * 100_000, ConfigError),
    "an action without anything": ("{{}}", ConfigError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    template, error = WRONG[case]
    with pytest.raises(error, match="--format"):
        render(parse(template), DOCUMENT)


def test_text_that_grows_without_end_is_stopped() -> None:
    document = {"L": ["x" * 1000] * 1000}
    doubling = "{{range .L}}" * 2 + "{{$.L}}" + "{{end}}" * 2
    with pytest.raises((LimitError, ConfigError)):
        render(parse(doubling), document)


REPORTED: dict[str, tuple[str, str]] = {
    "a newline at the end": ("{{.Os}}", "linux\n"),
    "one that is there already": ("{{.Os}}\n", "linux\n"),
    "escapes written out": (r"{{.Os}}\t{{.Count}}\nx", "linux\t3\nx\n"),
    "an escape in a string": (r'{{printf "a\n"}}', "a\n"),
    "a range over the documents": ("{{range .}}{{.Os}}{{end}}", "linux\n"),
    "a table": ("table {{.Os}} {{.Count}}", "linux       3\n"),
    "a wide table": (r"table {{join .Layers `-`}}{{.Os}}-{{.Os}}\t{{.Count}}", "a-blinux-linux  3\n"),
}


@pytest.mark.parametrize("case", REPORTED)
def test_what_is_reported(case: str) -> None:
    template, printed = REPORTED[case]
    assert reported(template, DOCUMENT) == printed


@pytest.mark.parametrize(
    ("template", "answer"), [("json", True), ("{{json}}", True), (" {{ json. }} ", True), ("{{json .}}", False)]
)
def test_json_of_the_whole(template: str, answer: bool) -> None:
    assert asks_for_json(template) is answer


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("<a&b>", '"\\u003ca\\u0026b\\u003e"'),
        ("ä€", '"ä€"'),
        ("\u2028", '"\\u2028"'),
        ([], "[]"),
        ({}, "{}"),
        (NilMap(), "null"),
    ],
)
def test_json(value: Any, printed: str) -> None:
    assert go_json(value) == printed
