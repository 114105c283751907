"""Options of verify and push that say what the gate demands, and the demand they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Bundle = Annotated[Path, typer.Argument(metavar="OUT", help="The bundle's directory.")]
PublicKeys = Annotated[list[Path] | None, typer.Option("--key", help="Trusted public key; repeat for several.")]
Threshold = Annotated[int, typer.Option("--threshold", help="How many of the keys must have signed.")]
AllowExpired = Annotated[bool, typer.Option("--allow-expired", help="Take a bundle whose expiry has passed.")]
Unsafe = Annotated[
    bool, typer.Option("--unsafe-no-signature", help="Take an unsigned bundle. Anyone could have made it.")
]
ImagePolicy = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        envvar="BUNDLER_TRUST_POLICY",
        help="trust.yaml: what images must have to be let in. [default: the one in --trust]",
    ),
]
"""Not BUNDLER_POLICY, which is the policy.json of all commands."""
