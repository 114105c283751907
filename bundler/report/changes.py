"""What changed between two sets of images: new, changed and gone, by their names.

>>> [change.kind for change in changes({"a": "sha256:1", "b": "sha256:2"}, {"b": "sha256:3", "c": "sha256:4"})]
['gone', 'changed', 'new']

Of two bundles, more can be told: an image under another target is gone from one place and new in another, and one whose
digest is the same may come with other platforms, or without its signatures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bundler.bundle.statement import CarriedImage
from bundler.errors import quoted


@dataclass(frozen=True, slots=True)
class Change:
    """One image that differs. ``was`` and ``now`` are digests, empty where there is none.

    ``platforms`` are those before and after, if other parts of an index are carried. ``arrived`` and ``left`` are the
    digests of attachments that came and went.
    """

    name: str
    was: str
    now: str
    platforms: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    arrived: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``new``, ``gone`` or ``changed``."""
        return "new" if not self.was else "gone" if not self.now else "changed"

    def row(self) -> tuple[str, str, str, str, str]:
        """The change as a row of a table, what else changed last."""
        also = ["platforms"] if self.platforms else []
        also += ["attachments"] if self.arrived or self.left else []
        was, now = quoted(self.was[:19]) or "-", quoted(self.now[:19]) or "-"
        return (self.kind, quoted(self.name), was, now, ", ".join(also))

    def document(self) -> dict[str, Any]:
        """The change as JSON values."""
        platforms = self.platforms
        return {
            "change": self.kind,
            "name": self.name,
            "was": self.was or None,
            "now": self.now or None,
            "platforms": platforms and {"was": list(platforms[0]), "now": list(platforms[1])},
            "attachments": {"new": list(self.arrived), "gone": list(self.left)} if self.arrived or self.left else None,
        }


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """The differences between digests by name, in the order of names."""
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def changed_images(before: Iterable[CarriedImage], after: Iterable[CarriedImage]) -> list[Change]:
    """The differences between the images of two bundles, in the order of names and targets.

    An image's name is followed by its target where the two bundles know several of that name.
    """
    old, new = ({(image.name, image.target): image for image in images} for images in (before, after))
    targets = defaultdict(set)
    for name, target in (*old, *new):
        targets[name].add(target)
    found = []
    for name, target in sorted(old.keys() | new.keys()):
        was, now = old.get((name, target)), new.get((name, target))
        if was is None or now is None or _differ(was, now):
            found.append(_change(name if len(targets[name]) == 1 else f"{name} as {target}", was, now))
    return found


def _differ(was: CarriedImage, now: CarriedImage) -> bool:
    return was.root.digest != now.root.digest or _parts(was) != _parts(now) or _attached(was) != _attached(now)


def _change(name: str, was: CarriedImage | None, now: CarriedImage | None) -> Change:
    if was is None or now is None:
        return Change(name, was.root.digest if was else "", now.root.digest if now else "")
    return Change(
        name,
        was.root.digest,
        now.root.digest,
        None if _parts(was) == _parts(now) else (was.platforms, now.platforms),
        tuple(sorted(_attached(now) - _attached(was))),
        tuple(sorted(_attached(was) - _attached(now))),
    )


def _parts(image: CarriedImage) -> tuple[frozenset[str], frozenset[str] | None]:
    """What is carried of an index: its platforms for people, and its children, None for all."""
    return frozenset(image.platforms), None if image.children is None else frozenset(image.children)


def _attached(image: CarriedImage) -> frozenset[str]:
    return frozenset(attachment.root.digest for attachment in image.attachments)
