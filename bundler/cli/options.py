"""Options that several commands share, and the two ways in which they differ from Typer's own.

skopeo's booleans take an optional value (``--tls-verify``, ``--tls-verify=false``); and every option can come from the
environment as ``BUNDLER_`` and its name.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from bundler.journey.access import Access, Surroundings
    from bundler.journey.demand import Demand
    from bundler.transports.docker.credentials import Credentials
    from bundler.trust.keyfile import Password as KeyPassword


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
Username = Annotated[
    str | None,
    typer.Option("--username", envvar="BUNDLER_REGISTRY_USERNAME", help="User name there; needs --password."),
]
Password = Annotated[
    str | None,
    typer.Option("--password", envvar="BUNDLER_REGISTRY_PASSWORD", help="Password there; needs --username."),
]
"""Not BUNDLER_PASSWORD, which is a signing key's and must reach no registry."""
RegistryToken = Annotated[
    str | None, typer.Option("--registry-token", metavar="TOKEN", help="Bearer token for the registry, sent as it is.")
]
NoCreds = Annotated[bool, typer.Option("--no-creds", help="Use no credentials, wherever some may be kept.")]
RetryTimes = Annotated[
    int | None, typer.Option("--retry-times", min=0, metavar="N", help="Retries of a request that failed. [default: 4]")
]
RetryDelay = Annotated[
    str | None,
    typer.Option("--retry-delay", metavar="TIME", help="Wait so long between retries, as 2s or 1m. [default: growing]"),
]
SharedBlobDir = Annotated[
    Path | None, typer.Option("--shared-blob-dir", help="Directory of blobs that several OCI layouts share.")
]
DaemonHost = Annotated[
    str | None, typer.Option("--daemon-host", metavar="HOST", help="Docker daemon to talk to. [default: DOCKER_HOST]")
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

BundleKeys = Annotated[
    list[Path] | None, typer.Option("--bundle-key", help="Public key whose bundles are trusted, for a bundle: source.")
]
UnsafeBundle = Annotated[
    bool, typer.Option("--unsafe-no-signature", help="Take an unsigned bundle as a source. Anyone could have made it.")
]

TrustDir = Annotated[
    Path | None, typer.Option("--trust", metavar="DIR", help="The site's trust directory, in place of --key.")
]
MinSerial = Annotated[
    int | None, typer.Option("--min-serial", min=1, metavar="N", help="Least serial to take: for a first contact.")
]
AllowRollback = Annotated[
    str | None,
    typer.Option(
        "--allow-rollback",
        metavar="REASON",
        help="Take an older bundle; with --trust, which records it once it is accepted.",
    ),
]
BundleTrust = Annotated[
    Path | None,
    typer.Option(
        "--bundle-trust", metavar="DIR", help="Trust directory whose bundles are trusted, for a bundle: source."
    ),
]
BundlePolicy = Annotated[
    Path | None,
    typer.Option(
        "--bundle-policy",
        help="trust.yaml: what images of a bundle: source must have. [default: the one in --bundle-trust]",
    ),
]
SiteRoots = Annotated[
    Path | None,
    typer.Option("--trust", metavar="DIR", help="Put the roots of this trust directory into the bundle."),
]
Accept = Annotated[
    bool, typer.Option("--accept", help="With --trust: take the bundle as accepted, so that no older one passes again.")
]

GLOBALS = "bundler.surroundings"
SAID_ONLY = (
    *("--help", "--version", "--unsafe-no-signature", "--allow-expired", "--allow-rollback", "--accept"),
    "--insecure-policy",
)
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
            parameter.envvar = "BUNDLER_" + long[2:].replace("-", "_").replace(".", "_").upper()
    for child in getattr(command, "commands", {}).values():
        with_environment(child)
    return command


def access(
    authfile: Path | None,
    creds: str | None,
    cert_dir: Path | None,
    tls_verify: Truth | None,
    token_hosts: Sequence[str] | None = None,
    *,
    username: str | None = None,
    password: str | None = None,
    registry_token: str | None = None,
    no_creds: bool = False,
    retry_times: int | None = None,
    retry_delay: str | None = None,
    shared_blob_dir: Path | None = None,
    daemon_host: str | None = None,
    demand: Demand | None = None,
) -> Access:
    """The registry options of one side. Raises :class:`ConfigError` where they exclude each other."""
    from bundler.journey.access import Access

    if (username is None) != (password is None):
        raise ConfigError("--username and --password need each other")
    given = [
        option
        for option, is_given in (
            ("--creds", creds is not None),
            ("--username", username is not None),
            ("--registry-token", registry_token is not None),
            ("--no-creds", no_creds),
        )
        if is_given
    ]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} exclude each other")
    return Access(
        authfile,
        _credentials(creds, username, password, registry_token),
        cert_dir,
        None if tls_verify is None else tls_verify is Truth.TRUE,
        tuple(token_hosts or ()),
        anonymous=no_creds,
        attempts=None if retry_times is None else retry_times + 1,
        delay=None if retry_delay is None else duration(retry_delay, "--retry-delay"),
        shared_blob_dir=shared_blob_dir,
        daemon_host=daemon_host,
        demand=demand,
    )


