"""``bundler registry serve`` as an operator runs it: a process of its own, found by the address that it prints.

    with serving(tmp_path / "store", "--allow-delete", work=tmp_path) as site:
        skopeo("list-tags", "--tls-verify=false", f"docker://{site.host}/app")

``guarded`` is the same behind TLS and a password; ``build`` makes a bundle to serve.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.authority import Authority
from tests.images import Image, artifact, family, write_layout
from tests.peers import bundler, bundler_path, demand, run
from tests.roundtrip import PASSWORD as KEY_PASSWORD

USER, PASSWORD = "ann", "her secret"
_ADDRESS = re.compile(r"(https?)://(127\.0\.0\.1|localhost):(\d+)")
_START_SECONDS = 30.0
_STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Site:
    """A running registry: ``host`` is ``127.0.0.1:port``; ``authority`` is whose certificate it shows, if TLS."""

    scheme: str
    host: str
    log: Path
    authority: Authority | None = None
    creds: str = ""

    @property
    def url(self) -> str:
        """``scheme://host``."""
        return f"{self.scheme}://{self.host}"

    @property
    def env(self) -> dict[str, str]:
        """How a program written in Go is made to trust the site's CA."""
        return {} if self.authority is None else {"SSL_CERT_FILE": str(self.authority.ca)}


@contextmanager
def serving(
    *args: str | Path, work: Path, authority: Authority | None = None, creds: str = "", listen: str = "127.0.0.1:0"
) -> Iterator[Site]:
    """``bundler registry serve ARGS…`` on a free port, until the block ends; its output goes to a file in ``work``.

    It must end by SIGTERM with a status of its own, and without a traceback.
    """
    log = work / "serve.txt"
    command = [str(part) for part in (bundler_path(), "registry", "serve", *args, "--listen", listen)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        scheme, name, port = _address(process, log)
        yield Site(scheme, f"{name}:{port}", log, authority, creds)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
    said = log.read_text(errors="replace")
    assert "Traceback" not in said, said
    assert process.returncode in (0, 130, 143), f"ended with status {process.returncode}:\n{said}"


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, str, str]:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        said = log.read_text(errors="replace")
        if found := _ADDRESS.search(said):
            return found[1], found[2], found[3]
        assert process.poll() is None, f"registry serve ended at once, status {process.returncode}:\n{said}"
        time.sleep(0.02)
    raise AssertionError(f"registry serve says no address after {_START_SECONDS} s:\n{log.read_text()}")


@contextmanager
def guarded(
    *args: str | Path, work: Path, authority: Authority, user: str = USER, password: str = PASSWORD
) -> Iterator[Site]:
    """The same behind TLS, with one user in an htpasswd file that ``htpasswd`` wrote."""
    demand("htpasswd")
    certificate, key = authority.issue(work)
    users = work / "htpasswd"
    run("htpasswd", "-Bic", "-C", "5", users, user, stdin=password)
    options = ("--tls-cert", certificate, "--tls-key", key, "--htpasswd", users)
    with serving(*args, *options, work=work, authority=authority, creds=f"{user}:{password}") as site:
        yield site


@dataclass(frozen=True, slots=True)
class Built:
    """A signed bundle of one repository, the key that it is checked with, and what is in it by tag."""

    bundle: Path
    key: Path
    repository: str
    images: Mapping[str, Image]


def build(work: Path, repository: str) -> Built:
    """With the real commands: an image, an index, an image with a zstd layer, and what refers to the first two."""
    held = family(size=5000)
    images = {tag: held[tag] for tag in ("web", "multi", "zstd", "sbom")}
    images["scan"] = artifact(b"{}", subject=held["multi"], artifact_type="application/vnd.example.scan")
    names = {f"reg.io/{repository}:{tag}": image for tag, image in images.items()}
    write_layout(work / "upstream", names)
    lines = "".join(f"  - oci:upstream:{name}\n" for name in names)
    (work / "bundle.yaml").write_text(f"apiVersion: bundler/v1\nkind: Bundle\nname: edge\nimages:\n{lines}")
    env = {"HOME": str(work), **KEY_PASSWORD}
    bundler("keygen", "release", cwd=work, env=env)
    bundler("build", "bundle.yaml", "-o", "out", "--key", "release.key", "--store", "store", cwd=work, env=env)
    return Built(work / "out", work / "release.pub", repository, images)
