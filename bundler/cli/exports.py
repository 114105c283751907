"""Options of push that sign images for the far side; those of GPG are `copy`'s."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import typer

Lookaside = Annotated[
    Path | None,
    typer.Option("--lookaside", metavar="DIR", help="Directory for GPG signatures. [default: as registries.d says]"),
]
LookasideUrl = Annotated[
    str | None,
    typer.Option(
        "--lookaside-url", metavar="URL", help="Where the far side's nodes read that directory. [default: file://DIR]"
    ),
]
SignCosignKey = Annotated[
    Path | None,
    typer.Option(
        "--sign-cosign-key",
        "--sign-by-sigstore-private-key",
        metavar="KEY",
        help="Sign each image with this private key (ECDSA P-256), as cosign does.",
    ),
]
SignPolicy = Annotated[
    Path | None,
    typer.Option(
        "--sign-policy",
        metavar="DIR",
        help="Write policy.json, registries.d/ and keys there, by which nodes take only what was signed.",
    ),
]
SignPolicyMirrored = Annotated[
    bool,
    typer.Option(
        "--sign-policy-mirrored", help="Let that policy speak of the images' old names too, which mirrors lead there."
    ),
]
SignPolicyDefault = Annotated[
    Literal["reject", "accept"] | None,
    typer.Option("--sign-policy-default", help="What that policy does with images of anywhere else. [default: reject]"),
]


def asked_once(password: Callable[[], bytes]) -> Callable[[], bytes]:
    """The same password however often it is needed: a pipe gives it once, and nobody types it twice."""
    return cache(password)
