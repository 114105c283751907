"""One resource of Kubernetes or of an extension, given to who knows its kind."""

from __future__ import annotations

from collections.abc import Iterator

from bundler.errors import quoted
from bundler.selection.scan import argo, tekton
from bundler.selection.scan.extensions import ELSEWHERE, EXTENSIONS, IMPORTS
from bundler.selection.scan.finding import Fill, Found, Undecided, judge, named
from bundler.selection.scan.guess import fields_of
from bundler.selection.scan.kubernetes import CORE, Resource, read_kind, read_template, resources, texts_of
from bundler.selection.scan.tree import at, get, items, word

_INNER = ("spec.resourcetemplates[]", "spec.triggers[].template.*.source.resource")
"""Where a TriggerTemplate of Tekton and a Sensor of Argo hold the resources that they make."""


def read_resource(resource: Resource, fill: Fill | None = None) -> Iterator[Found]:
    """What a resource names; ``fill`` replaces the variables of a template around it."""
    type_ = (resource.group, resource.kind)
    if type_ in CORE:
        yield from read_kind(resource, CORE[type_], fill)
    elif type_ in EXTENSIONS:
        yield from read_kind(resource, EXTENSIONS[type_], fill)
        yield from _guess(resource)
    elif type_ == ("", "ConfigMap"):
        yield from texts_of(resource)
    elif type_ in ELSEWHERE:
        yield from _elsewhere(resource)
    elif type_ in IMPORTS:
        for path in IMPORTS[type_]:
            for reference in at(resource.top, path):
                if word(reference, "kind") == "DockerImage" and (name := get(reference, "name")) is not None:
                    yield judge(name, fill=fill)
    elif resource.group == argo.GROUP and resource.kind in argo.SPECS:
        yield from argo.read_workflow(resource)
    elif resource.group == tekton.GROUP and resource.kind in tekton.KINDS:
        yield from tekton.read_tekton(resource)
    elif resource.kind == "Template" and resource.group in ("", "template.openshift.io"):
        yield from read_template(resource, read_resource)
    elif resource.kind != "CustomResourceDefinition":
        inner = [each for path in _INNER for value in at(resource.top, path) for each in resources(value)]
        for each in inner:
            yield from read_resource(each, fill)
        if not inner:
            yield from _guess(resource)


def _guess(resource: Resource) -> Iterator[Found]:
    yield from fields_of(resource.top, quoted(f"{resource.kind} ({resource.group or 'core'})"))


def _elsewhere(resource: Resource) -> Iterator[Found]:
    paths, field = ELSEWHERE[resource.group, resource.kind]
    sources = [source for path in paths for source in at(resource.top, path)]
    names = ", ".join(dict.fromkeys(word(source, field) or word(source, "name") for source in sources))
    yield Undecided(
        resource.top.where,
        f"{quoted(resource.called)} deploys what lies in {quoted(names) or 'another place'}; scan what is there",
    )
    for source in sources:
        for image in items(get(source, "kustomize.images")):
            _, equals, new = word(image).partition("=")
            name = new if equals else word(image)
            yield named(name, image.what, certain=False, reason="what an Argo CD application puts in place of another")
        for parameter in items(get(source, "helm.parameters")):
            value = get(parameter, "value")
            if value is not None and word(parameter, "name").lower().endswith("image"):
                yield judge(value, certain=False, reason="a value for a chart")
    yield from _guess(resource)