def _credentials(
    creds: str | None, username: str | None, password: str | None, registry_token: str | None
) -> Credentials | None:
    from bundler.transports.docker.credentials import Credentials

    if registry_token is not None:
        return Credentials(registry_token=registry_token)
    if creds is not None:
        username, colon, password = creds.partition(":")
        if not username:
            raise ConfigError("--creds: there is no user name in it", hint="write USER:PASSWORD")
        if not colon:
            if not sys.stdin.isatty():
                raise ConfigError("--creds: no password, and no terminal to ask on", hint="write USER:PASSWORD")
            password = _typed(f"Password of {username}")
    return None if username is None else Credentials(username, password or "")


_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(text: str, what: str) -> float:
    """Seconds, of a time as Go's programs take it: ``1m30s``, ``500ms``."""
    if not _DURATION.fullmatch(text):
        raise ConfigError(f"{what}: {text!r} is not a time", hint="write it like 30s, 1m30s or 500ms")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text))


def demanded(
    keys: list[Path] | None,
    threshold: int = 1,
    *,
    allow_expired: bool = False,
    unsafe: bool = False,
    trust: Path | None = None,
    min_serial: int | None = None,
    allow_rollback: str | None = None,
    policy: Path | None = None,
) -> Demand:
    """What a bundle must satisfy. Raises :class:`ConfigError` where nothing says whom to trust."""
    from datetime import UTC, datetime

    from bundler.journey.demand import Demand

    return Demand.of(
        tuple(keys or ()),
        threshold,
        now=datetime.now(UTC).replace(microsecond=0),
        allow_expired=allow_expired,
        unsafe=unsafe,
        trust=trust,
        min_serial=min_serial,
        allow_rollback=allow_rollback,
        policy=policy,
    )


def bundle_demand(
    keys: list[Path] | None, *, unsafe: bool, trust: Path | None = None, policy: Path | None = None
) -> Demand | None:
    """What bundles that are sources must satisfy; None if nothing was said, and then none is opened."""
    return demanded(keys, unsafe=unsafe, trust=trust, policy=policy) if keys or unsafe or trust else None


def globals_of(ctx: typer.Context) -> Surroundings:
    """What was said before the command's name, and holds for the whole run."""
    from bundler.journey.access import Surroundings

    found: Surroundings = ctx.meta.get(GLOBALS) or Surroundings()
    return found


def store_directory(given: Path | None) -> Path:
    """The store to use: the one given, else that of the user's data directory."""
    if given is not None:
        return given
    from platformdirs import user_data_path

    return user_data_path("bundler") / "store"


def password_from(file: Path | None, descriptor: int | None) -> KeyPassword:
    """How a key's password is got when it is needed: file, descriptor, environment, or prompt."""

    def ask() -> bytes:
        given = _given_password(file, descriptor)
        if given is not None:
            return given
        return _prompted("Password of the key", confirm=False)

    return ask


def new_password(file: Path | None, descriptor: int | None, *, what: str = "Password for the new key") -> bytes:
    """A password that is being set, of a key if nothing else is said."""
    given = _given_password(file, descriptor)
    return _prompted(what, confirm=True) if given is None else given


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
