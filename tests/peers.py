"""Real programs as judges: how a test asks for them, and how it runs them.

    from tests.peers import needs, run, skopeo, docker_registry

    @needs("skopeo", "docker-registry")
    def test_far_side(tmp_path: Path, authority: Authority) -> None:
        with docker_registry(tmp_path, tls=authority, htpasswd={"ann": "secret"}) as far:
            skopeo("inspect", "--cert-dir", authority.cert_dir, "--creds", "ann:secret", f"docker://{far.host}/app:1")

A test whose program is missing is skipped with the program's name in the reason. Under ``--require-peers`` (or with
``BUNDLER_CI_PEERS=1``) it fails instead, so that a gap in CI's installation is never taken for a pass;
``BUNDLER_CI_PEERS=0`` behaves as if no peer were there. Servers bind 127.0.0.1 on a port of the kernel's choice and end
with their ``with`` block.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.authority import Authority
from tests.tokens import TokenServer

needs = pytest.mark.peer
"""``@needs("skopeo", "docker-registry")``: the programs, found on PATH, that a test cannot do without."""

REQUIRED = "BUNDLER_CI_PEERS"
_LISTENING = re.compile(r"listening on [^ \"]*?:(\d+)")


def hidden(name: str) -> bool:
    """Whether an environment variable is the operator's own and must not reach a test."""
    return (
        name.lower().endswith("_proxy")
        or (name.startswith("BUNDLER_") and name not in (REQUIRED, "BUNDLER_CORPUS"))
        or name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")
        or name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "SOURCE_DATE_EPOCH", "CI")
    )


def missing(names: Sequence[str]) -> list[str]:
    """Those of the programs that are not on PATH."""
    return [name for name in names if shutil.which(name) is None]


def demand(*names: str, required: bool | None = None) -> None:
    """Skip the running test if a program is missing, or fail it where peers are required: for use in fixtures."""
    rule = os.environ.get(REQUIRED, "")
    required = rule == "1" if required is None else required
    for name in names if rule == "0" else missing(names):
        reason = f"needs the program {name}, which is not on PATH"
        if required:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 300,
    status: int = 0,
) -> str:
    """Standard output of a program that must end with ``status``; else an assertion with all that it said.

    ``env`` is added to the environment, less what is :func:`hidden`. Standard input is empty unless given.
    """
    done = attempt(*command, cwd=cwd, env=env, stdin=stdin, timeout=timeout)
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == status, f"{' '.join(map(str, command))}: status {done.returncode}, not {status}\n{said}"
    return done.stdout


