"""``inspect``, ``list-tags`` and ``delete``: skopeo and bundler print the same, to the byte, and delete the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundler.oci import mediatype as mt
from bundler.oci.platform import parse_platform
from bundler.transports.docker.registry import Registry
from bundler.transports.docker.settings import Settings
from tests.conftest import StartRegistry
from tests.images import Image, as_json, family, image, index, layer, load, manifest_document, part
from tests.interop.sameness import BOTH, Pair, contents
from tests.peers import DockerRegistry, demand, docker_registry, needs, podman

pytestmark = needs("skopeo", "docker-registry")
LABELS = {"is": "labelled", "markup": "a <b> & 'c'", "said": 'it "says" ä€ \\'}
LABELLED = image(layer("labelled", 3000), labels=LABELS, annotations={"org.example": "yes"})
FULL: dict[str, Any] = {
    "created": "2020-01-02T03:04:05.100+00:00", "author": "ann <a@b>", "architecture": "arm", "variant": "v7",
    "os": "linux", "os.version": "10.1", "os.features": ["x"], "docker_version": "20.1", "container": "unknown to OCI",
    "config": {
        "User": "u", "Labels": {"z": "1", "a": "2"}, "Env": ["Z=1", "A=2"], "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Volumes": {"/z": {}, "/a": {}}, "Entrypoint": ["/x"], "Cmd": ["c"], "WorkingDir": "/w", "StopSignal": "SIGINT",
        "ArgsEscaped": True, "Hostname": "unknown to OCI",
    },
    "rootfs": {"type": "layers", "diff_ids": []},
    "history": [{"created": "2020-01-02T03:04:05+05:30", "comment": "c", "created_by": "x", "empty_layer": True}, {}],
}  # fmt: skip
NULLS = dict.fromkeys(("created", "architecture", "config", "rootfs", "history"))


def made(config: Any, *, docker: bool = False, annotations: Any = None) -> Image:
    """An image with any config, and with annotations of its layer."""
    base = layer("made", 50, docker=docker)
    kind = mt.DOCKER_MANIFEST if docker else mt.OCI_MANIFEST
    held = part(as_json(config), mt.DOCKER_CONFIG if docker else mt.OCI_CONFIG)
    values = manifest_document(kind, held, [base])
    values["layers"][0] |= {} if annotations is None else {"annotations": annotations}
    root = part(as_json(values), kind)
    return Image(root.descriptor, (base, held, root))


def choice(*platforms: str, zstd: str = "") -> Image:
    """An index of images for these platforms, "" for none; one of them is marked as compressed with zstd."""
    images = [made({"os": "linux", "architecture": f"{n}-{text}"}) for n, text in enumerate(platforms)]
    children = [
        replace(
            each.root,
            platform=parse_platform(text) if text else None,
            annotations={"io.github.containers.compression.zstd": "true"} if text and text == zstd else {},
        )
        for each, text in zip(images, platforms, strict=True)
    ]
    return index(*(Image(root, each.parts) for root, each in zip(children, images, strict=True)))


IMAGES = {
    **family(),
    "labelled": LABELLED,
    "arms": index(image(layer("v7", 99), platform="linux/arm/v7")),
    "full": made(FULL, annotations={"z": "1", "a": "2"}),
    "docker-full": made(FULL, docker=True),
    "bare": made({}, annotations={}),
    "docker-bare": made({}, docker=True),
    "nulls": made(NULLS),
    "docker-nulls": made(NULLS, docker=True),
    "for-all": choice("linux/s390x", "", ""),
    "for-all-last": choice("", "linux/amd64"),
    "variants": choice("linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64/v8"),
    "with-zstd": choice("linux/s390x", "linux/amd64", "linux/amd64", zstd="linux/amd64"),
}


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """One image of each kind, as ``team/NAME`` with two tags."""
    demand("skopeo", "docker-registry")
    with docker_registry(tmp_path_factory.mktemp("near")) as running:
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            for name, each in IMAGES.items():
                load(registry.repository(f"team/{name}"), {"1": each, "edge": each})
        yield running


@pytest.fixture(params=BOTH)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """bundler beside each skopeo."""
    return Pair(request.param, tmp_path)


COMMANDS = {
    "an OCI image": "inspect web",
    "a Docker image": "inspect docker",
    "zstd layers": "inspect zstd",
    "labels": "inspect labelled",
    "an index": "inspect multi",
    "an index, for another architecture": "--override-arch=arm64 inspect multi",
    "a list, for a variant": "--override-os=linux --override-arch=arm --override-variant=v7 inspect multi-docker",
    "without tags": "inspect -n web",
    "a manifest": "inspect --raw web",
    "an index as it is": "inspect --raw multi",
    "a list as it is": "inspect --raw multi-docker",
    "an artifact as it is": "inspect --raw sbom",
    "a config": "inspect --config web",
    "a Docker config": "inspect --config docker",
    "a labelled config": "inspect --config labelled",
    "the config of an index": "--override-arch=arm64 inspect --config multi",
    "a config as it is": "inspect --raw --config docker",
    "tags": "list-tags web",
    "every field": "inspect full",
    "every field of Docker's": "inspect docker-full",
    "no field": "inspect bare",
    "no field of Docker's": "inspect docker-bare",
    "the config of no field": "inspect --config bare",
    "fields of null": "inspect nulls",
    "the config of null": "inspect --config docker-nulls",
    "no platform": "inspect for-all",
    "no platform, where there is a better one": "inspect for-all-last",
    "a variant that is there": "--override-arch=arm --override-variant=v6 inspect variants",
    "a variant that runs another": "--override-arch=arm --override-variant=v8 inspect variants",
    "the only variant": "--override-arch=arm64 inspect variants",
}
CURRENT_COMMANDS = {
    "the config of every field": "inspect --config full",
    "the config of every field of Docker's": "inspect --config docker-full",
    "zstd before its like": "inspect with-zstd",
}
"""What Debian's skopeo writes in another order, or does not know."""


