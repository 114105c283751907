"""A page as its reader gets it: parsed strictly, and held against what every page must keep to.

page = check_page(answer.body)
page.text, page.links, page.titles, page.codes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "hr", "img"}
ALLOWED = {
    "html", "head", "meta", "title", "link", "body", "a", "header", "div", "span", "svg", "path", "nav", "ol", "ul", "li",
    "main", "footer", "p", "h1", "h2", "h3", "form", "label", "input", "button", "section", "table", "caption", "thead",
    "tbody", "tr", "th", "td", "dl", "dt", "dd", "code", "pre", "strong", "bdi", "br", "details", "summary",
}  # fmt: skip
LINKED = {"href", "src", "action", "formaction", "data", "poster", "srcset", "xlink:href", "background"}


@dataclass
class Read:
    """What a page holds; ``attributes`` are those of every element, in order."""

    text: str = ""
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    captions: int = 0


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.read = Read()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, f"<{tag}>"
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {attrs}"
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            assert not name.startswith("on"), f"{name}={value}"
            assert name != "style", "the policy forbids it"
            if name in LINKED:
                assert value.startswith(("/", "#")), f"{name}={value}"
                assert not value.startswith("//"), f"{name}={value}"
        self.read.elements.append((tag, given))
        if tag == "a":
            self.read.links.append(given["href"])
        if tag == "link":
            self.read.assets.append(given["href"])
        if "id" in given:
            self.read.ids.append(given["id"])
        if tag in ("h1", "h2", "h3"):
            self.read.headings.append(int(tag[1]))
        if tag == "code":
            self.read.codes.append("")
        if tag == "th":
            assert given.get("scope") in ("col", "row")
        self.read.captions += tag == "caption"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.read.text += data
        if "title" in self.open:
            self.read.titles.append(data)
        if "code" in self.open:
            self.read.codes[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def check_page(body: bytes) -> Read:
    """The page, if it is well-formed, without script or anything from elsewhere, and built as readers' tools need it."""
    text = body.decode("utf-8")
    assert text.startswith("<!doctype html>")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open, f"never closed: {reader.open}"
    read = reader.read
    names = [name for name, _ in read.elements]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert read.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(read.headings, read.headings[1:], strict=False))
    assert len(set(read.ids)) == len(read.ids)
    assert names.count("table") == read.captions
    pointed = {given[name] for _, given in read.elements for name in ("aria-labelledby", "for") if name in given}
    assert pointed <= set(read.ids)
    assert read.elements[0] == ("html", {"lang": "en"})
    assert "#main" in read.links
    assert [asset.partition("?")[0] for asset in read.assets] == ["/style.css"]
    return read
