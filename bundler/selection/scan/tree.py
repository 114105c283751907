"""Reading documents that are other programs' business: what is not understood is no error here.

    at(pod, "spec.containers[].image")      every image of a Pod, wherever it is a list of mappings as it should be
    at(job, "spec.replicas.*.template")     ``*`` is any key

A key that is there twice means its last value, as it does to the programs that read these files.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundler.selection.yaml_tree import Value

_MERGE = "tag:yaml.org,2002:merge"


def is_nothing(value: Value) -> bool:
    """Whether it is null, blank, or was reset with Compose's tag."""
    if value.kind == "text":
        return not str(value.node.value).strip() or value.node.tag == "!reset"
    return value.kind == "nothing"


def members(value: Value) -> dict[str, Value]:
    """The entries of a mapping with its merges; empty for anything else. Keys that are no text are left out."""
    if value.kind != "mapping":
        return {}
    own: dict[str, Value] = {}
    merged: dict[str, Value] = {}
    for key, node in value.node.value:
        if key.tag == _MERGE:
            given = Value(node, value.source, value.path)
            for mapping in reversed(items(given) if given.kind == "list" else [given]):
                for name, entry in members(mapping).items():
                    merged[name] = value._below(name, entry.node)  # noqa: SLF001  # the path that leads here
        elif isinstance(key.value, str):
            own[key.value] = value._below(key.value, node)  # noqa: SLF001
    return {**merged, **own}


def items(value: Value | None) -> list[Value]:
    """The values of a list; empty for anything else."""
    return value.items() if value is not None and value.kind == "list" else []


def get(value: Value, path: str) -> Value | None:
    """The value at a dotted path of keys, if there is one."""
    found: Value | None = value
    for key in path.split("."):
        found = members(found).get(key) if found is not None else None
    return found


def entries(value: Value, path: str) -> dict[str, Value]:
    """The entries of the mapping at a dotted path; empty if there is none."""
    found = get(value, path)
    return {} if found is None else members(found)


def word(value: Value | None, path: str = "") -> str:
    """A scalar's text, or nothing."""
    found = get(value, path) if value is not None and path else value
    return str(found.node.value).strip() if found is not None and found.kind == "text" else ""


def at(value: Value, path: str) -> Iterator[Value]:
    """Every value at a path whose parts may be ``key``, ``key[]`` for each of a list, or ``*`` for each key."""
    head, _, rest = path.partition(".")
    if head == "*":
        found = list(members(value).values())
    else:
        entry = members(value).get(head.removesuffix("[]"))
        found = [] if entry is None else items(entry) if head.endswith("[]") else [entry]
    for each in found:
        if rest:
            yield from at(each, rest)
        else:
            yield each
