"""Images of Argo Workflows."""

from __future__ import annotations

import pytest

from bundler.selection.scan import gather, scan_text


def scanned(text: str):
    return gather(scan_text(text.encode(), "w.yaml"))


SPEC = """
arguments: {parameters: [{name: tag, value: "3"}]}
entrypoint: main
templates:
- name: main
  steps:
  - - {name: a, template: whole, arguments: {parameters: [{name: image, value: acme/argument:1}]}}
- name: whole
  inputs: {parameters: [{name: image, default: "acme/input:{{workflow.parameters.tag}}"}, {name: none}]}
  container: {image: "{{inputs.parameters.image}}"}
  initContainers: [{name: i, image: acme/init:1}]
  sidecars: [{name: s, image: "acme/side:{{workflow.parameters.tag}}"}]
- name: script
  script: {image: acme/script:1, source: "image: no/image:1"}
- name: set
  containerSet: {containers: [{name: c, image: acme/set:1}]}
- name: open
  container: {image: "acme/x:{{inputs.parameters.tag}}"}
- name: manifest
  resource: {manifest: "kind: Pod\\nspec:\\n  containers:\\n  - image: acme/made:1\\n"}
"""


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"])
def test_every_container_of_a_workflow(kind: str) -> None:
    indent = "    " if kind == "CronWorkflow" else "  "
    head = "spec:\n  workflowSpec:\n" if kind == "CronWorkflow" else "spec:\n"
    body = "".join(f"{indent}{line}\n" for line in SPEC.strip().splitlines())
    found = scanned(f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\n{head}{body}")
    assert found.names() == [
        "docker.io/acme/init:1",
        "docker.io/acme/input:3",
        "docker.io/acme/script:1",
        "docker.io/acme/set:1",
        "docker.io/acme/side:3",
    ]
    assert set(found.names(uncertain=True)) - set(found.names()) == {
        "docker.io/acme/argument:1",
        "docker.io/acme/made:1",
    }
    assert [gap.reason for gap in found.undecided] == ["holds inputs.parameters.tag, whose value is not known"]


def test_a_template_elsewhere_is_a_gap_until_it_is_read() -> None:
    use = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {workflowTemplateRef: {name: t}}\n"
    defined = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: t}\nspec: {templates: []}\n"
    assert ["'t'" in gap.reason for gap in scanned(use).undecided] == [True]
    assert scanned(f"{use}---\n{defined}").undecided == ()
    assert scanned(use.replace("name: t", "name: t, clusterScope: true") + f"---\n{defined}").undecided != ()


def test_defaults_of_templates() -> None:
    found = scanned(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  templateDefaults: {container: {image: acme/d:1}}\n"
        "  templates: [{name: a, container: {command: [x]}}]\n"
    )
    assert (found.names(), found.undecided) == (["docker.io/acme/d:1"], ())


def test_an_application_names_its_repository() -> None:
    found = scanned(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: shop}\nspec:\n  source:\n"
        "    repoURL: https://git.example.com/shop\n    kustomize: {images: [api=acme/api:2]}\n"
    )
    assert "Application/shop deploys what lies in https://git.example.com/shop" in found.undecided[0].reason
    assert found.names(uncertain=True) == ["docker.io/acme/api:2"]
    assert found.names() == []


def test_what_a_sensor_makes() -> None:
    found = scanned(
        "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nspec:\n  triggers:\n  - template:\n      argoWorkflow:\n"
        "        source:\n          resource:\n            apiVersion: argoproj.io/v1alpha1\n            kind: Workflow\n"
        "            spec: {templates: [{container: {image: acme/t:1}}]}\n"
    )
    assert found.names() == ["docker.io/acme/t:1"]
