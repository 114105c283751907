"""The files in which docker, podman and skopeo keep credentials, and which entry is whose (containers-auth.json(5)).

They are asked in this order:

    --authfile, or $REGISTRY_AUTH_FILE                         then no other file is read
    $XDG_RUNTIME_DIR/containers/auth.json, or /run/containers/$UID/auth.json
    $XDG_CONFIG_HOME/containers/auth.json, or ~/.config/containers/auth.json
    $DOCKER_CONFIG/config.json, or ~/.docker/config.json
    ~/.dockercfg                                               the legacy form: the entries without a frame

A file that is damaged or can't be read is an error, never skipped: going on without credentials would end in a refusal
that explains nothing. What is in an entry is for :mod:`bundler.transports.docker.credentials` to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundler.errors import BundlerError, ConfigError, disk_error, quoted
from bundler.oci.reference import DOCKER_HUB
from bundler.oci.strict_json import TOKEN_CAP, Fields, loads

_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Location:
    """A place to look: ``must_exist`` if the operator named it, ``legacy`` for the form without a frame."""

    path: Path
    must_exist: bool = False
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class AuthFile:
    """One file's contents. ``entries`` are unchecked and still encoded, ``store`` is the helper for all registries."""

    what: str
    entries: Mapping[str, Any] = field(repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    legacy: bool = False

    def helper(self, registry: str) -> str:
        """The helper named for just this registry, or nothing. Helpers know no repositories."""
        return next((helper for key, helper in self.helpers.items() if _named(key) == registry), "")

    def entries_for(self, registry: str, repository: str) -> Iterator[Fields]:
        """The entries that fit: the longest prefix of ``registry/namespace/repository`` first."""
        for prefix in _prefixes(registry, repository):
            fitting = [key for key in self.entries if _named(key, host_only=self.legacy) == prefix]
            for key in sorted(fitting, key=lambda key: key != prefix):
                yield Fields(self.entries[key], what=f"{self.what}: {quoted(key)}", error=damaged)


def locations(authfile: Path | None, *, environ: Mapping[str, str], home: Path) -> Iterator[Location]:
    """Where to look, in order."""
    named = authfile or (Path(environ["REGISTRY_AUTH_FILE"]) if environ.get("REGISTRY_AUTH_FILE") else None)
    if named is not None:
        yield Location(named, must_exist=True)
        return
    runtime = environ.get("XDG_RUNTIME_DIR")
    private = Path(runtime, "containers") if runtime else Path("/run/containers", str(os.getuid()))
    yield Location(private / "auth.json")
    yield Location(Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json"))
    yield Location(Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json"))
    yield Location(home / ".dockercfg", legacy=True)


def read_authfile(location: Location) -> AuthFile | None:
    """The file there, ``None`` if there is none. Raises :class:`ConfigError` naming a missing or damaged one."""
    path = location.path
    try:
        with path.open("rb") as file:
            raw = file.read(TOKEN_CAP + 1)
    except (FileNotFoundError, NotADirectoryError):
        if location.must_exist:
            raise ConfigError(
                f"{path}: no such credentials file", hint="correct --authfile or REGISTRY_AUTH_FILE, or log in first"
            ) from None
        return None
    except (PermissionError, IsADirectoryError) as problem:
        raise ConfigError(
            f"{path}: the credentials file can't be read: {problem.strerror}",
            hint="correct its permissions, or name another file with --authfile",
        ) from None
    except OSError as problem:
        raise disk_error(problem, f"reading {path}") from problem
    return parse_authfile(raw, what=str(path), legacy=location.legacy)


def parse_authfile(raw: bytes, *, what: str, legacy: bool = False) -> AuthFile:
    """A file's contents; keys that other programs keep there are left alone. Raises :class:`ConfigError`."""
    value = loads(raw, what=what, cap=TOKEN_CAP, error=damaged)
    top = Fields(value, what=what, error=damaged)
    if legacy:
        return AuthFile(what, value, legacy=True)
    if "auths" in top:
        top.object("auths")
    return AuthFile(
        what,
        entries=value.get("auths") or {},
        helpers=top.text_map("credHelpers"),
        store=top.text("credsStore") if "credsStore" in top else "",
    )


def damaged(message: str) -> BundlerError:
    """The error about a file's contents."""
    return ConfigError(message, hint="repair the file, or name another with --authfile")


def canonical_registry(host: str) -> str:
    """Docker Hub under its one name, any other registry under its own."""
    return DOCKER_HUB if host in _HUB_NAMES else host


def _prefixes(registry: str, repository: str) -> Iterator[str]:
    name = f"{registry}/{repository}" if repository else registry
    while name != registry:
        yield name
        name = name.rpartition("/")[0]
    yield registry


def _named(key: str, *, host_only: bool = False) -> str:
    """A key as ``registry[/namespace[/repository]]``; one that is written as a URL stands for its host."""
    name = key.removeprefix("http://").removeprefix("https://")
    host, _, path = name.partition("/")
    host = canonical_registry(host)
    return f"{host}/{path}" if path and not host_only and name == key else host
