"""YAML values that know where they stand."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.selection.yaml_load import load_yaml
from bundler.selection.yaml_tree import suggestion


def load(text):
    return load_yaml(text.encode(), "f.yaml")


@pytest.mark.parametrize(
    "scalar",
    [
        "1.10",
        "1e3",
        "0x1F",
        "010",
        "yes",
        "no",
        "true",
        "2024-01-01",
        "12:30:45",
        "1_000",
        ".inf",
        ".nan",
        "=",
        "<<",
        "-1",
    ],
)
def test_text_stays_what_was_written(scalar):
    assert load(f"[{scalar}]").items()[0].text() == scalar
    assert load(f"{{ {scalar}x: a}}").entries().keys() == {f"{scalar}x"}


@pytest.mark.parametrize("scalar", ["", "~", "null", "Null"])
def test_nothing_is_no_text(scalar):
    value = load(f"a:\n  b: {scalar}\n").entries()["a"].entries()["b"]
    assert value.kind == "nothing"
    with pytest.raises(ConfigError, match=r"^f.yaml:2: a.b: must be text, not nothing$"):
        value.text()
    assert load('["~"]').items()[0].text() == "~"


def test_values_know_their_line_and_path():
    top = load("images:\n  - x\n  - tags:\n    - one\n    - 1.10\nregistries: {quay.io: {a: b}}\n")
    assert (top.where, top.what) == ("f.yaml:1", "f.yaml:1")
    tag = top.entries()["images"].items()[1].entries()["tags"].items()[1]
    assert tag.what == "f.yaml:5: images[1].tags[1]"
    assert tag.where == "f.yaml:5"
    assert top.entries()["registries"].entries()["quay.io"].entries()["a"].path == 'registries["quay.io"].a'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: 1\nb: 2\na: 3\n", r"^f.yaml:3: key 'a' appears twice$"),
        ("x:\n  key: 1\n  Key: 3\n", r"^f.yaml:3: x: key 'Key' appears also as 'key'$"),
        ("x:\n  straße: 1\n  STRASSE: 3\n", r"key 'STRASSE' appears also as 'straße'"),
        ("? [a]\n: 1\n", r"^f.yaml:1: a key must be text, not a list$"),
        ("~: 1\n", r"^f.yaml:1: a key must be text, not nothing$"),
        ("[a]", r"^f.yaml:1: must be a mapping \(key: value\), not a list$"),
        ("text", r"must be a mapping \(key: value\), not text$"),
    ],
)
def test_mappings_with_a_defect(text, match):
    with pytest.raises(ConfigError, match=match):
        value = load(text)
        value.entries()
        for child in value.entries().values():
            child.entries() if child.kind == "mapping" else None


def test_unknown_keys_get_a_suggestion():
    with pytest.raises(ConfigError, match=r"^f.yaml:2: \[0\]: 'platfroms' is not a known key$") as caught:
        load("- image: x\n  platfroms: []").items()[0].fields(["image", "platforms"])
    assert caught.value.hint == "did you mean `platforms`?"
    with pytest.raises(ConfigError, match=r"^f.yaml:1: 'x' is not a known key$"):
        load("x: 1").fields(["image"])


def test_suggestion():
    assert suggestion("platfroms", ["image", "platforms"]) == "did you mean `platforms`?"
    assert suggestion("APIVERSION", ["apiVersion"]) == "did you mean `apiVersion`?"
    assert suggestion("zzz", ["image", "tags"]) == "known here: image, tags"


@pytest.mark.parametrize(("text", "truth"), [("true", True), ("True", True), ("false", False), ("FALSE", False)])
def test_booleans(text, truth):
    assert load(f"[{text}]").items()[0].boolean() is truth


@pytest.mark.parametrize("text", ["yes", "1", '"true"', "on", "t"])
def test_what_is_no_boolean(text):
    with pytest.raises(ConfigError, match=r"\[0\]: must be true or false, not "):
        load(f"[{text}]").items()[0].boolean()


@pytest.mark.parametrize(
    ("text", "truth"), [("yes", True), ("On", True), ("no", False), ("off", False), ("true", True)]
)
def test_loose_booleans(text, truth):
    assert load(f"[{text}]").items()[0].boolean(loose=True) is truth


def test_whole_numbers():
    assert load("[1, 999999999]").items()[1].whole(least=1) == 999_999_999
    for bad in ("0", "-1", "1.0", "010", '"3"', "1e3", "0x10", "9999999999", "three"):
        with pytest.raises(ConfigError, match="must be a whole number from 1 up"):
            load(f"[{bad}]").items()[0].whole(least=1)


def test_lists():
    with pytest.raises(ConfigError, match=r"a: must be a list, not text") as caught:
        load("a: b").entries()["a"].items(hint="write [b]")
    assert caught.value.hint == "write [b]"


def test_choices():
    with pytest.raises(ConfigError, match="'sprase' is not a choice here") as caught:
        load("[sprase]").items()[0].choice(("keep", "sparse"))
    assert caught.value.hint == "did you mean `sparse`?"


@pytest.mark.parametrize("text", ["!!binary aGk=", "!mine x", "!!python/name:os.system x", "!!set x"])
def test_foreign_tags(text):
    with pytest.raises(ConfigError, match="has the YAML tag"):
        load(f"[{text}]").items()[0].text()


def test_merge_keys():
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 9, z: 3}\nall:\n  <<: [*b, *m]\n  x: own\none:\n  <<: *b\n"
    top = load(text).entries()
    assert {key: value.text() for key, value in top["all"].entries().items()} == {"x": "own", "y": "2", "z": "3"}
    assert top["one"].entries().keys() == {"x", "y"}
    assert top["one"].entries()["x"].path == "one.x"


def test_aliases():
    top = load("a: &x [1.10]\nb: *x\n").entries()
    assert top["b"].items()[0].text() == "1.10"


def test_outside_text_is_escaped():
    with pytest.raises(ConfigError) as caught:
        load('{"a\\e[31m": 1}').fields(["b"])
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[31m" in str(caught.value)
