"""What changed between two bundles, locks or receipts: images new, changed and gone, by their full names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, quoted
from bundler.journey.files import read_file
from bundler.oci.strict_json import Fields, loads
from bundler.push.receipt import parse_receipt
from bundler.report.changes import Change, changed_images, changes

if TYPE_CHECKING:
    from bundler.bundle.statement import CarriedImage

CAP = 64 << 20
__all__ = ["Change", "compare"]


def compare(old: Path, new: Path) -> list[Change]:
    """The differences, in the order of names. Nothing is verified.

    Between two bundles, changes of targets, platforms and attachments are told as well.
    """
    if old.is_dir() and new.is_dir():
        return changed_images(_carried(old), _carried(new))
    return changes(_images(old), _images(new))


def _carried(bundle: Path) -> tuple[CarriedImage, ...]:
    from bundler.journey.far import describe

    return describe(bundle).statement.images


def _images(path: Path) -> Mapping[str, str]:
    """Digests by full name."""
    if path.is_dir():
        return _by_name((image.name, image.target, image.root.digest) for image in _carried(path))
    raw = read_file(path, what="bundle, lock or receipt", cap=CAP)
    fields = Fields(loads(raw, what=str(path), cap=CAP, error=ConfigError), what=str(path), error=ConfigError)
    kind = fields.text("kind")
    if kind == "Lock":
        from bundler.journey.near import full_name
        from bundler.selection.lock import read_lock

        return _by_name((full_name(i), i.target, i.root.digest) for i in read_lock(raw, str(path)).images)
    if kind == "Receipt":
        images = parse_receipt(raw, str(path)).images
        return _by_name((image.name, image.reference, image.digest) for image in images)
    raise ConfigError(f"{path}: is a {quoted(kind)!r}, not a bundle's directory, a lock or a receipt")


def _by_name(images: Iterable[tuple[str, str, str]]) -> Mapping[str, str]:
    """Digests by full name; where one name stands for several contents, the places where these go tell them apart."""
    images = tuple(images)
    places = defaultdict(set)
    for name, place, _ in images:
        places[name].add(place)
    return {name if len(places[name]) == 1 else f"{name} as {place}": digest for name, place, digest in images}
