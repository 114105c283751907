"""The stylesheet: contrast of its colours in both schemes (WCAG 2, AA), and nothing from elsewhere."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

STYLE = files("bundler.registry.pages").joinpath("templates/style.css").read_text()
BLOCKS = re.findall(r":root \{([^}]*)\}", STYLE)
SCHEMES = dict(
    zip(("light", "dark", "print"), (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", b)) for b in BLOCKS), strict=True)
)
SCHEMES["print"] = SCHEMES["light"] | SCHEMES["print"]

TEXT = [
    *[(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "panel", "stripe")],
    ("on-brand", "brand"), ("ink", "code"), ("badge-ink", "badge"), ("warn-ink", "warn"),
]  # fmt: skip
PARTS = [("focus", "page"), ("focus", "panel"), ("soft", "panel"), ("on-brand", "brand")]
"""Outlines and borders by which a control is known (WCAG 2, 1.4.11)."""


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text(scheme: str, ink: str, ground: str) -> None:
    assert contrast(SCHEMES[scheme][ink], SCHEMES[scheme][ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("part", "ground"), PARTS)
def test_controls(scheme: str, part: str, ground: str) -> None:
    assert contrast(SCHEMES[scheme][part], SCHEMES[scheme][ground]) >= 3


def rules() -> list[tuple[str, dict[str, str]]]:
    found = re.findall(r"([^{}]+)\{([^{}]*)\}", STYLE)
    return [
        (selector.strip(), dict(re.findall(r"([a-z-]+):\s*([^;]+);", body)))
        for selector, body in found
        if ":root" not in selector
    ]


def test_every_pair_of_a_rule_is_among_those() -> None:
    name = re.compile(r"var\(--([a-z-]+)\)")
    for selector, given in rules():
        ink, ground = name.findall(given.get("color", "")), name.findall(given.get("background", ""))
        if ink and ground:
            assert (ink[0], ground[0]) in TEXT, selector
    both = [selector for selector, given in rules() if "color" in given and "background" in given]
    assert len(both) > 5


def test_both_schemes_set_every_colour() -> None:
    assert SCHEMES["light"].keys() == SCHEMES["dark"].keys()
    outside = re.sub(r":root \{[^}]*\}", "", STYLE)
    assert "#" not in outside.replace("#main", "")
    assert set(re.findall(r"var\(--([a-z-]+)\)", STYLE)) == SCHEMES["light"].keys()


@pytest.mark.parametrize("word", ["url(", "@import", "@font-face", "http", "expression", "javascript"])
def test_nothing_from_elsewhere(word: str) -> None:
    assert word not in STYLE
