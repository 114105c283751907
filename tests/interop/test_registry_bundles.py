"""Other people's clients against a signed bundle that ``bundler registry serve`` serves as it lies there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import CLIENTS, FORBIDDEN, Oras, Place, Regctl, Skopeo, below, content_of, logged_in, refusal
from tests.images import image, layer
from tests.peers import needs
from tests.relay import layers, uploaded, watched
from tests.serving import Built, build, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"), "team/app")


@pytest.fixture(scope="module")
def shelf(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A bundle behind a store."""
    work = tmp_path_factory.mktemp("shelf")
    with serving(work / "store", built.bundle, "--key", built.key, "--allow-delete", work=work) as site:
        yield Place(site, logged_in(work / "home", site))


@pytest.mark.parametrize("program", [pytest.param(name, id=name, marks=needs(name)) for name in CLIENTS])
class TestBundle:
    """What came on the medium, as clients find it while it lies there unpacked."""

    @pytest.mark.parametrize("tag", ["web", "multi", "zstd"])
    def test_pull(self, program: str, shelf: Place, built: Built, tag: str, tmp_path: Path) -> None:
        client, held = CLIENTS[program](shelf), built.images[tag]
        assert client.digest(f"team/app:{tag}") == held.root.digest
        client.pull(f"team/app:{tag}", tmp_path / "pulled")
        assert content_of(tmp_path / "pulled").items() >= below(held).items()

    def test_tags(self, program: str, shelf: Place, built: Built) -> None:
        assert sorted(CLIENTS[program](shelf).tags("team/app")) == sorted(built.images)

    @needs("skopeo")
    def test_a_copy_is_the_store_s_own(self, program: str, shelf: Place, built: Built, tmp_path: Path) -> None:
        with watched(shelf) as (through, requests):
            client = CLIENTS[program](through)
            client.pull("team/app:multi", tmp_path / "seen")  # skopeo mounts what it has seen there before
            client.copy("team/app:multi", f"mine/{program}:1")
        assert not set(layers(built.images["multi"])) & set(uploaded(requests))
        Skopeo(shelf).pull(f"mine/{program}:1", tmp_path / "pulled")
        assert content_of(tmp_path / "pulled").items() >= below(built.images["multi"]).items()

    def test_nothing_is_deleted(self, program: str, shelf: Place, built: Built) -> None:
        client, digest = CLIENTS[program](shelf), built.images["zstd"].root.digest
        assert FORBIDDEN.search(refusal(lambda: client.delete("team/app", digest)))
        assert client.digest("team/app:zstd") == digest

    def test_alone_it_takes_nothing(self, program: str, built: Built, tmp_path: Path) -> None:
        with serving(built.bundle, "--key", built.key, work=tmp_path) as site:
            client = CLIENTS[program](Place(site, logged_in(tmp_path / "home", site)))
            said = refusal(lambda: client.push(image(layer("mine", 100)), "mine/web:1", tmp_path))
            assert FORBIDDEN.search(said), said
            assert client.digest("team/app:web") == built.images["web"].root.digest


@needs("regctl", "oras")
def test_what_is_attached_to_an_image_of_a_bundle(shelf: Place, built: Built, tmp_path: Path) -> None:
    came_with = built.images["sbom"].root
    Oras(shelf).attach("team/app:web", "application/vnd.example.signature", "the site's own", tmp_path)
    found = [Oras(shelf).referrers("team/app:web"), Regctl(shelf).referrers("team/app:web")]
    assert found[0] == found[1]
    assert [kind for kind, _ in found[0]] == [came_with.artifact_type, "application/vnd.example.signature"]
    assert (came_with.artifact_type, came_with.digest) in found[0]
