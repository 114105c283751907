"""The same command line by skopeo and by bundler, and what each left behind.

    pair = Pair("skopeo", tmp_path)
    pair("copy", "--all", f"docker://{host}/app:1", "dir:{to}")       # {to} is a place of each program's own
    assert pair.theirs.tree() == pair.ours.tree()

Both must end with status 0 unless told otherwise. A registry's contents are compared by :func:`contents`: every tag with
the digest and the media type of its manifest.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from bundler.oci import mediatype
from tests.peers import DockerRegistry, attempt, bundler_path, demand

Contents = dict[str, tuple[str, str]]
BOTH = ("skopeo", "skopeo-current")
"""Debian's, and a current one where it is on PATH."""


@dataclass(frozen=True, slots=True)
class Side:
    """One program with its place, and what it said last."""

    command: tuple[str, ...]
    place: Path
    said: list[subprocess.CompletedProcess[str]] = field(default_factory=list)

    @property
    def out(self) -> str:
        """Standard output of the last run."""
        return self.said[-1].stdout

    @property
    def digest(self) -> str:
        """What --digestfile={to}.digest was given."""
        return self.place.with_name(f"{self.place.name}.digest").read_text()

    def tree(self, below: str = "") -> dict[str, str]:
        """Every file with the digest of its bytes."""
        base = self.place / below
        files = sorted(path for path in base.rglob("*") if path.is_file())
        return {path.relative_to(base).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def run(self, *args: str | Path, status: int | None = 0, to: str = "") -> subprocess.CompletedProcess[str]:
        """Run it; ``status`` None is any failure."""
        filled = [str(arg).replace("{to}", to or str(self.place)) for arg in args]
        done = attempt(*self.command, *filled, env={"HOME": str(self.place.parent)})
        as_wanted = done.returncode != 0 if status is None else done.returncode == status
        assert as_wanted, f"{' '.join([*self.command, *filled])}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.said.append(done)
        return done


class Pair:
    """skopeo and bundler beside each other, in ``work``."""

    def __init__(self, program: str, work: Path) -> None:
        demand(program, "docker-registry")
        self.program = program
        self.work = work
        self.theirs = Side((program, "--insecure-policy"), work / "theirs" / "there")
        self.ours = Side((str(bundler_path()),), work / "ours" / "there")
        for side in self.sides:
            side.place.parent.mkdir(exist_ok=True)

    @property
    def sides(self) -> tuple[Side, Side]:
        """skopeo's and bundler's."""
        return self.theirs, self.ours

    @property
    def is_current(self) -> bool:
        """Whether skopeo is a current one."""
        return self.program == "skopeo-current"

    def __call__(self, *args: str | Path, status: int | None = 0, to: tuple[str, str] = ("", "")) -> None:
        """The same by both; ``to`` replaces ``{to}`` for skopeo and for bundler."""
        for side, place in zip(self.sides, to, strict=True):
            side.run(*args, status=status, to=place)


def contents(registry: DockerRegistry) -> Contents:
    """Every tag of a plain registry with digest and media type."""
    with urllib.request.urlopen(f"{registry.url}/v2/_catalog?n=1000") as answer:
        repositories = json.load(answer)["repositories"]
    return {
        f"{repository}:{tag}": manifest(registry, repository, tag)
        for repository in repositories
        for tag in tags(registry, repository)
    }


def tags(registry: DockerRegistry, repository: str) -> list[str]:
    """The tags of a repository."""
    try:
        with urllib.request.urlopen(f"{registry.url}/v2/{repository}/tags/list") as answer:
            return json.load(answer)["tags"] or []
    except urllib.error.HTTPError as problem:
        problem.close()
        return []


def manifest(registry: DockerRegistry, repository: str, identifier: str) -> tuple[str, str]:
    """Digest and media type of a manifest."""
    accept = ", ".join(mediatype.ACCEPT)
    where = f"{registry.url}/v2/{repository}/manifests/{identifier}"
    with urllib.request.urlopen(urllib.request.Request(where, headers={"Accept": accept})) as answer:
        return answer.headers["Docker-Content-Digest"], answer.headers["Content-Type"]
