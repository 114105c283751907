"""Commands that deal with keys: keygen, sign."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.options import PasswordFd, PasswordFile, new_password, password_from


class KeyType(StrEnum):
    """The kinds of keys that can be made."""

    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"


def keygen(
    ctx: typer.Context,
    prefix: Annotated[Path, typer.Argument(help="Files PREFIX.key and PREFIX.pub are written.")],
    *,
    kind: Annotated[KeyType, typer.Option("--type", help="The kind of key.")] = KeyType.ECDSA_P256,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
) -> None:
    """Make a key pair for signing bundles; the private key is encrypted as cosign does it.

    Example: bundler keygen release
    """
    from bundler.journey.keys import generate

    pair = generate(prefix, kind.value, new_password(password_file, password_fd))
    console = console_of(ctx)
    console.result(pair.key_id)
    console.say(f"wrote {pair.private} (keep it) and {pair.public} (give it to the far side)")


def sign(
    ctx: typer.Context,
    bundle: Annotated[Path, typer.Argument(metavar="OUT", help="The bundle's directory.")],
    *,
    key: Annotated[list[Path], typer.Option("--key", help="Private key to sign with; repeat for more signers.")],
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
) -> None:
    """Add a signature to a bundle; with other keys, on other machines, this gives k of n.

    Example: bundler sign edge-000001 --key release.key
    """
    from bundler.journey.keys import open_private_keys, sign_bundle

    console = console_of(ctx)
    with ThreadPoolExecutor(1) as executor:
        keys = open_private_keys(key, password_from(password_file, password_fd), executor).result()
    for signer in sign_bundle(bundle, keys):
        console.result(signer)
    console.say(f"signed {bundle}")
