"""Credentials of registries on the command line: login, logout.

What skopeo prints on stdout is printed there in the same words; prompts and everything else go to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bundler.cli.console import console_of
from bundler.cli.options import CertDir, TlsVerify, TokenHosts, access, globals_of
from bundler.errors import AuthError, ConfigError, LimitError, quoted

if TYPE_CHECKING:
    from bundler.journey.access import Access
    from bundler.journey.login import Site
    from bundler.transports.docker.credentials import Credentials

_PASSWORD_CAP = 64 << 10

Registry = Annotated[str, typer.Argument(metavar="REGISTRY", help="The registry's HOST[:PORT], or a namespace there.")]
AuthFile = Annotated[Path | None, typer.Option("--authfile", help="Keep credentials in this auth.json.")]
CompatAuthFile = Annotated[
    Path | None, typer.Option("--compat-auth-file", help="Keep credentials in this config.json, as docker writes it.")
]


def login(
    ctx: typer.Context,
    registry: Registry,
    *,
    username: Annotated[
        str | None, typer.Option("--username", "-u", envvar="BUNDLER_REGISTRY_USERNAME", help="User name there.")
    ] = None,
    password: Annotated[  # of a name of its own: BUNDLER_PASSWORD is a key's, and must not be shown to a registry
        str | None, typer.Option("--password", "-p", envvar="BUNDLER_REGISTRY_PASSWORD", help="Password there.")
    ] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    authfile: AuthFile = None,
    compat_auth_file: CompatAuthFile = None,
    get_login: Annotated[bool, typer.Option("--get-login", help="Print who is logged in, and do nothing.")] = False,
    cert_dir: CertDir = None,
    tls_verify: TlsVerify = None,
    token_hosts: TokenHosts = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print where the credentials are kept.")] = False,
) -> None:
    """Check credentials at a registry, and keep them where skopeo and podman find them, too.

    Example: bundler login registry.local:5000 --username ann
    """
    from bundler.journey import login as journey
    from bundler.transports.docker.credentials import Credentials

    console = console_of(ctx)
    site, place = journey.parse_site(registry), journey.keeping_place(authfile, compat_auth_file)
    only = authfile is not None or compat_auth_file is not None
    if get_login:
        console.result(quoted(journey.user_of(site, place, only=only)))
        return
    reach = access(authfile, None, cert_dir, tls_verify, token_hosts)
    old = journey.known(site, place, only=only)
    if old is not None and old.identity_token:
        raise ConfigError(
            f"{quoted(site.shown)}: an identity token is kept for it, which a password must not replace",
            hint=f"bundler logout {quoted(site.shown)}, then log in",
        )
    if password_stdin:
        password = _password_on_stdin(username, password)
    given = username or password
    if not given and old is not None and old.username and old.password and _still_valid(ctx, site, old, reach):
        return
    username = username or _username(old.username if old is not None else "")
    password = password or _password()
    with console.watching() as observer:
        used = journey.login(
            site, Credentials(username, password), reach, place, surroundings=globals_of(ctx), observer=observer
        )
    if verbose:
        console.result(f"Used:  {used}")
    console.result("Login Succeeded!")


def _still_valid(ctx: typer.Context, site: Site, old: Credentials, reach: Access) -> bool:
    """Whether the registry takes what is kept already."""
    from bundler.journey.login import check

    console = console_of(ctx)
    console.result(f"Authenticating with existing credentials for {quoted(site.shown)}")
    try:
        with console.watching() as observer:
            check(site, old, reach, surroundings=globals_of(ctx), observer=observer)
    except AuthError:
        console.result("Existing credentials are invalid, please enter valid username and password")
        return False
    console.result(f"Existing credentials are valid. Already logged in to {quoted(site.shown.partition('/')[0])}")
    return True


def _password_on_stdin(username: str | None, password: str | None) -> str:
    """All lines of standard input, joined."""
    if password:
        raise ConfigError("--password and --password-stdin exclude each other")
    if not username:
        raise ConfigError("--password-stdin needs --username")
    raw = sys.stdin.buffer.read(_PASSWORD_CAP + 1)
    if len(raw) > _PASSWORD_CAP:
        raise LimitError(f"--password-stdin: more than {_PASSWORD_CAP} bytes")
    try:
        lines = raw.decode().split("\n")
    except UnicodeDecodeError:
        raise ConfigError("--password-stdin: is not UTF-8") from None
    found = "".join(line.removesuffix("\r") for line in lines)
    if not found:
        raise ConfigError("--password-stdin: there is no password on standard input")
    return found


def _username(known: str) -> str:
    """The user that is typed in, or the one that is known where that is nothing."""
    _check_terminal()
    while True:
        sys.stderr.write(f"Username ({quoted(known)}): " if known else "Username: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:  # the end of the input is as good as Ctrl-C
            raise KeyboardInterrupt
        if found := line.strip() or known:
            return found


def _password() -> str:
    """The password that is typed in, unseen."""
    from getpass import getpass

    _check_terminal()
    try:
        return getpass("Password: ", stream=sys.stderr)
    except EOFError:
        raise KeyboardInterrupt from None


def _check_terminal() -> None:
    if not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask for user and password on",
            hint="give --username, and the password by --password-stdin",
        )


def logout(
    ctx: typer.Context,
    registry: Annotated[
        str | None, typer.Argument(metavar="REGISTRY", help="The registry, or the namespace, as it was logged in to.")
    ] = None,
    *,
    authfile: AuthFile = None,
    compat_auth_file: CompatAuthFile = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Forget what is kept for any registry.")] = False,
    _tls_verify: TlsVerify = None,
) -> None:
    """Forget the credentials that are kept for a registry.

    Example: bundler logout registry.local:5000
    """
    from bundler.journey import login as journey

    if everything and registry is not None:
        raise ConfigError("--all takes no registry")
    if not everything and registry is None:
        raise ConfigError("no registry is given to log out of", hint="name one, or give --all")
    for named in (authfile, compat_auth_file):
        if named is not None and not named.exists():
            raise ConfigError(f"{named}: no such credentials file")
    console, place = console_of(ctx), journey.keeping_place(authfile, compat_auth_file)
    if registry is None:
        journey.logout_of_all(place)
        console.result("Removed login credentials for all registries")
        return
    site = journey.parse_site(registry)
    journey.logout(site, place, only=authfile is not None or compat_auth_file is not None)
    console.result(f"Removed login credentials for {quoted(site.shown)}")