def without_layers_data(text: str) -> Any:
    """The document as pairs in order, less what Debian's skopeo does not know."""
    return json.loads(text, object_pairs_hook=lambda pairs: [each for each in pairs if each[0] != "LayersData"])


@pytest.mark.parametrize("case", [*COMMANDS, *CURRENT_COMMANDS])
def test_same_output(case: str, pair: Pair, near: DockerRegistry) -> None:
    if case in CURRENT_COMMANDS and not pair.is_current:
        pytest.skip("Debian's skopeo does otherwise")
    *words, name = (COMMANDS | CURRENT_COMMANDS)[case].split()
    tag = "" if "list-tags" in words else ":1"
    pair(*words, "--tls-verify=false", f"docker://{near.host}/team/{name}{tag}")
    if "inspect" in words and not {"--raw", "--config"} & set(words) and not pair.is_current:
        assert without_layers_data(pair.ours.out) == without_layers_data(pair.theirs.out)
    else:
        assert pair.ours.out == pair.theirs.out


TEMPLATES = [
    "{{.Digest}}",
    "{{.Name}} has {{len .Layers}} layers",
    "{{range .Layers}}{{.}} {{end}}",
    "{{range $i, $l := .Layers}}{{$i}}={{$l}};{{end}}",
    "{{range .}}{{.Os}}{{end}}",
    "{{.Labels}} {{.Env}} {{.RepoTags}} {{.Created}}",
    '{{index .Labels "is"}} {{index .Labels "missing"}}|{{.Labels.missing}}|{{.Labels.is}}',
    '{{range $k, $v := .Labels}}{{printf "%s -> %q" $k $v}}{{"\\n"}}{{end}}',
    '{{if eq .Architecture "amd64"}}yes{{else}}no{{end}} {{with .Env}}{{.}}{{else}}none{{end}}',
    '{{printf "%-8s|%8s|%3d|%v" .Os .Architecture (len .Layers) .Layers}}',
    "{{.DockerVersion}}|{{.Tag}}|{{not .Env}}|{{and .Os .Architecture}}",
    "{{index .Layers 0 | len}} {{- /* nothing */ -}}  !",
    r"{{.Os}}\t{{.Architecture}}\n{{.Digest}}\tx",
    "table {{.Os}} {{.Architecture}}",
    "json",
    "{{- .Os -}}",
    "{{$x := 1}}{{if .Os}}{{$x = 2}}{{end}}{{$x}}{{range $i, $l := .Layers}}{{$x = $i}}{{end}}{{$x}}",
    "{{and .Env (index .Env 0)}}|{{or .Os (index .Layers 99)}}|{{index .Os 0}}|{{slice .Os 1 3}}",
    "{{.Created.Year}} {{.Created.Unix}} {{.Created.Format `Mon Jan _2 15:04:05 2006`}} {{(index .Layers 0)}}",
    """{{html "<a&'b'>"}} {{urlquery "a b/ä~*"}} {{print nil 1 2 "a" 3}} {{println 1 nil}}""",
    r"""{{printf "%q %q %x %X %c %U %o %b %+d %05d %6.2f %e %t" "\x01ä'" 'x' "hi" 255 65 8364 8 5 3 -3 1.5 1.5 true}}""",
    '{{printf "%s %d %t %v %q" 3 "x" 1 nil .Layers}} {{printf "a" 1 "b"}} {{printf "%s"}} {{printf "%"}}',
    "{{eq nil nil}} {{eq .Env nil}} {{eq .Env .Env}} {{eq .Os nil}} {{eq .Layers nil}} {{ne .Os `a`}} {{lt 1 2}} {{lt `a` `b`}} {{1_000}} {{0x10}} {{1e3}} {{'a'}} {{1e30}} {{.5}}",
    "{{with .Labels}}{{.nothing}}{{end}} {{(index .Labels `is`)}} {{index .Labels}}",
]
CURRENT_TEMPLATES = [
    "{{json .Labels}} {{json .Env}} {{json .}}",
    "{{.LayersData}}",
    "{{range .LayersData}}{{.Size}} {{.MIMEType}}{{end}}",
    "{{.}}",
    '{{upper .Os}} {{title "it\'s a b-c"}} {{join .Layers ","}} {{pad .Os 2 1}}|{{truncate .Os 3}} {{split .Os "n"}}',
]
CONFIG_TEMPLATES = [
    "{{.Config.Labels}} {{.Config.Cmd}} {{.Config.Env}} {{.Config.User}}|{{.OS}}/{{.Architecture}}{{.Variant}}",
    "{{.RootFS.Type}} {{range .RootFS.DiffIDs}}{{.}} {{end}}",
    "{{range .History}}{{.CreatedBy}} {{.Created}} {{.EmptyLayer}};{{end}}",
    "{{.Author}}|{{.Created}}|{{.Platform.OS}}|{{len .History}}|{{.Config.ExposedPorts}}",
    "json",
]
CURRENT_CONFIG_TEMPLATES = [
    "{{.}}",
    "{{json .}} {{json .Config}} {{json .Platform}} {{json .History}} {{json .RootFS}}",
    "{{.Config.Volumes}} {{.Config.ExposedPorts}} {{.Config.ArgsEscaped}} {{.OSFeatures}} {{.OSVersion}} {{.Platform}}",
]
WRONG = ["{{.Nonsense}}", "{{.os}}", "{{.Os", "{{nonsense .Os}}", "{{end}}", "{{.Os.More}}", "{{range .Os}}x{{end}}", "{{nil}}",
    "{{eq .Os 1}}", "{{eq 1 1.0}}", "{{eq .Layers .Layers}}", "{{lt true false}}", "{{len .}}", "{{.Os 1}}", "{{.Created.None}}",
    "{{index .Env 5}}", "{{slice .Os 9}}", "{{$x}}", "{{$x = 1}}", "{{not}}", '{{"a" "b"}}', '{{join .Os ","}}', "{{lower 3}}",
]  # fmt: skip


