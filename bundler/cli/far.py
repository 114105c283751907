"""What a bundle says, and what changed: show and diff. For what to trust, see the commands verify and push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.gates import Bundle
from bundler.cli.options import AsJson
from bundler.cli.sizes import human


def show(ctx: typer.Context, bundle: Bundle, *, as_json: AsJson = False) -> None:
    """Print what a bundle says it holds. Nothing is verified: use `bundler verify` for that.

    Example: bundler show edge-000001
    """
    from bundler.journey.far import describe

    console = console_of(ctx)
    description = describe(bundle)
    if as_json:
        console.json(description.document())
        return
    console.figures(description.figures(human))
    console.result("")
    console.table(("image", "target", "digest", "platforms"), description.rows())
    console.say("not verified: this is what the bundle says of itself")


def diff(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(help="A bundle's directory, a lock file or a receipt.")],
    new: Annotated[Path, typer.Argument(help="Another one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print which images are new, changed and gone between two bundles, locks or receipts.

    Example: bundler diff edge-000001 edge-000002
    """
    from bundler.journey.compare import compare

    console = console_of(ctx)
    changes = compare(old, new)
    if as_json:
        console.json([change.document() for change in changes])
        return
    console.table(("change", "image", "was", "is", "also"), [change.row() for change in changes])
    console.say(f"{len(changes)} differences")
