"""``docker-archive:``: read whoever wrote it, refused where it lies, written as others write it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bundler.content import Job, Outcome, copy, read
from bundler.convert.formats import written_manifest
from bundler.errors import (
    ArchiveError,
    BundlerError,
    ConfigError,
    DigestError,
    LimitError,
    NotFoundError,
    SpaceError,
    UnsupportedError,
)
from bundler.graph import walk
from bundler.medium import Choosy, Remade
from bundler.oci import mediatype
from bundler.oci.digest import digest_of, hex_of
from bundler.oci.manifest import parse_manifest
from bundler.transports import docker_archive, spool
from bundler.transports.docker_archive import Archive, NewArchive, open_source, open_target, split, writing
from tests.images import Image, Part, artifact, image, index, layer, part, tarball
from tests.memory import Memory
from tests.suites import OpenSource, SourceSuite

DIGEST = "sha256:" + "a" * 64


def plain(seed: str, size: int = 4_000) -> Part:
    return layer(seed, size, docker=True, compression="none")


def docker_image(*layers: Part, **options: Any) -> Image:
    """An image whose manifest is written as Docker's tools write it, and so as one is made up here."""
    made = image(*layers, docker=True, **options)
    config = made.parts[-2]
    raw = written_manifest({}, "v2s2", config.descriptor, [each.descriptor for each in layers])
    root = part(raw, mediatype.DOCKER_MANIFEST)
    return Image(root.descriptor, (*made.parts[:-1], root))


BASE, TOP = plain("base", 70_000), plain("top")
APP = docker_image(BASE, TOP, labels={"is": "app"})
OTHER = docker_image(BASE, plain("other"), labels={"is": "other"})
CONFIG = APP.parts[-2]

Content = bytes | tuple[str, str]
"""Of a member: bytes, or a link of type "sym" or "hard" and where to."""


