"""Images of Tekton's tasks and pipelines."""

from __future__ import annotations

import pytest

from bundler.selection.scan import gather, scan_text


def scanned(kind: str, spec: str, more: str = ""):
    body = "".join(f"  {line}\n" for line in spec.strip().splitlines())
    text = f"apiVersion: tekton.dev/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec:\n{body}{more}"
    return gather(scan_text(text.encode(), "t.yaml"))


TASK = """
params: [{name: image, default: "acme/p:1"}, {name: none}]
stepTemplate: {image: acme/step:1}
steps: [{name: a}, {image: "$(params.image)"}, {image: '$(params["image"])'}, {image: acme/s:1, args: ["--image=acme/arg:1"]}]
sidecars: [{image: acme/side:1}]
"""
IMAGES = ["docker.io/acme/p:1", "docker.io/acme/s:1", "docker.io/acme/side:1", "docker.io/acme/step:1"]


def below(key: str, spec: str, prefix: str = "") -> str:
    return f"{prefix}{key}:\n" + "".join(f"{' ' * len(prefix)}  {line}\n" for line in spec.strip().splitlines())


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Task", TASK),
        ("ClusterTask", TASK),
        ("TaskRun", below("taskSpec", TASK)),
        ("Pipeline", below("tasks", below("taskSpec", TASK, "- "))),
        ("Pipeline", below("finally", below("taskSpec", TASK, "- "))),
        ("PipelineRun", below("pipelineSpec", below("tasks", below("taskSpec", TASK, "- ")))),
    ],
)
def test_steps_wherever_a_task_is_written_out(kind: str, spec: str) -> None:
    found = scanned(kind, spec)
    assert found.names() == IMAGES
    assert found.names(uncertain=True) == sorted([*IMAGES, "docker.io/acme/arg:1"])
    assert found.undecided == ()


@pytest.mark.parametrize(
    ("image", "name"),
    [("$(params.none)", "none"), ("$(context.taskRun.name)", "context"), ("a:$(steps.x.results.y)", "steps.x")],
)
def test_without_a_default_it_is_open(image: str, name: str) -> None:
    found = scanned("Task", f"params: [{{name: none}}]\nsteps: [{{image: '{image}'}}]")
    assert found.images == ()
    assert name in found.undecided[0].reason


def test_what_a_run_gives_goes_before_a_default() -> None:
    spec = "params: [{name: i, value: acme/given:1}]\ntaskSpec: {params: [{name: i, default: acme/d:1}], steps: [{image: $(params.i)}]}"
    assert scanned("TaskRun", spec).names() == ["docker.io/acme/given:1"]
    outer = "params: [{name: tag, default: '7'}]\ntasks: [{params: [{name: i, value: 'acme/p:$(params.tag)'}], taskSpec: {params: [{name: i}], steps: [{image: $(params.i)}]}}]"
    assert scanned("Pipeline", outer).names() == ["docker.io/acme/p:7"]


def test_bundles_and_resolvers() -> None:
    found = scanned(
        "TaskRun",
        "taskRef: {resolver: bundles, params: [{name: bundle, value: 'acme/tasks:1'}, {name: name, value: x}]}",
    )
    assert found.names() == ["docker.io/acme/tasks:1"]
    assert "resolver 'bundles'" in found.undecided[0].reason
    assert scanned("TaskRun", "taskRef: {name: x, bundle: 'acme/tasks:1'}").names() == ["docker.io/acme/tasks:1"]
    assert scanned("TaskRun", "taskRef: {resolver: git, params: [{name: url, value: u}]}").images == ()


def test_a_task_elsewhere_is_a_gap_until_it_is_read() -> None:
    spec = "tasks: [{taskRef: {name: y}, params: [{name: IMAGE, value: acme/a:1}]}]"
    found = scanned("Pipeline", spec)
    assert (found.names(), found.names(uncertain=True), len(found.undecided)) == ([], ["docker.io/acme/a:1"], 1)
    more = "---\napiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: y}\nspec: {steps: [{ref: {name: act}}]}\n"
    found = scanned("Pipeline", spec, more)
    assert ["StepAction 'act'" in gap.reason for gap in found.undecided] == [True]
    more += "---\napiVersion: tekton.dev/v1\nkind: StepAction\nmetadata: {name: act}\nspec: {image: acme/act:1}\n"
    found = scanned("Pipeline", spec, more)
    assert (found.names(), found.undecided) == (["docker.io/acme/act:1"], ())


def test_what_a_trigger_makes() -> None:
    text = (
        "apiVersion: triggers.tekton.dev/v1beta1\nkind: TriggerTemplate\nspec:\n  resourcetemplates:\n"
        "  - {apiVersion: tekton.dev/v1, kind: TaskRun, spec: {taskSpec: {steps: [{image: acme/t:1}, {image: $(tt.params.x)}]}}}\n"
    )
    found = gather(scan_text(text.encode(), "t"))
    assert (found.names(), len(found.undecided)) == (["docker.io/acme/t:1"], 1)
