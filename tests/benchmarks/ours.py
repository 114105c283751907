"""bundler's commands for the same steps, from the same registry, into the same kind of registry."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from tests.benchmarks.ground import TAG, Ground
from tests.benchmarks.measure import Cost, child, shell, until_first_request
from tests.peers import DockerRegistry, bundler, bundler_path


def manifest(ground: Ground, work: Path) -> None:
    """Write bundle.yaml, by tags, and a key; any lock of an earlier run is not here."""
    host = ground.near.host
    images = "".join(f"  - {host}/corpus/{name}:{TAG}\n" for name in ground.names)
    (work / "bundle.yaml").write_text(
        "apiVersion: bundler/v1\nkind: Bundle\nname: corpus\n"
        f"registries:\n  {host}: {{tls-verify: false}}\nimages:\n{images}"
    )
    bundler("keygen", "k", cwd=work, env=ground.env)


def pull(ground: Ground, work: Path) -> Cost:
    """Resolve and fetch into the store; a second time finds lock and contents there."""
    return _run(ground, work, "pull", "bundle.yaml", "--store", "store")


def pack(ground: Ground, work: Path) -> Cost:
    """Volumes, checksums, signature."""
    return _run(ground, work, "pack", "bundle.yaml", "--store", "store", "-o", "out", "--key", "k.key")


def build_without_store(ground: Ground, work: Path) -> Cost:
    """From the registry into signed volumes."""
    return _run(ground, work, "build", "bundle.yaml", "--no-store", "-o", "out", "--key", "k.key")


def verify(ground: Ground, work: Path) -> Cost:
    """Everything that can be checked."""
    return _run(ground, work, "verify", "out", "--key", "k.pub")


def push(ground: Ground, work: Path, far: DockerRegistry) -> Cost:
    """Verify and push in one read."""
    to = ["--to", f"docker://{far.host}", "--tls-verify=false"]
    return _run(ground, work, "push", "out", "--key", "k.pub", *to)


def plan_many(ground: Ground, work: Path, images: int) -> Cost:
    """The plan of ``images`` images that share 200 blobs: manifests only, in a process of its own."""
    env = {**ground.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    return child([sys.executable, "-m", "tests.benchmarks.many", str(images)], cwd=work, env=env)


def start_help(ground: Ground, work: Path) -> Cost:
    """``bundler --help``."""
    return _run(ground, work, "--help")


def start_request(ground: Ground, work: Path) -> Cost:
    """``bundler lock`` up to its first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        (work / "first.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: first\n"
            f"registries:\n  {host}: {{tls-verify: false}}\nimages:\n  - {host}/app:1\n"
        )
        return until_first_request([bundler_path(), "lock", "first.yaml"], listener, cwd=work, env=ground.env)


def start_python(ground: Ground, work: Path) -> Cost:
    """The interpreter alone, to subtract in thought."""
    return child([sys.executable, "-c", ""], cwd=work, env=ground.env)


def _run(ground: Ground, work: Path, *args: str) -> Cost:
    return child([bundler_path(), *args], cwd=work, env=ground.env)


def first_pull(ground: Ground, work: Path) -> Cost:
    """Start to serve the bundle, and get a manifest from it."""
    name = ground.names[0]
    script = f"""
{bundler_path()} registry serve out --key k.pub --listen 127.0.0.1:0 2>serve.txt &
server=$!
until [ -s serve.txt ]; do sleep 0.005; done
url=$(sed -n 's/.* at //p' serve.txt)
curl -fsS -o /dev/null "$url/v2/corpus/{name}/manifests/{TAG}"
kill -9 $server
"""
    return shell(script, cwd=work, env=ground.env)
