"""Is everything between the contents what it must be? What a push checks, since it hashes the contents themselves.

A volume is nothing but contents and bytes that follow from the inventory (:mod:`bundler.bundle.volume`). Whoever has
verified each content by its digest and compares the rest has seen every byte, and has hashed each only once. The pieces
are small and lie beside contents that were just read.
"""

from __future__ import annotations

from bundler.bundle.unpack import Volumes, read_full
from bundler.bundle.volume import Fixed, sections
from bundler.errors import ArchiveError, quoted


def check_framing(volumes: Volumes) -> None:
    """Compare all fixed bytes of all volumes; raise :class:`ArchiveError` naming file and offset of what differs."""
    for number in range(1, len(volumes.inventory.sizes) + 1):
        with volumes.opened(number) as (fd, name):
            for section in sections(volumes.inventory, number, volumes.index):
                if isinstance(section, Fixed):
                    found = bytearray(len(section.raw))
                    read_full(fd, [found], section.offset, name)
                    if found != section.raw:
                        at = next(n for n, byte in enumerate(section.raw) if found[n] != byte)
                        raise ArchiveError(
                            f"{quoted(name)}: damaged at offset {section.offset + at}",
                            hint="`bundler verify --damage` lists all that is damaged",
                        )
