"""The command scan: which images manifests name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.options import AsJson
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.selection.scan import Scan


def scan(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, directories, charts, or - for stdin.")],
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a new bundle.yaml.")] = None,
    extend: Annotated[
        Path | None, typer.Option("--extend", help="Add to this bundle.yaml, or plain list, what it does not name.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the new bundle. [default: that of the file]")] = "",
    platform: Annotated[
        list[str] | None, typer.Option("--platform", help="Platform of the new bundle, or all; repeat for more.")
    ] = None,
    values: Annotated[
        list[Path] | None, typer.Option("--values", help="Values for Helm charts; repeat for more.")
    ] = None,
    env_file: Annotated[
        list[Path] | None, typer.Option("--env-file", help="Variables for Compose files. [default: .env beside them]")
    ] = None,
    include_uncertain: Annotated[
        bool, typer.Option("--include-uncertain", help="Take images that are only likely, too.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything could not be decided.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find the images that Kubernetes manifests, Helm charts, Compose files, Argo and Tekton name.

    The images go to standard output, one a line; what could not be decided to standard error.

    Example: bundler scan deploy/ --output bundle.yaml --platform linux/amd64
    """
    from bundler.journey.scanning import extend_manifest, scan_paths, write_manifest

    if output is not None and extend is not None:
        raise ConfigError("--output and --extend exclude each other")
    if output is None and (name or platform):
        raise ConfigError("--name and --platform are for a new bundle.yaml", hint="give --output too")
    console = console_of(ctx)
    found = scan_paths(
        paths, values=values or (), env_files=env_file or (), stdin=sys.stdin.buffer if "-" in paths else None
    )
    _report(console, found, uncertain=include_uncertain)
    if strict and (count := found.open(uncertain=include_uncertain)):
        raise ConfigError(f"{count} {'question is' if count == 1 else 'questions are'} open (--strict)", hint=_OPEN)
    if as_json:
        console.json(found.document())
    else:
        for image in found.names(uncertain=include_uncertain):
            console.result(image)
    if output is not None:
        written = write_manifest(output, found, name=name, platforms=platform or (), uncertain=include_uncertain)
        console.say(f"wrote {output} with {written} images; next: bundler lock {output}")
    elif extend is not None:
        added = extend_manifest(extend, found.names(uncertain=include_uncertain))
        console.say(f"added {len(added)} images to {extend}" if added else f"{extend} names all of them already")


_OPEN = "render or fill in what is named above, or take what is likely with --include-uncertain"


def _report(console: Console, found: Scan, *, uncertain: bool) -> None:
    """What a person should look at."""
    for gap in found.undecided:
        console.warn(f"undecided: {gap.where}: {gap.reason}")
    for image in found.images:
        first = image.findings[0]
        if not image.certain and not uncertain:
            console.warn(f"perhaps: {image.name}: {first.where}: {first.reason}")
        if image.mutable:
            console.say(f"moves: {image.name}: {first.where}: has no tag but latest, which changes")
