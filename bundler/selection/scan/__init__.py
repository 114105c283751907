"""Which images do manifests name? Texts in; images, and what could not be told, out.

    found = [each for raw, name in files for each in scan_text(raw, name)]
    gather(found).names()                       ["docker.io/library/nginx:1.27", …]

A document's type decides who reads it::

    Compose · Kustomize · Kubernetes and widely used extensions · Argo · Tekton · OpenShift templates
    anything else ── fields called ``image`` are guesses

Pure. Who reads files, runs Helm and writes manifests is :mod:`bundler.journey.scanning`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bundler.selection.scan.finding import Defined, Finding, Found, Image, Scan, Undecided, gather
from bundler.selection.yaml_tree import Value

__all__ = ["Defined", "Finding", "Found", "Image", "Scan", "Undecided", "gather", "scan_text"]


def scan_text(
    raw: bytes, source: str, *, variables: Mapping[str, str] | None = None, chosen: bool = True
) -> Iterator[Found]:
    """Everything found in a YAML or JSON text of any number of documents. Raises nothing that the text could cause.

    ``source`` is the file's name as it is to be printed. ``variables`` are for Compose. With ``chosen`` the text was
    meant to be scanned, so a document of no known type is reported; else it is one among many.
    """
    from bundler.errors import quoted
    from bundler.selection.scan.documents import read_documents

    for document in read_documents(raw, quoted(source)):
        if isinstance(document, Value):
            yield from _read(document, variables or {}, chosen=chosen)
        else:
            yield document


def _read(top: Value, variables: Mapping[str, str], *, chosen: bool) -> Iterator[Found]:
    from bundler.selection.scan.compose import is_compose, read_compose
    from bundler.selection.scan.guess import fields_of
    from bundler.selection.scan.kubernetes import resources
    from bundler.selection.scan.kustomize import is_kustomization, read_kustomization
    from bundler.selection.scan.resource import read_resource

    if is_compose(top):
        yield from read_compose(top, variables)
    elif is_kustomization(top):
        yield from read_kustomization(top)
    else:
        known = False
        for resource in resources(top):
            known = True
            yield from read_resource(resource)
        if not known:
            yield from fields_of(top, "a document of no known type")
            if chosen and top.kind != "nothing" and not _is_list(top):
                yield Undecided(top.where, "is of no known type: only fields called `image` were looked at")


def _is_list(top: Value) -> bool:
    """Whether it is a list of resources without any."""
    from bundler.selection.scan.tree import get, word

    return word(top, "kind").endswith("List") and get(top, "items") is not None
