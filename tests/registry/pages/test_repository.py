"""One repository: tags, what is attached by tag, and manifests without one."""

from __future__ import annotations

import pytest

from bundler.registry.pages import repository
from bundler.registry.pages.address import Seen
from bundler.registry.pages.repository import LENGTH, RepositoryPage, TagRow, repository_page
from tests.images import artifact, image, index, layer, part
from tests.registry.pages.shelf import BUNDLE, Shelf, open_contents, with_config

SEEN = Seen("registry.site:5000", tls=True)
WEB = image(layer("web", 3_000))
ARM = image(layer("arm", 3_000), platform="linux/arm64")
MULTI = index(WEB, ARM)


def shown(*shelves: Shelf, asked: str = "") -> RepositoryPage:
    with open_contents(*shelves) as contents:
        view = repository_page(contents, "app", SEEN, asked=asked, paths=False)
    assert view is not None
    return view


def row_of(what: object, *shelves: Shelf) -> TagRow:
    shelf = Shelf()
    shelf.put("app", "1", what)  # type: ignore[arg-type]
    return shown(shelf).page.items[0]


def test_nothing_where_nothing_is() -> None:
    with open_contents(Shelf()) as contents:
        assert repository_page(contents, "app", SEEN, asked="", paths=False) is None


def test_an_image() -> None:
    row = row_of(WEB)
    assert (row.tag, row.href, row.kind, row.platforms) == ("1", "/images/app:1", "image", ("linux/amd64",))
    assert (row.digest, row.size, row.created) == (WEB.root.digest, row.size, "1970-01-01 00:00 UTC")
    assert row.place is not None
    assert row.place.kind == "store"


def test_an_index_has_the_date_of_its_first_image() -> None:
    row = row_of(MULTI)
    assert (row.kind, row.platforms, row.created) == ("index", ("linux/amd64", "linux/arm64"), "1970-01-01 00:00 UTC")
    dated = index(WEB, annotations={"org.opencontainers.image.created": "2026-01-31T12:00:00Z"})
    assert row_of(dated).created == "2026-01-31 12:00 UTC"


def test_many_platforms_are_cut() -> None:
    children = [image(layer(str(n), 10), platform=f"linux/arch{n}") for n in range(15)]
    row = row_of(index(*children))
    assert (len(row.platforms), row.more_platforms) == (12, 3)


def test_attestations_are_no_platform() -> None:
    assert row_of(index(WEB, image(layer("a", 10), platform="unknown/unknown"))).platforms == ("linux/amd64",)


BAD_CONFIGS = {"no JSON": b"\xff", "a list": b"[]", "too large": b" " * (2 << 20)}


@pytest.mark.parametrize("raw", BAD_CONFIGS.values(), ids=BAD_CONFIGS.keys())
def test_a_bad_config_leaves_the_rest(raw: bytes) -> None:
    row = row_of(with_config(None, raw=raw))
    assert (row.kind, row.platforms, row.problem) == ("image", (), "")


def test_a_damaged_manifest_is_told() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    shelf.damage(WEB.root.digest)
    view = shown(shelf)
    assert view.page.items == (TagRow("1", "/images/app:1", problem="its manifest is missing or damaged"),)
    assert view.commands is None


def test_a_manifest_that_is_none_is_told() -> None:
    bad = with_config({}, schemaVersion=3)
    row = row_of(bad)
    assert row.digest == bad.root.digest
    assert "schemaVersion" in row.problem


def test_tags_in_the_order_of_their_numbers() -> None:
    shelf = Shelf()
    for tag in ("1.10", "1.9", "latest", "1.9-rc1", "v2"):
        shelf.put("app", tag, WEB)
    assert [row.tag for row in shown(shelf).page.items] == ["1.9", "1.9-rc1", "1.10", "latest", "v2"]


def test_the_example_is_latest_else_the_first_good_one() -> None:
    shelf = Shelf()
    shelf.put("app", "1", WEB)
    shelf.damage(WEB.root.digest)
    shelf.put("app", "2", MULTI, without=(WEB.root.digest,))
    assert shown(shelf).example == "2"
    shelf.put("app", "latest", ARM)
    view = shown(shelf)
    assert view.example == "latest"
    assert view.commands is not None
    assert view.commands.usual[0].commands == ("podman pull registry.site:5000/app:latest",)


def test_pages_and_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    for number in range(LENGTH + 3):
        shelf.put("app", str(number), WEB)
    assert [row.tag for row in shown(shelf, asked="2").page.items] == [str(LENGTH + n) for n in range(3)]

    class Short(repository.Reading):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, left=WEB.root.size + 1)  # type: ignore[arg-type]

    monkeypatch.setattr(repository, "Reading", Short)
    rows = shown(shelf).page.items
    assert not rows[0].problem
    assert "read as much as it may" in rows[-1].problem


def test_attached_and_untagged_stand_apart() -> None:
    shelf = Shelf(BUNDLE)
    shelf.put("app", "1", WEB)
    cosigned = with_config({}, part(b"payload", "application/vnd.dev.cosign.simplesigning.v1+json"))
    shelf.put("app", f"sha256-{WEB.root.digest[7:]}.sig", cosigned)
    sbom = artifact(b"{}", subject=WEB)
    shelf.put("app", sbom.root.digest, sbom)
    view = shown(shelf)
    assert [row.tag for row in view.page.items] == ["1"]
    assert [(row.label, row.subject) for row in view.attached] == [("signature", WEB.root.digest)]
    assert [(row.name, row.href) for row in view.untagged] == [(sbom.root.digest, f"/images/app@{sbom.root.digest}")]
    assert (view.attached_count, view.untagged_count) == (1, 1)
