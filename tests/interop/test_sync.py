"""``sync``: the same command line by skopeo and by bundler leaves the same tree, or the same tags in a registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.conftest import StartRegistry
from tests.images import family, image, layer, load, write_dir
from tests.interop.sameness import BOTH, Contents, Pair, contents
from tests.peers import DockerRegistry, demand, docker_registry, needs

pytestmark = needs("skopeo", "docker-registry")
IMAGES = family()
REPOSITORIES = {
    "team/app": {"1.0": "web", "1.1": "docker", "1.2-rc1": "base", "2.0": "multi"},
    "team/sub/tool": {"edge": "multi-docker", "old": "web"},
}


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A registry with :data:`REPOSITORIES`."""
    demand("skopeo", "docker-registry")
    with docker_registry(tmp_path_factory.mktemp("near")) as running:
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            for repository, names in REPOSITORIES.items():
                load(registry.repository(repository), {tag: IMAGES[name] for tag, name in names.items()})
        yield running


@pytest.fixture(params=BOTH)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """bundler beside each skopeo, each with an empty directory."""
    made = Pair(request.param, tmp_path)
    for side in made.sides:
        side.place.mkdir()
    return made


@pytest.fixture
def far(start_registry: StartRegistry) -> tuple[DockerRegistry, DockerRegistry]:
    """A registry for skopeo and one for bundler."""
    return start_registry("theirs-far"), start_registry("ours-far")


def hosts(far: tuple[DockerRegistry, DockerRegistry]) -> tuple[str, str]:
    return far[0].host, far[1].host


def write_list(pair: Pair, near: DockerRegistry) -> Path:
    """By tag, by digest and by regular expression."""
    file = pair.work / "sync.yaml"
    file.write_text(
        f"{near.host}:\n  tls-verify: false\n  images:\n    team/sub/tool: ['edge']\n"
        f"    team/app: ['{IMAGES['web'].root.digest}']\n  images-by-tag-regex:\n    team/app: ^[12]\\.\\d$\n"
    )
    return file


@pytest.mark.parametrize("options", ["", "--scoped", "--all", "--all --scoped", "--scoped --preserve-digests"])
def test_a_list_to_a_directory(options: str, pair: Pair, near: DockerRegistry) -> None:
    pair("sync", "--src=yaml", "--dest=dir", *options.split(), write_list(pair, near), "{to}")
    assert pair.ours.tree() == pair.theirs.tree()
    assert len([name for name in pair.ours.tree() if name.endswith("/manifest.json")]) == 5


@pytest.mark.parametrize("options", ["", "--all", "--format=v2s2"])
def test_a_list_to_a_registry(
    options: str, pair: Pair, near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry]
) -> None:
    order = ["sync", "--src=yaml", "--dest=docker", "--dest-tls-verify=false", *options.split()]
    for _ in range(2):
        pair(*order, write_list(pair, near), "{to}/mirror", to=hosts(far))
        assert sorted(contents(far[0])) == ["mirror/app:1.0", "mirror/app:1.1", "mirror/app:2.0", "mirror/tool:edge"]
        assert contents(far[1]) == contents(far[0])


def test_a_second_run_has_nothing_to_do(
    near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry], tmp_path: Path
) -> None:
    pair = Pair("skopeo", tmp_path)
    order = ["sync", "--src=yaml", "--dest=docker", "--dest-tls-verify=false", write_list(pair, near), far[1].host]
    pair.ours.run(*order)
    assert "0 unchanged" in pair.ours.said[-1].stderr
    pair.ours.run(*order)
    assert "0 images copied" in pair.ours.said[-1].stderr
    assert "5 unchanged" in pair.ours.said[-1].stderr


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("team/app", ""),
        ("team/app", "--all"),
        ("team/app:1.1", ""),
        ("team/sub/tool:edge", "--all --scoped"),
        ("team/sub/tool", "--scoped"),
    ],
)
def test_a_repository_to_a_directory(source: str, options: str, pair: Pair, near: DockerRegistry) -> None:
    order = ["sync", "--src=docker", "--dest=dir", "--src-tls-verify=false", *options.split()]
    pair(*order, f"{near.host}/{source}", "{to}")
    assert pair.ours.tree()
    assert pair.ours.tree() == pair.theirs.tree()


