"""Options that several commands share, and the two ways in which they differ from Typer's own.

skopeo's booleans take an optional value (``--tls-verify``, ``--tls-verify=false``); and every option can come from the
environment as ``BUNDLER_`` and its name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.journey.ends import Access
    from bundler.trust.keyfile import Password


class Truth(StrEnum):
    """A boolean as skopeo writes it."""

    TRUE = "true"
    FALSE = "false"


BOOLEANS = ("--tls-verify", "--src-tls-verify", "--dest-tls-verify")

AuthFile = Annotated[Path | None, typer.Option("--authfile", help="Read credentials from this auth.json.")]
Creds = Annotated[str | None, typer.Option("--creds", metavar="USER[:PASSWORD]", help="Credentials for the registry.")]
CertDir = Annotated[
    Path | None, typer.Option("--cert-dir", help="Directory of *.crt, *.cert and *.key files for the registry.")
]
TlsVerify = Annotated[
    Truth | None,
    typer.Option(
        "--tls-verify", metavar="BOOL", help="Require HTTPS and check certificates (default: true). False allows HTTP."
    ),
]
TokenHosts = Annotated[
    list[str] | None,
    typer.Option("--token-host", metavar="HOST", help="A token server that may see the credentials; repeat for more."),
]
StoreDir = Annotated[
    Path | None, typer.Option("--store", help="The store's directory. [default: in the user's data directory]")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=64, help="How many contents to move at once.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Manifest = Annotated[Path, typer.Argument(metavar="BUNDLE.YAML", help="bundle.yaml, skopeo's sync YAML, or a list.")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="File whose first line is the password.")]
PasswordFd = Annotated[
    int | None, typer.Option("--password-fd", min=0, help="File descriptor to read the password from.")
]

SAID_ONLY = ("--help", "--version", "--unsafe-no-signature", "--allow-expired")
"""Options that the environment can't set: a check is only given up by saying so."""
DEFAULT_JOBS = 4
"""Downloads from registries, which may be far away."""
PUSH_JOBS = 3
"""Uploads to a registry nearby, which takes a few at once at full speed."""
LOCAL_JOBS = max(1, (os.cpu_count() or 1) // 2)
"""Packing and verifying: each of these jobs keeps two processors busy, one with contents and one with their volume."""


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Arguments with the value ``true`` given to booleans that stand alone."""
    return [f"{argument}=true" if argument in BOOLEANS else argument for argument in arguments]


def with_environment(command: Any) -> Any:
    """The command tree with an environment variable named for each option, the same in every command."""
    for parameter in command.params:
        long = next((name for name in parameter.opts if name.startswith("--")), None)
        if long and long not in SAID_ONLY and not parameter.envvar:
            parameter.envvar = "BUNDLER_" + long[2:].replace("-", "_").upper()
    for child in getattr(command, "commands", {}).values():
        with_environment(child)
    return command


def access(
    authfile: Path | None,
    creds: str | None,
    cert_dir: Path | None,
    tls_verify: Truth | None,
    token_hosts: Sequence[str] | None = None,
) -> Access:
    """The registry options of one side."""
    from bundler.journey.ends import Access
    from bundler.transports.docker.credentials import Credentials

    credentials = None
    if creds is not None:
        user, colon, password = creds.partition(":")
        if not user:
            raise ConfigError("--creds: there is no user name in it", hint="write USER:PASSWORD")
        if not colon:
            if not sys.stdin.isatty():
                raise ConfigError("--creds: no password, and no terminal to ask on", hint="write USER:PASSWORD")
            password = _typed(f"Password of {user}")
        credentials = Credentials(user, password)
    verify = None if tls_verify is None else tls_verify is Truth.TRUE
    return Access(authfile, credentials, cert_dir, verify, tuple(token_hosts or ()))


def store_directory(given: Path | None) -> Path:
    """The store to use: the one given, else that of the user's data directory."""
    if given is not None:
        return given
    from platformdirs import user_data_path

    return user_data_path("bundler") / "store"


def password_from(file: Path | None, descriptor: int | None) -> Password:
    """How a key's password is got when it is needed: file, descriptor, environment, or prompt."""

    def ask() -> bytes:
        given = _given_password(file, descriptor)
        if given is not None:
            return given
        return _prompted("Password of the key", confirm=False)

    return ask


def new_password(file: Path | None, descriptor: int | None) -> bytes:
    """The password of a key that is being made."""
    given = _given_password(file, descriptor)
    return _prompted("Password for the new key", confirm=True) if given is None else given


def _given_password(file: Path | None, descriptor: int | None) -> bytes | None:
    if file is not None and descriptor is not None:
        raise ConfigError("--password-file and --password-fd exclude each other")
    if file is not None:
        from bundler.journey.files import read_file

        return _first_line(read_file(file, what="--password-file", cap=4096))
    if descriptor is not None:
        try:
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                return _first_line(stream.read(4096))
        except OSError as problem:
            raise ConfigError(f"--password-fd {descriptor}: {problem.strerror}") from None
    return os.environb.get(b"BUNDLER_PASSWORD")


def _first_line(raw: bytes) -> bytes:
    return raw.partition(b"\n")[0].removesuffix(b"\r")


def _prompted(text: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{text}: there is no terminal to ask on", hint="give --password-file, --password-fd or BUNDLER_PASSWORD"
        )
    return _typed(text, confirm=confirm).encode()


def _typed(text: str, *, confirm: bool = False) -> str:
    try:
        password: str = typer.prompt(text, hide_input=True, confirmation_prompt=confirm, err=True)
    except typer.Abort:  # by Ctrl-C, or the end of the input
        raise KeyboardInterrupt from None
    return password
