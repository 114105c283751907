"""Guesses about Helm charts, and kustomizations."""

from __future__ import annotations

from bundler.selection.scan import gather, scan_text
from bundler.selection.scan.helm import guess_chart

FILES = {
    "Chart.yaml": b"name: web\nappVersion: '2.5'\nannotations:\n  artifacthub.io/images: |\n    - name: x\n      image: acme/listed:1\n",
    "values.yaml": b"""
image: {repository: acme/web, tag: "", pullPolicy: Always}
exporter: {image: {registry: quay.io, repository: acme/exp, tag: 1.10}}
pinned: {image: {repository: acme/pin, digest: "sha256:%b"}}
plain: {image: acme/plain, imageTag: 3}
init: {initImage: acme/init:1}
extra: [{image: acme/extra:1}]
git: {repository: "https://git.example.com/x", tag: v1}
source: {repository: not-an-image}
sub: {image: {tag: "9"}}
"""
    % (b"0" * 64),
    "templates/pod.yaml": b"spec:\n  - image: acme/line:1\n  - image: {{ .Values.image }}\n",
    "charts/sub/Chart.yaml": b"name: sub\nappVersion: 4\n",
    "charts/sub/values.yaml": b"image: {repository: acme/sub, tag: ''}\n",
}


def names(found) -> list[str]:
    return gather(found).names(uncertain=True)


def test_what_values_hint_at() -> None:
    scan = gather(guess_chart(FILES, "web", why="helm is not installed"))
    assert scan.names() == []
    assert scan.names(uncertain=True) == [
        "docker.io/acme/extra:1",
        "docker.io/acme/init:1",
        "docker.io/acme/line:1",
        "docker.io/acme/listed:1",
        f"docker.io/acme/pin@sha256:{'0' * 64}",
        "docker.io/acme/plain:3",
        "docker.io/acme/sub:4",
        "docker.io/acme/web:2.5",
        "quay.io/acme/exp:1.10",
    ]
    assert ["helm is not installed" in gap.reason for gap in scan.undecided] == [True]
    places = {image.name: image.findings[0].where for image in scan.images}
    assert places["docker.io/acme/web:2.5"] == "web/values.yaml:2: image.repository"
    assert places["docker.io/acme/line:1"] == "web/templates/pod.yaml:2"


def test_the_operator_s_values_lie_over_the_chart_s() -> None:
    values = [("v.yaml", b"image: {tag: '8'}\nglobal: {imageRegistry: reg.example.com}\nextra: []\n")]
    found = names(guess_chart(FILES, "web", why="", values=values))
    assert "reg.example.com/acme/web:8" in found
    assert "docker.io/acme/extra:1" not in found


def test_a_broken_chart_is_reported() -> None:
    scan = gather(guess_chart({"Chart.yaml": b"[", "values.yaml": b"\xff"}, "web", why="w"))
    assert len(scan.undecided) == 3


def test_a_kustomization_says_what_to_run() -> None:
    text = (
        "resources: [a.yaml]\nimages:\n- {name: nginx, newTag: '1.27'}\n- {name: api, newName: reg.example.com/api, digest: 'sha256:%s'}\n"
        "- {name: old, newName: new}\n" % ("1" * 64)
    )
    scan = gather(scan_text(text.encode(), "over/kustomization.yaml"))
    assert scan.names() == []
    assert scan.names(uncertain=True) == ["docker.io/library/nginx:1.27", f"reg.example.com/api@sha256:{'1' * 64}"]
    assert ["kustomize build over" in gap.reason for gap in scan.undecided] == [True, False]
    typed = b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    assert len(gather(scan_text(typed, "x.yaml")).undecided) == 1
