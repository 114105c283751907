"""The fastest peers, each at the one step that it shares with bundler: crane pulls, imgpkg archives and pushes."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Cost, child
from tests.peers import DockerRegistry


def crane_pull(ground: Ground, work: Path) -> Cost:
    """All images in one command, into one layout."""
    images = [ground.image(ground.near, name) for name in ground.names]
    return child(["crane", "pull", "--insecure", "--format", "oci", *images, "layout"], cwd=work, env=ground.env)


def imgpkg_archive(ground: Ground, work: Path) -> Cost:
    """From registry to archive by an images lock: neither compressed nor summed nor signed."""
    images = "".join(
        f"- image: {ground.near.host}/corpus/{name}@{digest}\n" for name, digest in ground.digests().items()
    )
    lock = f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n{images}"
    (work / "images.lock.yaml").write_text(lock)
    command = [
        "imgpkg",
        "copy",
        "--tty=false",
        "--registry-insecure",
        "--lock",
        "images.lock.yaml",
        "--to-tar",
        "b.tar",
    ]
    return child(command, cwd=work, env=ground.env)


def imgpkg_push(ground: Ground, work: Path, far: DockerRegistry) -> Cost:
    """From archive to registry, everything into one repository, by digest only."""
    command = ["imgpkg", "copy", "--tty=false", "--registry-insecure", "--tar", "b.tar", "--to-repo", f"{far.host}/all"]
    return child(command, cwd=work, env=ground.env)