def attempt(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """What became of a program, whatever its status."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if not hidden(name)}, **(env or {})},
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def bundler(*args: str | Path, **options: Any) -> str:
    """The installed ``bundler`` command, as a user runs it."""
    return run(bundler_path(), *args, **options)


def bundler_path() -> Path:
    """Where the command is installed: beside the Python that runs the tests."""
    return Path(sys.executable).with_name("bundler")


def skopeo(*args: str | Path, **options: Any) -> str:
    """``skopeo`` without the machine's signature policy."""
    return run("skopeo", "--insecure-policy", *args, **options)


def skopeo_current(*args: str | Path, **options: Any) -> str:
    """The same of a newer skopeo than Debian's, where one is on PATH under this name."""
    return run("skopeo-current", "--insecure-policy", *args, **options)


def umoci(*args: str | Path, **options: Any) -> str:
    """``umoci``, which reads and writes OCI layouts."""
    return run("umoci", *args, **options)


def openssl(*args: str | Path, **options: Any) -> str:
    """``openssl``, the verifier that every far side has."""
    return run("openssl", *args, **options)


def htpasswd_line(user: str, password: str) -> str:
    """A bcrypt line for ``auth.htpasswd``, as docker-registry demands it."""
    return run("htpasswd", "-Bbn", user, password).strip()


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A running docker-registry: ``host`` is ``127.0.0.1:port``, ``root`` where its storage lies."""

    host: str
    scheme: str
    root: Path
    log: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.host.rpartition(":")[2])

    @property
    def url(self) -> str:
        """``scheme://host``."""
        return f"{self.scheme}://{self.host}"


@contextmanager
def docker_registry(
    work: Path,
    *,
    name: str = "registry",
    tls: Authority | None = None,
    htpasswd: Mapping[str, str] | None = None,
    token: TokenServer | None = None,
    settings: Mapping[str, Any] | None = None,
    port: int = 0,
) -> Iterator[DockerRegistry]:
    """Debian's docker-registry with its storage under ``work / name``, which outlives it.

    ``tls`` signs its certificate; ``htpasswd`` maps users to passwords; ``token`` is the server whose Bearer tokens it
    demands; ``settings`` replaces top-level sections of its configuration, e.g. ``{"storage": {…, "readonly": …}}``.
    """
    demand("docker-registry")
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "only-for-tests"}
    if tls is not None:
        certificate, key = tls.issue(folder)
        http["tls"] = {"certificate": str(certificate), "key": str(key)}
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": http,
    }
    if htpasswd is not None:
        demand("htpasswd")
        users = folder / "htpasswd"
        users.write_text("".join(f"{htpasswd_line(*pair)}\n" for pair in htpasswd.items()))
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    if token is not None:
        config["auth"] = {"token": token.registry_settings(folder)}
    config.update(settings or {})
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    log = folder / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(["docker-registry", "serve", file], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        match = _wait_for(lambda: _LISTENING.search(log.read_text()), process, log)
        scheme = "http" if tls is None else "https"
        yield DockerRegistry(f"127.0.0.1:{match[1]}", scheme, folder / "data", log, process)
    finally:
        process.terminate()
        process.wait(10)


@dataclass(frozen=True, slots=True)
class Podman:
    """podman with a storage of its own, in ``root``; ``url`` is where its service listens, if it runs."""

    root: Path

    @property
    def socket(self) -> Path:
        """The service's socket."""
        return self.root / "s.sock"

    @property
    def url(self) -> str:
        """The socket, as the value of DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def env(self) -> dict[str, str]:
        """A home of its own."""
        return {"HOME": str(self.root), "TMPDIR": str(self.root)}

    def command(self, *args: str | Path) -> list[str]:
        """``podman`` on this storage."""
        storage = ["--root", f"{self.root}/root", "--runroot", f"{self.root}/run", "--storage-driver", "vfs"]
        return ["podman", *storage, *map(str, args)]

    def __call__(self, *args: str | Path, **options: Any) -> str:
        """Run it; ``options`` are those of :func:`run`."""
        return run(*self.command(*args), env=self.env, **options)

    def inspect(self, image: str) -> dict[str, Any]:
        """What it says of an image."""
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]


@contextmanager
def podman() -> Iterator[Podman]:
    """podman with an empty storage, under a short path: it wants a run root of at most 50 characters."""
    demand("podman")
    with TemporaryDirectory(prefix="pod") as short:
        yield Podman(Path(short))


@contextmanager
def podman_service() -> Iterator[Podman]:
    """The same with its service, which answers Docker's Engine API at ``url``."""
    with podman() as made:
        log = made.root / "log.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(
                made.command("system", "service", "--time=0", made.url),
                env={**{name: value for name, value in os.environ.items() if not hidden(name)}, **made.env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            end = time.monotonic() + 30
            while not made.socket.exists():
                assert process.poll() is None, f"podman ended at once:\n{log.read_text()}"
                assert time.monotonic() < end, f"podman does not listen after 30 s:\n{log.read_text()}"
                time.sleep(0.05)
            yield made
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(
    seen: Callable[[], re.Match[str] | None], process: subprocess.Popen[bytes], log: Path, seconds: float = 20
) -> re.Match[str]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if match := seen():
            return match
        assert process.poll() is None, f"docker-registry ended at once:\n{log.read_text()}"
        time.sleep(0.02)
    raise AssertionError(f"docker-registry does not listen after {seconds} s:\n{log.read_text()}")
