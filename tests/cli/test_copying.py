"""The command copy as it is typed, and the options that exclude each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundler.cli.copying import format_of, recipe_of
from bundler.convert import Recipe
from bundler.errors import BundlerError, ConfigError, UnsupportedError
from bundler.transports import dir as folder
from tests.cli.terminal import Terminal
from tests.images import family, write_dir, write_layout

IMAGES = family()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, Recipe(), id="nothing"),
        pytest.param({"compress": True}, Recipe(compress_plain=True), id="compress-what-is-plain"),
        pytest.param({"decompress": True}, Recipe(compression="none"), id="decompress"),
        pytest.param({"compress_format": "zstd", "level": 19}, Recipe(compression="zstd", level=19), id="zstd"),
        pytest.param({"compress_format": "gzip", "force": True}, Recipe(compression="gzip", force=True), id="gzip"),
        pytest.param({"keep_plain": True}, Recipe(compress_plain=False), id="plain-stays"),
    ],
)
def test_recipes(options: dict[str, Any], expected: Recipe) -> None:
    assert recipe_of(None, **options) == expected


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"compress": True, "decompress": True}, ConfigError, id="both-ways"),
        pytest.param({"decompress": True, "compress_format": "gzip"}, ConfigError, id="decompress-with-gzip"),
        pytest.param({"compress": True, "keep_plain": True}, ConfigError, id="compress-and-keep"),
        pytest.param({"force": True}, ConfigError, id="force-what"),
        pytest.param({"compress_format": "zstd:chunked"}, UnsupportedError, id="zstd-chunked"),
        pytest.param({"compress_format": "gzip", "level": 12}, ConfigError, id="no-such-level"),
        pytest.param({"compress_format": "zstd", "level": 23}, ConfigError, id="no-such-zstd-level"),
    ],
)
def test_recipes_that_are_none(options: dict[str, Any], error: type[BundlerError]) -> None:
    with pytest.raises(error):
        recipe_of(None, **options)


def test_zstd_in_docker_s_format() -> None:
    with pytest.raises(UnsupportedError, match="zstd"):
        recipe_of("v2s2", compress_format="zstd")


@pytest.mark.parametrize(
    ("text", "error"), [("v2s1", UnsupportedError), ("v3", ConfigError), ("OCI", ConfigError), ("", ConfigError)]
)
def test_formats_that_are_not_written(text: str, error: type[BundlerError]) -> None:
    with pytest.raises(error):
        format_of(text)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_layout(tmp_path / "layout", IMAGES)
    for name in ("docker", "multi", "web"):
        write_dir(tmp_path / "dirs" / name, IMAGES[name])
    return tmp_path


def root_of(place: str) -> str:
    return folder.open_source(place).resolve().digest


def test_a_copy_and_its_digest(here: Path, bundler: Terminal) -> None:
    said = bundler("copy", "oci:layout:web", "dir:out", "--digestfile", "digest")
    assert (here / "digest").read_text() == IMAGES["web"].root.digest == root_of("out")
    assert said.out == ""
    assert f"dir:out: {IMAGES['web'].root.digest}" in said.err


def test_quiet_is_quiet(here: Path, bundler: Terminal) -> None:
    said = bundler("copy", "-q", "dir:dirs/docker", "oci:new:x")
    assert said.out + said.err == ""


def test_a_change_of_digest_is_said(here: Path, bundler: Terminal) -> None:
    said = bundler("copy", "dir:dirs/docker", "oci:new:x")
    old, new = IMAGES["docker"].root.digest, said.err.rsplit("oci:new:x: ", 1)[1].strip()
    assert f"{old}: became OCI, so its digest is {new} now" in said.err


def test_an_image_for_another_machine(here: Path, bundler: Terminal) -> None:
    bundler("--override-arch", "arm64", "copy", "dir:dirs/multi", "dir:arm")
    assert root_of("arm") != root_of("dirs/multi")
    bundler("--override-arch=arm64", "copy", "--all", "dir:dirs/multi", "dir:all")
    assert root_of("all") == root_of("dirs/multi")
    said = bundler("--override-os", "plan9", "copy", "dir:dirs/multi", "dir:no", expect=2)
    assert "linux/amd64" in said.err
    assert not (here / "no").exists()


def test_a_sparse_copy_and_the_index_alone(here: Path, bundler: Terminal) -> None:
    bundler("copy", "--multi-arch", "linux/arm64", "dir:dirs/multi", "dir:sparse")
    bundler("copy", "--multi-arch", "index-only", "dir:dirs/multi", "dir:index")
    assert root_of("sparse") == root_of("index") == IMAGES["multi"].root.digest
    assert sorted(each.name for each in (here / "index").iterdir()) == ["manifest.json", "version"]
    assert len(list((here / "sparse").glob("*.manifest.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(
            ["--all", "--multi-arch", "all", "oci:layout:web", "dir:x"], 2, "exclude each other", id="all-twice"
        ),
        pytest.param(["--multi-arch", "some", "oci:layout:web", "dir:x"], 2, "must be system", id="unknown-choice"),
        pytest.param(["oci:layout:nope", "dir:x"], 2, "no image 'nope'", id="no-such-image"),
        pytest.param(["oci:layout:web", "ostree:x"], 8, "2025", id="ostree"),
        pytest.param(["oci:layout:web", "bundle:x"], 8, "can't be written", id="into-a-bundle"),
        pytest.param(["oci:layout:web", "nosuch://x"], 2, "unknown transport", id="unknown-transport"),
        pytest.param(["oci:layout:sbom", "docker-archive:x.tar:a"], 8, "artifact", id="artifact-to-load"),
        pytest.param(["--all", "oci:layout:multi", "docker-archive:x.tar:a"], 8, "one platform", id="index-to-load"),
        pytest.param(["--preserve-digests", "-f", "v2s2", "oci:layout:web", "dir:x"], 2, "would become", id="preserve"),
        pytest.param(
            ["--additional-tag", "a:1", "oci:layout:web", "dir:x"], 8, "holds one image", id="a-name-in-a-dir"
        ),
        pytest.param(["--sign-by", "A" * 40, "oci:layout:web", "dir:x"], 2, "--sign-identity", id="signed-as-what"),
        pytest.param(["--src-username", "ann", "oci:layout:web", "dir:x"], 2, "source side", id="half-of-a-login"),
        pytest.param(["oci:layout:web", "dir:dirs"], 2, "not the directory of an image", id="a-users-directory"),
    ],
)
def test_what_is_refused_leaves_nothing(
    here: Path, bundler: Terminal, arguments: list[str], status: int, said: str
) -> None:
    before = sorted(each.relative_to(here) for each in here.rglob("*"))
    ended = bundler("copy", *arguments, expect=status)
    assert said in ended.err
    assert sorted(each.relative_to(here) for each in here.rglob("*")) == before


def test_several_names_in_one_archive(here: Path, bundler: Terminal) -> None:
    arguments = ["--additional-tag", "acme/web:stable", "--additional-tag", "acme/web:1"]
    bundler("copy", *arguments, "oci:layout:web", "docker-archive:x.tar:acme/web:1")
    said = bundler("list-tags", "docker-archive:x.tar")
    assert "docker.io/acme/web:1" in said.out
    assert "docker.io/acme/web:stable" in said.out