def archive(path: Path, members: list[tuple[str, Content]]) -> Path:
    """A tar file of these members."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type = tarfile.SYMTYPE if content[0] == "sym" else tarfile.LNKTYPE
                info.linkname = content[1]
                tar.addfile(info)
            elif name.endswith("/"):
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def listed(config: str, layers: list[str], tags: list[str] | None = None, **more: Any) -> bytes:
    """A ``manifest.json`` of one image."""
    return json.dumps([{"Config": config, "RepoTags": tags, "Layers": layers, **more}]).encode()


def saved(**changes: Content | None) -> list[tuple[str, Content]]:
    """The members of an archive of APP; ``changes`` replaces some, None leaves one out."""
    members: dict[str, Content] = {
        "base.tar": BASE.raw,
        "top.tar": TOP.raw,
        "config.json": CONFIG.raw,
        "manifest.json": listed("config.json", ["base.tar", "top.tar"], ["acme/app:1"]),
    }
    for name, content in changes.items():
        key = name.replace("_", ".")
        if content is None:
            del members[key]
        else:
            members[key] = content
    return list(members.items())


def check(source: Archive, name: str, wanted: Image) -> None:
    """The source gives the whole image."""
    graph = walk(source, source.resolve(name))
    assert graph.root.digest == wanted.root.digest
    for each in wanted.parts:
        assert read(source, each.descriptor) == each.raw


def compressed(change: Callable[[bytes], bytes], name: str) -> list[tuple[str, Content]]:
    return saved(**{name: change(dict(saved())[name.replace("_", ".")])})  # type: ignore[arg-type]


def zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(raw)


class TestSplit:
    @pytest.mark.parametrize(
        ("rest", "path", "name"),
        [
            ("save.tar", "save.tar", ""),
            ("save.tar:nginx", "save.tar", "docker.io/library/nginx:latest"),
            ("/srv/save.tar:localhost:5000/acme/app:1", "/srv/save.tar", "localhost:5000/acme/app:1"),
            ("save.tar:acme/app", "save.tar", "docker.io/acme/app:latest"),
            ("save.tar:@0", "save.tar", "@0"),
            ("save.tar:@12", "save.tar", "@12"),
        ],
    )
    def test_at_the_first_colon(self, rest: str, path: str, name: str) -> None:
        assert split(rest) == (path, name)

    @pytest.mark.parametrize(
        ("rest", "message"),
        [
            pytest.param("", "names no file", id="nothing"),
            pytest.param(":app", "names no file", id="no-path"),
            pytest.param("a.tar:@-1", "no index", id="negative-index"),
            pytest.param("a.tar:@x", "no index", id="index-of-letters"),
            pytest.param(f"a.tar:app@{DIGEST}", "not digests", id="digest"),
            pytest.param("a.tar:App", "repository name", id="upper-case"),
            pytest.param("a.tar:app:", "not a tag", id="empty-tag"),
        ],
    )
    def test_refused(self, rest: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            split(rest)


class TestAnArchiveIsASource(SourceSuite):
    """Single images with plain layers; they are written by :class:`NewArchive`."""

    lone_artifact = False

    def name(self, plain: str) -> str:
        return f"docker.io/library/{plain}:latest"

    @pytest.fixture
    def images(self) -> dict[str, Image]:
        return {"web": APP, "docker": OTHER}

    @pytest.fixture
    def open_source(self, tmp_path: Path) -> Generator[OpenSource, None, None]:
        sources = []

        def opened(images: Mapping[str, Image]) -> Archive:
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.tar"
            with open_target(str(path)) as target:
                put(target, images)
            source = open_source(str(path))
            sources.append(source)
            for name in images:
                source.resolve(self.name(name))
            return source

        yield opened
        for source in sources:
            source.close()

    def test_sha512(self, open_source: OpenSource) -> None:
        """Layers go by the digests of the config, which are SHA-256."""
        long = part(BASE.raw, mediatype.DOCKER_LAYER, algorithm="sha512", diff_id=BASE.diff_id)
        with pytest.raises(UnsupportedError, match="other layers"):
            open_source({"long": docker_image(long)})

    def test_an_empty_blob(self, open_source: OpenSource) -> None:
        empty = part(b"", mediatype.DOCKER_LAYER, diff_id=digest_of(b""))
        assert read(open_source({"odd": docker_image(empty, BASE)}), empty.descriptor) == b""

    def test_it_says_that_its_manifests_are_made_up(self, open_source: OpenSource) -> None:
        source = open_source({"web": APP})
        assert isinstance(source, Remade)
        assert source.remade


def put(target: NewArchive, images: Mapping[str, Image]) -> None:
    for name, held in images.items():
        for each in held.parts:
            if not target.has(each.descriptor):
                target.push(each.descriptor, iter([each.raw]))
        target.tag(name, held.root)


class TestWhoeverWroteIt:
    @pytest.mark.parametrize(
        "members",
        [
            pytest.param(saved(), id="plain"),
            pytest.param([(f"./{name}", content) for name, content in saved()], id="dot-slash"),
            pytest.param(list(reversed(saved())), id="manifest-first"),
            pytest.param([*saved(top_tar=("sym", "./elsewhere/../t")), ("t", TOP.raw)], id="symbolic-link"),
            pytest.param([("t", TOP.raw), *saved(top_tar=("hard", "t"))], id="hard-link"),
            pytest.param([*saved(top_tar=("sym", "u")), ("u", ("sym", "t")), ("t", TOP.raw)], id="two-links"),
            pytest.param(compressed(gzip.compress, "top_tar"), id="gzip-layer"),
            pytest.param(compressed(zstd, "top_tar"), id="zstd-layer"),
            pytest.param(compressed(bz2.compress, "base_tar"), id="bzip2-layer"),
            pytest.param(compressed(lzma.compress, "base_tar"), id="xz-layer"),
        ],
    )
    def test_members(self, tmp_path: Path, members: list[tuple[str, Content]]) -> None:
        source = open_source(str(archive(tmp_path / "a.tar", members)))
        check(source, "docker.io/acme/app:1", APP)
        source.close()

    def test_docker_save_of_old(self, tmp_path: Path) -> None:
        """A folder per layer; one that occurs twice is a link to the first."""
        twice = docker_image(BASE, TOP, BASE)
        config = twice.parts[-2]
        members: list[tuple[str, Content]] = [(f"{hex_of(config.descriptor.digest)}.json", config.raw)]
        for number, content in enumerate([BASE.raw, TOP.raw, ("sym", "../l0/layer.tar")]):
            members += [(f"l{number}/", b""), (f"l{number}/VERSION", b"1.0"), (f"l{number}/json", b"{}")]
            members.append((f"l{number}/layer.tar", content))
        layers = [f"l{number}/layer.tar" for number in range(3)]
        members.append(("manifest.json", listed(f"{hex_of(config.descriptor.digest)}.json", layers, ["app:1"])))
        members.append(("repositories", b'{"app":{"1":"l2"}}'))
        source = open_source(str(archive(tmp_path / "a.tar", members)))
        check(source, "", twice)
        source.close()

    @pytest.mark.parametrize("change", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_docker_save_of_today(self, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
        """An OCI layout with a ``manifest.json``; layers are compressed where containerd keeps the images."""
        blobs = {
            f"blobs/sha256/{hex_of(digest_of(raw))}": raw for raw in (change(BASE.raw), change(TOP.raw), CONFIG.raw)
        }
        base, top, config = blobs
        members: list[tuple[str, Content]] = [("blobs/", b""), ("blobs/sha256/", b""), *blobs.items()]
        entry = {"mediaType": mediatype.OCI_MANIFEST, "digest": DIGEST, "size": 7}
        members.append(("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()))
        sources = {"sha256:x": {"mediaType": mediatype.OCI_LAYER, "size": 1, "digest": DIGEST}}
        members.append(("manifest.json", listed(config, [base, top], ["app:1"], LayerSources=sources)))
        members.append(("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'))
        source = open_source(str(archive(tmp_path / "a.tar", members)))
        check(source, "docker.io/library/app:1", APP)
        assert source.is_called(DIGEST)
        assert source.is_called(CONFIG.descriptor.digest)
        assert not source.is_called(BASE.descriptor.digest)
        source.close()

    @pytest.mark.parametrize("change", [gzip.compress, zstd, bz2.compress, lzma.compress])
    def test_a_compressed_archive(self, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
        path = archive(tmp_path / "a.tar", saved())
        path.write_bytes(change(path.read_bytes()))
        source = open_source(str(path), tmp=tmp_path)
        check(source, "", APP)
        source.close()
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("change", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_a_pipe(self, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
        raw = change(archive(tmp_path / "a.tar", saved()).read_bytes())
        os.mkfifo(tmp_path / "pipe")
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(raw,))
        writer.start()
        source = open_source(str(tmp_path / "pipe"), tmp=tmp_path)
        writer.join()
        check(source, "", APP)
        source.close()

    def test_a_layer_whose_first_file_looks_compressed(self, tmp_path: Path) -> None:
        raw = tarball({"BZh9": b"not bzip2"})
        odd = docker_image(part(raw, mediatype.DOCKER_LAYER, diff_id=digest_of(raw)))
        members = [("l", raw), ("c", odd.parts[-2].raw), ("manifest.json", listed("c", ["l"]))]
        source = open_source(str(archive(tmp_path / "a.tar", members)))
        check(source, "", odd)
        source.close()

    def test_a_plain_layer_is_not_read_to_make_the_manifest(self, tmp_path: Path) -> None:
        """So a wrong one is found when it is fetched."""
        wrong = bytes([BASE.raw[0] ^ 1]) + BASE.raw[1:]
        source = open_source(str(archive(tmp_path / "a.tar", saved(base_tar=wrong))))
        assert source.resolve("").digest == APP.root.digest
        with pytest.raises(DigestError, match=BASE.descriptor.digest):
            read(source, BASE.descriptor)
        source.close()


class TestNames:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Generator[Archive, None, None]:
        items = [
            {"Config": "c", "RepoTags": ["acme/app:1", "localhost:5000/app:2", "acme/app:1"], "Layers": ["b", "t"]},
            {"Config": "o", "RepoTags": None, "Layers": ["b", "u"]},
            {"Config": "o", "RepoTags": ["<none>:<none>", "docker.io/library/other:latest"], "Layers": ["b", "u"]},
        ]
        members: list[tuple[str, Content]] = [
            ("b", BASE.raw), ("t", TOP.raw), ("u", OTHER.parts[1].raw), ("c", CONFIG.raw), ("o", OTHER.parts[-2].raw),
            ("manifest.json", json.dumps(items).encode()),
        ]  # fmt: skip
        made = open_source(str(archive(tmp_path / "a.tar", members)))
        yield made
        made.close()

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("docker.io/acme/app:1", APP),
            ("acme/app:1", APP),
            ("localhost:5000/app:2", APP),
            ("docker.io/library/other:latest", OTHER),
            ("@0", APP),
            ("@1", OTHER),
            (APP.root.digest, APP),
            (OTHER.root.digest, OTHER),
            (CONFIG.descriptor.digest, APP),
        ],
    )
    def test_found(self, source: Archive, name: str, wanted: Image) -> None:
        assert source.resolve(name).digest == wanted.root.digest

    @pytest.mark.parametrize("name", ["acme/app", "acme/app:2", "@3", "@99999999", "@x", "@", DIGEST])
    def test_not_found(self, source: Archive, name: str) -> None:
        with pytest.raises(NotFoundError, match="holds no image") as caught:
            source.resolve(name)
        assert "@0 acme/app:1" in caught.value.hint

    def test_one_of_several_must_be_named(self, source: Archive) -> None:
        with pytest.raises(ConfigError, match="holds 3 images") as caught:
            source.resolve("")
        assert "@1, @2" in caught.value.hint

    def test_listed(self, source: Archive) -> None:
        tags = ["acme/app:1", "localhost:5000/app:2", "<none>:<none>", "docker.io/library/other:latest"]
        assert source.tags() == tags
        assert [name for name, _ in source.images()] == [*tags[:2], "acme/app:1", "@1", *tags[2:]]

    def test_none(self, tmp_path: Path) -> None:
        source = open_source(str(archive(tmp_path / "empty.tar", [("manifest.json", b"[]")])))
        with pytest.raises(NotFoundError, match="holds no image"):
            source.resolve("")
        source.close()


CASED = json.dumps([{"Config": "config.json", "layers": [], "Layers": ["base.tar", "top.tar"]}]).encode()
FEWER = json.dumps({"rootfs": {"diff_ids": [BASE.diff_id]}}).encode()
BAD_ID = json.dumps({"rootfs": {"diff_ids": ["sha256:x", "sha256:y"]}}).encode()


class TestHostile:
    @pytest.mark.parametrize(
        ("members", "error", "message"),
        [
            pytest.param(saved(manifest_json=None), ArchiveError, "has no manifest.json", id="no-manifest"),
            pytest.param(
                [*saved(manifest_json=None), ("oci-layout", b"{}")], ArchiveError, "has no manifest.json", id="an-oci-layout"
            ),
            pytest.param(saved(manifest_json=b"{}"), ArchiveError, "must be a list", id="manifest-no-list"),
            pytest.param(saved(manifest_json=b"[1]"), ArchiveError, "must be an object", id="item-no-object"),
            pytest.param(saved(manifest_json=b"[{]"), ArchiveError, "not JSON", id="manifest-no-json"),
            pytest.param(saved(manifest_json=b"[{}]"), ArchiveError, "Config is missing", id="no-config-named"),
            pytest.param(saved(manifest_json=CASED), ArchiveError, "appears also as", id="layers-twice-but-for-case"),
            pytest.param(saved(config_json=None), ArchiveError, r"'config\.json' is missing", id="no-config"),
            pytest.param(saved(top_tar=None), ArchiveError, r"'top\.tar' is missing", id="no-layer"),
            pytest.param(saved(top_tar=("sym", "nowhere")), ArchiveError, r"'top\.tar' is missing", id="dangling-link"),
            pytest.param(
                saved(top_tar=("sym", "../../etc/passwd")), ArchiveError, r"'top\.tar' is missing", id="escaping-link"
            ),
            pytest.param(
                saved(top_tar=("sym", "/etc/passwd")), ArchiveError, r"'top\.tar' is missing", id="absolute-link"
            ),
            pytest.param(
                saved(top_tar=("sym", "base.tar"), base_tar=("sym", "top.tar")), ArchiveError, "nowhere", id="link-loop"
            ),
            pytest.param([*saved(), ("top.tar", b"x")], ArchiveError, r"'top\.tar' twice", id="member-twice"),
            pytest.param([*saved(), ("./x/../top.tar", b"x")], ArchiveError, "twice", id="member-twice-otherwise-spelled"),
            pytest.param(saved(config_json=FEWER), ArchiveError, "names 1 layers, and .* lists 2", id="layer-count"),
            pytest.param(saved(config_json=b"{}"), ArchiveError, "rootfs", id="config-without-rootfs"),
            pytest.param(saved(config_json=BAD_ID), ArchiveError, "lower-case hexadecimal", id="diff-id-no-digest"),
            pytest.param(saved(config_json=b'{"a":1,"a":2}'), ArchiveError, "appears twice", id="config-ambiguous"),
            pytest.param(
                compressed(lambda raw: gzip.compress(raw + b"x"), "top_tar"), ArchiveError, r"'top\.tar' should hold",
                id="compressed-layer-is-another",
            ),
            pytest.param(
                compressed(lambda raw: gzip.compress(raw)[:-9], "top_tar"), ArchiveError, r"'top\.tar': can't be decom",
                id="compressed-layer-cut",
            ),
            pytest.param(
                [("0" * 64 + ".json", CONFIG.raw), *saved(manifest_json=listed("0" * 64 + ".json", ["base.tar", "top.tar"]))],
                ArchiveError, "hashes to", id="config-not-what-it-is-called",
            ),
            pytest.param(saved(manifest_json=listed("\x1b[2J\u202e", [])), ArchiveError, r"\\x1b\[2J\\+u202e", id="escape-codes"),
            pytest.param(saved(config_json=b" " * (4 << 20) + b"{}"), LimitError, "more than", id="huge-config"),
        ],
    )  # fmt: skip
    def test_refused(
        self, tmp_path: Path, members: list[tuple[str, Content]], error: type[BundlerError], message: str
    ) -> None:
        path = archive(tmp_path / "a.tar", members)
        with pytest.raises(error, match=message) as caught, closing(open_source(str(path))) as source:
            source.resolve("")
        assert "copy the bundle" not in caught.value.hint

    @pytest.mark.parametrize("length", [0, 100, 512, 700, 30_000])
    def test_cut(self, tmp_path: Path, length: int) -> None:
        path = archive(tmp_path / "a.tar", saved())
        os.truncate(path, length)
        with pytest.raises(ArchiveError):
            open_source(str(path))

    def test_no_archive(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no such file"):
            open_source(str(tmp_path / "none.tar"))
        with pytest.raises(ConfigError, match="directory"):
            open_source(str(tmp_path))
        (tmp_path / "text").write_text("text\n" * 1000)
        with pytest.raises(ArchiveError):
            open_source(str(tmp_path / "text"))

    def test_no_room_for_a_stream(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool, "RESERVE", 1 << 60)
        with pytest.raises(SpaceError, match="left there"):
            docker_archive.spooled_tarball((raw for raw in [b"x" * 9]), tmp=tmp_path, what="stream")
        assert list(tmp_path.iterdir()) == []


# Writing


def tree(path: Path) -> dict[str, bytes | str]:
    """Members by name: what they hold, or where they lead."""
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() if m.isreg() else m.linkname for m in tar}  # type: ignore[union-attr]


class TestANewArchive:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "new.tar"

    def test_everything_comes_back(self, path: Path) -> None:
        with open_target(str(path)) as target:
            put(target, {"acme/app:1": APP, "acme/other": OTHER})
        source = open_source(str(path))
        check(source, "docker.io/acme/app:1", APP)
        check(source, "docker.io/acme/other:latest", OTHER)
        source.close()

    def test_shared_layers_lie_there_once_and_names_gather(self, path: Path) -> None:
        with open_target(str(path)) as target:
            put(target, {"acme/app:1": APP, "acme/other": OTHER, "localhost:5000/app:2": APP})
        made = tree(path)
        assert sum(name == f"{hex_of(BASE.descriptor.digest)}.tar" for name in made) == 1
        items = json.loads(made["manifest.json"])
        assert [item["RepoTags"] for item in items] == [
            ["docker.io/acme/app:1", "localhost:5000/app:2"],
            ["docker.io/acme/other:latest"],
        ]
        repositories = json.loads(made["repositories"])
        assert set(repositories) == {"docker.io/acme/app", "localhost:5000/app", "docker.io/acme/other"}
        top = repositories["docker.io/acme/app"]["1"]
        assert made[f"{top}/layer.tar"] == f"../{hex_of(TOP.descriptor.digest)}.tar"
        assert made[f"{top}/VERSION"] == b"1.0"
        assert json.loads(made[f"{top}/json"])["id"] == top

    @pytest.mark.parametrize("name", ["", f"acme/app@{DIGEST}"])
    def test_an_image_without_a_name(self, path: Path, name: str) -> None:
        with open_target(str(path)) as target:
            put(target, {name: APP})
        assert json.loads(tree(path)["manifest.json"])[0]["RepoTags"] == []
        source = open_source(str(path))
        check(source, "", APP)
        source.close()

    def test_a_name_moves(self, path: Path) -> None:
        with open_target(str(path)) as target:
            put(target, {"app": APP})
            put(target, {"app": OTHER})
        source = open_source(str(path))
        check(source, "app", OTHER)
        source.close()

    def test_the_same_twice_makes_the_same_file(self, tmp_path: Path) -> None:
        for name in ("one.tar", "two.tar"):
            with open_target(str(tmp_path / name)) as target:
                put(target, {"app": APP})
        assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
        assert (tmp_path / "one.tar").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda raw: raw[:-1] + bytes([raw[-1] ^ 128]), id="last-bit-flipped"),
            pytest.param(lambda raw: raw[:-1], id="one-byte-short"),
            pytest.param(lambda raw: b"", id="nothing"),
            pytest.param(lambda raw: raw + b"\0", id="one-byte-long"),
        ],
    )
    @pytest.mark.parametrize("wanted", [BASE, CONFIG], ids=["layer", "config"])
    def test_wrong_content_is_cut_off_again(self, path: Path, wanted: Part, spoil: Callable[[bytes], bytes]) -> None:
        memory = Memory()
        memory.contents[wanted.descriptor.digest] = spoil(wanted.raw)
        with open_target(str(path)) as target:
            target.push(TOP.descriptor, iter([TOP.raw]))
            with pytest.raises(DigestError):
                copy(Job(memory, target, wanted.descriptor))
            assert not target.has(wanted.descriptor)
            put(target, {"app": APP})
        source = open_source(str(path))
        check(source, "", APP)
        source.close()

    @pytest.mark.parametrize("raw", [BASE.raw[:-1], BASE.raw + b"\0"], ids=["short", "long"])
    def test_a_wrong_length_is_noticed_without_a_hash(self, path: Path, raw: bytes) -> None:
        with open_target(str(path)) as target, pytest.raises(DigestError):
            target.push(BASE.descriptor, iter([raw]))
        assert not path.exists()

    def test_reused_buffers_and_threads(self, path: Path) -> None:
        layers = [plain(f"many {n}", 20_000 + n) for n in range(12)]
        held = docker_image(*layers)
        memory = Memory(chunk=999)
        for each in held.parts:
            memory.put(each.raw, each.descriptor.media_type)
        with open_target(str(path)) as target, ThreadPoolExecutor(4) as executor:
            jobs = [Job(memory, target, each.descriptor) for each in held.blobs for _ in range(2)]
            outcomes = list(executor.map(copy, jobs))
            assert outcomes.count(Outcome.COPIED) >= len(held.blobs)
            put(target, {"app": held})
        source = open_source(str(path))
        check(source, "", held)
        assert len(tree(path)) == 12 + 1 + 3 * 12 + 2
        source.close()

    @pytest.mark.parametrize(
        "held",
        [
            pytest.param(layer("gzip", 100, docker=True), id="compressed-layer"),
            pytest.param(layer("oci", 100, compression="none"), id="oci-layer"),
            pytest.param(image(layer("x", 100)).parts[-1], id="oci-manifest"),
            pytest.param(index(APP, docker=True).parts[-1], id="manifest-list"),
            pytest.param(artifact(b"x").parts[0], id="artifact"),
            pytest.param(part(b"x", mediatype.DOCKER_FOREIGN_LAYER), id="foreign-layer"),
        ],
    )
    def test_what_it_cannot_hold(self, path: Path, held: Part) -> None:
        with open_target(str(path)) as target, pytest.raises(UnsupportedError, match="docker-archive holds"):
            assert isinstance(target, Choosy)
            target.push(held.descriptor, iter([held.raw]))
        assert not path.exists()

    def test_a_config_of_other_layers(self, path: Path) -> None:
        other = docker_image(plain("elsewhere"))
        document = written_manifest({}, "v2s2", other.parts[-2].descriptor, [BASE.descriptor])
        root = part(document, mediatype.DOCKER_MANIFEST)
        with open_target(str(path)) as target:
            for each in (BASE, other.parts[-2]):
                target.push(each.descriptor, iter([each.raw]))
            with pytest.raises(UnsupportedError, match="names other layers"):
                target.push(root.descriptor, iter([root.raw]))

    def test_a_manifest_before_its_layers(self, path: Path) -> None:
        with open_target(str(path)) as target:
            target.push(CONFIG.descriptor, iter([CONFIG.raw]))
            with pytest.raises(NotFoundError, match=BASE.descriptor.digest):
                target.push(APP.root, iter([APP.raw]))
            with pytest.raises(NotFoundError, match="not written"):
                target.tag("app", APP.root)

    def test_more_configs_than_memory_allows(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writing, "MAX_CONFIGS", len(CONFIG.raw))
        with open_target(str(path)) as target:
            put(target, {"app": APP})
            with pytest.raises(LimitError, match="configs"):
                put(target, {"other": OTHER})

    @pytest.mark.parametrize("fails", [True, False], ids=["error", "nothing-tagged"])
    def test_nothing_half_done_is_left(self, tmp_path: Path, fails: bool) -> None:
        def work() -> None:
            with open_target(str(tmp_path / "new.tar")) as target:
                target.push(BASE.descriptor, iter([BASE.raw]))
                if fails:
                    raise ArchiveError("broke")

        if fails:
            with pytest.raises(ArchiveError, match="broke"):
                work()
        else:
            work()
        assert list(tmp_path.iterdir()) == []

    def test_what_is_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "old.tar").write_bytes(b"something")
        for place, message in [
            ("old.tar", "is there already"),
            ("", "is no file"),
            ("none/new.tar", "no such directory"),
        ]:
            with pytest.raises(ConfigError, match=message), open_target(str(tmp_path / place)):
                pass
        assert (tmp_path / "old.tar").read_bytes() == b"something"

    def test_an_empty_file_is_as_good_as_none(self, path: Path) -> None:
        path.touch()
        with open_target(str(path)) as target:
            put(target, {"app": APP})
        source = open_source(str(path))
        check(source, "", APP)
        source.close()

    def test_into_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
        reader.start()
        with open_target(str(tmp_path / "pipe"), tmp=tmp_path) as target:
            put(target, {"app": APP})
        reader.join()
        (tmp_path / "got.tar").write_bytes(received[0])
        source = open_source(str(tmp_path / "got.tar"))
        check(source, "app", APP)
        source.close()
        assert sorted(each.name for each in tmp_path.iterdir()) == ["got.tar", "pipe"]

    def test_the_manifest_is_that_of_dockers_tools(self, path: Path) -> None:
        with open_target(str(path)) as target:
            put(target, {"app": APP})
        source = open_source(str(path))
        root = source.resolve("")
        raw = read(source, root)
        assert raw.startswith(
            b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{'
        )
        layers = parse_manifest(raw, root.media_type, what="made").layers
        assert [(each.media_type, each.size) for each in layers] == [
            (mediatype.DOCKER_LAYER, len(BASE.raw)),
            (mediatype.DOCKER_LAYER, len(TOP.raw)),
        ]
        source.close()
