"""Kubernetes resources: which of their fields are images.

A :class:`Kind` says where a kind keeps whole pods and where it keeps single images, as paths for :func:`tree.at`. Kinds of
extensions that are widely used have their rows in :mod:`bundler.selection.scan.extensions`; in all others a field called
``image`` is a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bundler.errors import quoted
from bundler.selection.scan.finding import Defined, Fill, Found, Undecided, judge
from bundler.selection.scan.guess import hints_of, lines_of
from bundler.selection.scan.tree import at, entries, get, is_nothing, items, word
from bundler.selection.yaml_tree import Value

CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Kind:
    """``pods`` are paths of pod specifications, ``images`` of names; ``else_chosen`` says who chooses if there are none."""

    pods: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    else_chosen: str = ""


_TEMPLATE = Kind(("spec.template.spec",))
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
CORE = {
    ("", "Pod"): Kind(("spec",)),
    ("", "PodTemplate"): Kind(("template.spec",)),
    ("", "ReplicationController"): _TEMPLATE,
    **{(group, kind): _TEMPLATE for group in ("apps", "extensions") for kind in _WORKLOADS},
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): Kind(("spec.jobTemplate.spec.template.spec",)),
}
"""The kinds of Kubernetes itself, by group and kind."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A document with its type; ``group`` is ``apps`` of ``apps/v1``, and empty for ``v1``."""

    top: Value
    group: str
    kind: str

    @property
    def called(self) -> str:
        """``Deployment/web``."""
        return quoted(f"{self.kind}/{word(self.top, 'metadata.name')}")


def resources(top: Value, *, version: str = "", kind: str = "") -> Iterator[Resource]:
    """The resource that a document is, or those in a list, at any depth; nothing for anything else.

    ``version`` and ``kind`` are what a list says of members that do not say it themselves.
    """
    version, kind = word(top, "apiVersion") or version, word(top, "kind") or kind
    if not version or not kind:
        for item in items(top):
            yield from resources(item)
    elif kind.endswith("List") and (listed := get(top, "items")) is not None and listed.kind == "list":
        for item in items(listed):
            yield from resources(item, version=version, kind=kind.removesuffix("List"))
    else:
        group, slash, _ = version.partition("/")
        yield Resource(top, group if slash else "", kind)


def read_kind(resource: Resource, kind: Kind, fill: Fill | None = None) -> Iterator[Found]:
    """The images of a resource whose kind is known."""
    seen = False
    for path in kind.pods:
        for pod in at(resource.top, path):
            seen = True
            yield from pod_images(pod, resource.called, fill)
    for path in kind.images:
        for image in at(resource.top, path):
            if not is_nothing(image):
                seen = True
                yield judge(image, fill=fill)
    if kind.else_chosen and not seen:
        yield Undecided(resource.top.where, f"{resource.called} names no image: {kind.else_chosen} chooses it")
    for path in ("metadata.annotations", "spec.template.metadata.annotations"):
        for key, value in entries(resource.top, path).items():
            if key.lower().endswith("image") and "/" in key:
                yield judge(value, certain=False, reason="an annotation, which something in the cluster may act on")


def pod_images(pod: Value, called: str, fill: Fill | None = None) -> Iterator[Found]:
    """The images of a pod specification: its containers, and its volumes that are images."""
    for key in CONTAINERS:
        for container in items(get(pod, key)):
            yield from container_image(container, called, fill)
    for reference in at(pod, "volumes[].image.reference"):
        yield judge(reference, fill=fill)


def container_image(container: Value, called: str, fill: Fill | None = None) -> Iterator[Found]:
    """The image of one container, and what its variables and arguments hint at.

    A container without an image is one of a patch; if what it patches is read too, all is well.
    """
    image = get(container, "image")
    key = f"container:{called}/{word(container, 'name')}"
    if image is None or is_nothing(image):
        yield Undecided(
            container.what, f"a container of {called} without an image (a patch, or filled in by a trigger)", key
        )
    else:
        yield Defined(key)
        yield judge(image, fill=fill)
    yield from hints_of(container)


def texts_of(resource: Resource) -> Iterator[Found]:
    """Lines in the texts of a ConfigMap that look like those of a manifest."""
    for value in entries(resource.top, "data").values():
        yield from lines_of(value, resource.called)


def read_template(resource: Resource, read: Callable[[Resource, Fill | None], Iterator[Found]]) -> Iterator[Found]:
    """The resources in OpenShift's Template, its parameters having the values it gives them."""
    from bundler.selection.scan.variables import filler

    given = {word(each, "name"): word(each, "value") for each in items(get(resource.top, "parameters"))}
    fill = filler(r"\$\{\{?([A-Za-z0-9_]+)\}\}?", {name: value for name, value in given.items() if value})
    for item in items(get(resource.top, "objects")):
        for inner in resources(item):
            yield from read(inner, fill)
