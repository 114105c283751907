"""The samples that start a registry: read as their programs do, and run with what they say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.registry.access import Right, Rights
from tests.authority import Authority
from tests.peers import attempt, bundler, bundler_path, htpasswd_line, needs, run

SAMPLES = Path(__file__).parents[3] / "samples" / "registry"
SERVICE = SAMPLES / "bundler-registry.service"
SOCKET = SAMPLES / "bundler-registry.socket"
CONTAINERFILE = SAMPLES / "Containerfile"
RIGHTS = '{apiVersion: bundler/v1, kind: RegistryRights, rights: [{users: [ann], repositories: ["**"], may: [pull]}]}'


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """A unit's sections, with all values of each key."""
    sections: dict[str, dict[str, list[str]]] = {}
    current: dict[str, list[str]] = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            assert key.isalnum(), line
            current.setdefault(key, []).append(value)
    return sections


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions and what follows them."""
    text = re.sub(r"(?m)^#.*\n", "", CONTAINERFILE.read_text()).replace("\\\n", " ")
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in text.splitlines() if line]


def container_command() -> list[str]:
    said = dict(instructions())
    return [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]


def service_command() -> list[str]:
    (command,) = unit(SERVICE)["Service"]["ExecStart"]
    return shlex.split(command)


COMMANDS = {"service": service_command, "container": container_command}


@pytest.mark.parametrize("which", COMMANDS)
def test_options_exist(which: str) -> None:
    program, *rest = COMMANDS[which]()
    assert Path(program).name == "bundler"
    assert rest[:2] == ["registry", "serve"]
    known = set(re.findall(r"^  (--[a-z-]+)", bundler("registry", "serve", "--help"), re.MULTILINE))
    asked = {part for part in rest if part.startswith("-") and part != "-"}
    assert len(asked) >= 7
    assert asked <= known


def test_files_of_the_service() -> None:
    service = unit(SERVICE)["Service"]
    given = {each.partition(":")[0] for each in service["LoadCredential"]}
    used = {part.removeprefix("%d/") for part in service_command() if part.startswith("%d/")}
    assert given == used
    told = SERVICE.read_text().partition("[Unit]")[0]
    assert all(name in told for name in given)
    assert f"%S/{service['StateDirectory'][0]}/store" in service_command()


@pytest.mark.parametrize("which", COMMANDS)
def test_time_to_end(which: str) -> None:
    command = COMMANDS[which]()
    grace = float(command[command.index("--grace") + 1])
    allowed = {
        "service": lambda: unit(SERVICE)["Service"]["TimeoutStopSec"][0],
        "container": lambda: re.findall(r"podman stop --time (\d+)", CONTAINERFILE.read_text())[0],
    }
    assert float(allowed[which]()) >= grace + 10


def test_the_socket_is_one_that_is_taken() -> None:
    said = unit(SOCKET)["Socket"]
    assert len(said["ListenStream"]) == 1
    assert "Accept" not in said
    assert unit(SERVICE)["Unit"]["Requires"] == [SOCKET.name]


def installed(tmp_path: Path) -> list[Path]:
    """The units with a command that is there."""
    text = SERVICE.read_text()
    assert text.count("/usr/local/bin/bundler") == 1
    for path in (SOCKET, SERVICE):
        text = path.read_text().replace("/usr/local/bin/bundler", str(bundler_path()))
        (tmp_path / path.name).write_text(text)
    return [tmp_path / SOCKET.name, tmp_path / SERVICE.name]


@needs("systemd-analyze")
def test_units(tmp_path: Path) -> None:
    done = attempt("systemd-analyze", "verify", *installed(tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_a_unit_that_is_wrong_is_found(tmp_path: Path) -> None:
    _, service = installed(tmp_path)
    service.write_text(service.read_text().replace("ProtectSystem=strict", "ProtectSystem=sometimes\nProtectAll=yes"))
    done = attempt("systemd-analyze", "verify", service)
    assert "sometimes" in done.stderr
    assert "ProtectAll" in done.stderr


@needs("systemd-analyze")
def test_the_service_is_locked_in(tmp_path: Path) -> None:
    _, service = installed(tmp_path)
    run("systemd-analyze", "security", "--offline=true", "--threshold=15", service)


def test_container() -> None:
    names = [name for name, _ in instructions()]
    said = dict(instructions())
    assert names[:2] == ["ARG", "FROM"]
    assert said["FROM"] == "${BASE}"
    assert said["USER"] == "65532:65532"
    assert "ADD" not in names
    assert said["VOLUME"] in container_command()
    assert said["EXPOSE"] == f"{container_command()[container_command().index('--listen') + 1].rpartition(':')[2]}/tcp"
    assert "--no-index" in said["RUN"]


PIP = """#!/bin/sh
# stands for Python: notes how it was asked to install, and makes what it was asked for
case "$2" in
venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python3" ;;
pip) echo "$@" >/asked ;;
esac
"""


@pytest.mark.slow
@needs("buildah")
def test_container_is_built(tmp_path: Path) -> None:
    """On a base with a shell and a stand-in for Python, as no other is here without a network."""
    root = tmp_path / "root"
    for program in ("sh", "mkdir", "rm", "cp", "chown", "chmod"):
        found = Path(shutil.which(program) or "").resolve()
        lay(root, found, f"/bin/{program}")
        for library in re.findall(r"(/\S+) \(0x", run("ldd", found)):
            lay(root, Path(library), library)
    (root / "bin" / "python3").write_text(PIP)
    (root / "bin" / "python3").chmod(0o755)
    (root / "tmp").mkdir()
    (tmp_path / "Base").write_text("FROM scratch\nCOPY root /\nENV PATH=/bin\n")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").write_text("a")

    def buildah(*args: str | Path) -> str:
        storage = ("--root", tmp_path / "s", "--runroot", tmp_path / "r", "--storage-driver", "vfs")
        return run("buildah", *storage, *args, env={"HOME": str(tmp_path)})

    build = ("build", "--isolation", "chroot", "--format", "docker", "--pull=never")
    buildah(*build, "-f", tmp_path / "Base", "-t", "localhost/base:1", tmp_path)
    buildah(*build, "--build-arg", "BASE=localhost/base:1", "-f", CONTAINERFILE, "-t", "localhost/registry:1", tmp_path)
    made = json.loads(buildah("inspect", "--type", "image", "localhost/registry:1"))["Docker"]["config"]
    assert (made["User"], list(made["Volumes"])) == ("65532:65532", ["/srv/registry"])
    assert made["Entrypoint"] + made["Cmd"] == container_command()
    assert made["Healthcheck"]["Test"][:2] == ["CMD", "/opt/bundler/bin/python3"]
    name = buildah("from", "--pull=never", "localhost/registry:1").strip()
    mounted = Path(buildah("mount", name).strip())
    try:
        assert (mounted / "asked").read_text().split()[-1] == "oci-bundler[registry]"
        assert not (mounted / "tmp" / "wheels").exists()
        store = (mounted / "srv" / "registry").stat()
        assert (store.st_uid, store.st_mode & 0o777) == (65532, 0o700)
    finally:
        buildah("rm", name)


def lay(root: Path, source: Path, target: str) -> None:
    place = root / target.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, place)


@contextmanager
def started(which: str, tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext, subprocess.Popen[str]]]:
    """The command as it stands, with directories and a port of this test's."""
    authority = Authority.create(tmp_path / "ca")
    etc = tmp_path / "etc"
    etc.mkdir()
    certificate, key = authority.issue(etc)
    certificate.rename(etc / "tls.crt")
    key.rename(etc / "tls.key")
    (etc / "htpasswd").write_text(htpasswd_line("ann", "secret") + "\n")
    (etc / "htpasswd").chmod(0o600)
    (etc / "rights.yaml").write_text(RIGHTS)
    (tmp_path / "bundler-registry").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = COMMANDS[which]()[1:]
    if which == "service":
        command += ["--listen", f"127.0.0.1:{port}"]
    places = {
        "%S": str(tmp_path),
        "%d": str(etc),
        "/etc/bundler-registry": str(etc),
        "/srv/registry": str(tmp_path / "store"),
        "0.0.0.0:5000": f"127.0.0.1:{port}",
    }
    for name, place in places.items():
        command = [part.replace(name, place) for part in command]
    with subprocess.Popen([bundler_path(), *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if f"at https://127.0.0.1:{port}" in line:
                    break
            else:
                raise AssertionError("".join(said))
            yield port, ssl.create_default_context(cafile=str(authority.ca)), process
        finally:
            process.kill()


@needs("htpasswd")
@pytest.mark.parametrize("which", COMMANDS)
def test_the_command(which: str, tmp_path: Path) -> None:
    with started(which, tmp_path) as (port, context, process):
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            urllib.request.urlopen(f"https://127.0.0.1:{port}/v2/", timeout=10, context=context)
        caught.value.close()
        process.terminate()
        assert process.wait(30) == 0


@needs("htpasswd")
def test_the_health_check(tmp_path: Path) -> None:
    program, *check = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
    assert program == "/opt/bundler/bin/python3"
    with started("container", tmp_path) as (port, _, process):
        command = [sys.executable, *(part.replace("127.0.0.1:5000", f"127.0.0.1:{port}") for part in check)]
        assert attempt(*command).returncode == 0
        process.terminate()
        process.wait(30)
    assert attempt(*command).returncode == 1


def test_the_rights() -> None:
    """Everybody pulls, teams push their own, and only the operator is an admin."""
    rights = Rights.open(SAMPLES / "rights.yaml")
    assert rights.may(None, Right.PULL, "library/nginx")
    assert not rights.may(None, Right.PULL, "team/app")
    assert rights.may("ann", Right.PUSH, "team/app")
    assert rights.may("ann", Right.PULL, "other/app")
    assert not rights.may("ann", Right.PUSH, "library/nginx")
    assert rights.may("courier", Right.PUSH, "library/nginx")
    assert not rights.may("courier", Right.DELETE, "library/nginx")
    assert [user for user in ("ann", "courier", "operator") if rights.may(user, Right.ADMIN, "")] == ["operator"]
