"""Bundles as layers of a registry, and what can happen to their volumes.

made = make(tmp_path / "edge", {"team/app:1": image})
layer = opened(made)
flip(made, digest)                    # one bit of a content, where it lies in its volume
"""

from __future__ import annotations

from pathlib import Path

from bundler.bundle.inventory import Row
from bundler.bundle.unpack import Volumes
from bundler.oci.digest import Digest
from bundler.registry.bundle_layer import BundleLayer
from bundler.registry.layers import Origin
from tests.bundle.making import Made, trusted


def opened(made: Made) -> BundleLayer:
    """The bundle as a layer."""
    return BundleLayer(Volumes(made.directory, trusted(made.directory)), Origin(str(made.directory), "edge"))


def rows(made: Made, digest: Digest) -> tuple[Row, ...]:
    """Where a content lies: one row, or one for each of its parts."""
    return dict(made.inventory.contents())[digest]


def volume(made: Made, number: int = 1) -> Path:
    """The file of a volume."""
    return made.directory / f"volume-{number:04d}.tar.zst"


def flip(made: Made, digest: Digest, *, framing: bool = False) -> None:
    """Change a bit in the middle of a content's last row, or at the start of its frame; size and inode stay."""
    row = rows(made, digest)[-1]
    at = row.offset if framing else row.offset + row.length // 2
    with volume(made, row.volume).open("r+b") as file:
        file.seek(at)
        (old,) = file.read(1)
        file.seek(at)
        file.write(bytes([old ^ 0x10]))
