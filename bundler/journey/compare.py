"""What changed between two bundles, locks or receipts: images new, changed and gone, by their names at the far side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import ConfigError, quoted
from bundler.journey.files import read_file
from bundler.oci.strict_json import Fields, loads

CAP = 64 << 20


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


def compare(old: Path, new: Path) -> list[Change]:
    """The differences, in the order of names. Nothing is verified."""
    before, after = _images(old), _images(new)
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _images(path: Path) -> Mapping[str, str]:
    """Digests by full name."""
    if path.is_dir():
        from bundler.journey.far import describe

        return {image.name: image.root.digest for image in describe(path).statement.images}
    raw = read_file(path, what="bundle, lock or receipt", cap=CAP)
    fields = Fields(loads(raw, what=str(path), cap=CAP, error=ConfigError), what=str(path), error=ConfigError)
    kind = fields.text("kind")
    if kind == "Lock":
        from bundler.journey.near import full_name
        from bundler.selection.lock import read_lock

        return {full_name(image): image.root.digest for image in read_lock(raw, str(path)).images}
    if kind == "Receipt":
        return {image.text("name"): image.text("digest") for image in fields.objects("images")}
    raise ConfigError(f"{path}: is a {quoted(kind)!r}, not a bundle's directory, a lock or a receipt")
