"""What changed between two bundles, locks or receipts: images new, changed and gone, by their names at the far side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bundler.errors import ConfigError, quoted
from bundler.journey.files import read_file
from bundler.oci.strict_json import Fields, loads
from bundler.report.changes import Change, changes

CAP = 64 << 20
__all__ = ["Change", "compare"]


def compare(old: Path, new: Path) -> list[Change]:
    """The differences, in the order of names. Nothing is verified."""
    return changes(_images(old), _images(new))


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
