"""Each format, read again by a parser: what it says leads to where the images are, and its notes name what it can't."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from bundler.mirrors.formats import FORMATS
from bundler.mirrors.site import Output, Site, toml_text
from bundler.oci.digest import Digest
from bundler.oci.reference import parse_reference
from bundler.transports.docker.registries_conf import endpoints, parse
from tests.mirrors.receipts import FAR, KEPT, RENAMED, SCOPED, moves

CA = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
CONF = "podman/etc/containers/registries.conf.d/50-bundler.conf"
NAMESAKES = {"a.io/x:1": "one/x:1", "a.io/y:1": "one/y:1", "a.io/z:1": "two/z:1"}
ALL = {"kept": KEPT, "scoped": SCOPED, "renamed": RENAMED, "two places": NAMESAKES}


def made(name: str, images: Mapping[str, str], site: Site | None = None) -> Output:
    return FORMATS[name](moves(images), site or Site())


def hosts_toml(output: Output, host: str) -> dict[str, Any]:
    return tomllib.loads(output.files[f"containerd/etc/containerd/certs.d/{host}/hosts.toml"])


# registries.conf


@pytest.mark.parametrize("images", ALL.values(), ids=ALL)
def test_registries_conf_leads_to_every_image(images: Mapping[str, str]) -> None:
    config = parse(made("podman", images).files[CONF].encode(), "conf")
    for old, there in images.items():
        places = endpoints(config, parse_reference(old))
        assert [str(place.reference) for place in places] == [f"{FAR}/{there}", old]
        assert [place.is_mirror for place in places] == [True, False]


def test_registries_conf_has_one_table_for_a_registry_that_was_kept() -> None:
    document = tomllib.loads(made("podman", KEPT).files[CONF])
    assert document["registry"] == [
        {"prefix": host, "location": host, "mirror": [{"location": FAR}]} for host in ("docker.io", "quay.io")
    ]


def test_registries_conf_says_what_is_insecure_and_what_has_no_tag() -> None:
    digest = "@sha256:" + "a" * 64
    text = made("podman", {f"a.io/x{digest}": f"x{digest}"}, Site(insecure=True)).files[CONF]
    mirror = {"location": FAR, "insecure": True, "pull-from-mirror": "digest-only"}
    assert tomllib.loads(text)["registry"][0]["mirror"] == [mirror]


# containerd


def test_containerd_has_a_folder_for_each_registry() -> None:
    output = made("containerd", KEPT)
    assert [path.rpartition("certs.d/")[2] for path in output.files] == ["docker.io/hosts.toml", "quay.io/hosts.toml"]
    assert hosts_toml(output, "docker.io") == {
        "server": "https://registry-1.docker.io",
        "host": {f"https://{FAR}": {"capabilities": ["pull", "resolve"]}},
    }
    assert output.notes == ()


def test_containerd_overrides_the_path_of_a_prefix() -> None:
    found = hosts_toml(made("containerd", SCOPED), "reg.example.com:5000")
    assert found["server"] == "https://reg.example.com:5000"
    assert found["host"] == {
        f"https://{FAR}/v2/hub/reg.example.com-5000": {"capabilities": ["pull", "resolve"], "override_path": True}
    }


def test_containerd_tries_several_prefixes_the_fuller_first() -> None:
    assert list(hosts_toml(made("containerd", NAMESAKES), "a.io")["host"]) == [
        f"https://{FAR}/v2/one",
        f"https://{FAR}/v2/two",
    ]


def test_containerd_can_rename_nothing_and_says_so() -> None:
    notes = made("containerd", RENAMED).notes
    assert notes == (
        f"containerd can't rename images; ask for the new names: docker.io/library/redis is {FAR}/cache/redis",
    )
    assert not made("containerd", {"a.io/x:1": "other:1"}).files


def test_containerd_says_where_a_namesake_is_in_the_way() -> None:
    found = moves({**NAMESAKES, "b.io/z:1": "one/z:1"})
    assert FORMATS["containerd"](found, Site()).notes == ()  # the same content, whichever is found
    other = Digest("sha256:" + "b" * 64)
    images = tuple(replace(image, digest=other) if image.host == "b.io" else image for image in found.images)
    assert FORMATS["containerd"](replace(found, images=images), Site()).notes == (
        f"containerd: a.io/z:1 would be {FAR}/one/z; ask for {FAR}/two/z",
    )


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (Site(ca=CA), {f"https://{FAR}": {"ca": "ca.crt"}}),
        (Site(insecure=True), {f"https://{FAR}": {"skip_verify": True}, f"http://{FAR}": {}}),
    ],
    ids=["ca", "insecure"],
)
def test_containerd_is_told_of_certificates(site: Site, expected: dict[str, Any]) -> None:
    output = made("containerd", KEPT, site)
    plain = {"capabilities": ["pull", "resolve"]}
    assert hosts_toml(output, "quay.io")["host"] == {url: plain | more for url, more in expected.items()}
    assert (output.files.get("containerd/etc/containerd/certs.d/quay.io/ca.crt") == CA) == bool(site.ca)


# k3s, RKE2


@pytest.mark.parametrize("name", ["k3s", "rke2"])
@pytest.mark.parametrize("images", ALL.values(), ids=ALL)
def test_rancher_rewrites_lead_to_every_image(images: Mapping[str, str], name: str) -> None:
    document = yaml.safe_load(made(name, images).files[f"{name}/etc/rancher/{name}/registries.yaml"])
    assert set(document) == {"mirrors"}
    for old, there in images.items():
        reference = parse_reference(old)
        mirror = document["mirrors"][reference.registry]
        assert mirror["endpoint"] == [f"https://{FAR}"]
        found = [
            re.sub(pattern, new.replace("$1", r"\1"), reference.repository)
            for pattern, new in mirror.get("rewrite", {}).items()
            if re.search(pattern, reference.repository)
        ]
        assert (found or [reference.repository]) == [there.rpartition(":")[0]]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param({"a.io/x:1": "x:1"}, None, id="kept"),
        pytest.param({"a.io/x:1": "s/x:1"}, {"^(.*)$": "s/$1"}, id="below-a-path"),
        pytest.param({"a.io/l/x:1": "m/x:1", "a.io/l/y:1": "m/y:1"}, {"^l/(.*)$": "m/$1"}, id="a-path-replaced"),
        pytest.param({"a.io/l/x:1": "x:1", "a.io/l/y:1": "y:1"}, {"^l/(.*)$": "$1"}, id="a-path-dropped"),
        pytest.param({"a.io/l.x:1": "web:1"}, {r"^l\.x$": "web"}, id="a-dot"),
        pytest.param({"a.io/l:1": "m:1", "a.io/l/y:1": "m/y:1"}, {"^l(/.*)?$": "m$1"}, id="a-repository-and-path"),
        pytest.param(
            {"a.io/x:1": "s/x:1", "a.io/y:1": "s/y:1", "a.io/z:1": "web:1"},
            {"^x$": "s/x", "^y$": "s/y", "^z$": "web"},
            id="rules-within-each-other",
        ),
    ],
)
def test_rancher_rewrites(images: dict[str, str], expected: dict[str, str] | None) -> None:
    document = yaml.safe_load(made("k3s", images).files["k3s/etc/rancher/k3s/registries.yaml"])
    assert document["mirrors"]["a.io"].get("rewrite") == expected


def test_rancher_looks_in_one_place_and_says_so() -> None:
    notes = made("k3s", {"a.io/x:1": "one/x:1", "a.io/x:2": "two/x:2"}).notes
    assert notes == (f"k3s looks in one place only: a.io is found at {FAR}/one, not at {FAR}/two",)


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (Site(ca=CA), {"ca_file": "/etc/rancher/rke2/ca.crt"}),
        (Site(insecure=True), {"insecure_skip_verify": True}),
    ],
    ids=["ca", "insecure"],
)
def test_rancher_is_told_of_certificates(site: Site, expected: dict[str, Any]) -> None:
    files = made("rke2", KEPT, site).files
    document = yaml.safe_load(files["rke2/etc/rancher/rke2/registries.yaml"])
    assert document["configs"] == {FAR: {"tls": expected}}
    assert (files.get("rke2/etc/rancher/rke2/ca.crt") == CA) == bool(site.ca)


# CRI-O


def test_crio_reads_what_podman_reads() -> None:
    output = made("crio", KEPT)
    assert list(output.files) == [CONF.replace("podman", "crio")]
    assert output.files[CONF.replace("podman", "crio")] == made("podman", KEPT).files[CONF]


def test_crio_has_the_pause_image_that_was_carried() -> None:
    output = made("crio", RENAMED, Site(insecure=True))
    assert tomllib.loads(output.files["crio/etc/crio/crio.conf.d/50-bundler.conf"]) == {
        "crio": {"image": {"pause_image": "registry.k8s.io/pause:3.9", "insecure_registries": [FAR]}}
    }


def test_crio_does_not_choose_between_pause_images() -> None:
    output = made("crio", {f"registry.k8s.io/pause:{tag}": f"pause:{tag}" for tag in ("3.9", "3.10")})
    assert "crio/etc/crio/crio.conf.d/50-bundler.conf" not in output.files
    assert "registry.k8s.io/pause:3.10, registry.k8s.io/pause:3.9" in output.notes[0]


# Docker


def test_docker_has_mirrors_of_docker_hub_only_and_says_so() -> None:
    output = made("docker", RENAMED)
    assert json.loads(output.files["docker/etc/docker/daemon.json"]) == {"registry-mirrors": [f"https://{FAR}"]}
    moved, others = output.notes
    assert moved == (
        f"docker knows no mirrors below a path; ask for the new names: docker.io/library/redis is {FAR}/cache/redis"
    )
    assert others.startswith("docker has mirrors of Docker Hub only, none of quay.io, registry.k8s.io; ")
    assert f"quay.io/site/tool is {FAR}/site/tool, registry.k8s.io/pause is {FAR}/k8s/pause" in others


def test_docker_knows_no_prefixes() -> None:
    output = made("docker", SCOPED)
    assert json.loads(output.files["docker/etc/docker/daemon.json"]) == {}
    assert len(output.notes) == 2


def test_docker_is_told_of_certificates() -> None:
    assert made("docker", KEPT, Site(ca=CA)).files[f"docker/etc/docker/certs.d/{FAR}/ca.crt"] == CA
    document = json.loads(made("docker", KEPT, Site(insecure=True)).files["docker/etc/docker/daemon.json"])
    assert document == {"registry-mirrors": [f"https://{FAR}", f"http://{FAR}"], "insecure-registries": [FAR]}


# OpenShift


@pytest.mark.parametrize(
    ("file", "kind", "key"),
    [("idms", "ImageDigestMirrorSet", "imageDigestMirrors"), ("itms", "ImageTagMirrorSet", "imageTagMirrors")],
)
def test_openshift_has_a_set_for_digests_and_one_for_tags(file: str, kind: str, key: str) -> None:
    document = yaml.safe_load(made("openshift", RENAMED).files[f"openshift/{file}.yaml"])
    assert document == {
        "apiVersion": "config.openshift.io/v1",
        "kind": kind,
        "metadata": {"name": "bundler-edge"},
        "spec": {
            key: [
                {"source": "docker.io", "mirrors": [FAR]},
                {"source": "docker.io/library/redis", "mirrors": [f"{FAR}/cache/redis"]},
                {"source": "quay.io", "mirrors": [FAR]},
                {"source": "registry.k8s.io", "mirrors": [f"{FAR}/k8s"]},
            ]
        },
    }


def test_openshift_mirrors_no_tags_that_are_not_there() -> None:
    digest = "@sha256:" + "a" * 64
    assert list(made("openshift", {f"a.io/x{digest}": f"x{digest}"}).files) == ["openshift/idms.yaml"]


def test_openshift_is_told_of_certificates() -> None:
    output = made("openshift", KEPT, Site(ca=CA))
    document = yaml.safe_load(output.files["openshift/ca.yaml"])
    assert document["data"] == {"far.site..5000": CA}
    assert document["metadata"] == {"name": "bundler-registry-ca", "namespace": "openshift-config"}
    patches = [
        made("openshift", KEPT, site).notes[0].partition("-p '")[2] for site in (Site(ca=CA), Site(insecure=True))
    ]
    assert [json.loads(patch.removesuffix("'"))["spec"] for patch in patches] == [
        {"additionalTrustedCA": {"name": "bundler-registry-ca"}},
        {"registrySources": {"insecureRegistries": [FAR]}},
    ]


# All


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("images", ALL.values(), ids=ALL)
def test_every_file_lies_below_its_format(name: str, images: Mapping[str, str]) -> None:
    files = made(name, images, Site(ca=CA)).files
    assert files
    assert all(path.startswith(f"{name}/") and ".." not in path.split("/") for path in files)
    assert all(text.endswith("\n") for text in files.values())


@pytest.mark.parametrize("text", ["plain", 'a"b', "a\\b", "a\x7fb", "a\nb", "ü"])
def test_toml_texts_are_read_back(text: str) -> None:
    assert tomllib.loads(f"x = {toml_text(text)}")["x"] == text
