"""Places for many images: what they are called there, and what a place must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.content import Durable, Mounter, verified
from bundler.errors import ConfigError, LockedError, NotFoundError, UnsupportedError
from bundler.journey.access import Access
from bundler.journey.destination import Destination
from bundler.journey.destinations import open_destination
from bundler.journey.ends import Ends
from bundler.push import Shipment
from bundler.store import Store
from tests.images import Image, family, write_dir
from tests.workshop import WEB


@pytest.mark.parametrize(
    ("place", "name", "prefix"),
    [
        ("docker://far.example:5000", "far.example:5000", ""),
        ("docker://far.example:5000/", "far.example:5000", ""),
        ("docker://far.example/site/a", "far.example", "site/a"),
        ("docker://localhost/", "localhost", ""),
        ("far.example", "far.example", ""),
    ],
)
def test_a_registry_with_a_prefix(place: str, name: str, prefix: str) -> None:
    destination = open_destination(place, Ends(Access()))
    assert (destination.name, destination.prefix) == (name, prefix)
    target = destination.target("library/nginx")
    assert isinstance(target, Mounter)
    assert not isinstance(target, Durable)
    with destination.at_work():
        destination.keep([("library/nginx", WEB.root)])


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("docker://", ConfigError),
        ("docker:///site", ConfigError),
        ("docker://far.example/UPPER", ConfigError),
        ("docker://far.example//x", ConfigError),
        ("docker:far.example", ConfigError),
        ("oci:", ConfigError),
        ("oci:somewhere:name", ConfigError),
        ("s3://bucket", ConfigError),
        ("docker-daemon:x", ConfigError),
        ("docker-archive:x.tar:a/b:1", ConfigError),
        ("oci-archive:x.tar:name", ConfigError),
        ("ostree:x", UnsupportedError),
        ("bundle:x", UnsupportedError),
    ],
)
def test_places_that_are_none(
    place: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        open_destination(place, Ends(Access()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["docker://user@far.example", "docker://far.example:99999999", "docker://fa r"])
def test_hosts_that_are_none(place: str) -> None:
    with pytest.raises(ConfigError):
        open_destination(place, Ends(Access())).target("a")


def put(destination: Destination, repository: str, held: Image) -> None:
    target = destination.target(repository)
    for part in held.parts:
        assert not target.has(part.descriptor)
        target.push(part.descriptor, verified(part.descriptor, [part.raw]))


def test_a_layout_names_images_by_repository(tmp_path: Path) -> None:
    destination = open_destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    with destination.at_work():
        target = destination.target("team/web")
        put(destination, "team/web", WEB)
        for name in ("1.0", WEB.root.digest):
            with pytest.raises(NotFoundError):
                target.resolve(name)  # type: ignore[attr-defined]  # a Shelf
        target.tag("1.0", WEB.root)
        destination.keep([("team/web", WEB.root)])
        assert isinstance(target, Durable)
        target.flush()
    for name in ("1.0", WEB.root.digest):
        assert target.resolve(name).digest == WEB.root.digest  # type: ignore[attr-defined]  # a Shelf
    names = [name for name, _ in Store.open(str(tmp_path / "far")).images()]
    assert names == ["team/web:1.0", f"team/web@{WEB.root.digest}"]


def test_what_has_no_tag_survives_gc(tmp_path: Path) -> None:
    destination = open_destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    with destination.at_work():
        put(destination, "team/web", WEB)
        destination.keep([("team/web", WEB.root)])
    store = Store.open(str(tmp_path / "far"))
    assert store.gc().blobs == ()
    assert store.has(WEB.root)


def test_a_layout_is_not_collected_during_a_push(tmp_path: Path) -> None:
    destination = open_destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    with destination.at_work(), pytest.raises(LockedError):
        Store.open(str(tmp_path / "far")).gc()
    Store.open(str(tmp_path / "far")).gc()


@pytest.mark.parametrize(
    "place", ["docker-daemon:", "containers-storage:", "docker-archive:all.tar", "oci-archive:all.tar"]
)
def test_archives_and_daemons_hold_full_names(place: str) -> None:
    destination = open_destination(place, Ends(Access()))
    load = Shipment("near/app:1", WEB.root, "team/web", "1")
    assert destination.berth(load) == load
    assert destination.found(load) is None
    with pytest.raises(UnsupportedError, match="can't be told"):
        destination.listed("team/web")


def test_a_directory_for_each_image(tmp_path: Path) -> None:
    destination = open_destination(f"dir:{tmp_path / 'base'}", Ends(Access()))
    load = Shipment("near/app:1", WEB.root, "team/web", "1")
    berth = destination.berth(load)
    assert (berth.repository, berth.tag) == ("team/web:1", "")
    assert destination.found(load) is None
    with destination.at_work():
        put(destination, berth.repository, WEB)
        destination.target(berth.repository).tag("", WEB.root)
    assert destination.found(load) == WEB.root.digest
    assert (tmp_path / "base" / "team" / "web:1" / "manifest.json").read_bytes() == WEB.raw


def test_what_else_a_directory_holds_can_be_removed(tmp_path: Path) -> None:
    for name in ("team/web:1", "team/web:2", "team/website:1", "team/api:1"):
        write_dir(tmp_path / name, family()["web"])
    (tmp_path / "team" / "web:notes").mkdir()
    held = open_destination(f"dir:{tmp_path}", Ends(Access())).listed("team/web")
    assert [each.name for each in held] == ["team/web:1", "team/web:2"]
    held[1].remove()
    assert sorted(each.name for each in (tmp_path / "team").iterdir()) == ["api:1", "web:1", "web:notes", "website:1"]


def test_what_else_a_layout_holds_can_be_removed(tmp_path: Path) -> None:
    destination = open_destination(f"oci:{tmp_path / 'far'}", Ends(Access()))
    with destination.at_work():
        put(destination, "team/web", WEB)
        for tag in ("1", "2"):
            destination.target("team/web").tag(tag, WEB.root)
    held = destination.listed("team/web")
    assert [each.name for each in held] == ["team/web:1", "team/web:2"]
    held[0].remove()
    assert [each.name for each in destination.listed("team/web")] == ["team/web:2"]
    assert destination.listed("team") == []
