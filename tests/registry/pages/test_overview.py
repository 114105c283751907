"""The first page: repositories, and what they are served from."""

from __future__ import annotations

from bundler.registry.pages.overview import LENGTH, MOST_QUERY, Overview, Place, overview, place_of
from tests.images import image, layer
from tests.registry.pages.shelf import BUNDLE, STORE, UNSIGNED, Shelf, open_contents

WEB = image(layer("web", 100))


def shown(*names: str, query: str = "", asked: str = "", hidden: str = "none", paths: bool = True) -> Overview:
    shelf = Shelf()
    for name in names:
        shelf.put(name, "1", WEB)
        shelf.put(name, "2", WEB)
    with open_contents(shelf) as contents:
        may = lambda name: not name.startswith(hidden)  # noqa: E731
        return overview(contents, [STORE, BUNDLE], may=may, query=query, asked=asked, paths=paths)


def test_repositories_with_their_tags() -> None:
    view = shown("team/web", "app")
    assert [(row.name, row.href, row.tags) for row in view.page.items] == [
        ("app", "/images/app", 2),
        ("team/web", "/images/team/web", 2),
    ]
    assert view.total == 2


def test_hidden_ones_are_not_even_counted() -> None:
    view = shown("team/web", "secret/app", hidden="secret")
    assert [row.name for row in view.page.items] == ["team/web"]
    assert view.total == view.page.total == 1


def test_search_wants_every_word() -> None:
    view = shown("team/web", "team/api", "web", query="  TEAM web ")
    assert [row.name for row in view.page.items] == ["team/web"]
    assert (view.total, view.query) == (3, "TEAM web")


def test_a_long_search_is_cut() -> None:
    assert len(shown("app", query="x" * 10_000).query) == MOST_QUERY


def test_pages() -> None:
    names = [f"app-{n:03d}" for n in range(LENGTH + 5)]
    view = shown(*names, asked="2")
    assert [row.name for row in view.page.items] == names[LENGTH:]
    assert (view.page.first, view.page.count) == (LENGTH + 1, 2)


def test_what_has_no_address_is_left_out() -> None:
    shelf = Shelf()
    shelf.put("localhost:5000/UPPER", "1", WEB)
    with open_contents(shelf) as contents:
        assert contents.repositories() == ["UPPER"]
        assert overview(contents, [], may=lambda _: True, query="", asked="", paths=True).total == 0


def test_places() -> None:
    assert place_of(STORE, paths=True) == Place("store", "store", "/srv/registry/store")
    bundle = place_of(BUNDLE, paths=True)
    assert (bundle.name, bundle.channel, bundle.serial, bundle.issued) == ("edge", "stable", 7, "2026-01-31 12:00 UTC")
    assert bundle.signed
    assert bundle.signers == BUNDLE.signers
    assert not place_of(UNSIGNED, paths=True).signed


def test_paths_are_for_whom_may_know_them() -> None:
    assert {place.label for place in shown("app", paths=False).places} == {""}
    assert {place.label for place in shown("app").places} == {STORE.label, BUNDLE.label}
