"""The command that tells the far side's runtimes where images are now: mirror-config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.options import AsJson


def mirror_config(
    ctx: typer.Context,
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="What `push --receipt` wrote.")],
    *,
    runtimes: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="RUNTIME",
            help="podman, containerd, k3s, rke2, crio, docker or openshift; repeat for more. [default: all]",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the files below this directory, and print none.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="The registry has no TLS, or a certificate that can't be verified.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="The authority of the registry's certificate, in PEM.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write configuration by which podman, containerd, k3s and others find pushed images under their old names.

    Example: bundler mirror-config receipt.json --for containerd -o site
    """
    from bundler.journey import mirroring

    console = console_of(ctx)
    made = mirroring.mirror_config(receipt, formats=runtimes or (), insecure=insecure, ca=ca)
    if output is not None:
        mirroring.write_files(made, output)
    if as_json:
        console.json({"files": dict(made.files), "notes": list(made.notes)})
    elif output is not None:
        for name in made.files:
            console.result(str(output / name))
    else:
        for n, (name, text) in enumerate(made.files.items()):
            console.result(f"{'' if not n else chr(10)}==> {name} <==\n{text.rstrip()}")
    for note in made.notes:
        console.warn(f"NOTE: {note}")
