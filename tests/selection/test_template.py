"""The template of ``bundler init``, with and without its comments."""

from __future__ import annotations

import re

from bundler.selection import read_wishes
from bundler.selection.expand import expand
from bundler.selection.template import TEMPLATE


def test_the_template_is_a_manifest():
    wishes = read_wishes(TEMPLATE.encode(), "bundle.yaml")
    found = [named for wish in wishes.wishes for named in expand(wish, ["3.9", "3.10", "3.8", "latest"])]
    assert [named.target for named in found] == [
        "library/nginx:1.27",
        "monitoring/node-exporter:v1.8.1",
        "monitoring/node-exporter:v1.8.2",
        "pause:3.10",
        "pause:3.9",
    ]


def test_what_it_has_in_comments_works_too():
    opened = re.sub(
        r"^( *)# (?=registries:|  registry|    tls|    ca|- |  tags|  platforms|  optional|  as)",
        r"\1",
        TEMPLATE,
        flags=re.MULTILINE,
    )
    opened = opened.replace("<64 hexadecimal digits>", "0" * 64)
    wishes = read_wishes(opened.encode(), "bundle.yaml")
    assert [str(wish) for wish in wishes.wishes] == [
        "docker://docker.io/library/nginx",
        "docker://ghcr.io/acme/api",
        "docker://quay.io/prometheus/node-exporter",
        "docker://registry.k8s.io/pause",
        "docker://docker.io/library/httpd",
        "oci:./build/app:latest",
    ]
    assert wishes.registries["registry.example.com"].ca == "certs/site.pem"
    assert wishes.wishes[4].optional
    assert wishes.wishes[5].target == "acme/app"


def test_lines_fit():
    assert max(map(len, TEMPLATE.splitlines())) <= 120
