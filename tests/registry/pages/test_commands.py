"""How to pull, for each tool: exact, and safe to paste."""

from __future__ import annotations

import shlex
import tomllib

import pytest

from bundler.registry.pages.address import Seen
from bundler.registry.pages.commands import Commands, Tool, pull_commands
from tests.images import layer
from tests.peers import needs, run

DIGEST = layer("x", 10).descriptor.digest
PLAIN = Seen("registry.site:5000", tls=False)
TLS = Seen("registry.site:5000", tls=True)
IMAGE = "registry.site:5000/team/app:1.0"


def tools(commands: Commands) -> dict[str, Tool]:
    return {tool.name: tool for tool in (*commands.usual, *commands.others)}


EXPECTED = {
    "podman": ("podman pull --tls-verify=false {}", "podman pull {}"),
    "docker": ("docker pull {}", "docker pull {}"),
    "skopeo": (
        "skopeo copy --all --src-tls-verify=false docker://{} dir:app-dir",
        "skopeo copy --all docker://{} dir:app-dir",
    ),
    "nerdctl": ("nerdctl pull --insecure-registry {}", "nerdctl pull {}"),
    "containerd (ctr)": ("ctr images pull --plain-http {}", "ctr images pull {}"),
    "Kubernetes node (crictl)": ("crictl pull {}", "crictl pull {}"),
}


@pytest.mark.parametrize(("name", "lines"), EXPECTED.items())
def test_commands(name: str, lines: tuple[str, str]) -> None:
    plain = tools(pull_commands(PLAIN, "team/app", ["1.0", DIGEST], artifact=False))
    by_digest = f"registry.site:5000/team/app@{DIGEST}"
    assert plain[name].commands == (lines[0].format(IMAGE), lines[0].format(by_digest))
    tls = tools(pull_commands(TLS, "team/app", ["1.0"], artifact=False))
    assert tls[name].commands == (lines[1].format(IMAGE),)
    for command in plain[name].commands:
        assert shlex.join(shlex.split(command)) == command


def test_artifacts_are_not_for_engines() -> None:
    found = tools(pull_commands(PLAIN, "team/app", ["1.0"], artifact=True))
    assert set(found) == {"oras", "skopeo"}
    assert found["oras"].commands == (f"oras pull --plain-http {IMAGE}",)


DOCKER = {
    "plain": (PLAIN, ('{"insecure-registries": ["registry.site:5000"]}',)),
    "TLS": (TLS, ()),
    "loopback": (Seen("localhost:5000", tls=False), ()),
}


@pytest.mark.parametrize(("seen", "lines"), DOCKER.values(), ids=DOCKER.keys())
def test_docker_must_be_told_of_plain_http(seen: Seen, lines: tuple[str, ...]) -> None:
    assert tools(pull_commands(seen, "team/app", ["1.0"], artifact=False))["docker"].lines == lines


@pytest.mark.parametrize(("seen", "scheme"), [(PLAIN, "http"), (TLS, "https")])
def test_the_file_for_containerd_is_toml(seen: Seen, scheme: str) -> None:
    tool = tools(pull_commands(seen, "team/app", ["1.0"], artifact=False))["Kubernetes node (crictl)"]
    address = f"{scheme}://registry.site:5000"
    assert tomllib.loads("\n".join(tool.lines)) == {
        "server": address,
        "host": {address: {"capabilities": ["pull", "resolve"]}},
    }
    assert tool.file == "/etc/containerd/certs.d/registry.site:5000/hosts.toml"


@needs("skopeo")
def test_skopeo_knows_the_options() -> None:
    assert {"--all", "--src-tls-verify"} <= set(run("skopeo", "copy", "--help").replace("=", " ").split())


@needs("podman")
def test_podman_knows_the_option() -> None:
    assert "--tls-verify" in run("podman", "pull", "--help").split()
