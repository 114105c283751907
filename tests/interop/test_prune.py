"""`sync --prune` at a registry that deletes by digest: what the list still needs stays, whatever else goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.conftest import StartRegistry
from tests.images import family, load
from tests.peers import DockerRegistry, bundler, needs

pytestmark = needs("docker-registry")
IMAGES = family()
OPEN = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def both(start_registry: StartRegistry) -> tuple[DockerRegistry, DockerRegistry]:
    """The list's registry and the destination's."""
    return start_registry("near"), start_registry("far")


def fill(running: DockerRegistry, repository: str, **tags: str) -> None:
    with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
        load(registry.repository(repository), {tag: IMAGES[name] for tag, name in tags.items()})


def tags(running: DockerRegistry, repository: str) -> list[str]:
    with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
        return sorted(registry.repository(repository).tags())


def test_an_index_keeps_its_images(both: tuple[DockerRegistry, DockerRegistry], tmp_path: Path) -> None:
    near, far = both
    fill(near, "acme/app", multi="multi")
    fill(far, "site/app", multi="multi", amd64="web", old="docker")
    bundler(
        "sync",
        "--src=docker",
        "--dest=docker",
        "--all",
        "--prune",
        "--yes",
        *OPEN,
        f"{near.host}/acme/app",
        f"{far.host}/site",
    )
    assert tags(far, "site/app") == ["amd64", "multi"]
    bundler(
        "copy", "--all", "--src-tls-verify=false", f"docker://{far.host}/site/app:multi", f"dir:{tmp_path / 'whole'}"
    )


def test_what_the_list_names_by_digest_stays(both: tuple[DockerRegistry, DockerRegistry], tmp_path: Path) -> None:
    near, far = both
    fill(near, "acme/app", one="web")
    fill(far, "site/app", old="web", older="docker")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{near.host}/acme/app@{IMAGES['web'].root.digest}\n")
    bundler("sync", "--src=yaml", "--dest=docker", "--prune", "--yes", *OPEN, listed, f"{far.host}/site")
    assert tags(far, "site/app") == ["old"]
