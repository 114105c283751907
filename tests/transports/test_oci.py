"""``oci:path[:name]``: split where skopeo splits, refused where it names nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from bundler.content import read
from bundler.errors import ConfigError, NotFoundError, StoreError
from bundler.medium import Deleter
from bundler.store import Store
from bundler.store.index import REF_NAME
from bundler.transports.oci import Layout, open_layout, open_source, open_target, split
from tests.images import Image, family, image, layer, load, write_layout
from tests.suites import OpenSource, SourceSuite, TargetSuite

DIGEST = "sha256:" + "a" * 64
WEB = family()["web"]


class TestOciIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        return lambda images: open_layout(str(write_layout(tmp_path / f"layout-{len(images)}", images)))[0]


@pytest.mark.parametrize(
    ("rest", "path", "name"),
    [
        ("build/app", "build/app", ""),
        ("build/app:", "build/app", ""),
        ("build/app:latest", "build/app", "latest"),
        ("/srv/store:docker.io/library/nginx:1.27", "/srv/store", "docker.io/library/nginx:1.27"),
        ("store:localhost:5000/app:1", "store", "localhost:5000/app:1"),
        (f"store@{DIGEST}", "store", DIGEST),
        (f"./a@b@{DIGEST}", "./a@b", DIGEST),
        (f"store:{DIGEST}", "store", DIGEST),
        (f"store:@{DIGEST}", "store", f"@{DIGEST}"),
        (f"store:app@{DIGEST}", "store", f"app@{DIGEST}"),
        ("store@home:app", "store@home", "app"),
        ("store@home", "store@home", ""),
    ],
)
def test_split(rest: str, path: str, name: str) -> None:
    assert split(rest) == (path, name)


@pytest.mark.parametrize("rest", ["", ":", ":name", f"@{DIGEST}"])
def test_no_path(rest: str) -> None:
    with pytest.raises(ConfigError, match="names no directory"):
        split(rest)


@pytest.mark.parametrize("suffix", ["", ":docker.io/acme/web:1", f"@{WEB.root.digest}", f":@{WEB.root.digest}"])
def test_open_and_resolve(tmp_path: Path, suffix: str) -> None:
    write_layout(tmp_path / "layout", {"docker.io/acme/web:1": WEB})
    layout, name = open_layout(f"{tmp_path}/layout{suffix}")
    assert isinstance(layout, Layout)
    assert layout.resolve(name).digest == WEB.root.digest


def test_nothing_is_written(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "layout", {"web": WEB})
    before = sorted(folder.rglob("*"))
    layout, name = open_layout(f"{folder}:web")
    b"".join(bytes(chunk) for chunk in layout.fetch(layout.resolve(name)))
    assert sorted(folder.rglob("*")) == before


def test_what_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such directory"):
        open_layout(f"{tmp_path}/missing:app")
    with pytest.raises(StoreError, match="not an OCI layout"):
        open_layout(f"{tmp_path}:app")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not a directory"):
        open_layout(f"{tmp_path}/file")


class TestTarget(TargetSuite):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Iterator[Store]:
        with open_target(str(tmp_path / "layout")) as target:
            yield target


class TestTargetWithSharedBlobs(TargetSuite):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Iterator[Store]:
        with open_target(str(tmp_path / "layout"), shared_blob_dir=tmp_path / "blobs") as target:
            yield target


class TestSharedBlobs(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        def opened(images: Mapping[str, Image]) -> Layout:
            folder = write_layout(tmp_path / f"layout-{len(images)}", images)
            shutil.copytree(folder / "blobs", tmp_path / "shared", dirs_exist_ok=True)
            shutil.rmtree(folder / "blobs")
            return open_source(str(folder), shared_blob_dir=tmp_path / "shared")

        return opened

    def test_several_layouts_share_each_blob_once(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            with open_target(str(tmp_path / name), shared_blob_dir=tmp_path / "blobs") as target:
                load(target, {"web": WEB})
        blobs = sorted(each.name for each in (tmp_path / "blobs/sha256").iterdir())
        assert blobs == sorted(each.partition(":")[2] for each in WEB.digests())
        for name in ("one", "two"):
            assert not list((tmp_path / name / "blobs").rglob("[0-9a-f]*"))
            layout = open_source(str(tmp_path / name), shared_blob_dir=tmp_path / "blobs")
            assert layout.resolve("web").digest == WEB.root.digest
            for each in WEB.parts:
                assert read(layout, each.descriptor) == each.raw

    def test_no_such_directory(self, tmp_path: Path) -> None:
        write_layout(tmp_path / "layout", {"web": WEB})
        with pytest.raises(NotFoundError, match="no such directory") as caught:
            open_source(str(tmp_path / "layout"), shared_blob_dir=tmp_path / "missing")
        assert "shared blobs" in caught.value.hint

    @pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
    def test_on_another_file_system(self, tmp_path: Path) -> None:
        with TemporaryDirectory(dir="/dev/shm") as other:
            if Path(other).stat().st_dev == tmp_path.stat().st_dev:
                pytest.skip("there is one file system only")
            large = image(layer("large", 3_000_000))
            with open_target(str(tmp_path / "layout"), shared_blob_dir=Path(other)) as target:
                load(target, {"web": WEB, "large": large})
            layout = open_source(str(tmp_path / "layout"), shared_blob_dir=Path(other))
            for each in (*WEB.parts, *large.parts):
                assert read(layout, each.descriptor) == each.raw
            assert {each.name for each in Path(other).iterdir()} <= {"sha256", "sha512"}


class TestDelete:
    def test_every_name_of_it_and_no_other(self, tmp_path: Path) -> None:
        other = image(layer("other", 300))
        with open_target(str(tmp_path / "layout")) as target:
            load(target, {"one": WEB, "two": WEB, "": WEB, "other": other})
        with open_target(str(tmp_path / "layout")) as target:
            assert isinstance(target, Deleter)
            target.delete(WEB.root)
        layout = open_source(str(tmp_path / "layout"))
        assert layout.tags() == ["other"]
        assert [root.digest for _, root in layout.images()] == [other.root.digest]
        assert layout.size_of(WEB.root.digest) is not None  # until gc


def test_a_digest_that_no_entry_lists_is_not_there(tmp_path: Path) -> None:
    """A copy that broke off before its last step: the same copy again must not take it for done."""
    with open_target(str(tmp_path / "layout")) as target:
        for each in WEB.parts:
            target.push(each.descriptor, iter([each.raw]))
        with pytest.raises(NotFoundError, match="not listed"):
            target.resolve(WEB.root.digest)
        target.tag("", WEB.root)
        assert target.resolve(WEB.root.digest).digest == WEB.root.digest
    assert open_source(str(tmp_path / "layout")).resolve().digest == WEB.root.digest


def test_an_image_without_a_name_is_listed_once(tmp_path: Path) -> None:
    for _ in range(2):
        with open_target(str(tmp_path / "layout")) as target:
            load(target, {"": WEB})
    assert [name for name, _ in open_source(str(tmp_path / "layout")).images()] == [""]


def listed(folder: Path) -> list[dict[str, Any]]:
    """The entries of the index."""
    entries: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())["manifests"]
    return entries


@pytest.mark.parametrize("held", [WEB, family()["multi"]], ids=["image", "index"])
def test_a_name_takes_the_place_of_none(tmp_path: Path, held: Image) -> None:
    other = image(layer("other", 300))
    for name in ("", "v1"):
        with open_target(str(tmp_path / "layout")) as target:
            load(target, {"": other, name: held} if name else {"": held})
    entries = [(each["digest"], each.get("annotations", {}).get(REF_NAME)) for each in listed(tmp_path / "layout")]
    assert sorted(entries, key=str) == sorted([(other.root.digest, None), (held.root.digest, "v1")], key=str)


@pytest.mark.parametrize(
    "more", [{"annotations": {"vendor": "x"}}, {"data": "e30="}, {"unknown": [1]}, {"urls": ["https://example.com/x"]}]
)
def test_what_another_tool_said_of_it_stays(tmp_path: Path, more: dict[str, Any]) -> None:
    folder = write_layout(tmp_path / "layout", {"x": WEB})
    theirs = {**WEB.root.document(), **more}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [theirs]}))
    with open_target(str(folder)) as target:
        target.tag("v1", WEB.root)
    assert theirs in listed(folder)
    assert len(listed(folder)) == 2


def test_a_directory_with_other_things_is_not_made_a_layout(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(ConfigError, match="neither empty nor an OCI layout"), open_target(str(tmp_path)):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
