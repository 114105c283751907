"""One journey with the real commands: two sides that share nothing, and what was left behind.

The near and the far registry have their own CA and their own user each. The near side logs in by ``auth.json`` and finds
the CA in bundle.yaml; the far side is told by flags.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.authority import Authority
from tests.corpus import Corpus
from tests.peers import DockerRegistry, bundler, docker_registry
from tests.tokens import Ask, TokenServer

PASSWORD = {"BUNDLER_PASSWORD": "a password for the key"}
NEAR, FAR = "builder:near secret", "site:far:secret"


@dataclass(frozen=True, slots=True)
class Side:
    """One end of the journey: a registry with its own CA and one user."""

    registry: DockerRegistry
    authority: Authority
    creds: str
    tokens: TokenServer | None

    def flags(self, prefix: str = "") -> list[str]:
        """What skopeo and bundler have to be told, ``prefix`` being ``src-``, ``dest-`` or nothing."""
        return [f"--{prefix}creds", self.creds, f"--{prefix}cert-dir", str(self.authority.cert_dir)]

    def image(self, name: str) -> str:
        """Where an image of the corpus lies there."""
        return f"docker://{self.registry.host}/corpus/{name}:1.0"


@dataclass(frozen=True, slots=True)
class Journey:
    """What a journey left behind.

    ``said`` is the standard output of each of its commands, ``asks`` what the token servers, near and far, were asked.
    """

    work: Path
    corpus: Corpus
    near: Side
    far: Side
    said: dict[str, str] = field(default_factory=dict)
    asks: dict[str, tuple[Ask, ...]] = field(default_factory=dict)

    @property
    def bundle(self) -> Path:
        """The bundle's directory."""
        return self.work / "edge-000001"

    @property
    def env(self) -> dict[str, str]:
        """A home of its own, and the key's password."""
        return {"HOME": str(self.work / "home"), **PASSWORD}


def open_side(stack: ExitStack, work: Path, name: str, creds: str, login: str) -> Side:
    authority = Authority.create(work / f"{name}-ca", name=f"CA of the {name} side")
    user, _, password = creds.partition(":")
    tokens = None
    options: dict[str, Any] = {"htpasswd": {user: password}}
    if login == "tokens":
        server = TokenServer(users={user: password}, tls=authority)
        tokens = stack.enter_context(server.running(work / f"{name}-tokens"))
        options = {"token": tokens}
    registry = stack.enter_context(docker_registry(work, name=name, tls=authority, **options))
    return Side(registry, authority, creds, tokens)


def travel(work: Path, corpus: Corpus, near: Side, far: Side) -> Journey:
    """Keys, build, verify, push; the near side logs in by auth.json, the far side by flags."""
    made = Journey(work, corpus, near, far)
    Path(made.env["HOME"]).mkdir()
    write_manifest(work / "bundle.yaml", near, corpus.digests)
    authfile = work / "auth.json"
    secret = base64.b64encode(near.creds.encode()).decode()
    authfile.write_text(json.dumps({"auths": {near.registry.host: {"auth": secret}}}))

    def step(name: str, *args: str | Path) -> None:
        made.said[name] = bundler(name, *args, cwd=work, env=made.env)

    step("keygen", "release")
    step(
        "build", "bundle.yaml", "-o", made.bundle, "--key", "release.key", "--volume-size", "40MiB",
        "--store", "store", "--authfile", authfile,
    )  # fmt: skip
    step("verify", made.bundle, "--key", "release.pub")
    step(
        "push", made.bundle, "--key", "release.pub", "--to", f"docker://{far.registry.host}",
        "--receipt", "receipt.json", *far.flags(),
    )  # fmt: skip
    made.asks.update({name: tuple(side.tokens.asked) for name, side in (("near", near), ("far", far)) if side.tokens})
    return made


def write_manifest(file: Path, near: Side, names: Mapping[str, str]) -> None:
    host = near.registry.host
    images = "".join(f"  - {host}/corpus/{name}:1.0\n" for name in names)
    ca = near.authority.ca.relative_to(file.parent)
    file.write_text(
        f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\nregistries:\n  {host}: {{ca: {ca}}}\nimages:\n{images}"
    )
