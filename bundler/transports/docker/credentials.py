"""Credentials of one registry: from the operator's files, or from the helper programs that these name.

Within a file a helper named for the registry decides, else the entry that fits best, else the file's helper for all. A
helper is a program ``docker-credential-NAME`` that is given a server on stdin and answers with JSON (the protocol of
docker-credential-helpers, "get"). It is started without a shell, with a time limit, and only under a plain name, because
the name comes from a file. Secrets appear in no ``repr`` and in no message.
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.errors import AuthError, BundlerError, ConfigError, quoted
from bundler.oci.reference import DOCKER_HUB
from bundler.oci.strict_json import TOKEN_CAP, Fields, loads
from bundler.transports.docker.authfile import AuthFile, canonical_registry, damaged, locations, read_authfile

HELPER_SECONDS = 60.0
"""How long a helper may take: it may have to ask for a passphrase."""

HUB_SERVER = "https://index.docker.io/v1/"
"""The name under which docker keeps Docker Hub's credentials."""

HELPER = "docker-credential-"
"""How the names of helper programs start."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOKEN_USER = "<token>"  # noqa: S105 - the user name by which a helper says that the secret is an identity token


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to show a registry: user and password, or an identity token for the OAuth2 flow, or both.

    Or a ``registry_token``: the Bearer token itself, for which nobody is asked.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.identity_token or self.registry_token)


def find_credentials(
    registry: str,
    repository: str,
    *,
    authfile: Path | None,
    environ: Mapping[str, str],
    home: Path | None = None,
) -> Credentials | None:
    """The credentials kept for ``registry`` (``host[:port]``, or ``docker.io``) and ``repository`` (may be empty).

    ``authfile`` is the file that the operator named, if any; the first file with something for the registry decides.
    ``home`` is ``$HOME`` of ``environ`` unless given.
    Raises :class:`ConfigError` for a damaged or unreadable file and for a named one that does not exist, and
    :class:`AuthError` if a helper fails.
    """
    home = home or Path(environ.get("HOME") or Path.home())
    for location in locations(authfile, environ=environ, home=home):
        file = read_authfile(location)
        if file is not None and (found := look_up(file, registry, repository, environ=environ)):
            return found
    return None


def look_up(file: AuthFile, registry: str, repository: str, *, environ: Mapping[str, str]) -> Credentials | None:
    """What one file says about a repository, helpers included."""
    registry = canonical_registry(registry)
    if helper := file.helper(registry):
        return _ask(helper, registry, f"{file.what}: credHelpers", environ)
    for entry in file.entries_for(registry, repository):
        if found := _opened(entry):
            return found
    return _ask(file.store, registry, f"{file.what}: credsStore", environ) if file.store else None


def _opened(entry: Fields) -> Credentials | None:
    """An entry's credentials; ``None`` for the empty entries that docker leaves beside a helper."""
    username = entry.text("username") if "username" in entry else ""
    password = entry.text("password") if "password" in entry else ""
    if "auth" in entry and (auth := entry.text("auth")):
        username, password = _decoded(auth, entry.what)
    token = entry.text("identitytoken") if "identitytoken" in entry else ""
    bearer = entry.text("registrytoken") if "registrytoken" in entry else ""
    return Credentials(username, password, token, bearer) or None


def _decoded(auth: str, what: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise damaged(f"{what}: auth is not base64 of UTF-8 text") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise damaged(f"{what}: auth does not hold USER:PASSWORD")
    if username == _TOKEN_USER:
        raise damaged(f"{what}: auth holds an identity token where a password belongs")
    return username, password.strip("\0")  # docker pads it with them


def _ask(helper: str, registry: str, what: str, environ: Mapping[str, str]) -> Credentials | None:
    # docker logs in to its Hub under a URL, podman and skopeo under the plain name.
    servers = (HUB_SERVER, registry) if registry == DOCKER_HUB else (registry,)
    for server in servers:
        if found := ask_helper(helper, server, environ=environ, what=what):
            return found
    return None


def ask_helper(name: str, server: str, *, environ: Mapping[str, str], what: str) -> Credentials | None:
    """What ``docker-credential-NAME get`` answers for ``server``, ``None`` if it has nothing.

    ``what`` names the file and entry that asked for the helper. Raises :class:`ConfigError` if the helper's name is no
    plain name or it is not installed, :class:`AuthError` if it fails, takes too long or answers nonsense.
    """
    done = run_helper(name, "get", server.encode(), environ=environ, what=what, otherwise="give --creds")
    if done.returncode != 0:
        message = done.stdout[:1000].decode("utf-8", "replace").strip()
        if "credentials not found" in message.lower():
            return None
        first = message.splitlines()[0] if message else "without a message"
        program = f"{HELPER}{name}"
        raise AuthError(f"{what}: {program} failed for {quoted(server)} (exit {done.returncode}): {quoted(first)}")
    return _answer(done.stdout, f"{what}: answer of {HELPER}{name}")


def run_helper(
    name: str, verb: str, message: bytes, *, environ: Mapping[str, str], what: str, otherwise: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """What became of ``docker-credential-NAME VERB``, given ``message`` on stdin, whatever its status.

    ``otherwise`` is what else can be done where it is not installed. Raises :class:`ConfigError` if the name is no plain
    name or there is no such program, and :class:`AuthError` if it takes too long.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{what}: {quoted(name)!r} is not the name of a credential helper")
    program = f"{HELPER}{name}"
    path = shutil.which(program, path=environ.get("PATH", ""))
    if path is None:
        or_else = f", or {otherwise}" if otherwise else ""
        raise ConfigError(
            f"{what}: the credential helper {program} is not installed",
            hint=f"install {program}, or remove it from the file{or_else}",
        )
    hint = None if otherwise else "see to the helper"
    try:
        # Helpers report on stdout; what some print on stderr besides may hold secrets.
        return subprocess.run(
            [path, verb],
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=HELPER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AuthError(f"{what}: {program} gave no answer within {HELPER_SECONDS:g} s", hint=hint) from None
    except OSError as problem:
        raise AuthError(f"{what}: {program} could not be started: {problem.strerror or problem}", hint=hint) from None


def _answer(raw: bytes, what: str) -> Credentials | None:
    def error(message: str) -> BundlerError:
        return AuthError(message, hint="the credential helper is at fault; give --creds or --authfile")

    fields = Fields(loads(raw, what=what, cap=TOKEN_CAP, error=error), what=what, error=error)
    username = fields.text("Username") if "Username" in fields else ""
    secret = fields.text("Secret") if "Secret" in fields else ""
    if username == _TOKEN_USER:
        return Credentials(identity_token=secret) or None
    return Credentials(username, secret) or None
