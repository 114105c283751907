"""Images of Kubernetes resources, each kind by what it is known to hold."""

from __future__ import annotations

import json
import re

import pytest

from bundler.selection.scan import gather, scan_text

A, B, C, D = (f"registry.example.com/app/{letter}:1" for letter in "abcd")
POD = f"""
initContainers: [{{name: a, image: "{A}"}}]
containers: [{{name: b, image: "{B}"}}]
ephemeralContainers: [{{name: c, image: "{C}"}}]
volumes: [{{name: v, image: {{reference: "{D}"}}}}]
"""


def scanned(text: str, name: str = "m.yaml", **more):
    return gather(scan_text(text.encode(), name, **more))


def nested(pod: str, path: str) -> str:
    """``pod`` as the value of a dotted path."""
    text = pod
    for key in reversed(path.split(".")):
        if key.endswith("[]"):
            lines = text.strip().splitlines()
            text = f"{key[:-2]}:\n- " + "\n  ".join(lines) + "\n"
        else:
            text = f"{key}:\n" + "".join(f"  {line}\n" for line in text.strip().splitlines())
    return text


PODS = {
    "Pod": ("v1", "spec"),
    "PodTemplate": ("v1", "template.spec"),
    "ReplicationController": ("v1", "spec.template.spec"),
    "Deployment": ("apps/v1", "spec.template.spec"),
    "StatefulSet": ("apps/v1", "spec.template.spec"),
    "DaemonSet": ("apps/v1", "spec.template.spec"),
    "ReplicaSet": ("apps/v1", "spec.template.spec"),
    "Job": ("batch/v1", "spec.template.spec"),
    "CronJob": ("batch/v1beta1", "spec.jobTemplate.spec.template.spec"),
    "Rollout": ("argoproj.io/v1alpha1", "spec.template.spec"),
    "AnalysisTemplate": ("argoproj.io/v1alpha1", "spec.metrics[].provider.job.spec.template.spec"),
    "Service": ("serving.knative.dev/v1", "spec.template.spec"),
    "DeploymentConfig": ("apps.openshift.io/v1", "spec.template.spec"),
    "JobSet": ("jobset.x-k8s.io/v1alpha2", "spec.replicatedJobs[].template.spec.template.spec"),
    "PyTorchJob": ("kubeflow.org/v1", "spec.pytorchReplicaSpecs.Master.template.spec"),
    "RayCluster": ("ray.io/v1", "spec.workerGroupSpecs[].template.spec"),
}


@pytest.mark.parametrize("kind", PODS)
def test_every_container_and_image_volume_of_a_workload(kind: str) -> None:
    version, path = PODS[kind]
    found = scanned(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n" + nested(POD, path))
    assert found.names() == [A, B, C, D]
    assert found.undecided == ()
    assert all(image.certain for image in found.images)


def test_where_it_is_said() -> None:
    found = scanned("---\n# one\n---\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: x\n    image: nginx\n")
    assert found.images[0].findings[0].where == "m.yaml:9: spec.containers[0].image"
    assert found.images[0].name == "docker.io/library/nginx:latest"
    assert found.images[0].mutable


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: Pod, spec: {containers: [{image: x:1}]}}\n",
        "apiVersion: v1\nkind: PodList\nitems:\n- spec: {containers: [{image: x:1}]}\n",
        "- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: x:1}]}\n",
        json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "x:1"}]}}, indent="\t"),
        json.dumps({"apiVersion": "v1", "kind": "Pod", "n": "\U0001f600", "spec": {"containers": [{"image": "x:1"}]}}),
        "a: &c [{image: x:1}]\napiVersion: v1\nkind: Pod\nspec: {<<: {containers: *c}}\n",
        "\ufeffapiVersion: v1\r\nkind: Pod\r\nspec: {containers: [{image: x:1}]}\r\n",
        "%YAML 1.1\n---\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: x:1}]}\n...\n",
    ],
    ids=[
        "lists-in-lists",
        "typed-list",
        "top-level-list",
        "json-tabs",
        "json-surrogates",
        "merge",
        "bom-crlf",
        "directive",
    ],
)
def test_forms_of_one_pod(text: str) -> None:
    found = scanned(text)
    assert (found.names(), found.undecided) == (["docker.io/library/x:1"], ())


