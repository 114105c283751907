"""The samples about a site's registry: the walk-through as its reader runs it, and the configuration as docker-registry does."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bundler.errors import AuthError, NotFoundError
from bundler.transports.docker.credentials import Credentials
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.authority import Authority
from tests.images import image, layer, load
from tests.peers import attempt, bundler_path, docker_registry, htpasswd_line, needs, run

SAMPLES = Path(__file__).parents[2] / "samples"
SCRIPT = SAMPLES / "registry-walkthrough.sh"
STEPS = 7


def free_ports() -> tuple[str, str]:
    """Two ports that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return str(one.getsockname()[1]), str(other.getsockname()[1])


@pytest.mark.slow
@needs("docker-registry", "htpasswd", "openssl")
def test_every_step(tmp_path: Path) -> None:
    said = run("bash", SCRIPT, *free_ports(), env={"BUNDLER": str(bundler_path()), "TMPDIR": str(tmp_path)})
    steps = [line for line in said.splitlines() if line.startswith("== ")]
    assert [line[3] for line in steps[:-1]] == [str(n + 1) for n in range(STEPS)]
    assert steps[-1] == "== All of this was so."
    assert list(tmp_path.iterdir()) == []


LIES = {
    "a copy that copies nothing": ('[ "$1" != copy ] || exit 0', "2"),
    "a delete that is not refused": ('[ "$1" != delete ] || exit 0', "3"),
    "anyone can log in": ('[ "$1" != login ] || exit 0', "5"),
    "a rehearsal that writes": (
        'args=(); for a; do [ "$a" = --dry-run ] || args+=("$a"); done; set -- "${args[@]}"',
        "6",
    ),
}


@pytest.mark.slow
@needs("docker-registry", "htpasswd", "openssl")
@pytest.mark.parametrize("lie", LIES)
def test_a_step_that_is_not_so_ends_it(lie: str, tmp_path: Path) -> None:
    spoilt, step = LIES[lie]
    program = tmp_path / "bundler"
    program.write_text(f'#!/bin/bash\n{spoilt}\nexec "{bundler_path()}" "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "tmp"
    work.mkdir()
    ports = free_ports()
    done = attempt("bash", SCRIPT, *ports, env={"BUNDLER": str(program), "TMPDIR": str(work)})
    assert done.returncode != 0
    assert [line for line in done.stdout.splitlines() if line.startswith("== ")][-1].startswith(f"== {step}."), done
    assert list(work.iterdir()) == []
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), 1)


@needs("docker-registry", "htpasswd")
def test_the_configuration(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    certificate, key = authority.issue(tmp_path)
    users = tmp_path / "users"
    users.write_text(htpasswd_line("ann", "secret") + "\n")
    said = yaml.safe_load((SAMPLES / "registry" / "config.yml").read_text())
    said["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "data")
    said["http"]["addr"] = "127.0.0.1:0"
    said["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
    said["auth"]["htpasswd"]["path"] = str(users)
    app = image(layer("app", 1000))
    with docker_registry(tmp_path, tls=authority, settings=said) as peer:
        settings = Settings(ca=authority.ca, proxies={}, home=tmp_path)
        with Registry(peer.host, settings) as stranger, pytest.raises(AuthError):
            stranger.check()
        with Registry(peer.host, replace(settings, credentials=Credentials("ann", "secret"))) as registry:
            repository = registry.repository("team/app")
            load(repository, {"1.0": app})
            repository.delete(app.root.digest)
            with pytest.raises(NotFoundError):
                repository.resolve("1.0")
