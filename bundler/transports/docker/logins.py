"""Where credentials are kept once someone has logged in: auth.json and docker's config.json, written.

    place = keeping_place(None, None, environ=os.environ)
    store(place, "registry.example/team", Credentials("ann", "…"), environ=os.environ)
    forget(place, "registry.example/team", environ=os.environ)

A file keeps whatever other programs have in it. It is replaced at once, by one of mode 0600 in the same directory; who
changes it holds that directory's ``flock``, so that no log-in is lost to another at the same time. Where the file names a
helper for a registry, the helper keeps the password and the file never sees it. :mod:`.authfile` is the side that reads.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.errors import ConfigError, LockedError, disk_error, quoted
from bundler.oci.reference import DOCKER_HUB
from bundler.oci.strict_json import TOKEN_CAP, Fields, loads
from bundler.transports.docker.authfile import (
    AuthFile,
    Location,
    canonical_registry,
    damaged,
    parse_authfile,
    read_authfile,
)
from bundler.transports.docker.credentials import HUB_SERVER, Credentials, ask_helper, look_up
from bundler.transports.docker.keepers import erase_from, store_in

PATIENCE = 30.0
"""Seconds to wait for another program that is changing the file."""
_PAUSE = 0.02
_SECRETS = ("auth", "username", "password", "identitytoken", "registrytoken")
_CANT_LOCK = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Place:
    """A file of credentials; ``docker`` if it must suit docker itself, which knows no namespaces."""

    path: Path
    docker: bool = False

    def key(self, name: str) -> str:
        """Under which key ``registry[/namespace]`` is kept."""
        if self.docker and "/" in name:
            raise ConfigError(
                f"{quoted(name)}: docker keeps credentials for whole registries only",
                hint="log in to the registry, or leave out --compat-auth-file",
            )
        return HUB_SERVER if self.docker and name == DOCKER_HUB else name


def keeping_place(authfile: Path | None, compat: Path | None, *, environ: Mapping[str, str]) -> Place:
    """The file to write, as skopeo and podman choose it: the one named by an option, or by the environment, or the usual.

    Raises :class:`ConfigError` where two are named, or where there is no place for the usual one.
    """
    if authfile is not None and compat is not None:
        raise ConfigError("--authfile and --compat-auth-file exclude each other")
    if compat is not None:
        return Place(compat, docker=True)
    if authfile is not None:
        return Place(authfile)
    if environ.get("REGISTRY_AUTH_FILE"):
        return Place(Path(environ["REGISTRY_AUTH_FILE"]))
    if environ.get("DOCKER_CONFIG"):
        return Place(Path(environ["DOCKER_CONFIG"], "config.json"), docker=True)
    runtime = environ.get("XDG_RUNTIME_DIR")
    if not runtime:
        return Place(Path("/run/containers", str(os.getuid()), "auth.json"))
    if not Path(runtime).is_dir():
        raise ConfigError(
            f"XDG_RUNTIME_DIR: {quoted(runtime)} is not a directory", hint="make it, unset the variable, or --authfile"
        )
    return Place(Path(runtime, "containers", "auth.json"))


def kept(place: Place, name: str, *, environ: Mapping[str, str]) -> Credentials | None:
    """What this one file, or the helper that it names, holds for ``registry[/namespace]``."""
    file = read_authfile(Location(place.path))
    registry, _, namespace = name.partition("/")
    return None if file is None else look_up(file, registry, namespace, environ=environ)


def store(place: Place, name: str, credentials: Credentials, *, environ: Mapping[str, str]) -> str:
    """Keep user and password for ``registry[/namespace]``; says where they are now.

    Raises :class:`ConfigError` for a damaged file and for what it can't keep.
    """
    key = place.key(name)
    if ":" in credentials.username or not credentials.username:
        raise ConfigError("a user name must not be empty and holds no colon")
    file = read_authfile(Location(place.path)) or AuthFile(str(place.path), {})
    registry, _, namespace = name.partition("/")
    helper = file.helper(registry)
    if helper and namespace:
        raise ConfigError(
            f"{quoted(name)}: the helper {quoted(helper)}, which {place.path} names, keeps whole registries only",
            hint=f"log in to {quoted(registry)}, or name another file with --authfile",
        )
    helper = helper or ("" if namespace else file.store)
    entry: dict[str, Any] = {}
    if helper:
        store_in(helper, key, credentials, environ=environ, what=file.what)
    else:
        pair = f"{credentials.username}:{credentials.password}"
        entry["auth"] = base64.b64encode(pair.encode()).decode()
    if not helper or helper == file.store:  # docker marks what is in its store with an empty entry
        with _changing(place.path) as document:
            auths = document.setdefault("auths", {})
            for other in _spellings(auths, name):
                old = auths.pop(other)
                entry = {**{field: value for field, value in old.items() if field not in _SECRETS}, **entry}
            auths[key] = entry
    return f"credential helper: {helper}" if helper else str(place.path)


def forget(place: Place, name: str, *, environ: Mapping[str, str]) -> bool:
    """Remove what is kept for exactly ``registry[/namespace]``, from the file and from its helpers; false if nothing is."""
    place.key(name)
    file = read_authfile(Location(place.path))
    if file is None:
        return False
    found = False
    if "/" not in name:
        for helper in dict.fromkeys((file.helper(name), file.store)):
            found = (bool(helper) and _erased(helper, name, environ, file.what)) or found
    if _spellings(file.entries, name):
        with _changing(place.path) as document:
            for key in _spellings(document.get("auths") or {}, name):
                found = bool(document["auths"].pop(key)) or found
    return found


def forget_all(place: Place, *, environ: Mapping[str, str]) -> None:
    """Remove everything that the file keeps, or that its helpers keep for the registries that it names."""
    file = read_authfile(Location(place.path))
    if file is None:
        return
    for registry, helper in file.helpers.items():
        _erased(helper, canonical_registry(registry), environ, file.what)
    if file.store:
        for key in file.entries:
            _erased(file.store, _name_of(key), environ, file.what)
    with _changing(place.path) as document:
        document["auths"] = {}


def _erased(helper: str, registry: str, environ: Mapping[str, str], what: str) -> bool:
    """Whether the helper had something, under any name that the registry goes by."""
    servers = (HUB_SERVER, registry) if registry == DOCKER_HUB else (registry,)
    held = [server for server in servers if ask_helper(helper, server, environ=environ, what=what)]
    for server in held:
        erase_from(helper, server, environ=environ, what=what)
    return bool(held)


def _spellings(entries: Mapping[str, Any], name: str) -> list[str]:
    """The keys that stand for ``name``: docker once wrote URLs, and its Hub has several names."""
    return [key for key in entries if _name_of(key) == name]


def _name_of(key: str) -> str:
    plain = key.removeprefix("http://").removeprefix("https://")
    host, slash, path = plain.partition("/")
    return canonical_registry(host) + (slash + path if plain == key else "")


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Any]]:
    """The document in a file, which is replaced at the end by what became of it. A link stays, and what it names changes."""
    target = Path(os.path.realpath(path))
    try:
        _make(target.parent)
        with _locked(target.parent):
            document = _document(target)
            before = json.dumps(document)
            yield document
            if json.dumps(document) != before or (target.exists() and target.stat().st_mode & 0o077):
                _replace(target, json.dumps(document, indent="\t", ensure_ascii=False).encode())
    except OSError as problem:
        raise disk_error(problem, f"change {path}") from problem


def _make(directory: Path) -> None:
    """A directory with all above it, each for nobody but its owner."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        end = time.monotonic() + PATIENCE
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise LockedError(f"{directory}: another process has been changing credentials for {PATIENCE:g} s")
            time.sleep(_PAUSE)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        if problem.errno not in _CANT_LOCK:  # some network file systems lock no directories
            raise
    return True


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: is no file that credentials could be kept in")
            raw = file.read(TOKEN_CAP + 1)
    except FileNotFoundError:
        return {"auths": {}}
    parse_authfile(raw, what=str(path))
    document: dict[str, Any] = loads(raw, what=str(path), cap=TOKEN_CAP, error=damaged)
    auths = document.get("auths") or {}
    for key, entry in auths.items():
        Fields(entry, what=f"{path}: {quoted(key)}", error=damaged)
    return {**document, "auths": auths}


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
