"""Images that are likely: fields called ``image`` in resources of unknown kinds, variables and arguments of containers.

Nothing here is certain, since only the program that reads the field knows what it means.

    image: quay.io/acme/tool:1                               a name
    sidecarImage: {repository: acme/tool, tag: "1"}          a name in parts, with ``registry`` and ``digest`` if given
    env: [{name: RELATED_IMAGE_TOOL, value: acme/tool:1}]
    args: [--tool-image=acme/tool:1]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import parse_reference
from bundler.selection.scan.documents import lines_with_images
from bundler.selection.scan.finding import Finding, Found, Undecided, judge, named
from bundler.selection.scan.tree import get, items, members, word
from bundler.selection.yaml_tree import Value

_FIELD = re.compile(r"image|image_?name|.*[a-z0-9]Image(?:Name)?|.*[_.-]image", re.ASCII)
_VARIABLE = re.compile(r"RELATED_IMAGE_.*|IMAGE|.*_IMAGE|IMAGE_.*")
_ARGUMENT = re.compile(r"--?([A-Za-z0-9._-]*)[= ](\S+)")
_FULL = re.compile(
    r"[a-z0-9.-]+(?:\.[a-z0-9-]+|:[0-9]+)/[^:@\s]+(?::[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha(?:256|512):[0-9a-f]+)"
)
_PICTURES = tuple(
    f".{kind}" for kind in ("png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "iso", "qcow2", "img", "vmdk", "raw")
)
_WORDS = frozenset({"true", "false", "null", "none"})
_LONGEST = 512
_LEFT_OUT = frozenset({"status", "managedFields"})


def is_likely(text: str) -> bool:
    """Whether a text could be meant as an image's name."""
    if not 0 < len(text) <= _LONGEST or text.isdigit() or text.lower() in _WORDS or text.lower().endswith(_PICTURES):
        return False
    try:
        parse_reference(text)
    except ConfigError:
        return False
    return True


def is_full(text: str) -> bool:
    """Whether a text can hardly be anything else: a host, a path, and a tag or digest."""
    return len(text) <= _LONGEST and "://" not in text and _FULL.fullmatch(text) is not None and is_likely(text)


def fields_of(value: Value, what: str) -> Iterator[Found]:
    """Image fields anywhere below ``value``; ``what`` says what they are fields of."""
    for key, entry in members(value).items():
        if key in _LEFT_OUT:
            continue
        if _FIELD.fullmatch(key):
            yield from _field(key, entry, value, what)
        yield from fields_of(entry, what)
        if entry.kind == "list" and key in ("images", "relatedImages"):
            for item in items(entry):
                if is_likely(word(item)):
                    yield judge(item, certain=False, reason=f"in a list {key!r} of {what}")
    for item in items(value):
        yield from fields_of(item, what)


def _field(key: str, entry: Value, parent: Value, what: str) -> Iterator[Found]:
    if entry.kind == "mapping":
        text, where = joined(entry), entry.what
    else:
        tag = word(parent, "tag") or word(parent, f"{key}Tag") or word(parent, f"{key}_tag")
        text, where = word(entry), entry.what
        last = text.rpartition("/")[2]
        if text and tag and ":" not in last and "@" not in last:
            text = f"{text}:{tag}"
    if "{{" in text or "${" in text or "$(" in text:
        yield Undecided(where, f"{quoted(text)!r} holds a variable or a template that was not filled in")
    elif is_likely(text):
        yield named(text, where, certain=False, reason=f"the field {quoted(key, 80)!r} of {what}")


def joined(parts: Value) -> str:
    """The name of a mapping of ``registry``, ``repository``, ``tag`` and ``digest``; nothing if it is not one."""
    repository = word(parts, "repository") or word(parts, "name")
    if not repository or "://" in repository:
        return ""
    registry, tag, digest = word(parts, "registry"), word(parts, "tag"), word(parts, "digest")
    return (
        (f"{registry.rstrip('/')}/" if registry else "")
        + repository
        + (f":{tag}" if tag else "")
        + (f"@{digest}" if digest else "")
    )


def hints_of(container: Value) -> Iterator[Finding]:
    """Images that a container is told of by variables and arguments."""
    for variable in items(get(container, "env")):
        name, value = word(variable, "name"), word(variable, "value")
        if (_VARIABLE.fullmatch(name) and is_likely(value)) or is_full(value):
            at = get(variable, "value")
            yield from _likely(value, at, f"the variable {quoted(name, 80)}, which the container may use as an image")
    for key in ("command", "args"):
        arguments = items(get(container, key))
        for number, argument in enumerate(arguments):
            before = word(arguments[number - 1]) if number else ""
            text = word(argument)
            joint = f"{before} {text}" if before.startswith("-") and not text.startswith("-") else text
            match = _ARGUMENT.fullmatch(joint)
            name, value = (match[1], match[2]) if match else ("", text)
            if (name.lower().endswith("image") and is_likely(value)) or is_full(value):
                yield from _likely(value, argument, "an argument, which the container may use as an image")


def _likely(text: str, at: Value | None, reason: str) -> Iterator[Finding]:
    if at is not None and isinstance(found := named(text, at.what, certain=False, reason=reason), Finding):
        yield found


def lines_of(value: Value, what: str) -> Iterator[Finding]:
    """Lines ``image: name`` of texts inside a document, such as the files in a ConfigMap."""
    for line, name in lines_with_images(str(value.node.value)) if value.kind == "text" else ():
        if is_likely(name):
            yield from _likely(name, value, f"line {line} of a text in {what}")
