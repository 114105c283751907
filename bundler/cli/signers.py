"""Who signs a bundle, as sign, pack and build take it: the options, and the signers being made ready beside other work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import Console
from bundler.cli.options import password_from

if TYPE_CHECKING:
    from bundler.journey.signers import Signing
    from bundler.trust.signing import Signer


class Form(StrEnum):
    """Forms of signatures for other tools' verifiers."""

    COSIGN_BUNDLE = "cosign-bundle"
    SSHSIG = "sshsig"
    MINISIGN = "minisign"
    GPG = "gpg"


KeyFiles = Annotated[
    list[Path] | None, typer.Option("--key", help="Private key to sign with; repeat for more signers.")
]
SignCommand = Annotated[
    str | None,
    typer.Option(
        "--sign-command",
        metavar="COMMAND",
        help="Program that signs what it gets on its input, for a key in a token, a card or a service.",
    ),
]
SignCommandKey = Annotated[
    Path | None, typer.Option("--sign-command-key", metavar="PUB", help="Public key that --sign-command signs for.")
]
Also = Annotated[
    list[Form] | None,
    typer.Option("--also", help="Also sign SHA256SUMS for another tool's verifier; repeat for more."),
]
GpgKey = Annotated[
    str | None, typer.Option("--gpg-key", metavar="FINGERPRINT", help="Your GPG key that --also gpg signs with.")
]


def signing_of(
    keys: Sequence[Path] | None,
    command: str | None,
    command_key: Path | None,
    also: Sequence[Form] | None,
    gpg_key: str | None,
) -> Signing:
    """What was said about who signs. Raises :class:`ConfigError` where it does not go together."""
    from bundler.journey.signers import Signing

    said = Signing(tuple(keys or ()), command, command_key, tuple(form.value for form in also or ()), gpg_key)
    said.check()
    return said


@contextmanager
def getting_ready(
    signing: Signing, password_file: Path | None, password_fd: int | None
) -> Iterator[Future[tuple[Signer, ...]]]:
    """The signers, keys being opened in a thread of their own while everything else gets ready."""
    from bundler.journey.signers import open_signers

    with ThreadPoolExecutor(1, thread_name_prefix="bundler-key") as executor:
        yield open_signers(signing, password_from(password_file, password_fd), executor)


def write_also(console: Console, directory: Path, signers: Sequence[Signer], signing: Signing) -> None:
    """The signatures for other tools, each told with how it is checked."""
    from bundler.journey.companions import write_companions

    for made in write_companions(directory, signers, signing.also, gpg_key=signing.gpg_key):
        console.say(f"wrote {made.path}; check it with: {made.check}")