@pytest.mark.parametrize("options", ["", "--all"])
def test_a_repository_to_a_registry(
    options: str, pair: Pair, near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry]
) -> None:
    order = ["sync", "--src=docker", "--dest=docker", "--src-tls-verify=false", "--dest-tls-verify=false"]
    pair(*order, *options.split(), f"{near.host}/team/app", "{to}", to=hosts(far))
    assert sorted(contents(far[0])) == [f"app:{tag}" for tag in sorted(REPOSITORIES["team/app"])]
    assert contents(far[1]) == contents(far[0])


@pytest.mark.parametrize("options", ["", "--scoped", "--all --scoped"])
def test_a_directory_to_a_registry(options: str, pair: Pair, far: tuple[DockerRegistry, DockerRegistry]) -> None:
    base = pair.work / "base"
    for place, name in {"library/app:1": "web", "other/app:2": "docker", "tool:3": "base"}.items():
        write_dir(base / place, IMAGES[name])
    order = ["sync", "--src=dir", "--dest=docker", "--dest-tls-verify=false", *options.split()]
    pair(*order, base, "{to}/site", to=hosts(far))
    assert len(contents(far[0])) == 3
    assert contents(far[1]) == contents(far[0])


def test_a_rehearsal_names_the_same_and_writes_nothing(
    pair: Pair, near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry]
) -> None:
    order = ["sync", "--src=yaml", "--dest=docker", "--dest-tls-verify=false", "--dry-run"]
    pair(*order, write_list(pair, near), "{to}/mirror", to=hosts(far))
    assert contents(far[0]) == contents(far[1]) == {}
    would = pair.ours.out.split("\n")[:-1]
    assert len(would) == 5
    for line in would:
        source, _, there = line.partition(" -> ")
        said = pair.theirs.said[-1].stderr
        assert f'from="{source}" to="{there.replace(far[1].host, far[0].host)}"' in said


def test_suffix_and_digest_file(
    pair: Pair, near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry], tmp_path: Path
) -> None:
    if not pair.is_current:
        pytest.skip("Debian's skopeo has neither --append-suffix nor --digestfile here")
    order = ["sync", "--src=docker", "--dest=docker", "--src-tls-verify=false", "--dest-tls-verify=false"]
    for side, running in zip(pair.sides, far, strict=True):
        file = side.place / "digests"
        side.run(*order, "--append-suffix=-site", f"--digestfile={file}", f"{near.host}/team/app", running.host)
    assert sorted(contents(far[0])) == [f"app:{tag}-site" for tag in sorted(REPOSITORIES["team/app"])]
    assert contents(far[1]) == contents(far[0])
    theirs, ours = (sorted((side.place / "digests").read_text().splitlines()) for side in pair.sides)
    assert [line.replace(far[1].host, far[0].host) for line in ours] == theirs


@pytest.mark.parametrize("going", [False, True])
def test_going_on_after_a_failure(
    going: bool, pair: Pair, near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry]
) -> None:
    file = pair.work / "sync.yaml"
    file.write_text(f"{near.host}:\n  tls-verify: false\n  images:\n    team/app: ['nothing', '1.0', '1.1']\n")
    order = ["sync", "--src=yaml", "--dest=docker", "--dest-tls-verify=false"]
    pair(*order, *(["--keep-going"] if going else []), file, "{to}", to=hosts(far), status=None)
    assert contents(far[1]) == contents(far[0])
    assert sorted(contents(far[1])) == (["app:1.0", "app:1.1"] if going else [])
    assert "nothing" in pair.ours.said[-1].stderr


def test_prune(near: DockerRegistry, far: tuple[DockerRegistry, DockerRegistry], tmp_path: Path) -> None:
    pair = Pair("skopeo", tmp_path)
    with Registry(far[1].host, Settings(tls_verify=False, proxies={})) as registry:
        gone = image(layer("gone", 500))
        load(registry.repository("app"), {"0.9": gone, "also-1.0": IMAGES["web"]})
        load(registry.repository("untouched"), {"1": gone})
    order = ["sync", "--src=docker", "--dest=docker", "--src-tls-verify=false", "--dest-tls-verify=false", "--prune"]
    places = [f"{near.host}/team/app", far[1].host]
    before: Contents = contents(far[1])
    pair.ours.run(*order, "--dry-run", *places)
    assert "would remove" in pair.ours.out
    assert contents(far[1]) == before
    pair.ours.run(*order, *places, status=2)  # there is nobody to ask
    assert contents(far[1]) == before
    pair.ours.run(*order, "--yes", *places)
    left = sorted(contents(far[1]))  # also-1.0 is the digest of 1.0, and registries delete by digest
    assert left == ["app:1.0", "app:1.1", "app:1.2-rc1", "app:2.0", "app:also-1.0", "untouched:1"]
