"""Credential helpers as keepers: the verbs "store" and "erase" of docker-credential-helpers.

A helper is a program ``docker-credential-NAME``. It gets its verb as an argument and the rest on stdin, where no other
process can see it: an object for "store", the server's name for "erase". ("get" is in :mod:`.credentials`.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from bundler.errors import AuthError, quoted
from bundler.transports.docker.credentials import HELPER, Credentials, run_helper


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
    done = run_helper(name, verb, message, environ=environ, what=what)
    if done.returncode != 0:
        # What it says is told only where it can't be the message itself that comes back.
        said = done.stdout[:1000].decode("utf-8", "replace").strip() if verb == "erase" else ""
        first = f": {quoted(said.splitlines()[0])}" if said else ""
        raise AuthError(
            f"{what}: {HELPER}{name} {verb} failed (exit {done.returncode}){first}", hint="see to the helper"
        )
