"""Credential helpers as keepers: the verbs "store" and "erase" of docker-credential-helpers.

A helper is a program ``docker-credential-NAME``. It gets its verb as an argument and the rest on stdin, where no other
process can see it: an object for "store", the server's name for "erase". ("get" is in :mod:`.credentials`.)
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping

from bundler.errors import AuthError, ConfigError, quoted
from bundler.transports.docker.credentials import HELPER_SECONDS, Credentials

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def store_in(name: str, server: str, credentials: Credentials, *, environ: Mapping[str, str], what: str) -> None:
    """Have ``docker-credential-NAME`` keep user and password for ``server``. ``what`` names who asked for the helper.

    Raises :class:`ConfigError` if there is no such helper, :class:`AuthError` if it fails.
    """
    pair = {"ServerURL": server, "Username": credentials.username, "Secret": credentials.password}
    _tell(name, "store", json.dumps(pair).encode(), environ=environ, what=what)


def erase_from(name: str, server: str, *, environ: Mapping[str, str], what: str) -> None:
    """Have it forget what it keeps for ``server``. Raises as :func:`store_in`."""
    _tell(name, "erase", server.encode(), environ=environ, what=what)


def _tell(name: str, verb: str, message: bytes, *, environ: Mapping[str, str], what: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{what}: {quoted(name)!r} is not the name of a credential helper")
    program = f"docker-credential-{name}"
    path = shutil.which(program, path=environ.get("PATH", ""))
    if path is None:
        raise ConfigError(
            f"{what}: the credential helper {program} is not installed", hint=f"install it, or take it out of {what}"
        )
    try:
        done = subprocess.run(
            [path, verb],
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            timeout=HELPER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AuthError(f"{what}: {program} gave no answer within {HELPER_SECONDS:g} s", hint="") from None
    except OSError as problem:
        raise AuthError(f"{what}: {program} could not be started: {problem.strerror or problem}", hint="") from None
    if done.returncode != 0:
        # What it says is told only where it can't be the message itself that comes back.
        said = done.stdout[:1000].decode("utf-8", "replace").strip() if verb == "erase" else ""
        first = f": {quoted(said.splitlines()[0])}" if said else ""
        raise AuthError(f"{what}: {program} {verb} failed (exit {done.returncode}){first}", hint="see to the helper")
