"""Commands that deal with keys: keygen, sign."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bundler.cli.console import Console, console_of
from bundler.cli.options import AsJson, PasswordFd, PasswordFile, TrustDir, new_password
from bundler.cli.signers import Also, GpgKey, SignCommand, SignCommandKey, getting_ready, signing_of, write_also
from bundler.errors import ConfigError, quoted


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
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", help="Private key to sign with, or with --status a signer's public key; repeat for more."
        ),
    ] = None,
    sign_command: SignCommand = None,
    sign_command_key: SignCommandKey = None,
    add: Annotated[bool, typer.Option("--add", help="Fail if the key has signed this bundle already.")] = False,
    also: Also = None,
    gpg_key: GpgKey = None,
    status: Annotated[bool, typer.Option("--status", help="Sign nothing; say who has signed and who has not.")] = False,
    trust: TrustDir = None,
    threshold: Annotated[
        int | None, typer.Option("--threshold", min=1, help="With --status: how many must sign. [default: 1]")
    ] = None,
    as_json: AsJson = False,
    password_file: PasswordFile = None,
    password_fd: PasswordFd = None,
) -> None:
    """Add a signature to a bundle; with other keys, on other machines, this gives k of n.

    Example: bundler sign edge-000001 --key release.key
    """
    console = console_of(ctx)
    if status:
        if sign_command or sign_command_key or add or also or gpg_key:
            raise ConfigError("--status signs nothing; it takes --key or --trust, --threshold and --json")
        _show_status(console, bundle, key or [], trust, threshold, as_json=as_json)
        return
    for option in ("trust", "threshold"):
        source = ctx.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":  # the environment speaks to all commands
            raise ConfigError(f"--{option} goes with --status")
    signing = signing_of(key, sign_command, sign_command_key, also, gpg_key)
    if not key and sign_command is None:
        raise ConfigError(
            "sign: nobody to sign with", hint="give --key release.key, or --sign-command and --sign-command-key"
        )
    from bundler.journey.keys import sign_bundle

    with getting_ready(signing, password_file, password_fd) as opening:
        signers = opening.result()
    signed = sign_bundle(bundle, signers, add=add)
    write_also(console, bundle, signers, signing)
    if as_json:
        console.json({"directory": str(bundle), "signers": list(signed)})
        return
    for signer in signed:
        console.result(signer)
    console.say(f"signed {bundle}")


def _show_status(
    console: Console, bundle: Path, keys: list[Path], trust: Path | None, threshold: int | None, *, as_json: bool
) -> None:
    from bundler.journey.rounds import signing_status

    found = signing_status(bundle, keys=keys, trust=trust, threshold=threshold)
    if as_json:
        console.json(found.document())
        return
    console.table(
        ("signer", "key", "kind", "signature"),
        [
            (quoted(seat.name), seat.key_id[:16], seat.algorithm, f"{seat.state}: {seat.detail}".removesuffix(": "))
            for seat in found.seats
        ],
    )
    missing = ", ".join(quoted(seat.name) for seat in found.seats if seat.state == "missing")
    others = ", ".join(quoted(each, 16) or "without an id" for each in found.strangers)
    console.say(
        f"{found.valid} of {len(found.seats)} have signed, {found.threshold} are needed"
        + (f"; missing: {missing}" if missing else "")
        + (f"; others that signed: {others}" if others else "")
    )
