"""Images from wherever they are into a bundle, and from a bundle to wherever they are needed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.content import Note, Outcome, read
from bundler.errors import ConfigError, DigestError, UnsupportedError
from bundler.graph import walk
from bundler.journey import near
from bundler.journey.access import Access, Surroundings
from bundler.journey.copying import Orders, copy
from bundler.journey.demand import Demand
from bundler.journey.ends import Ends
from bundler.journey.far import Pushed, Route, push
from bundler.journey.fitting import Instances, Wanted
from bundler.oci.platform import Platform
from bundler.store import Store
from bundler.transports import dir as folder
from bundler.transports import docker_archive, oci_archive
from tests.images import image, layer, write_dir
from tests.workshop import IMAGES, NOW, WEB, Workshop, key, working, write_manifest

AMD64 = Platform("linux", "amd64")


def copied(source: str, target: str, *, all_of_them: bool = False) -> None:
    instances = Instances.ALL if all_of_them else Instances.SYSTEM
    with ThreadPoolExecutor(2) as executor, Ends(Access()) as one, Ends(Access()) as other:
        copy(source, target, Orders(Wanted(AMD64, instances)), one, other, executor=executor)


@pytest.fixture
def place(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_bundle_from_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dir(tmp_path / "web", WEB)
    copied("dir:web", "oci-archive:web.oci:v1")
    copied("dir:web", "docker-archive:web.tar:acme/web:2")
    place = Workshop(tmp_path)
    place.pull()
    place.build("older")
    lines = [
        "  - image: dir:web",
        "  - oci-archive:web.oci:v1",
        "  - docker-archive:web.tar:acme/web:2",
        "  - bundle:older:team/api:2.0",
    ]
    path = write_manifest(
        tmp_path, "\n".join(lines).replace("image: dir:web", "{image: 'dir:web', as: site/web}") + "\n"
    )
    (tmp_path / "bundle.lock.json").unlink(missing_ok=True)
    access = Access(demand=Demand((key("release").public,), 1, NOW))
    with working(path, access) as run:
        lock = near.make_lock(run, now=NOW)
        assert {each.target for each in lock.images} == {"site/web:latest", "web:v1", "acme/web:2", "team/api:2.0"}
    with working(path, access) as run:  # another process, which resolves nothing
        pulled = near.pull(run, tmp_path / "other", now=NOW)
    assert pulled.outcomes[Outcome.COPIED] == len(
        {node.digest for each in lock.images for node in walk(Store.open(str(tmp_path / "other")), each.root).nodes}
    )


def test_an_archive_that_changed_since_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dir(tmp_path / "web", WEB)
    write_dir(tmp_path / "new", image(layer("new", 500)))
    copied("dir:web", "docker-archive:app.tar:acme/web:2")
    path = write_manifest(tmp_path, "  - docker-archive:app.tar:acme/web:2\n")
    with working(path) as run:
        near.make_lock(run, now=NOW)
    (tmp_path / "app.tar").unlink()
    copied("dir:new", "docker-archive:app.tar:acme/web:2")
    with working(path) as run, pytest.raises(DigestError, match="and the lock says"):
        near.pull(run, tmp_path / "store", now=NOW)


def pushed(place: Workshop, to: str, *patterns: str) -> tuple[Pushed, list[str]]:
    notes: list[str] = []
    demand = Demand((key("release").public,), 1, NOW)
    with ThreadPoolExecutor(3) as executor:
        done = push(
            place.folder / "out",
            demand,
            Route(to, patterns=patterns),
            Access(),
            surroundings=Surroundings(platform=AMD64),
            executor=executor,
            observer=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
    return done, notes


def test_a_push_into_directories(place: Workshop) -> None:
    place.build()
    done, _ = pushed(place, f"dir:{place.folder / 'far'}")
    assert len(done.receipt.images) == len(IMAGES)
    for name, held in IMAGES.items():
        source = folder.open_source(str(place.folder / "far" / name.removeprefix("reg.io/")))
        assert source.resolve().digest == held.root.digest
        assert [node.digest for node in walk(source, held.root).nodes]
    assert sorted(each.name for each in (place.folder / "far").iterdir()) == ["team"]


def test_a_push_into_one_oci_archive(place: Workshop) -> None:
    place.build()
    pushed(place, f"oci-archive:{place.folder / 'all.tar'}")
    archive = oci_archive.open_source(str(place.folder / "all.tar"))
    assert archive.tags() == sorted(name.removeprefix("reg.io/") for name in IMAGES)
    for name, held in IMAGES.items():
        root = archive.resolve(name.removeprefix("reg.io/"))
        assert root.digest == held.root.digest
        assert all(len(read(archive, node)) == node.size for node in walk(archive, root).nodes)
    archive.close()


def test_a_push_into_one_archive_for_docker_load(place: Workshop) -> None:
    place.build()
    done, notes = pushed(
        place, f"docker-archive:{place.folder / 'all.tar'}", "team/web:*", "team/api:*", "team/multi:*"
    )
    archive = docker_archive.open_source(str(place.folder / "all.tar"))
    assert sorted(archive.tags()) == [f"docker.io/team/{name}" for name in ("api:2.0", "multi:3.0", "web:1.0")]
    assert len(done.receipt.images) == 3
    assert {each.digest for each in done.receipt.images} == {
        archive.resolve(f"team/{name}").digest for name in ("api:2.0", "multi:3.0", "web:1.0")
    }
    assert any("became Docker schema 2" in note for note in notes)
    archive.close()


def test_an_artifact_is_no_image_to_load(place: Workshop) -> None:
    place.build()
    with pytest.raises(UnsupportedError, match="artifact"):
        pushed(place, f"docker-archive:{place.folder / 'all.tar'}")
    assert not (place.folder / "all.tar").exists()
    assert [each.name for each in place.folder.iterdir() if each.name.startswith(".")] == []


def test_a_tampered_bundle_leaves_nothing(place: Workshop) -> None:
    place.build()
    (volume,) = (place.folder / "out").glob("volume-*")
    raw = bytearray(volume.read_bytes())
    raw[len(raw) // 2] ^= 1
    volume.write_bytes(raw)
    for to in ("docker-archive:a.tar", "oci-archive:b.tar", "dir:c"):
        transport, _, name = to.partition(":")
        with pytest.raises(DigestError):
            pushed(place, f"{transport}:{place.folder / name}", "team/web:*", "team/api:*")
    assert not any((place.folder / name).is_file() for name in ("a.tar", "b.tar"))
    assert list((place.folder / "c").rglob("manifest.json")) == []


def test_a_bundle_as_a_source_is_not_opened_untrusted(place: Workshop) -> None:
    place.build()
    with pytest.raises(ConfigError, match="nothing says whose bundles to trust"):
        copied(f"bundle:{place.folder / 'out'}:team/web:1.0", f"dir:{place.folder / 'x'}")
    assert not (place.folder / "x").exists()
