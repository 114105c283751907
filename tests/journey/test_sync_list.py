"""What a sync is about, and what its images are called at the destination."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from bundler.content import Source
from bundler.errors import ConfigError, NotFoundError
from bundler.journey.access import Access
from bundler.journey.ends import Ends
from bundler.journey.sync_list import Item, items_of, read_list
from bundler.oci.reference import Reference
from bundler.transports.docker.credentials import Credentials
from tests.images import family, load, write_dir, write_layout
from tests.memory import Memory

DIGEST = "sha256:" + "a" * 64


class Fakes:
    """Ends whose registries are in memory, by repository."""

    def __init__(self, repositories: Mapping[str, Memory]) -> None:
        self.repositories = repositories
        self.real = Ends(Access())

    def reading(self, reference: Reference) -> Source:
        return self.repositories[reference.name]

    def source_of(self, wish: Any) -> tuple[Source, str]:
        if wish.transport == "docker":
            return self.repositories[wish.name], ""
        return self.real.source_of(wish)

    def source(self, image: str) -> tuple[Source, str]:
        return self.real.source(image)


def listed(kind: Any, source: str, repositories: Mapping[str, Memory] | None = None) -> list[Item]:
    ends = cast("Ends", Fakes(repositories or {}))
    with ThreadPoolExecutor(2) as executor:
        wishes = read_list(Path(source), Access()) if kind == "yaml" else None
        return items_of(kind, source, ends, wishes, executor)


@pytest.fixture
def acme() -> dict[str, Memory]:
    memory = Memory("acme/app")
    load(memory, {"1.0": family()["web"], "1.1": family()["docker"], "edge": family()["multi"]})
    return {"registry.example.com/acme/app": memory}


def test_a_repository_means_all_its_tags(acme: dict[str, Memory]) -> None:
    found = listed("docker", "registry.example.com/acme/app", acme)
    assert [item.image for item in found] == [
        f"docker://registry.example.com/acme/app:{tag}" for tag in ("1.0", "1.1", "edge")
    ]
    assert [item.name for item in found] == ["1.0", "1.1", "edge"]


@pytest.mark.parametrize("start", ["", "docker://"])
def test_one_image(acme: dict[str, Memory], start: str) -> None:
    (item,) = listed("docker", f"{start}registry.example.com/acme/app:1.1", acme)
    assert (item.host, item.path, item.tag, item.name) == ("registry.example.com", "acme/app", "1.1", "1.1")


def test_yaml_with_a_rule_a_tag_and_a_digest(acme: dict[str, Memory], tmp_path: Path) -> None:
    file = tmp_path / "sync.yaml"
    file.write_text(
        f"registry.example.com:\n  images:\n    acme/app: ['edge', '{DIGEST}']\n"
        "  images-by-tag-regex:\n    acme/app: ^1\\.\n"
    )
    found = listed("yaml", str(file), acme)
    assert sorted(item.name for item in found) == sorted(["edge", DIGEST, "1.0", "1.1"])
    assert [item.tag for item in found if item.name == DIGEST] == [None]


def test_directories_at_any_depth(tmp_path: Path) -> None:
    web = family()["web"]
    base = tmp_path / "base"
    for place in ("docker.io/library/nginx:1.27", "app", "b/c:2"):
        write_dir(base / place, web)
    (base / "other").mkdir()
    found = listed("dir", str(base))
    assert [(item.host, item.path, item.tag) for item in found] == [
        ("", "app", "latest"),
        ("", "b/c", "2"),
        ("docker.io", "library/nginx", "1.27"),
    ]


def test_a_layouts_names(tmp_path: Path) -> None:
    images = {"docker.io/acme/web:1": family()["web"], "v2": family()["docker"]}
    found = listed("oci", str(write_layout(tmp_path / "layout", images)))
    assert [(item.host, item.path, item.tag, item.name) for item in found] == [
        ("docker.io", "acme/web", "1", "docker.io/acme/web:1"),
        ("", "v2", "latest", "v2"),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ("app", "1"), id="the-last-part-alone"),
        pytest.param({"scoped": True}, ("localhost-5000/acme/app", "1"), id="scoped-at-a-registry"),
        pytest.param({"scoped": True, "colons": True}, ("localhost:5000/acme/app", "1"), id="scoped-in-a-directory"),
        pytest.param({"suffix": "-mirror"}, ("app", "1-mirror"), id="suffix"),
    ],
)
def test_landing(options: dict[str, Any], expected: tuple[str, str]) -> None:
    item = Item("docker://localhost:5000/acme/app:1", Memory(), "1", "localhost:5000", "acme/app", "1")
    assert item.landing(**{"scoped": False, "suffix": "", "colons": False, **options}) == expected


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(Item("oci:x", Memory(), "x", "", "../../etc", "1"), id="path-up"),
        pytest.param(Item("oci:x", Memory(), "x", "..", "a", "1"), id="host-up"),
        pytest.param(Item("oci:x", Memory(), "x", "", "A b", "1"), id="no-repository"),
        pytest.param(Item("oci:x", Memory(), "x", "", "a", "../1"), id="no-tag"),
        pytest.param(Item("oci:x", Memory(), "x", "evil.example.com/..", "a", "1"), id="host-with-a-path"),
    ],
)
def test_names_that_are_no_names(item: Item) -> None:
    with pytest.raises(ConfigError):
        item.landing(scoped=True, suffix="", colons=True)


def test_a_suffix_needs_a_tag() -> None:
    item = Item("docker://a.example.com/b@x", Memory(), DIGEST, "a.example.com", "b", None)
    with pytest.raises(ConfigError, match="needs a tag"):
        item.landing(scoped=False, suffix="-x", colons=False)


@pytest.mark.parametrize("kind", ["dir", "oci"])
def test_nothing_there(kind: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        listed(kind, str(tmp_path / "missing"))


def test_an_empty_directory_names_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="names no image"):
        listed("dir", str(tmp_path))


def test_one_pair_of_credentials_is_not_shown_to_two_registries(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    file.write_text("a.example.com:\n  images: {x: ['1']}\nb.example.com:\n  images: {x: ['1']}\n")
    with pytest.raises(ConfigError, match="2 registries"):
        read_list(file, Access(credentials=Credentials("u", "p")))
