"""Argo Workflows: templates of a workflow, and what their parameters come to.

A parameter of the workflow has the value that its ``arguments`` give it, an input of a template its default; whoever
submits the workflow may say otherwise. A template of another resource is read where that resource is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundler.selection.scan.finding import Defined, Fill, Found, Undecided, judge
from bundler.selection.scan.guess import hints_of, is_full, is_likely, lines_of
from bundler.selection.scan.kubernetes import Resource
from bundler.selection.scan.tree import at, get, is_nothing, items, word
from bundler.selection.scan.variables import filler, parameters
from bundler.selection.yaml_tree import Value

GROUP = "argoproj.io"
SPECS = {
    "Workflow": "spec",
    "WorkflowTemplate": "spec",
    "ClusterWorkflowTemplate": "spec",
    "CronWorkflow": "spec.workflowSpec",
}
_PATTERN = r"\{\{\s*((?:workflow|inputs)\.parameters\.[A-Za-z0-9_-]+)\s*\}\}|\{\{[^{}]*\}\}"
_CONTAINERS = ("container", "script", "containerSet.containers[]", "initContainers[]", "sidecars[]")
_CALLS = ("steps[]", "dag.tasks[]")


def read_workflow(resource: Resource) -> Iterator[Found]:
    """The images of a workflow or of a template for some."""
    if resource.kind.endswith("WorkflowTemplate"):
        yield Defined(f"{resource.kind}:{word(resource.top, 'metadata.name')}")
    spec = get(resource.top, SPECS[resource.kind])
    if spec is None:
        yield Undecided(resource.top.where, f"{resource.called} has no `{SPECS[resource.kind]}`")
        return
    if (reference := get(spec, "workflowTemplateRef")) is not None:
        yield _elsewhere(reference)
    given = parameters(get(spec, "arguments.parameters"), "value", "default")
    workflow = {f"workflow.parameters.{name}": value for name, value in given.items()}
    defaults = get(spec, "templateDefaults")
    preset = word(spec, "templateDefaults.container.image") or word(spec, "templateDefaults.script.image")
    for template in ([defaults] if defaults is not None else []) + items(get(spec, "templates")):
        inputs = parameters(get(template, "inputs.parameters"), "value", "default")
        named = {f"inputs.parameters.{name}": value for name, value in inputs.items()}
        within = filler(_PATTERN, workflow)
        settled = {name: filled.text for name, value in named.items() if not (filled := within(value)).missing}
        fill = filler(_PATTERN, {**workflow, **settled})
        yield from _template(template, fill, has_preset=bool(preset) or template is defaults)


def _template(template: Value, fill: Fill, *, has_preset: bool) -> Iterator[Found]:
    for path in _CONTAINERS:
        for container in at(template, path):
            image = get(container, "image")
            if image is not None and not is_nothing(image):
                yield judge(image, fill=fill)
            elif not has_preset:
                yield Undecided(container.what, "a container without an image")
            yield from hints_of(container)
    for path in ("resource.manifest", "podSpecPatch"):
        for text in at(template, path):
            yield from lines_of(text, "a workflow")
    for path in _CALLS:
        for call in at(template, path):
            # A step is one of several that run together; a task of a graph stands alone.
            for one in items(call) or [call]:
                yield from _call(one)


def _call(call: Value) -> Iterator[Found]:
    if (reference := get(call, "templateRef")) is not None:
        yield _elsewhere(reference)
    if (inline := get(call, "inline")) is not None:
        yield from _template(inline, filler(_PATTERN, {}), has_preset=False)
    for argument in items(get(call, "arguments.parameters")):
        value = get(argument, "value")
        text = word(value)
        if value is not None and (is_full(text) or ("image" in word(argument, "name").lower() and is_likely(text))):
            yield judge(value, certain=False, reason="an argument of a template, which may use it as an image")


def _elsewhere(reference: Value) -> Undecided:
    scope = "ClusterWorkflowTemplate" if word(reference, "clusterScope") == "true" else "WorkflowTemplate"
    name = word(reference, "name")
    return Undecided(reference.what, f"uses {scope} {name!a}, which was not read; scan it too", f"{scope}:{name}")
