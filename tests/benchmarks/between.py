"""From registry to registry, image by image and by a list: skopeo's own ground, in skopeo's own words.

Both sides are given the same arguments. What they remember of where blobs are lies in a home of its own for each round:
it may save uploads within the nine images, and nothing from one round to the next.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.benchmarks.ground import TAG, Ground
from tests.benchmarks.measure import Cost, child, shell
from tests.peers import DockerRegistry, bundler_path

LIST = "sync.yaml"
PEERS = {"skopeo": "skopeo", "current skopeo": "skopeo-current"}
"""Programs by what the table calls them: the distribution's, and one of today if somebody put it on PATH."""


def programs() -> dict[str, str]:
    """How each peer that is here is called."""
    return {peer: f"{name} --insecure-policy" for peer, name in PEERS.items() if shutil.which(name)}


def row(step: str, peer: str) -> str:
    """The table's name for a step against a peer."""
    return step if peer == "skopeo" else f"{step} ({peer})"


def ours() -> str:
    """How bundler is called."""
    return str(bundler_path())


def fresh_home(ground: Ground, name: str) -> tuple[Path, dict[str, str]]:
    """A directory to work in that is home as well, and the environment that says so."""
    work = ground.fresh(name)
    # skopeo keeps its blob-info-cache in /var/lib/containers for root, and in the home of anyone else.
    return work, {**ground.env, "HOME": str(work), "_CONTAINERS_ROOTLESS_UID": "1000"}


def write_list(ground: Ground, work: Path) -> None:
    """skopeo's sync YAML with every image."""
    images = "".join(f"    corpus/{name}: ['{TAG}']\n" for name in ground.names)
    (work / LIST).write_text(f"{ground.near.host}:\n  tls-verify: false\n  images:\n{images}")


def copy_each(ground: Ground, program: str, work: Path, env: dict[str, str], far: DockerRegistry) -> Cost:
    """Every image by a command of its own."""
    options = "-q --src-tls-verify=false --dest-tls-verify=false"
    lines = [
        f"{program} copy {options} docker://{ground.image(ground.near, name)} docker://{ground.image(far, name)}"
        for name in ground.names
    ]
    return shell("\n".join(lines), cwd=work, env=env)


def sync(program: str, work: Path, env: dict[str, str], far: DockerRegistry) -> Cost:
    """Every image by one command; a second time finds them there."""
    options = ["--src", "yaml", "--dest", "docker", "--dest-tls-verify=false"]
    return child([*program.split(), "sync", *options, LIST, f"{far.host}/site"], cwd=work, env=env)
