"""The whole journey on this machine, narrated: what a newcomer sees first.

Two embedded registries stand for the two sides; a few generated images that share layers stand for real ones. Every step
is a command as an operator types it, run as a process of its own. Only loopback is used, and everything lies in a
temporary directory that goes away at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.errors import BundlerError

if TYPE_CHECKING:
    from bundler.cli.demo_images import SampleImage
    from bundler.content import Target
    from bundler.oci.digest import Digest

TAMPERED_EXIT = 6


class DemoError(BundlerError):
    """A step of the demo did not go as it should: bundler does not work on this machine."""

    default_hint = "run it again with BUNDLER_DEBUG=1, and report what it prints"


def demo(
    ctx: typer.Context,
    *,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Work in this directory and leave everything there.")
    ] = None,
) -> None:
    """Show the whole journey on this machine: build, tamper, verify, push, compare. Needs nothing but bundler.

    Example: bundler demo
    """
    from bundler.registry.process import running

    console = console_of(ctx)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bundler-demo-") as temporary:
        place = keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        with running(place / "near-registry") as near, running(place / "far-registry") as far:
            _Demo(console, place, near.removeprefix("http://"), far.removeprefix("http://")).run()
    console.result(f"\nThe demo succeeded in {time.monotonic() - began:.1f} s.")


class _Demo:
    def __init__(self, console: Console, place: Path, near: str, far: str) -> None:
        self._console, self._place, self._near, self._far = console, place, near, far

    def run(self) -> None:
        """All steps."""
        self._tell("1. The connected side has a registry with three images that share a base layer.")
        digests = self._publish()
        self._write_manifest(digests)
        self._tell("2. A key pair: the private key signs here, the public one travels to the far side by another way.")
        self._bundler("keygen", "release")
        self._tell("3. One command resolves tags to digests, pulls, packs and signs.")
        self._bundler(
            *("build", "bundle.yaml", "-o", "bundle", "--key", "release.key", "--store", "store"),
            *("--tls-verify=false", "--volume-size", "1MiB"),
        )
        self._list_bundle()
        self._tell("4. Somebody flips one bit of a copy on its way. It is refused, and the place is named.")
        self._tamper()
        self._bundler("verify", "tampered", "--key", "release.pub", expect=TAMPERED_EXIT)
        self._tell("5. The real one verifies: signature, checksums, every digest, every image whole.")
        self._bundler("verify", "bundle", "--key", "release.pub")
        self._tell("6. The far side pushes it into its own registry, verifying while it reads; tags come last.")
        self._bundler(
            *("push", "bundle", "--key", "release.pub", "--to", f"docker://{self._far}"),
            *("--tls-verify=false", "--receipt", "receipt.json"),
        )
        self._tell("7. Pulled back from the far registry, every digest is the one that was published.")
        self._compare(digests)

    def _tell(self, text: str) -> None:
        self._console.result(f"\n{text}")

    def _bundler(self, *arguments: str, expect: int = 0) -> None:
        shown = [a.replace(self._far, "far.example") for a in arguments]
        self._console.result(f"   $ bundler {' '.join(shown)}")
        environment = {**os.environ, "BUNDLER_PASSWORD": "demo", "BUNDLER_PROGRESS": "none"}
        ended = subprocess.run(
            [sys.executable, "-m", "bundler", *arguments],
            cwd=self._place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in ended.stdout.replace(self._far, "far.example").replace(self._near, "near.example").splitlines():
            self._console.result(f"     {line}" if line else "")
        if ended.returncode != expect:
            raise DemoError(f"bundler {arguments[0]} ended with {ended.returncode}, not {expect}")
        if expect:
            self._console.result(f"     (exit code {expect}: refused, as it must be)")

    def _publish(self) -> dict[str, Digest]:
        from bundler.cli.demo_images import sample_images

        published: dict[str, Digest] = {}
        for name, image in sample_images().items():
            repository, _, tag = name.partition(":")
            _load(image, self._target(self._near, repository), tag)
            published[name] = image.root.digest
            self._console.result(f"   {name:<18} {image.root.digest[:19]}…  {len(image.contents)} contents")
        return published

    def _target(self, host: str, repository: str) -> Target:
        from bundler.journey.access import Access
        from bundler.journey.ends import Ends
        from bundler.oci.reference import Reference

        return Ends(Access(tls_verify=False)).repository(Reference(host, repository))

    def _write_manifest(self, names: dict[str, Digest]) -> None:
        lines = ["apiVersion: bundler/v1", "kind: Bundle", "name: demo", "images:"]
        lines += [f"  - {self._near}/{name}" for name in names]
        (self._place / "bundle.yaml").write_text("\n".join(lines) + "\n")

    def _list_bundle(self) -> None:
        self._console.result("   $ ls bundle")
        for path in sorted((self._place / "bundle").iterdir()):
            self._console.result(f"     {path.name}")

    def _tamper(self) -> None:
        shutil.copytree(self._place / "bundle", self._place / "tampered")
        volume = self._place / "tampered" / "volume-0001.tar.zst"
        raw = bytearray(volume.read_bytes())
        raw[len(raw) // 2] ^= 1
        volume.write_bytes(raw)

    def _compare(self, published: dict[str, Digest]) -> None:
        from bundler.content import read
        from bundler.graph import walk
        from bundler.journey.access import Access
        from bundler.journey.ends import Ends

        with Ends(Access(tls_verify=False)) as ends:
            for name, digest in published.items():
                repository, _, tag = name.partition(":")
                source, _ = ends.source(f"docker://{self._far}/{repository}")
                root = source.resolve(tag)
                graph = walk(source, root)
                for node in graph.blobs:
                    read(source, node, cap=1 << 30)
                if root.digest != digest:
                    raise DemoError(f"{name} arrived as {root.digest}, and was published as {digest}")
                self._console.result(f"   {name:<18} {root.digest[:19]}…  equal, {len(graph.nodes)} contents read back")


def _load(image: SampleImage, target: Target, tag: str) -> None:
    from bundler.content import verified

    for want, raw in image.contents:
        target.push(want, verified(want, [raw]))
    target.tag(tag, image.root)
