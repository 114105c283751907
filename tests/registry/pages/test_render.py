"""Models to HTML: everything printed is escaped and made visible, whatever a template says."""

from __future__ import annotations

import re
from importlib.resources import files

import jinja2
import pytest

from bundler.registry.pages.render import Renderer

TEMPLATES = files("bundler.registry.pages").joinpath("templates")
NAMES = [each.name for each in TEMPLATES.iterdir() if each.name.endswith(".html")]
RENDERER = Renderer()

PRINTED = {
    "markup": ("<script>", "&lt;script&gt;"),
    "end of an attribute": ("\"'>", "&#34;&#39;&gt;"),
    "override": ("a\u202eb", "a\\u202eb"),
    "template": ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
    "entity": ("&lt;", "&amp;lt;"),
    "long": ("x" * 1001, "x" * 1000 + "… (1,001 characters)"),
}


@pytest.mark.parametrize(("text", "shown"), PRINTED.values(), ids=PRINTED.keys())
@pytest.mark.parametrize("template", ["{{ text }}", '<a title="{{ text }}">', "{{ [text][0] }}", "{{ '' ~ text }}"])
def test_printed(template: str, text: str, shown: str) -> None:
    made = RENDERER._environment.from_string(template).render(text=text)
    assert shown in made
    assert text == shown or text not in made


def test_a_wrong_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        RENDERER.page("problem.html", {})


@pytest.mark.parametrize("name", NAMES)
def test_no_template_steps_around_it(name: str) -> None:
    text = TEMPLATES.joinpath(name).read_text()
    assert "autoescape" not in text
    assert set(re.findall(r"[^{}]*\|\s*safe", text)) <= {' "\\n" | safe'}
    assert not re.search(r"https?://|//[a-z]|<script|<style|style=|\son[a-z]+=|javascript:", text)
    for value in re.findall(r"=(\S*\{\{)", text):
        assert value.startswith('"'), f"an attribute without quotes: {value}"
