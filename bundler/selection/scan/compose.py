"""Compose files: the images of services, variables filled in by Compose's rules.

A service that is built has no image to pull; one that says nothing of either may be the rest of another file beside it,
as ``compose.override.yaml`` is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from bundler.errors import ConfigError, quoted
from bundler.selection.scan.finding import Defined, Found, Undecided, named
from bundler.selection.scan.interpolation import interpolate
from bundler.selection.scan.tree import at, entries, get, is_nothing, items, members, word
from bundler.selection.yaml_tree import Value

_NAMES = ("compose.", "docker-compose.", "compose-", "docker-compose-")


def is_compose(top: Value) -> bool:
    """Whether a document is a Compose file."""
    entries = members(top)
    if "apiVersion" in entries or "kind" in entries:
        return False
    name = posixpath.basename(top.source)
    services = entries.get("services")
    return (services is not None and services.kind == "mapping") or ("include" in entries and name.startswith(_NAMES))


def read_compose(top: Value, variables: Mapping[str, str]) -> Iterator[Found]:
    """The images of every service, of all profiles."""
    folder = posixpath.dirname(top.source)
    yield Defined(f"file:{posixpath.normpath(top.source)}")
    for included in items(get(top, "include")):
        for path in [word(included)] if included.kind == "text" else _paths(get(included, "path")):
            yield _other_file(included, folder, path, "is included from it")
    for name, service in entries(top, "services").items():
        yield from _service(name, service, folder, variables)


def _service(name: str, service: Value, folder: str, variables: Mapping[str, str]) -> Iterator[Found]:
    image, build = get(service, "image"), get(service, "build")
    is_built = build is not None and not is_nothing(build)
    key = f"service:{folder}/{name}"
    for volume in at(service, "volumes[]"):
        if word(volume, "type") == "image" and (source := get(volume, "source")) is not None:
            yield _filled(source, variables)
    if image is not None and not is_nothing(image):
        yield Defined(key)
        if is_built:
            yield _filled(
                image, variables, certain=False, reason="its service is built here, and may be nowhere to pull"
            )
        else:
            yield _filled(image, variables)
    elif is_built and build is not None:
        yield Defined(key)
        yield Undecided(build.what, "is built from a Dockerfile and has no image name; push it, and name it by hand")
    elif (extended := get(service, "extends")) is not None:
        file = word(extended, "file")
        if file:
            yield _other_file(extended, folder, file, "is extended from it")
    elif get(service, "provider") is None:
        yield Undecided(service.what, "has neither `image` nor `build` (the rest of it may be in another file)", key)


def _filled(value: Value, variables: Mapping[str, str], *, certain: bool = True, reason: str = "") -> Found:
    if value.kind != "text":
        return Undecided(value.what, f"is a {value.kind} and no image name")
    try:
        filled = interpolate(str(value.node.value).strip(), variables)
    except ConfigError as problem:
        return Undecided(value.what, str(problem))
    if filled.missing:
        names = ", ".join(dict.fromkeys(filled.missing))
        return Undecided(value.what, f"needs the variables {names}; give them with --env-file")
    if filled.used and not reason:
        reason = f"with the value given for {', '.join(dict.fromkeys(filled.used))}"
    return named(filled.text, value.what, certain=certain, reason=reason)


def _paths(value: Value | None) -> list[str]:
    return [word(value)] if value is not None and value.kind == "text" else [word(each) for each in items(value)]


def _other_file(at_value: Value, folder: str, path: str, how: str) -> Undecided:
    where = posixpath.normpath(posixpath.join(folder, path))
    return Undecided(at_value.what, f"{quoted(path)!r} {how}; scan it too", f"file:{where}")