def test_the_same_image_under_two_names_is_one() -> None:
    found = scanned(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{image: nginx:1.27}, {image: docker.io/library/nginx:1.27}, "
        "{image: index.docker.io/library/nginx:1.27}]\n"
    )
    assert found.names() == ["docker.io/library/nginx:1.27"]
    assert len(found.images[0].findings) == 3


def test_a_registry_called_as_a_transport_is_not_taken_for_one() -> None:
    found = scanned('apiVersion: v1\nkind: Pod\nspec: {containers: [{image: "dir:5000/etc/app"}]}\n')
    assert found.names() == ["docker://dir:5000/etc/app:latest"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ('"{{ .Values.image }}"', "variable or a template"),
        ("{{ .Values.image }}", "is a mapping"),
        ("$(IMAGE)", "variable or a template"),
        ("${REGISTRY}/app:1", "variable or a template"),
        ("<image>", "variable or a template"),
        ("Upper:1", "lower case|not a repository"),
        ('"a\\u001b[31mb:1"', "x1b[31mb"),
        ('"a\\u202eb:1"', "u202e"),
        ("[a, b]", "is a list"),
        ("nginx:1@sha256:12", "not a sha256"),
        ("x" * 2000, "2000 characters"),
    ],
)
def test_what_is_no_image_is_reported_with_its_place(image: str, reason: str) -> None:
    found = scanned(f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: x\n    image: {image}\n")
    assert found.images == ()
    (gap,) = found.undecided
    assert gap.where == "m.yaml:6: spec.containers[0].image"
    assert any(part in gap.reason for part in reason.split("|"))
    assert gap.reason.isprintable()


def test_a_patch_is_no_gap_if_what_it_patches_is_read() -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w}\nspec: {template: {spec: {containers: [{name: c}]}}}\n"
    assert "without an image" in scanned(patch).undecided[0].reason
    whole = patch.replace("{name: c}", "{name: c, image: x:1}")
    assert scanned(f"{patch}---\n{whole}").undecided == ()


@pytest.mark.parametrize(
    ("container", "image"),
    [
        ("env: [{name: RELATED_IMAGE_X, value: acme/x:1}]", "docker.io/acme/x:1"),
        ("env: [{name: SIDECAR_IMAGE, value: acme/x}]", "docker.io/acme/x:latest"),
        ("env: [{name: THING, value: quay.io/acme/x:1}]", "quay.io/acme/x:1"),
        ("args: [--image=acme/x:1]", "docker.io/acme/x:1"),
        ("args: [--image, acme/x:1]", "docker.io/acme/x:1"),
        ("command: [run, -sidecar-image=acme/x:1]", "docker.io/acme/x:1"),
        ("args: [--reloader=quay.io/acme/x:1]", "quay.io/acme/x:1"),
        ("env: [{name: LOG, value: debug}]", ""),
        ("env: [{name: URL, value: 'https://example.com/a:1'}]", ""),
        ("args: [--listen=localhost:8080, --path=/a/b, serve]", ""),
        ("args: [--image=$(IMAGE)]", ""),
    ],
)
def test_hints_of_a_container_are_not_certain(container: str, image: str) -> None:
    found = scanned(f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: base:1\n    {container}\n")
    assert found.names() == ["docker.io/library/base:1"]
    assert set(found.names(uncertain=True)) - {"docker.io/library/base:1"} == ({image} if image else set())
    assert found.open() == bool(image)
    assert found.open(uncertain=True) == 0


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("apiVersion: example.com/v1\nkind: Cache\nspec: {image: redis:7}\n", "docker.io/library/redis:7"),
        ("apiVersion: e.com/v1\nkind: A\nspec: {a: [{sidecarImage: quay.io/a/b:1}]}\n", "quay.io/a/b:1"),
        ("apiVersion: e.com/v1\nkind: A\nspec: {image: {registry: q.io, repository: a/b, tag: 1}}\n", "q.io/a/b:1"),
        ("apiVersion: e.com/v1\nkind: A\nspec: {image: a/b, imageTag: 1.10}\n", "docker.io/a/b:1.10"),
        ("apiVersion: e.com/v1\nkind: A\nspec: {images: [a/b:1]}\n", "docker.io/a/b:1"),
        ('apiVersion: v1\nkind: ConfigMap\ndata: {config: "sidecar:\\n  image: a/b:1\\n"}\n', "docker.io/a/b:1"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {annotations: {x.io/proxyImage: a/b:1}}\nspec: {}\n", "docker.io/a/b:1"),
    ],
)
def test_fields_of_unknown_meaning_are_guesses(text: str, image: str) -> None:
    found = scanned(text)
    assert found.names() == []
    assert found.names(uncertain=True) == [image]
    assert found.images[0].findings[0].reason


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: e.com/v1\nkind: A\nspec: {image: logo.png, enabled: {image: true}, size: {image: 3}}\n",
        "apiVersion: v1\nkind: Node\nstatus: {images: [{names: [a/b:1]}], image: a/b:1}\n",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {image: a/b:1}\n",
        "apiVersion: v1\nkind: Service\nspec: {ports: [{port: 80}]}\n",
        "apiVersion: v1\nkind: List\nitems: []\n",
        "# nothing\n---\n---\n",
    ],
)
def test_nothing_where_nothing_is(text: str) -> None:
    assert scanned(text) == gather([])


