"""A bundle of generated images, built once, for the tests that judge it without bundler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.corpus import Corpus, generated
from tests.peers import bundler, demand, docker_registry
from tests.roundtrip import PASSWORD

CUT = "9MiB"
"""A volume size below the largest blob's, so that this one is cut into parts."""


@dataclass(frozen=True, slots=True)
class Built:
    """``bundle.yaml``, its lock, a store and a signed bundle in ``work``, from a registry that still runs."""

    work: Path
    corpus: Corpus
    host: str

    @property
    def bundle(self) -> Path:
        """The bundle's directory."""
        return self.work / "out"

    @property
    def store(self) -> Path:
        """The store's directory."""
        return self.work / "store"

    @property
    def env(self) -> dict[str, str]:
        """A home of its own, and the key's password."""
        return {"HOME": str(self.work / "home"), **PASSWORD}

    def build(self, out: str, *options: str) -> Path:
        """Build once more from the same lock; returns the bundle's directory."""
        command = ["build", "bundle.yaml", "-o", out, "--key", "release.key", "--volume-size", CUT, *options]
        bundler(*command, cwd=self.work, env=self.env)
        return self.work / out


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Built from a registry without TLS, as a laboratory has it."""
    demand("skopeo", "docker-registry")
    work = tmp_path_factory.mktemp("built")
    corpus = generated(work)
    with docker_registry(work) as near:
        corpus.push(near, "--dest-tls-verify=false")
        (work / "home").mkdir()
        images = "".join(f"  - {near.host}/corpus/{name}:1.0\n" for name in corpus.digests)
        (work / "bundle.yaml").write_text(
            "apiVersion: bundler/v1\nkind: Bundle\nname: edge\nregistries:\n"
            f"  {near.host}: {{tls-verify: false}}\nimages:\n{images}"
        )
        made = Built(work, corpus, near.host)
        bundler("keygen", "release", cwd=work, env=made.env)
        made.build("out", "--store", "store")
        yield made
