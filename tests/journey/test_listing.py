"""Tags, and deletions, by way of each transport that has them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from bundler.errors import BundlerError, ConfigError, NotFoundError, UnsupportedError
from bundler.journey.access import Access
from bundler.journey.ends import Ends
from bundler.journey.listing import delete, list_tags, repository_of
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.reference import Reference
from bundler.store import Layout
from bundler.transports import oci_archive
from tests.images import family, load, write_dir, write_layout
from tests.memory import Memory

IMAGES = family()


class Deleting(Memory):
    """A repository that deletes and can be peeked at, as a registry's."""

    def peek(self, name: str) -> Descriptor:
        return self.resolve(name)

    def delete(self, digest: Digest) -> None:
        del self.contents[digest]
        self.names = {name: root for name, root in self.names.items() if root.digest != digest}


class Fakes:
    """Ends with one registry, in memory."""

    def __init__(self, repository: Memory) -> None:
        self.kept = repository

    def repository(self, reference: Reference) -> Memory:
        assert reference.name == "registry.example.com/acme/app"
        return self.kept


@pytest.fixture
def acme() -> Deleting:
    memory = Deleting()
    load(memory, {"1": IMAGES["web"], "2": IMAGES["docker"], "latest": IMAGES["web"]})
    return memory


def test_tags_of_a_repository(acme: Deleting) -> None:
    said = list_tags("docker://registry.example.com/acme/app", cast("Ends", Fakes(acme)))
    assert said == {"Repository": "registry.example.com/acme/app", "Tags": ["1", "2", "latest"]}


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("docker://registry.example.com/acme/app:1", "registry.example.com/acme/app"),
        ("nginx", "docker.io/library/nginx"),
        ("docker-archive:a.tar:app:1", "docker.io/library/app"),
        ("docker-archive:a.tar:@0", ""),
        ("docker-archive:a.tar", ""),
        ("docker-daemon:app:1", "docker.io/library/app"),
        (f"docker-daemon:sha256:{'a' * 64}", ""),
        ("containers-storage:localhost/app:1", "localhost/app"),
        (f"containers-storage:[vfs@/a+/b]localhost/app@{'a' * 64}", "localhost/app"),
        ("containers-storage:@0123abcd", ""),
        ("oci:layout:app", ""),
        ("dir:app", ""),
    ],
)
def test_repositories_that_names_tell(image: str, repository: str) -> None:
    found, reference = repository_of(image)
    assert found == repository
    assert (reference is not None) == (image.startswith("docker:") or ":" not in image)


def test_names_in_a_layout(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"a": IMAGES["web"], "b": IMAGES["docker"]})
    assert list_tags(f"oci:{layout}", Ends(Access())) == {"Tags": ["a", "b"]}


WRONG: dict[str, tuple[str, type[BundlerError]]] = {
    "an image": ("docker://registry.example.com/acme/app:1", ConfigError),
    "an image by digest": (f"docker://registry.example.com/acme/app@sha256:{'a' * 64}", ConfigError),
    "a directory": ("dir:x", UnsupportedError),
    "a daemon": ("docker-daemon:x", UnsupportedError),
    "no such transport": ("nonsense:x", ConfigError),
    "no such layout": ("oci:missing", NotFoundError),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_has_no_tags(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, error = WRONG[case]
    with pytest.raises(error):
        list_tags(name, Ends(Access()))


def test_a_deletion_takes_every_tag_of_the_digest(acme: Deleting) -> None:
    said = delete("docker://registry.example.com/acme/app:1", cast("Ends", Fakes(acme)))
    assert said == IMAGES["web"].root.digest
    assert list(acme.names) == ["2"]


def test_a_deletion_of_nothing(acme: Deleting) -> None:
    with pytest.raises(NotFoundError):
        delete("docker://registry.example.com/acme/app:3", cast("Ends", Fakes(acme)))
    assert sorted(acme.names) == ["1", "2", "latest"]


def test_a_deletion_in_a_layout(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"a": IMAGES["web"], "b": IMAGES["docker"]})
    assert delete(f"oci:{layout}:a", Ends(Access())) == IMAGES["web"].root.digest
    assert dict(Layout.open(layout).images()).keys() == {"b"}


def test_the_deletion_of_a_directory(tmp_path: Path) -> None:
    folder = write_dir(tmp_path / "dir", IMAGES["web"])
    assert delete(f"dir:{folder}", Ends(Access())) == IMAGES["web"].root.digest
    assert not folder.exists()


def test_what_holds_more_than_an_image_is_not_deleted(tmp_path: Path) -> None:
    folder = write_dir(tmp_path / "dir", IMAGES["web"])
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        delete(f"dir:{folder}", Ends(Access()))
    assert (folder / "notes.txt").exists()
    assert (folder / "manifest.json").exists()


def test_what_deletes_nothing(tmp_path: Path) -> None:
    write_dir(tmp_path / "dir", IMAGES["web"])
    with oci_archive.open_target(str(tmp_path / "a.tar")) as target:
        load(target, {"web": IMAGES["web"]})
    raw = (tmp_path / "a.tar").read_bytes()
    with Ends(Access()) as ends, pytest.raises(UnsupportedError, match="can't be deleted"):
        delete(f"oci-archive:{tmp_path}/a.tar:web", ends)
    assert (tmp_path / "a.tar").read_bytes() == raw
