"""Reading layouts, friendly and hostile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.content import read
from bundler.errors import BundlerError, ConfigError, DigestError, LimitError, NotFoundError, StoreError
from bundler.oci import mediatype
from bundler.oci.digest import hex_of
from bundler.store import Layout
from bundler.store import index as index_module
from tests.images import family, image, layer, write_layout
from tests.suites import OpenSource, SourceSuite

WEB = family()["web"]


class TestLayoutIsASource(SourceSuite):
    @pytest.fixture
    def open_source(self, tmp_path: Path) -> OpenSource:
        return lambda images: Layout.open(write_layout(tmp_path / f"layout-{len(images)}", images))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "layout", {"web": WEB})


class TestResolve:
    @pytest.mark.parametrize(
        "name",
        ["", "web", WEB.root.digest, f"@{WEB.root.digest}", f"anything@{WEB.root.digest}"],
        ids=["only-one", "name", "digest", "at-digest", "name-at-digest"],
    )
    def test_ways_to_ask(self, folder: Path, name: str) -> None:
        found = Layout.open(folder).resolve(name)
        assert (found.digest, found.media_type) == (WEB.root.digest, WEB.root.media_type)

    def test_a_manifest_that_no_name_leads_to(self, tmp_path: Path) -> None:
        multi = family()["multi"]
        layout = Layout.open(write_layout(tmp_path, {"multi": multi}))
        child = multi.manifests[0].descriptor
        found = layout.resolve(child.digest)
        assert (found.media_type, found.size) == (child.media_type, child.size)

    def test_a_digest_of_no_manifest(self, folder: Path) -> None:
        with pytest.raises(BundlerError):
            Layout.open(folder).resolve(WEB.blobs[0].descriptor.digest)

    def test_an_unknown_name_tells_what_there_is(self, tmp_path: Path) -> None:
        images = {f"app:{n:02}": WEB for n in range(12)}
        layout = Layout.open(write_layout(tmp_path, images))
        with pytest.raises(NotFoundError, match="no image 'app:x'") as caught:
            layout.resolve("app:x")
        assert "app:00" in caught.value.hint
        assert "and 2 more" in caught.value.hint
        with pytest.raises(NotFoundError, match="no image sha256:0"):
            layout.resolve("sha256:" + "0" * 64)

    def test_an_empty_layout(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no image at all"):
            Layout.open(write_layout(tmp_path, {})).resolve()

    def test_several_without_a_name(self, tmp_path: Path) -> None:
        layout = Layout.open(write_layout(tmp_path, {"a": WEB, "b": family()["base"]}))
        with pytest.raises(ConfigError, match="several images") as caught:
            layout.resolve()
        assert "a, b" in caught.value.hint

    def test_one_name_for_several(self, folder: Path) -> None:
        base = family()["base"]
        write_layout(folder, {"web": base})
        document = json.loads((folder / "index.json").read_text())
        document["manifests"].append({**WEB.root.document(), "annotations": document["manifests"][0]["annotations"]})
        (folder / "index.json").write_text(json.dumps(document))
        with pytest.raises(ConfigError, match="name of several") as caught:
            Layout.open(folder).resolve("web")
        assert base.root.digest in caught.value.hint

    def test_the_name_that_containerd_gave(self, folder: Path) -> None:
        entry = WEB.root.document()
        entry["annotations"] = {
            index_module.REF_NAME: "1.27",
            index_module.CONTAINERD_NAME: "docker.io/library/web:1.27",
        }
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        layout = Layout.open(folder)
        assert layout.resolve("docker.io/library/web:1.27") == layout.resolve("1.27")

    def test_a_change_by_another_process_is_seen(self, folder: Path) -> None:
        os.utime(folder / "index.json", ns=(0, 0))
        layout = Layout.open(folder)
        assert layout.index() is layout.index()
        write_layout(folder, {"web": family()["base"]})
        assert layout.resolve("web").digest == family()["base"].root.digest


def damaged(**changes: Any) -> bytes:
    document: dict[str, Any] = {"schemaVersion": 2, "manifests": [WEB.root.document()]}
    document.update(changes)
    return json.dumps(document).encode()


class TestHostileIndex:
    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            pytest.param(b"", "not JSON", id="empty"),
            pytest.param(b'{"schemaVersion": 2, "manifests": [', "not JSON", id="cut"),
            pytest.param(b"[]", "must be an object", id="list"),
            pytest.param(damaged(schemaVersion=1), "schemaVersion", id="schema-1"),
            pytest.param(damaged(mediaType=mediatype.OCI_MANIFEST), "mediaType", id="manifest"),
            pytest.param(damaged(manifests={}), "manifests", id="manifests-object"),
            pytest.param(damaged(manifests=[7]), r"manifests\[0\]", id="number-for-entry"),
            pytest.param(b'{"schemaVersion": 2, "schemaVersion": 2}', "twice", id="duplicate-key"),
            pytest.param(b'{"schemaVersion": 2, "manifests": [], "Manifests": []}', "also as", id="case-folded-key"),
            pytest.param(damaged(manifests=[{**WEB.root.document(), "digest": "sha256:../../etc"}]), "digest", id="path-digest"),
            pytest.param(damaged(manifests=[{**WEB.root.document(), "digest": "md5:" + "0" * 32}]), "digest", id="md5"),
            pytest.param(damaged(manifests=[{**WEB.root.document(), "size": -1}]), "size", id="negative-size"),
            pytest.param(damaged(manifests=[{**WEB.root.document(), "size": 1.5}]), "size", id="fraction"),
            pytest.param(
                damaged(manifests=[{**WEB.root.document(), "annotations": {index_module.LEFT_OUT: "x"}}]),
                "left-out", id="left-out-nonsense",
            ),
        ],
    )  # fmt: skip
    def test_is_refused_with_what_is_wrong(self, folder: Path, raw: bytes, said: str) -> None:
        (folder / "index.json").write_bytes(raw)
        with pytest.raises(StoreError, match=said):
            Layout.open(folder).images()

    def test_too_large(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bundler.store.layout.INDEX_CAP", 1000)
        (folder / "index.json").write_bytes(damaged() + b" " * 1000)
        with pytest.raises(LimitError, match="more than the 1000"):
            Layout.open(folder).images()

    def test_missing(self, folder: Path) -> None:
        (folder / "index.json").unlink()
        with pytest.raises(StoreError, match="missing"):
            Layout.open(folder).images()

    @pytest.mark.parametrize("name", ["../../escape", "a/../b", "a\x1b[31mb"])
    def test_names_are_only_names(self, folder: Path, name: str) -> None:
        write_layout(folder, {name: WEB})
        layout = Layout.open(folder)
        assert layout.resolve(name).digest == WEB.root.digest
        with pytest.raises(NotFoundError) as caught:
            layout.resolve("x")
        assert "\x1b" not in caught.value.hint


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            pytest.param(b'{"imageLayoutVersion": "2.0.0"}', "must be 1.0.0", id="version"),
            pytest.param(b"{}", "missing", id="no-version"),
            pytest.param(b"1.0.0", "not JSON", id="no-json"),
        ],
    )
    def test_marker(self, folder: Path, raw: bytes, said: str) -> None:
        (folder / "oci-layout").write_bytes(raw)
        with pytest.raises(StoreError, match=said):
            Layout.open(folder)

    def test_no_marker(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="not an OCI layout"):
            Layout.open(tmp_path)

    @pytest.mark.parametrize(
        ("replace", "said"),
        [
            pytest.param(lambda blob: blob.symlink_to("/etc/passwd"), "symbolic link", id="link"),
            pytest.param(os.mkfifo, "not a regular file", id="fifo"),
            pytest.param(lambda blob: blob.mkdir(), "not a regular file", id="directory"),
        ],
    )
    def test_a_blob_that_is_no_file(self, folder: Path, replace: Callable[[Path], object], said: str) -> None:
        blob = folder / "blobs" / "sha256" / hex_of(WEB.root.digest)
        blob.unlink()
        replace(blob)
        with pytest.raises(StoreError, match=said):
            read(Layout.open(folder), WEB.root)

    @pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
    def test_a_directory_that_is_a_link(self, folder: Path, tmp_path: Path, name: str) -> None:
        (folder / name).rename(tmp_path / "elsewhere")
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="not a directory"):
            read(Layout.open(folder), WEB.root)

    @pytest.mark.parametrize("name", ["index.json", "oci-layout"])
    def test_a_document_that_is_a_link(self, folder: Path, tmp_path: Path, name: str) -> None:
        (folder / name).rename(tmp_path / "elsewhere")
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="symbolic link"):
            Layout.open(folder).images()

    def test_changed_bytes(self, folder: Path) -> None:
        blob = folder / "blobs" / "sha256" / hex_of(WEB.root.digest)
        blob.write_bytes(blob.read_bytes().replace(b"2", b"3"))
        with pytest.raises(DigestError):
            read(Layout.open(folder), WEB.root)

    def test_no_blobs_at_all(self, tmp_path: Path) -> None:
        layout = Layout.open(write_layout(tmp_path, {}))
        assert list(layout.blobs()) == []
        assert layout.size_of(WEB.root.digest) is None
        with pytest.raises(StoreError, match="is not there"):
            read(layout, WEB.root)

    def test_strangers_among_the_blobs(self, folder: Path) -> None:
        (folder / "blobs" / "sha256" / "README").write_text("hello")
        (folder / "blobs" / "blake3").mkdir()
        layout = Layout.open(folder)
        assert {digest for digest, _ in layout.blobs()} == WEB.digests()

    def test_a_file_that_shrinks_while_it_is_read(self, tmp_path: Path) -> None:
        big = layer("big", 3 << 20)
        folder = write_layout(tmp_path, {"big": image(big)})
        chunks = Layout.open(folder).fetch(big.descriptor)
        next(chunks)
        os.truncate(folder / "blobs" / "sha256" / hex_of(big.descriptor.digest), 10)
        assert list(chunks) == []
