"""Commands of the embedded registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import console_of

app = typer.Typer(help="Serve a store as a registry.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def family() -> None:
    """Serve a store as a registry."""


@app.command()
def serve(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The store to serve; made if absent.")],
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:5000",
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every write.")] = False,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="The certificate's private key, PEM.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an address other machines can reach, without authentication.")
    ] = False,
) -> None:
    """Serve a store as a registry until interrupted.

    Example: bundler registry serve /srv/store --listen 127.0.0.1:5000
    """
    from bundler.registry.serve import serve as run

    console = console_of(ctx)
    run(
        directory,
        listen=listen,
        read_only=read_only,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        on_ready=lambda address: console.say(f"serving {directory} at {address}"),
    )
