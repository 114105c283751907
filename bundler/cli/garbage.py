"""What a garbage collection took, or would take, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.cli.sizes import human
from bundler.errors import quoted

if TYPE_CHECKING:
    from bundler.cli.console import Console
    from bundler.registry.upkeep import Collected


def show(console: Console, gone: Collected, *, dry_run: bool, as_json: bool) -> None:
    """Print it: what went to stdout, the sum to stderr."""
    if as_json:
        console.json({"dryRun": dry_run, **gone.document()})
        return
    for name in gone.names:
        console.result(quoted(name, 500))
    for digest, size in gone.blobs:
        console.result(f"{digest}  {human(size)}")
    verb = "would free" if dry_run else "freed"
    console.say(f"{verb} {human(gone.size)}: {len(gone.blobs)} blobs, {len(gone.leftovers)} leftovers")