@pytest.mark.parametrize("template", [*TEMPLATES, *CURRENT_TEMPLATES])
def test_templates(template: str, pair: Pair, near: DockerRegistry) -> None:
    other = template == "json" or any(part in template for part in ("tab", "{{range .}}", "{{-", "\\t", "\\n"))
    if not pair.is_current and (template in CURRENT_TEMPLATES or other):
        pytest.skip("Debian's skopeo has other columns, and neither these functions nor LayersData")
    pair("inspect", "--tls-verify=false", "--format", template, f"docker://{near.host}/team/labelled:1")
    assert pair.ours.out == pair.theirs.out


@pytest.mark.parametrize("name", ["labelled", "full", "docker-bare"])
@pytest.mark.parametrize("template", [*CONFIG_TEMPLATES, *CURRENT_CONFIG_TEMPLATES])
def test_templates_of_a_config(template: str, name: str, pair: Pair, near: DockerRegistry) -> None:
    if not pair.is_current and (name == "full" or template in CURRENT_CONFIG_TEMPLATES or ".Platform" in template):
        pytest.skip("Debian's skopeo has an older specification's config")
    pair("inspect", "--config", "--tls-verify=false", "-f", template, f"docker://{near.host}/team/{name}:1")
    assert pair.ours.out == pair.theirs.out