@pytest.mark.parametrize(
    ("text", "names", "gaps"),
    [
        ("apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec: {image: a/p:1}\n", ["docker.io/a/p:1"], 0),
        ("apiVersion: monitoring.coreos.com/v1\nkind: Alertmanager\nspec: {}\n", [], 1),
        ("apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nspec: {imageName: a/pg:1}\n", ["docker.io/a/pg:1"], 0),
        ("apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nspec: {relatedImages: [{image: a/o:1}]}\n", ["docker.io/a/o:1"], 0),
        ("apiVersion: image.openshift.io/v1\nkind: ImageStream\nspec: {tags: [{from: {kind: DockerImage, name: a/i:1}}, {from: {kind: ImageStreamTag, name: other}}]}\n", ["docker.io/a/i:1"], 0),
        ("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nspec: {volumes: [{containerDisk: {image: a/d:1}}]}\n", ["docker.io/a/d:1"], 0),
        ("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec: {chart: {spec: {chart: web}}}\n", [], 1),
    ],
)  # fmt: skip
def test_kinds_of_extensions(text: str, names: list[str], gaps: int) -> None:
    found = scanned(text)
    assert (found.names(), len(found.undecided)) == (names, gaps)


def test_a_template_of_openshift_with_its_parameters() -> None:
    found = scanned(
        "apiVersion: template.openshift.io/v1\nkind: Template\nparameters: [{name: TAG, value: '2'}, {name: NONE}]\n"
        "objects:\n- {apiVersion: v1, kind: Pod, spec: {containers: [{image: 'a/b:${TAG}'}, {image: 'a/c:${NONE}'}]}}\n"
    )
    assert found.names() == ["docker.io/a/b:2"]
    assert "TAG" in found.images[0].findings[0].reason
    assert ["NONE" in gap.reason for gap in found.undecided] == [True]


def test_a_key_that_is_there_twice_is_reported_unless_both_agree() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{labels: {{a: b, a: b}}}}\nspec:\n  containers:\n  - image: x:1\n    image: x:{}\n"
    assert scanned(pod.format("1")).undecided == ()
    found = scanned(pod.format("2"))
    assert found.names() == ["docker.io/library/x:2"]
    assert "'image' twice" in found.undecided[0].reason


def test_finds_what_a_plain_search_finds() -> None:
    """An oracle without YAML: in a manifest of workloads only, every line ``image: x`` is an image and nothing else is."""
    documents = [
        f"apiVersion: {PODS[kind][0]}\nkind: {kind}\nmetadata:\n  name: n{number}\n"
        + nested(
            f"containers:\n- name: a\n  image: reg{number}.example.com/a/{kind.lower()}:{number}\n"
            f"- image: 'docker.io/b/{kind.lower()}:{number}'  # note\n  name: b\n",
            PODS[kind][1],
        )
        for number, kind in enumerate(PODS)
    ]
    text = "---\n".join(documents)
    lines = re.findall(r"^[ -]*image: *'?([^\s'#]+)", text, re.MULTILINE)
    found = scanned(text)
    assert found.names() == sorted(lines)
    assert len(lines) == 2 * len(PODS)
    for image in found.images:
        number = int(image.findings[0].where.split(":")[1])
        assert image.name in text.splitlines()[number - 1]
