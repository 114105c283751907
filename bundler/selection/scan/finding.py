"""What a scan finds: images, and places where it cannot tell.

    Finding("docker.io/library/nginx:1.27", "web.yaml:12: spec.containers[0].image", certain=True)
    Finding("docker.io/acme/tool:2", "web.yaml:19: spec.containers[0].args[1]", certain=False, reason="an argument …")
    Undecided("task.yaml:9: spec.steps[0].image", "holds $(params.image), which has no default")

Some gaps close when another document is read: a Task that a Pipeline refers to, say. Such a gap has a ``key``, and is
dropped if anything that was read is :class:`Defined` under it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import Reference, parse_reference, split_transport
from bundler.selection.scan.tree import is_nothing
from bundler.selection.yaml_tree import Value


@dataclass(frozen=True, slots=True)
class Finding:
    """An image. ``where`` is ``file:line: path``; ``reason`` says why it is not certain, or how it came to be."""

    image: str
    where: str
    certain: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A place that names an image which cannot be told, or may do so. ``key`` names what would answer it, if anything."""

    where: str
    reason: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Defined:
    """Something that others refer to was read."""

    key: str


Found = Finding | Undecided | Defined


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its variables replaced: ``missing`` are those without a value, ``used`` those with one."""

    text: str
    missing: tuple[str, ...] = ()
    used: tuple[str, ...] = ()


Fill = Callable[[str], Filled]
_LONGEST = 1024
"""Names are shorter than 512 characters; some more for the variables in them."""
_VARIABLE = re.compile(r"\{\{|\$[({]|\$[A-Za-z_]|<[^>]*>")


def judge(value: Value, *, fill: Fill | None = None, certain: bool = True, reason: str = "") -> Found:
    """What the text of an image field comes to; ``fill`` replaces the variables of its dialect."""
    if is_nothing(value):
        return Undecided(value.what, "names no image")
    if value.kind != "text":
        return Undecided(value.what, f"is a {value.kind} and no image name (a template that was not rendered?)")
    text = str(value.node.value).strip()
    if len(text) > _LONGEST:
        return Undecided(value.what, f"is a text of {len(text)} characters and no image name")
    filled = Filled(text) if fill is None else fill(text)
    if filled.missing:
        return Undecided(value.what, f"holds {_listed(filled.missing)}, whose value is not known")
    if filled.used:
        reason = reason or f"with the value given for {_listed(filled.used)}"
    return named(filled.text, value.what, certain=certain, reason=reason)


def named(text: str, where: str, *, certain: bool = True, reason: str = "") -> Found:
    """The finding for a text that is meant as an image name."""
    if not text:
        return Undecided(where, "names no image")
    if len(text) > _LONGEST:
        return Undecided(where, f"is a text of {len(text)} characters and no image name")
    if _VARIABLE.search(text):
        return Undecided(where, f"{quoted(text)!r} holds a variable or a template that was not filled in")
    try:
        return Finding(written(parse_reference(text)), where, certain, reason)
    except ConfigError as problem:
        return Undecided(where, str(problem))


def written(reference: Reference) -> str:
    """The full name; one that would be read as another transport's has ``docker://`` before it."""
    name = str(reference)
    return name if split_transport(name)[0] == "docker" else f"docker://{name}"


def is_mutable(image: str) -> bool:
    """Whether a name says ``latest``, or nothing, and no digest: what it means changes."""
    reference = parse_reference(image.removeprefix("docker://"))
    return reference.digest is None and reference.tag == "latest"


@dataclass(frozen=True, slots=True)
class Image:
    """An image and every place that names it, those that are certain first."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def certain(self) -> bool:
        """Whether any place is."""
        return self.findings[0].certain

    @property
    def mutable(self) -> bool:
        """Whether its tag moves."""
        return is_mutable(self.name)


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything that was found, sorted by name, and what was not, in the order of reading."""

    images: tuple[Image, ...]
    undecided: tuple[Undecided, ...]

    def names(self, *, uncertain: bool = False) -> list[str]:
        """The images' names; with ``uncertain`` also those that are only likely."""
        return [image.name for image in self.images if image.certain or uncertain]

    def open(self, *, uncertain: bool = False) -> int:
        """How many questions are left; images that are likely count unless they are taken."""
        return len(self.undecided) + (0 if uncertain else sum(not image.certain for image in self.images))

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "images": [
                {
                    "image": image.name,
                    "certain": image.certain,
                    "mutable": image.mutable,
                    "found": [
                        {"where": each.where, "certain": each.certain, "reason": each.reason} for each in image.findings
                    ],
                }
                for image in self.images
            ],
            "undecided": [{"where": each.where, "reason": each.reason} for each in self.undecided],
        }


def gather(found: Iterable[Found]) -> Scan:
    """Each image once, each gap once, and no gap that something else closed."""
    places: dict[str, dict[Finding, None]] = {}
    gaps: dict[Undecided, None] = {}
    defined = set()
    for each in found:
        if isinstance(each, Finding):
            places.setdefault(each.image, {})[each] = None
        elif isinstance(each, Undecided):
            gaps[each] = None
        else:
            defined.add(each.key)
    images = (Image(name, tuple(_sure_first(places[name]))) for name in sorted(places))
    return Scan(tuple(images), tuple(gap for gap in gaps if gap.key not in defined or not gap.key))


def _sure_first(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding per place, the certain one of several."""
    seen = set()
    for finding in sorted(findings, key=lambda finding: not finding.certain):
        if finding.where not in seen:
            seen.add(finding.where)
            yield finding


def _listed(names: Iterable[str]) -> str:
    return ", ".join(quoted(name, 80) for name in dict.fromkeys(names))
