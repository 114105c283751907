"""What changed between two sets of images: new, changed and gone, by their names.

>>> [change.kind for change in changes({"a": "sha256:1", "b": "sha256:2"}, {"b": "sha256:3", "c": "sha256:4"})]
['gone', 'changed', 'new']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bundler.bundle.statement import CarriedImage
from bundler.errors import quoted


@dataclass(frozen=True, slots=True)
class Change:
    """One image that differs. ``was`` and ``now`` are digests, empty where there is none."""

    name: str
    was: str
    now: str

    @property
    def kind(self) -> str:
        """``new``, ``gone`` or ``changed``."""
        return "new" if not self.was else "gone" if not self.now else "changed"

    def row(self) -> tuple[str, str, str, str]:
        """The change as a row of a table."""
        return (self.kind, quoted(self.name), quoted(self.was[:19]) or "-", quoted(self.now[:19]) or "-")

    def document(self) -> dict[str, Any]:
        """The change as JSON values."""
        return {"change": self.kind, "name": self.name, "was": self.was or None, "now": self.now or None}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """The differences between digests by name, in the order of names."""
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def digests_by_name(images: Iterable[CarriedImage]) -> dict[str, str]:
    """Digests by full name; where one name stands for several contents, its targets tell these apart."""
    images = tuple(images)
    often = Counter(image.name for image in images)
    return {
        image.name if often[image.name] == 1 else f"{image.name} as {image.target}": image.root.digest
        for image in images
    }
