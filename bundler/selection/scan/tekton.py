"""Tekton: steps and sidecars of tasks, wherever a task is written out, and bundles that hold tasks.

    Task · ClusterTask ── steps, sidecars, stepTemplate          StepAction ── image
    Pipeline ── tasks, finally ── taskSpec | taskRef             PipelineRun ── pipelineSpec | pipelineRef
    TaskRun ── taskSpec | taskRef                                a reference ── name | bundle | resolver

``$(params.x)`` has the value that the run or pipeline around a task gives, else its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bundler.selection.scan.finding import Defined, Fill, Found, Undecided, judge
from bundler.selection.scan.guess import hints_of, is_full, is_likely
from bundler.selection.scan.kubernetes import Resource, pod_images
from bundler.selection.scan.tree import at, get, is_nothing, items, word
from bundler.selection.scan.variables import filler, parameters, settled
from bundler.selection.yaml_tree import Value

GROUP = "tekton.dev"
KINDS = frozenset({"Task", "ClusterTask", "TaskRun", "Pipeline", "PipelineRun", "StepAction"})
_PATTERN = r"""\$\((?:inputs\.)?params(?:\.([A-Za-z0-9_.-]+)|\[['"]([^'"()]+)['"]\])\)|\$\([^()]*\)"""
_BUNDLE = "a Tekton bundle, which holds the task or pipeline"


def read_tekton(resource: Resource) -> Iterator[Found]:
    """The images of one of :data:`KINDS`."""
    spec, kind = get(resource.top, "spec"), resource.kind
    if spec is None:
        yield Undecided(resource.top.where, f"{resource.called} has no `spec`")
        return
    if kind in ("Task", "ClusterTask", "Pipeline", "StepAction"):
        yield Defined(f"{kind.removeprefix('Cluster')}:{word(resource.top, 'metadata.name')}")
    if kind in ("Task", "ClusterTask"):
        yield from _task(spec, {})
    elif kind == "Pipeline":
        yield from _pipeline(spec, {})
    elif kind == "StepAction":
        fill = filler(_PATTERN, parameters(get(spec, "params"), "default"))
        if (image := get(spec, "image")) is not None:
            yield judge(image, fill=fill)
    else:
        yield from _use(spec, {})
        for pod in at(spec, "podTemplate"):
            yield from pod_images(pod, resource.called)


def _use(user: Value, outer: Mapping[str, str]) -> Iterator[Found]:
    """What a run, or a task of a pipeline, is about: written out below it, or referred to."""
    given = settled(parameters(get(user, "params"), "value"), _PATTERN, outer.items())
    for key in ("taskSpec", "pipelineSpec"):
        if (spec := get(user, key)) is not None:
            # A task written out in a pipeline sees the parameters of the pipeline too.
            yield from (_task if key == "taskSpec" else _pipeline)(spec, {**outer, **given})
    for key, kind in (("taskRef", "Task"), ("pipelineRef", "Pipeline")):
        if (reference := get(user, key)) is not None:
            yield from _reference(reference, kind)
            for parameter in items(get(user, "params")):
                yield from _parameter(parameter)


def _pipeline(spec: Value, given: Mapping[str, str]) -> Iterator[Found]:
    known = {**parameters(get(spec, "params"), "default"), **given}
    for key in ("tasks", "finally"):
        for task in items(get(spec, key)):
            yield from _use(task, known)


def _task(spec: Value, given: Mapping[str, str]) -> Iterator[Found]:
    known = {**settled(parameters(get(spec, "params"), "default"), _PATTERN, given.items()), **given}
    fill = filler(_PATTERN, known)
    preset = get(spec, "stepTemplate.image")
    if preset is not None and not is_nothing(preset):
        yield judge(preset, fill=fill)
    for key in ("steps", "sidecars"):
        for step in items(get(spec, key)):
            yield from _step(step, fill, has_preset=preset is not None and key == "steps")
    for reference in at(spec, "volumes[].image.reference"):
        yield judge(reference, fill=fill)


def _step(step: Value, fill: Fill, *, has_preset: bool) -> Iterator[Found]:
    image, reference = get(step, "image"), get(step, "ref")
    if image is not None and not is_nothing(image):
        yield judge(image, fill=fill)
    elif reference is not None:
        yield from _reference(reference, "StepAction")
    elif not has_preset:
        yield Undecided(step.what, "a step without an image")
    yield from hints_of(step)


def _reference(reference: Value, kind: str) -> Iterator[Found]:
    bundle, resolver, name = get(reference, "bundle"), word(reference, "resolver"), word(reference, "name")
    if bundle is not None:
        yield judge(bundle, reason=_BUNDLE)
        yield Undecided(bundle.what, f"the {kind} lies in a bundle, and so do the names of its images")
    elif resolver:
        for parameter in items(get(reference, "params")):
            value = get(parameter, "value")
            if resolver == "bundles" and word(parameter, "name") == "bundle" and value is not None:
                yield judge(value, reason=_BUNDLE)
        yield Undecided(reference.what, f"the {kind} comes from the resolver {resolver!a}; scan what it gives")
    elif not word(reference, "apiVersion") or word(reference, "apiVersion").startswith(GROUP):
        yield Undecided(reference.what, f"uses {kind} {name!a}, which was not read; scan it too", f"{kind}:{name}")


def _parameter(parameter: Value) -> Iterator[Found]:
    value = get(parameter, "value")
    text = word(value)
    if value is not None and (is_full(text) or ("image" in word(parameter, "name").lower() and is_likely(text))):
        yield judge(value, certain=False, reason="a parameter, which the task may use as an image")
