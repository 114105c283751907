"""``inspect``, ``list-tags`` and ``delete`` on the command line; what they print beside skopeo is in the interop tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.errors import AuthError, BundlerError, NetworkError, NotFoundError
from bundler.journey import inspecting
from bundler.store import Layout
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.cli.terminal import Terminal
from tests.images import family, image, layer, load, write_layout

IMAGES = family()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI layout in the folder where commands run."""
    hostile = image(layer("hostile", 10), labels={"is": "\x1b[2Jgone"})
    return write_layout(tmp_path / "layout", {"app": IMAGES["web"], "multi": IMAGES["multi"], "hostile": hostile})


@pytest.fixture
def host(registry: Callable[[str], str]) -> str:
    """A registry with one image of two tags."""
    host = registry("images")
    with Registry(host, Settings(tls_verify=False, proxies={})) as opened:
        load(opened.repository("acme/app"), {"1": IMAGES["web"], "2": IMAGES["web"]})
    return host


def test_inspect(bundler: Terminal, layout: Path) -> None:
    said = json.loads(bundler("inspect", f"oci:{layout}:app").out)
    assert (said["Digest"], said["Labels"], "Name" in said) == (IMAGES["web"].root.digest, {"is": "web"}, False)


@pytest.mark.parametrize("options", [["--raw"], ["--raw", "--config"]], ids=["manifest", "config"])
def test_bytes_are_printed_as_they_are(bundler: Terminal, layout: Path, options: list[str]) -> None:
    wanted = IMAGES["web"].raw if len(options) == 1 else IMAGES["web"].parts[-2].raw
    assert bundler("inspect", *options, f"oci:{layout}:app").out == wanted.decode()


def test_the_platform_is_chosen(bundler: Terminal, layout: Path) -> None:
    said = bundler("--override-arch=arm64", "inspect", "-f", "{{.Architecture}}", f"oci:{layout}:multi").out
    assert said == "arm64\n"
    said = bundler("--override-arch=s390x", "inspect", f"oci:{layout}:multi", expect=2).err
    assert "there are linux/amd64, linux/arm64" in said


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{.Os}}", "linux\n"), ("{{- .Os -}}", "linux"), ("{{.Os}}\n", "linux\n"),
        ("{{.Tag}}", "\n"), ("{{.Labels}} {{len .Layers}}", "map[is:web] 2\n"),
    ],
)  # fmt: skip
def test_templates(bundler: Terminal, layout: Path, template: str, said: str) -> None:
    assert bundler("inspect", "--format", template, f"oci:{layout}:app").out == said


def test_a_template_for_the_config(bundler: Terminal, layout: Path) -> None:
    template = "{{.Config.Cmd}} {{.Config.ArgsEscaped}} {{.Platform.OS}} {{.Config.Volumes}} {{json .Platform}}"
    said = bundler("inspect", "--config", "-f", template, f"oci:{layout}:app").out
    assert said == '[/bin/true] false linux map[] {"architecture":"amd64","os":"linux"}\n'


def test_a_mistake_in_a_template_is_told_before_anyone_is_asked(bundler: Terminal) -> None:
    said = bundler("inspect", "-f", "{{.Os", "docker://no-such-host.invalid/app", expect=2).err
    assert "--format: at 6: the action is not closed" in said
    bundler("inspect", "--raw", "-f", "{{.Os}}", "docker://no-such-host.invalid/app", expect=2)


def test_labels_do_nothing_to_a_terminal(bundler: Terminal, layout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("inspect", "-f", "{{.Labels.is}}", f"oci:{layout}:hostile")
    assert bundler(*command).out == "\x1b[2Jgone\n"
    assert "\x1b" not in bundler("inspect", f"oci:{layout}:hostile").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = bundler(*command).out
    assert "\x1b" not in shown
    assert "gone" in shown


def test_a_registry_and_its_tags(bundler: Terminal, host: str) -> None:
    name = f"docker://{host}/acme/app:1"
    said = json.loads(bundler("inspect", "--tls-verify=false", name).out)
    assert (said["Name"], said["RepoTags"]) == (f"{host}/acme/app", ["1", "2"])
    assert json.loads(bundler("inspect", "-n", "--tls-verify=false", name).out)["RepoTags"] == []
    said = json.loads(bundler("list-tags", "--tls-verify=false", f"docker://{host}/acme/app").out)
    assert said == {"Repository": f"{host}/acme/app", "Tags": ["1", "2"]}


@pytest.mark.parametrize("problem", [AuthError("denied"), NotFoundError("no such page")])
def test_tags_that_may_not_be_listed(
    bundler: Terminal, host: str, monkeypatch: pytest.MonkeyPatch, problem: BundlerError
) -> None:
    def refuse(_: object) -> None:
        raise problem

    monkeypatch.setattr(inspecting, "tags_of", refuse)
    said = bundler("inspect", "--tls-verify=false", f"docker://{host}/acme/app:1")
    assert json.loads(said.out)["RepoTags"] is None
    assert "may not be listed" in said.err


def test_tags_that_could_not_be_asked_for(bundler: Terminal, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(_: object) -> None:
        raise NetworkError("broken")

    monkeypatch.setattr(inspecting, "tags_of", break_off)
    assert bundler("inspect", "--tls-verify=false", f"docker://{host}/acme/app:1", expect=4).out == ""


def test_names_in_a_layout(bundler: Terminal, layout: Path) -> None:
    assert json.loads(bundler("list-tags", f"oci:{layout}").out) == {"Tags": ["app", "hostile", "multi"]}


def test_delete(bundler: Terminal, layout: Path) -> None:
    said = bundler("delete", f"oci:{layout}:hostile")
    assert said.out == ""
    assert "deleted sha256:" in said.err
    assert dict(Layout.open(layout).images()).keys() == {"app", "multi"}
    bundler("delete", f"oci:{layout}:hostile", expect=2)


def test_what_is_no_config(bundler: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    artifact = IMAGES["sbom"]
    write_layout(folder, {"sbom": artifact, "web": IMAGES["web"]})
    said = bundler("inspect", f"oci:{folder}:sbom", expect=8).err
    assert "is an artifact (application/vnd.example.sbom.v1+json), not an image" in said
    assert bundler("inspect", "--raw", f"oci:{folder}:sbom").out == artifact.raw.decode()
