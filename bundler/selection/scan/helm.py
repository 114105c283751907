"""Helm charts without Helm: guesses from values, from plain lines of templates, and from the chart's own list.

    image: {registry: quay.io, repository: acme/api, tag: ""}      an empty tag is the chart's appVersion, by custom
    image: quay.io/acme/api:1                                      also with ``tag`` or ``imageTag`` beside it

Only rendering decides what a chart deploys, so nothing here is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

from bundler.selection.scan.documents import lines_with_images, read_documents
from bundler.selection.scan.finding import Finding, Found, Undecided, named
from bundler.selection.scan.guess import fields_of, is_likely
from bundler.selection.scan.tree import entries, members, word
from bundler.selection.yaml_tree import Value

Tree = dict[str, Union["Tree", Value]]
_LIST = "artifacthub.io/images"
_MAX_DEPTH = 100


def guess_chart(
    files: Mapping[str, bytes], source: str, *, why: str, values: Sequence[tuple[str, bytes]] = ()
) -> Iterator[Found]:
    """Likely images of a chart. ``files`` are by path within it, ``values`` the operator's, the last one deciding.

    ``why`` says what kept the chart from being rendered.
    """
    yield Undecided(source, f"a Helm chart, and {why}: its images are guesses; scan the output of `helm template`")
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        place = f"{folder}/" if folder else ""
        if name == "Chart.yaml":
            own = (
                [(f"{source}/{place}values.yaml", files[f"{place}values.yaml"])]
                if f"{place}values.yaml" in files
                else []
            )
            yield from _chart(files[path], f"{source}/{path}", own + list(values if not place else ()))
        elif "templates" in folder.split("/"):
            yield from _lines(files[path].decode("utf-8", "replace"), f"{source}/{path}", "a line of a template")


def _chart(raw: bytes, source: str, layers: Sequence[tuple[str, bytes]]) -> Iterator[Found]:
    version = ""
    for chart in read_documents(raw, source):
        if isinstance(chart, Undecided):
            yield chart
            continue
        version = word(chart, "appVersion")
        listed = entries(chart, "annotations").get(_LIST)
        if listed is not None:
            yield from _lines(word(listed), listed.where, "the chart's own list of images")
    tree: Tree = {}
    for name, content in layers:
        for top in read_documents(content, name):
            if isinstance(top, Undecided):
                yield top
            else:
                _lay(tree, top)
    registry = _text(_below(tree, "global"), "imageRegistry")
    yield from _walk(tree, "", version, registry)


def _lay(tree: Tree, value: Value) -> None:
    """Put the entries of a mapping over those of ``tree``, mapping by mapping."""
    for key, entry in members(value).items():
        if entry.kind == "mapping":
            below = tree.get(key)
            if not isinstance(below, dict):
                below = tree[key] = {}
            _lay(below, entry)
        else:
            tree[key] = entry


def _walk(tree: Tree, key: str, version: str, registry: str) -> Iterator[Found]:
    repository = tree.get("repository") or (tree.get("name") if key.lower().endswith("image") else None)
    is_meant = key.lower().endswith("image") or bool({"tag", "digest", "registry", "pullPolicy"} & tree.keys())
    if is_meant and isinstance(repository, Value) and word(repository) and "://" not in word(repository):
        yield _joined(tree, repository, version, registry)
    for name, entry in tree.items():
        if isinstance(entry, dict):
            yield from _walk(entry, name, version, registry)
        elif entry.kind == "list":
            yield from fields_of(entry, "values")
        elif name.lower().endswith("image") and is_likely(text := word(entry)):
            tag = _text(tree, "tag") or _text(tree, f"{name}Tag")
            last = text.rpartition("/")[2]
            text = f"{text}:{tag}" if tag and ":" not in last and "@" not in last else text
            yield named(text, entry.what, certain=False, reason=f"the value {name!a} of a chart")


def _joined(parts: Tree, repository: Value, version: str, registry: str) -> Found:
    host = registry or _text(parts, "registry")
    tag, digest = _text(parts, "tag"), _text(parts, "digest")
    reason = "values of a chart"
    name = f"{host.rstrip('/')}/{word(repository)}" if host else word(repository)
    if not tag and not digest and ":" not in name.rpartition("/")[2]:
        tag, reason = version, "values of a chart, with its appVersion in place of a tag"
    return named(
        name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else ""),
        repository.what,
        certain=False,
        reason=reason,
    )


def _below(tree: Tree, key: str) -> Tree:
    found = tree.get(key)
    return found if isinstance(found, dict) else {}


def _text(tree: Tree, key: str) -> str:
    found = tree.get(key)
    return word(found) if isinstance(found, Value) else ""


def _lines(text: str, source: str, what: str) -> Iterator[Finding]:
    for line, name in lines_with_images(text):
        found = named(name, f"{source}:{line}", certain=False, reason=what)
        if is_likely(name) and isinstance(found, Finding):
            yield found
