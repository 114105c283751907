"""The samples, with tag lists like those of the real registries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from bundler.selection import read_wishes
from bundler.selection.expand import expand
from bundler.selection.scan import gather, scan_text
from bundler.selection.settings import RegistrySettings

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"

KUBE = ["v1.30.4", "v1.31.0-rc.1", "v1.31.0", "v1.31.2", "v1.31.10", "v1.32.0", "sha256-0a.sig"]
TAGS = {
    "registry.k8s.io/kube-apiserver": KUBE,
    "registry.k8s.io/kube-controller-manager": KUBE,
    "registry.k8s.io/kube-scheduler": KUBE,
    "registry.k8s.io/kube-proxy": KUBE,
    "registry.k8s.io/coredns/coredns": ["1.7.0", "v1.8.0", "v1.11.1", "v1.11.3", "v1.12.0", "v2.0.0", "latest"],
    "registry.k8s.io/etcd": ["3.4.13-0", "3.5.9-0", "3.5.15-0", "3.5.16-0", "3.5.16-alpha.0", "3.6.0"],
    "quay.io/openshift-release-dev/ocp-release": [
        "4.15.30-x86_64", "4.16.1-x86_64", "4.16.10-x86_64", "4.16.9-x86_64", "4.16.10-aarch64", "4.16.0-rc.1-x86_64",
        "4.16.10-multi", "latest",
    ],
    "docker.io/library/httpd": ["2", "2.4", "2.4.49-alpine", "2.4.58-alpine", "2.4.59-alpine", "2.4.62-alpine",
                                "2.4.61-alpine", "2.4.62-alpine3.20", "alpine", "latest"],
    "quay.io/coreos/etcd": ["v3.4.30", "v3.5.9", "v3.5.15", "v3.5.16-arm64", "v3.6.0-rc.1", "v3.6.0", "v4.0.0", "latest"],
    "registry.example.com:5000/acme/firmware": ["latest", "1.9.0"],
    "registry.example.com:5000/acme/tools": ["a", "b"],
    "registry.example.com:5000/acme/web": ["1.13.1-alpine", "1.13.2-alpine", "1.13.3-alpine", "1.13.2-alpine3"],
    "registry.example.com:5000/acme/alpine": ["3.11.9", "3.12", "v3.13.1", "3.20.0_rc1", "4.0.0-rc.1", "edge"],
}  # fmt: skip

API = "acme/api@sha256:9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a"
EXPECTED = {
    "kubernetes-control-plane.yaml": """
        kube-apiserver:v1.31.10 kube-controller-manager:v1.31.10 kube-scheduler:v1.31.10 kube-proxy:v1.31.10
        coredns/coredns:v1.12.0 etcd:3.5.16-0 pause:3.10""",
    "openshift-release.yaml": "openshift/release-images:4.16.10-x86_64 openshift/release-images:4.16.9-x86_64",
    "mixed.yaml": f"""
        library/nginx:1.27 library/redis:7.4-alpine
        library/httpd:2.4.62-alpine library/httpd:2.4.61-alpine library/httpd:2.4.59-alpine
        monitoring/node-exporter:v1.8.1 monitoring/node-exporter:v1.8.2 coreos/etcd:v3.6.0 coreos/etcd:v3.5.15 {API}""",
    "list.txt": """
        library/nginx:1.27 library/redis:7.4-alpine prometheus/prometheus:v2.54.1
        pause@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097""",
    "skopeo-sync.yaml": f"""
        acme/tools:a acme/tools:b acme/api:1.0 acme/api:1.10 {API} acme/web:1.13.1-alpine acme/web:1.13.2-alpine
        acme/alpine:3.12 acme/alpine:v3.13.1 coreos/etcd:latest library/nginx:1.27""",
    "skopeo-kubernetes.yaml": " ".join(
        f"{name}:{tag}"
        for name, tags in {
            "pause": ["3.10"],
            **{
                key: ["v1.31.0", "v1.31.2", "v1.31.10"]
                for key in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"]
            },
            "etcd": ["3.5.9-0", "3.5.15-0", "3.5.16-0"],
            "coredns/coredns": ["v1.11.1", "v1.11.3", "v1.12.0"],
        }.items()
        for tag in tags
    ),
    "skopeo-openshift.yaml": " ".join(f"openshift-release-dev/ocp-release:4.16.{patch}-x86_64" for patch in (1, 10, 9)),
}


def test_every_sample_is_known_here_and_in_the_readme():
    files = {path.name for path in SAMPLES.iterdir() if path.is_file() and path.suffix != ".sh"} - {"README.md"}
    readme = (SAMPLES / "README.md").read_text("utf-8")
    assert files == set(EXPECTED)
    assert [name for name in files if f"({name})" not in readme] == []


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_sample_carries(name):
    wishes = read_wishes((SAMPLES / name).read_bytes(), name)
    found = [named for wish in wishes.wishes for named in expand(wish, TAGS.get(wish.name))]
    assert [named.target for named in found] == EXPECTED[name].split()


@pytest.mark.parametrize("name", ["kubernetes-control-plane.yaml", "openshift-release.yaml", "mixed.yaml"])
def test_the_schema_takes_a_sample(name):
    schema = json.loads((ROOT / "schemas/bundle-yaml/schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(yaml.safe_load((SAMPLES / name).read_text("utf-8")))


def test_settings_of_the_skopeo_sample():
    wishes = read_wishes((SAMPLES / "skopeo-sync.yaml").read_bytes(), "skopeo-sync.yaml")
    assert wishes.registries == {
        "registry.example.com:5000": RegistrySettings(
            tls_verify=True,
            cert_dir="/etc/certs.d/registry.example.com",
            username="reader",
            password="not-a-secret",
        ),
        "quay.io": RegistrySettings(tls_verify=False),
    }


def test_what_a_scan_of_the_samples_finds():
    folder = SAMPLES / "scan"
    scan = gather(each for path in sorted(folder.iterdir()) for each in scan_text(path.read_bytes(), path.name))
    assert scan.names() == [
        "docker.io/library/alpine:3.20",
        "docker.io/library/busybox:latest",
        "docker.io/library/nginx:1.27",
        "docker.io/library/postgres:16.4",
        "docker.io/library/redis:7.4-alpine",
        "quay.io/acme/operator:v2.1.0",
        "quay.io/buildah/stable:v1.37.3",
        "registry.example.com:5000/models/small@sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097",
    ]
    assert set(scan.names(uncertain=True)) - set(scan.names()) == {
        "quay.io/acme/proxy:v1.4.2",
        "quay.io/acme/reloader:v0.9.1",
    }
    assert [gap.where for gap in scan.undecided] == [
        "compose.yaml:6: services.api.image",
        "compose.yaml:8: services.worker.build",
        "kubernetes.yaml:55",
        "tekton-task.yaml:18: spec.steps[2].image",
    ]