@pytest.mark.parametrize("template", WRONG)
def test_templates_that_are_wrong(template: str, pair: Pair, near: DockerRegistry) -> None:
    pair("inspect", "--tls-verify=false", "-f", template, f"docker://{near.host}/team/labelled:1", status=None)
    assert "--format" in pair.ours.said[-1].stderr


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("inspect docker://{host}/team/nothing:1", id="no-such-repository"),
        pytest.param("inspect docker://{host}/team/web:nothing", id="no-such-tag"),
        pytest.param("inspect --raw --format {{.Os}} docker://{host}/team/web:1", id="raw-with-a-template"),
        pytest.param("list-tags docker://{host}/team/web:1", id="tags-of-an-image"),
        pytest.param("list-tags dir:x", id="tags-of-a-directory"),
        pytest.param("delete docker://{host}/team/web:nothing", id="delete-nothing"),
        pytest.param("inspect docker://{host}/team/arms:1", id="no-such-platform"),
    ],
)
def test_refusals(words: str, pair: Pair, near: DockerRegistry) -> None:
    command, *rest = (word.replace("{host}", near.host) for word in words.split())
    pair(command, "--tls-verify=false", *rest, status=None)
    assert pair.ours.out == ""


def test_an_archive_for_docker(pair: Pair, near: DockerRegistry, tmp_path: Path) -> None:
    tags = ["--additional-tag=docker.io/library/app:2", "--additional-tag=registry.example.com/acme/app:3"]
    from_there = ["copy", "--src-tls-verify=false", f"docker://{near.host}/team/docker:1"]
    pair.theirs.run(*from_there, f"docker-archive:{tmp_path}/a.tar:app:1", *tags)
    for name in ("", ":app:1"):
        pair("list-tags", f"docker-archive:{tmp_path}/a.tar{name}")
        assert pair.ours.out == pair.theirs.out
    for name in (":app:1", ":registry.example.com/acme/app:3", ":@0"):
        there = f"docker-archive:{tmp_path}/a.tar{name}"
        pair("inspect", "--format", "{{.Name}}|{{.Created}}|{{.Labels}}|{{.RepoTags}}|{{.Layers}}", there)
        assert pair.ours.out == pair.theirs.out
        pair("inspect", "--config", there)
        assert pair.ours.out == pair.theirs.out


@needs("podman")
@pytest.mark.parametrize("kind", ["web", "docker", "full"])
def test_a_storage(pair: Pair, near: DockerRegistry, kind: str) -> None:
    with podman() as pod:
        there = f"containers-storage:[vfs@{pod.root}/root+{pod.root}/run]localhost/acme/app:1"
        pair.theirs.run("copy", "--src-tls-verify=false", f"docker://{near.host}/team/{kind}:1", there)
        for options in ([], ["--raw"], ["--config"], ["--raw", "--config"], ["-f", "{{.Name}} {{.Digest}}"]):
            if options == ["--config"] and not pair.is_current:
                continue
            pair("inspect", *options, there)
            if options or pair.is_current:
                assert pair.ours.out == pair.theirs.out
        pair.ours.run("delete", there)
        assert pod("images", "-q") == ""
        pair("inspect", there, status=None)
        pair("delete", there, status=None)


@needs("podman")
def test_a_storage_by_podman_alone(pair: Pair, near: DockerRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = pair.work / "tools"
    tools.mkdir()
    for tool in ("podman", "conmon", "crun", "runc", "sh"):
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    with podman() as pod:
        there = f"containers-storage:[vfs@{pod.root}/root+{pod.root}/run]localhost/acme/app:1"
        monkeypatch.setenv("PATH", str(tools))
        pair.ours.run("copy", "--src-tls-verify=false", f"docker://{near.host}/team/docker:1", there)
        pair.ours.run("inspect", "--raw", "--config", there)
        assert pair.ours.out == IMAGES["docker"].parts[-2].raw.decode()
        pair.ours.run("delete", there)
        assert pod("images", "-q") == ""


def test_delete_takes_every_tag_of_the_digest(pair: Pair, start_registry: StartRegistry) -> None:
    far = start_registry("theirs-far"), start_registry("ours-far")
    for running in far:
        with Registry(running.host, Settings(tls_verify=False, proxies={})) as registry:
            load(registry.repository("app"), {"1": IMAGES["web"], "2": IMAGES["docker"], "latest": IMAGES["web"]})
    pair("delete", "--tls-verify=false", "docker://{to}/app:1", to=(far[0].host, far[1].host))
    assert pair.ours.out == pair.theirs.out == ""
    assert list(contents(far[0])) == ["app:2"]
    assert contents(far[1]) == contents(far[0])


def test_delete_is_refused_where_it_is_switched_off(pair: Pair, start_registry: StartRegistry, tmp_path: Path) -> None:
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "kept")}, "delete": {"enabled": False}}
    far = start_registry("far", settings={"storage": storage})
    with Registry(far.host, Settings(tls_verify=False, proxies={})) as registry:
        load(registry.repository("app"), {"1": IMAGES["web"]})
    pair("delete", "--tls-verify=false", f"docker://{far.host}/app:1", status=None)
    assert "405" in pair.ours.said[-1].stderr
    assert list(contents(far)) == ["app:1"]
