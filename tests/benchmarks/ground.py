"""Where the measurements are made: a work directory in memory, the corpus, and registries near and far.

The near registry holds the corpus for the whole run. A far one is made for each push that must find it empty, and made
again by :meth:`Ground.far` otherwise. Both are docker-registry over plain HTTP, so that TLS, which both sides would pay
alike, does not drown the difference.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers import DockerRegistry, docker_registry, hidden, run, skopeo

TAG = "1.0"


@dataclass(slots=True)
class Ground:
    """``work`` is removed at the end; ``layout`` is the corpus, ``names`` its images, ``near`` the registry with it."""

    work: Path
    layout: Path
    names: tuple[str, ...]
    near: DockerRegistry
    env: dict[str, str]
    count: int = field(default=0)

    def fresh(self, name: str) -> Path:
        """A new directory."""
        self.count += 1
        folder = self.work / f"{self.count:04d}-{name}"
        folder.mkdir()
        return folder

    @contextmanager
    def far(self) -> Iterator[DockerRegistry]:
        """An empty registry for one push or two."""
        folder = self.fresh("far")
        try:
            with docker_registry(folder) as registry:
                yield registry
        finally:
            shutil.rmtree(folder)

    def image(self, registry: DockerRegistry, name: str) -> str:
        """The reference of an image of the corpus."""
        return f"{registry.host}/corpus/{name}:{TAG}"

    def digests(self) -> dict[str, str]:
        """The digest of each image's manifest."""
        entries = json.loads((self.layout / "index.json").read_text())["manifests"]
        return {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}

    def size(self) -> int:
        """Bytes of the corpus."""
        return sum(path.stat().st_size for path in (self.layout / "blobs").rglob("*") if path.is_file())


@contextmanager
def prepared(corpus: Path, memory: Path) -> Iterator[Ground]:
    """Fill a near registry with the corpus and make keys for both chains; everything is removed at the end."""
    layout = corpus if (corpus / "index.json").exists() else corpus / "oci"
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    names = tuple(entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries)
    work = memory / f"bundler-benchmark-{os.getpid()}"
    work.mkdir()
    try:
        env = {name: value for name, value in os.environ.items() if not hidden(name)}
        env.update(HOME=str(work), BUNDLER_PASSWORD="only for this measurement")
        with docker_registry(work, name="near") as near:
            ground = Ground(work, layout, names, near, env)
            for name in names:
                where = f"docker://{ground.image(near, name)}"
                skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:{name}", where, env=env)
            run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "peer.pem", cwd=work)
            run("openssl", "ec", "-in", "peer.pem", "-pubout", "-out", "peer.pub", cwd=work)
            yield ground
    finally:
        shutil.rmtree(work, ignore_errors=True)
