"""Copies of one image: names, signatures and conversions on the way, and what is left where one fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bundler.content import Event, Note, Outcome, read
from bundler.convert import Recipe
from bundler.errors import ConfigError, DigestError, NotFoundError, UnsupportedError
from bundler.journey.access import Access, Surroundings
from bundler.journey.copying import Copied, Orders, copy
from bundler.journey.ends import Ends
from bundler.journey.fitting import Instances, Wanted
from bundler.journey.landing import Landing, landing
from bundler.medium import EVERYTHING
from bundler.oci.digest import hex_of
from bundler.oci.platform import parse_platform
from bundler.oci.reference import parse_reference
from bundler.scratch import Spool
from bundler.transports import dir as folder
from bundler.transports import docker_archive, oci, oci_archive
from tests.hostile.scripted import HonestRegistry, Scripted
from tests.images import family, image, layer, write_dir, write_layout

AMD64 = parse_platform("linux/amd64")
FAMILY = family()
WEB, MULTI, DOCKER = FAMILY["web"], FAMILY["multi"], FAMILY["docker"]


@pytest.fixture(autouse=True)
def _start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_layout(tmp_path / "layout", FAMILY)
    (tmp_path / "tmp").mkdir()


def copied(source: str, to: str, wanted: Wanted | None = None, said: list[str] | None = None, **orders: Any) -> Copied:
    def observe(event: Event) -> None:
        if said is not None and isinstance(event, Note):
            said.append(event.text)

    surroundings = Surroundings(tmp=Path("tmp"))
    access = Access(tls_verify=False, attempts=1)
    with (
        ThreadPoolExecutor(3) as executor,
        Ends(access, surroundings=surroundings) as near,
        Ends(access, surroundings=surroundings) as far,
    ):
        order = Orders(wanted or Wanted(AMD64), **orders)
        return copy(source, to, order, near, far, executor=executor, observer=observe)


@pytest.fixture
def registry() -> Iterator[tuple[Scripted, HonestRegistry]]:
    honest = HonestRegistry()
    with Scripted(honest) as server:
        yield server, honest


@contextmanager
def nothing_left() -> Iterator[None]:
    """The working directory is as before, and so is the temporary one."""
    before = sorted(Path().rglob("*"))
    yield
    assert sorted(Path().rglob("*")) == before


class TestNames:
    def test_a_layout_with_several(self) -> None:
        done = copied("oci:layout:web", "oci:out:app:1", also=("app:2", "anything at all"))
        layout = oci.open_source("out")
        assert layout.tags() == ["anything at all", "app:1", "app:2"]
        assert {root.digest for _, root in layout.images()} == {done.digest} == {WEB.root.digest}

    def test_an_archive_of_a_layout_with_several(self) -> None:
        copied("oci:layout:web", "oci-archive:out.tar:app:1", also=("other",))
        archive = oci_archive.open_source("out.tar")
        assert archive.tags() == ["app:1", "other"]
        archive.close()

    def test_an_archive_for_docker_load_with_several(self) -> None:
        copied("oci:layout:web", "docker-archive:out.tar:acme/app:1", also=("app:2",))
        archive = docker_archive.open_source("out.tar")
        assert sorted(archive.tags()) == ["docker.io/acme/app:1", "docker.io/library/app:2"]
        archive.close()

    def test_a_registry_with_several(self, registry: tuple[Scripted, HonestRegistry]) -> None:
        server, honest = registry
        copied("oci:layout:web", f"docker://{server.host}/acme/app:1", also=("2", f"{server.host}/acme/app:3"))
        for tag in "123":
            assert honest.manifests["acme/app", tag][1] == WEB.raw

    def test_another_repository_is_another_copy(self, registry: tuple[Scripted, HonestRegistry]) -> None:
        server, honest = registry
        with pytest.raises(ConfigError, match="is in another repository") as caught:
            copied("oci:layout:web", f"docker://{server.host}/acme/app:1", also=(f"{server.host}/acme/other:2",))
        assert "command of its own" in caught.value.hint
        assert not honest.manifests

    def test_by_its_digest(self, registry: tuple[Scripted, HonestRegistry]) -> None:
        server, honest = registry
        copied("oci:layout:web", f"docker://{server.host}/acme/app@{WEB.root.digest}")
        assert list(honest.manifests) == [("acme/app", WEB.root.digest)]
        with pytest.raises(ConfigError, match="named by its digest"):
            copied("oci:layout:web", f"docker://{server.host}/acme/app@{WEB.root.digest}", also=("1",))

    def test_a_directory_has_none(self) -> None:
        with nothing_left(), pytest.raises(UnsupportedError, match="one image without a name"):
            copied("oci:layout:web", "dir:out", also=("x",))

    def test_a_neighbour_s_blobs_are_mounted(self, registry: tuple[Scripted, HonestRegistry]) -> None:
        server, honest = registry
        copied("oci:layout:web", f"docker://{server.host}/one:1")
        done = copied(f"docker://{server.host}/one:1", f"docker://{server.host}/two:1")
        assert done.outcomes[Outcome.MOUNTED] == len(WEB.blobs)
        assert honest.manifests["two", "1"][1] == WEB.raw


class TestAgain:
    @pytest.mark.parametrize("to", ["oci:out:app", "oci:out", "dir:out", "oci-archive:out.tar:app"])
    def test_the_same_copy_twice(self, to: str) -> None:
        first, second = copied("oci:layout:multi", to), copied("oci:layout:multi", to)
        assert first.digest == second.digest

    def test_a_copy_that_broke_off_before_it_was_listed(self) -> None:
        """All content is there, and the index does not know."""
        copied("oci:layout:web", "oci:out")
        Path("out/index.json").write_text('{"schemaVersion": 2, "manifests": []}')
        copied("oci:layout:web", "oci:out")
        assert [root.digest for _, root in oci.open_source("out").images()] == [WEB.root.digest]


class TestChanges:
    def test_they_are_told(self) -> None:
        said: list[str] = []
        done = copied("oci:layout:zstd", "docker-archive:out.tar:app:1", said=said)
        assert done.changes
        assert set(done.changes) <= set(said)

    def test_all_of_an_index_to_a_directory(self) -> None:
        done = copied("oci:layout:multi", "dir:out", Wanted(AMD64, Instances.ALL))
        assert done.digest == MULTI.root.digest
        assert len(list(Path("out").iterdir())) == len(MULTI.parts) + 1

    def test_an_index_alone(self) -> None:
        done = copied("oci:layout:multi", "dir:out", Wanted(AMD64, Instances.INDEX_ONLY))
        assert sorted(each.name for each in Path("out").iterdir()) == ["manifest.json", "version"]
        assert done.digest == MULTI.root.digest

    def test_some_of_an_index_to_a_layout(self) -> None:
        copied("oci:layout:multi", "oci:out:app", Wanted(AMD64, (AMD64,)))
        (entry,) = json.loads(Path("out/index.json").read_text())["manifests"]
        assert entry["digest"] == MULTI.root.digest
        assert len(entry["annotations"]["bundler.left-out"].split()) == 1

    def test_some_of_an_index_to_an_archive(self) -> None:
        copied("oci:layout:multi", "oci-archive:out.tar:app", Wanted(AMD64, (AMD64,)))
        archive = oci_archive.open_source("out.tar")
        (entry,) = archive.index().entries
        assert entry.left_out is not None
        assert len(entry.left_out) == 1
        archive.close()

    def test_layers_with_another_compression(self) -> None:
        done = copied("oci:layout:web", "dir:out", Wanted(AMD64, recipe=Recipe(compression="zstd")))
        source = folder.open_source("out")
        assert all("zstd" in each["mediaType"] for each in json.loads(read(source, done.root))["layers"])
        assert list(Path("tmp").iterdir()) == []


class TestFailures:
    @pytest.mark.parametrize("to", ["dir:out", "oci-archive:out.tar:app", "docker-archive:out.tar:app:1"])
    @pytest.mark.parametrize("older", [True, False])
    def test_a_damaged_source_leaves_what_was_there(self, to: str, older: bool) -> None:
        place = Path(to.split(":")[1])
        if older and not to.startswith("docker-archive"):
            copied("oci:layout:docker", to)
        before = snapshot(place)
        blob = Path("layout/blobs/sha256") / hex_of(WEB.parts[0].descriptor.digest)
        blob.write_bytes(b"x" * WEB.parts[0].descriptor.size)
        with nothing_left(), pytest.raises(DigestError):
            copied("oci:layout:web", to)
        assert snapshot(place) == before

    @pytest.mark.parametrize("to", ["dir:out", "oci-archive:out.tar:app", "docker-archive:out.tar:app:1", "oci:out"])
    def test_a_platform_that_is_not_there(self, to: str) -> None:
        with nothing_left(), pytest.raises(NotFoundError, match="no image for linux/s390x"):
            copied("oci:layout:multi", to, Wanted(parse_platform("linux/s390x")))

    def test_a_source_that_is_not_there(self) -> None:
        with nothing_left(), pytest.raises(NotFoundError):
            copied("oci:layout:missing", "dir:out")

    @pytest.mark.parametrize("to", ["ostree:x@/repo", "bundle:out"])
    def test_places_that_take_nothing(self, to: str) -> None:
        with nothing_left(), pytest.raises(UnsupportedError) as caught:
            copied("oci:layout:web", to)
        assert caught.value.hint


def snapshot(place: Path) -> Any:
    if place.is_dir():
        return {each.name: each.read_bytes() for each in place.iterdir()}
    return place.read_bytes() if place.exists() else None


class TestSignatures:
    """Between media that keep them beside the manifest."""

    @pytest.fixture
    def signed(self, tmp_path: Path) -> str:
        place = write_dir(tmp_path / "signed", MULTI)
        (place / "signature-1").write_bytes(b"of the index")
        (place / f"{hex_of(WEB.root.digest)}.signature-1").write_bytes(b"of web")
        return "dir:signed"

    def test_they_follow_their_manifests(self, signed: str) -> None:
        copied(signed, "dir:out", Wanted(AMD64, Instances.ALL))
        source = folder.open_source("out")
        assert source.signatures(MULTI.root) == [b"of the index"]
        assert source.signatures(WEB.root) == [b"of web"]

    def test_of_one_platform(self, signed: str) -> None:
        copied(signed, "dir:out")
        assert folder.open_source("out").signatures(WEB.root) == [b"of web"]

    def test_a_conversion_leaves_them_behind_and_says_so(self, signed: str) -> None:
        said: list[str] = []
        done = copied(signed, "dir:out", Wanted(AMD64, recipe=Recipe(format="v2s2")), said)
        assert folder.open_source("out").signatures(done.root) == []
        assert any(line.startswith(f"1 signatures of {WEB.root.digest} no longer apply") for line in said)

    def test_a_place_that_can_not_keep_them(self, signed: str) -> None:
        with nothing_left(), pytest.raises(UnsupportedError, match="can't keep the 1 signatures") as caught:
            copied(signed, "oci-archive:out.tar:app")
        assert "--remove-signatures" in caught.value.hint
        copied(signed, "oci-archive:out.tar:app", remove_signatures=True)

    def test_removed(self, signed: str) -> None:
        copied(signed, "dir:out", Wanted(AMD64, Instances.ALL), remove_signatures=True)
        assert folder.open_source("out").signatures(MULTI.root) == []

    def test_of_an_older_image_are_gone(self, signed: str) -> None:
        copied(signed, "dir:out")
        copied("oci:layout:docker", "dir:out")
        assert not list(Path("out").glob("*signature*"))


class TestLanding:
    def test_a_registry(self) -> None:
        with Ends(Access()) as ends, landing("docker://registry.example/acme/app:1", ends) as place:
            assert (place.name, place.transport) == ("1", "docker")
            assert place.reference == parse_reference("registry.example/acme/app:1")
            assert place.holds == EVERYTHING

    @pytest.mark.parametrize(
        ("to", "name", "everything"),
        [
            ("dir:out", "", True),
            ("oci:out:a:1", "a:1", True),
            ("oci-archive:out.tar:a", "a", True),
            ("docker-archive:out.tar:acme/a:1", "docker.io/acme/a:1", False),
        ],
    )
    def test_places(self, to: str, name: str, everything: bool) -> None:
        with Ends(Access()) as ends, landing(to, ends) as place:
            assert isinstance(place, Landing)
            assert place.name == name
            assert (place.holds == EVERYTHING) is everything


def test_a_large_image_is_converted_within_the_directory_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    write_layout(Path("large"), {"app": image(layer("large", 3_000_000))})
    places: list[Path | None] = []
    opened = Spool.open

    def spool(place: Path | None = None) -> AbstractContextManager[Spool]:
        places.append(place)
        return opened(place)

    monkeypatch.setattr(Spool, "open", spool)
    copied("oci:large:app", "docker-archive:out.tar:app:1")
    assert places == [Path("tmp")]
    assert list(Path("tmp").iterdir()) == []
