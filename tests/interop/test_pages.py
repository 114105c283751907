"""The registry's pages in a browser: Debian's chromium against a real server over images that wish the reader ill.

BUNDLER_PICTURES=/tmp/pictures pytest tests/interop/test_pages.py     # keeps the pictures, to be looked at
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.registry.process import running
from bundler.store import Store
from tests.images import Image, artifact, image, index, layer, load
from tests.peers import needs, run
from tests.registry.pages.browser import Browser
from tests.registry.pages.reading_html import check_page
from tests.registry.pages.shelf import LABELS, SCRIPT, hostile_image

PICTURES = "BUNDLER_PICTURES"
SIZES = {
    "desktop": (1280, 1000, False),
    "phone": (390, 844, False),
    "narrow": (320, 600, False),
    "dark": (1280, 1000, True),
}
BASE = layer("base", 40_000)
WEB = image(BASE, layer("web", 9_000))
MULTI = index(WEB, image(layer("arm", 30_000), platform="linux/arm64"))
SBOM = artifact(b'{"packages": []}', subject=MULTI, annotations={"org.example.note": SCRIPT})
IMAGES: dict[str, Image] = {
    "evil/app:1.0": hostile_image(),
    **{f"team/web:1.{n}": MULTI for n in range(1, 13)},
    f"team/web@{SBOM.root.digest}": SBOM,
    "a-repository-with-a-very-long-name-in-one-piece-that-must-wrap/" + "and-more" * 12 + ":1": WEB,
}
PAGES = {
    "home": "/",
    "repository": "/images/team/web",
    "index": "/images/team/web:1.12",
    "image": "/images/evil/app:1.0",
    "artifact": f"/images/team/web@{SBOM.root.digest}",
    "problem": "/images/nope",
}


class Seen(NamedTuple):
    """A browser, and the server that it looks at."""

    browser: Browser
    url: str
    pictures: Path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry") / "store"
    with Store.open(str(folder), create=True) as store:
        load(store, IMAGES)
        store.flush()
    with running(folder, read_only=True) as url:
        yield url


@pytest.fixture(scope="module")
def seen(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    pictures = Path(os.environ.get(PICTURES) or tmp_path_factory.mktemp("pictures"))
    pictures.mkdir(parents=True, exist_ok=True)
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield Seen(browser, url, pictures)


@needs("chromium")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window(seen: Seen, name: str, size: str) -> None:
    width, height, dark = SIZES[size]
    seen.browser.open(seen.url + PAGES[name], width=width, height=height, dark=dark)
    picture = seen.browser.screenshot(seen.pictures / f"{name}-{size}.png")
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)
    seen.browser.screenshot(seen.pictures / f"{name}-{size}-whole.png", whole=True)
    assert seen.browser.value("innerWidth") == width
    assert seen.browser.value("document.documentElement.scrollWidth") == width
    beyond = (
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert seen.browser.value(beyond) == 0
    background = seen.browser.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(16, 23, 26)") is dark


@needs("chromium")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_its_stylesheet_alone(seen: Seen, name: str) -> None:
    seen.browser.open(seen.url + PAGES[name], width=1280, height=1000)
    asked = [each.removeprefix(seen.url) for each in seen.browser.requests()]
    assert asked[0] == PAGES[name]
    assert {each.partition("?")[0] for each in asked[1:]} <= {"/style.css"}
    assert [each for each in seen.browser.complaints() if "404" not in each] == []


@needs("chromium")
def test_what_an_image_says_is_never_run(seen: Seen) -> None:
    seen.browser.open(seen.url + PAGES["image"], width=1280, height=1000)
    host = seen.url.removeprefix("http://")
    assert seen.browser.value("document.title") == f"evil/app:1.0 · {host}"
    assert seen.browser.value("document.querySelectorAll('script, img, iframe, object, embed, style').length") == 0
    assert SCRIPT in seen.browser.value("document.body.innerText")
    links = seen.browser.value("[...document.querySelectorAll('a')].map(a => a.protocol + '//' + a.host)")
    assert set(links) == {seen.url}
    cells = seen.browser.value("[...document.querySelectorAll('table.pairs td')].map(e => e.innerText)")
    assert {LABELS[f"org.opencontainers.image.{name}"] for name in ("url", "source")} <= set(cells)


@needs("chromium")
def test_the_policy_would_stop_what_got_through(seen: Seen) -> None:
    seen.browser.open(seen.url + PAGES["home"], width=1280, height=1000)
    seen.browser.value(f"document.body.append(document.createRange().createContextualFragment({SCRIPT!r}))")
    assert not str(seen.browser.value("document.title")).startswith("owned")
    assert any("Content Security Policy" in each for each in seen.browser.complaints())


@needs("chromium")
def test_the_page_works_by_keyboard_and_form(seen: Seen) -> None:
    seen.browser.open(f"{seen.url}/", width=390, height=844)
    for kind in ("keyDown", "keyUp"):
        seen.browser.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert seen.browser.value("document.activeElement.className") == "skip"
    assert seen.browser.value("document.activeElement.getBoundingClientRect().left") >= 0
    assert seen.browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    seen.browser.open(f"{seen.url}/?q=web", width=390, height=844)
    assert seen.browser.value("document.querySelector('input').value") == "web"
    assert seen.browser.value("[...document.querySelectorAll('.repositories tbody a')].map(a => a.innerText)") == [
        "team/web"
    ]


@needs("chromium")
def test_the_document_without_a_debugger(url: str, tmp_path: Path) -> None:
    dumped = run(
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=2000", "--dump-dom", url + PAGES["image"],
    )  # fmt: skip
    page = check_page(b"<!doctype html>" + dumped.strip().removeprefix("<!DOCTYPE html>").encode())
    assert page.titles == [f"evil/app:1.0 · {url.removeprefix('http://')}"]
    assert page.text.count(SCRIPT) > 60
