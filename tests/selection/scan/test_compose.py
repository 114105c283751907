"""Compose files, and variables by Compose's rules."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.selection.scan import gather, scan_text
from bundler.selection.scan.interpolation import interpolate, read_env

VALUES = {"SET": "v", "EMPTY": ""}


def scanned(text: str, name: str = "compose.yaml", **variables: str):
    return gather(scan_text(text.encode(), name, variables=variables))


@pytest.mark.parametrize(
    ("text", "result", "missing"),
    [
        ("plain", "plain", ()),
        ("a$SET.b", "av.b", ()),
        ("${SET}", "v", ()),
        ("$$SET", "$SET", ()),
        ("${NONE}", "", ("NONE",)),
        ("$NONE", "", ("NONE",)),
        ("${EMPTY}", "", ()),
        ("${NONE-d}", "d", ()),
        ("${EMPTY-d}", "", ()),
        ("${EMPTY:-d}", "d", ()),
        ("${SET:-d}", "v", ()),
        ("${NONE:-${SET}x}", "vx", ()),
        ("${NONE:-${OTHER}}", "", ("OTHER",)),
        ("${NONE:-a}b${SET}", "abv", ()),
        ("${NONE:?say}", "", ("NONE",)),
        ("${EMPTY:?say}", "", ("EMPTY",)),
        ("${EMPTY?say}", "", ()),
        ("${SET:+x}", "x", ()),
        ("${EMPTY:+x}", "", ()),
        ("${EMPTY+x}", "x", ()),
        ("${NONE+x}", "", ()),
        ("${NONE:-reg:5000/a}", "reg:5000/a", ()),
    ],
)
def test_interpolation(text: str, result: str, missing: tuple[str, ...]) -> None:
    filled = interpolate(text, VALUES)
    assert (filled.text, filled.missing) == (result, missing)


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "$", "$-", "${A!b}", "${1A}", "${A:-" * 30 + "}" * 30, "x" * 5000]
)
def test_what_compose_refuses(text: str) -> None:
    with pytest.raises(ConfigError):
        interpolate(text, {})


def test_an_env_file() -> None:
    assert read_env(
        "# c\nA=1\nexport B = two words # c\nC='$A'\nD=\"${A}x\"\nE=${NONE}\nnothing\nF=\nG: colon\nH=$\nI=a#b\r\n"
    ) == {"A": "1", "B": "two words", "C": "$A", "D": "1x", "F": "", "G": "colon", "I": "a#b"}


def test_services_of_all_sorts() -> None:
    found = scanned(
        "x-image: &i acme/anchor:1\nservices:\n  a: {image: 'acme/a:${TAG}'}\n  b: {image: 'acme/b:${NONE}'}\n"
        "  c: {build: .}\n  d: {build: ., image: acme/d:1}\n  e: {image: *i}\n  f: {command: x}\n"
        "  g: {extends: {service: a}}\n  h: {extends: {service: a, file: other/base.yaml}}\n  i: {provider: {type: x}}\n"
        "  j: {image: acme/j:1, volumes: [{type: image, source: acme/v:1}]}\n  k: {image: !reset null}\n",
        TAG="4",
    )
    assert found.names() == [
        f"docker.io/acme/{each}:{tag}" for each, tag in (("a", 4), ("anchor", 1), ("j", 1), ("v", 1))
    ]
    assert set(found.names(uncertain=True)) - set(found.names()) == {"docker.io/acme/d:1"}
    gaps = {gap.where.rpartition(": ")[2]: gap.reason for gap in found.undecided}
    assert gaps.keys() == {"services.b.image", "services.c.build", "services.f", "services.h.extends", "services.k"}
    assert "needs the variables NONE" in gaps["services.b.image"]
    assert "other/base.yaml" in gaps["services.h.extends"]


def test_the_rest_of_a_service_in_another_file() -> None:
    whole = "services: {a: {image: acme/a:1}}\n"
    rest = "include: [parts/b.yaml]\nservices: {a: {environment: {X: y}}}\n"
    both = [*scan_text(whole.encode(), "d/compose.yaml"), *scan_text(rest.encode(), "d/compose.override.yaml")]
    assert [gap.reason[:20] for gap in gather(both).undecided] == ["'parts/b.yaml' is in"]
    assert gather([*both, *scan_text(whole.encode(), "d/parts/b.yaml")]).undecided == ()


def test_a_broken_variable_is_reported() -> None:
    assert "does not close" in scanned("services: {a: {image: '${A'}}\n").undecided[0].reason
    assert "is a list" in scanned("services: {a: {image: [x]}}\n").undecided[0].reason
