"""registries.conf in its version 2, with its drop-ins, as podman, buildah and skopeo read it.

    the named file, or $CONTAINERS_REGISTRIES_CONF, else
    ~/.config/containers/registries.conf, else /etc/containers/registries.conf
    /etc/containers/registries.conf.d/*.conf          not beside the user's own registries.conf
    ~/.config/containers/registries.conf.d/*.conf

Later files replace what earlier ones say: lists and modes whole, namespaces by their prefix, aliases by their name. Keys
that nobody knows are passed over; a damaged file is an error, since going on without it would reach other places.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args

from bundler.errors import ConfigError, UnsupportedError, disk_error, quoted
from bundler.oci.reference import check_repository, parse_reference
from bundler.transports.docker.redirects import (
    AUTH_FILES,
    Config,
    Endpoint,
    Mirror,
    Namespace,
    Pull,
    ShortNameMode,
    blocked_by,
    endpoints,
    is_insecure,
    short_names,
)

__all__ = ["Config", "Endpoint", "blocked_by", "endpoints", "is_insecure", "load", "parse", "short_names"]

CAP = 1 << 20
"""The most bytes of one file."""
SYSTEM = Path("/etc/containers")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")
_REPAIR = "repair the file, or name another with --registries-conf"


@dataclass(frozen=True, slots=True)
class _Said:
    """What one file says; None where it is silent. An empty alias takes back an earlier file's."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    search: tuple[str, ...] | None = None
    mode: ShortNameMode | None = None
    helpers: tuple[str, ...] | None = None
    aliases: dict[str, str] = field(default_factory=dict)


def load(named: Path | None, *, environ: Mapping[str, str], home: Path, system: Path = SYSTEM) -> Config:
    """The configuration of this machine and user, or of the ``named`` file; empty if there is none.

    Raises :class:`ConfigError` naming file and line of what is wrong, :class:`UnsupportedError` for version 1.
    """
    said = []
    for path, must_exist in _files(named, environ, home / ".config" / "containers", system):
        raw = _read(path, must_exist=must_exist)
        if raw is not None:
            said.append(_parse(raw, str(path)))
    return _merged(said)


def parse(raw: bytes, what: str) -> Config:
    """The configuration of one file by itself."""
    return _merged([_parse(raw, what)])


def _files(named: Path | None, environ: Mapping[str, str], user: Path, system: Path) -> Iterator[tuple[Path, bool]]:
    """The files to read, in order, and whether each has to be there."""
    if named is None and environ.get("CONTAINERS_REGISTRIES_CONF"):
        named = Path(environ["CONTAINERS_REGISTRIES_CONF"])
    own = user / "registries.conf"
    alone = named is None and own.exists()
    yield (named, True) if named is not None else (own if alone else system / "registries.conf", False)
    for folder in (user,) if alone else (system, user):
        yield from ((path, False) for path in _drop_ins(folder / "registries.conf.d"))


def _drop_ins(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(".conf") and not path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        raise ConfigError(f"{folder}: can't be listed: {problem.strerror}", hint="correct its permissions") from None


def _read(path: Path, *, must_exist: bool) -> bytes | None:
    try:
        with path.open("rb") as file:
            raw = file.read(CAP + 1)
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise ConfigError(
                f"{path}: no such registries.conf", hint="correct --registries-conf or CONTAINERS_REGISTRIES_CONF"
            ) from None
        return None
    except (PermissionError, IsADirectoryError) as problem:
        raise ConfigError(f"{path}: can't be read: {problem.strerror}", hint="correct its permissions") from None
    except OSError as problem:
        raise disk_error(problem, f"reading {path}") from problem
    if len(raw) > CAP:
        raise ConfigError(f"{path}: more than the {CAP} bytes allowed", hint=_REPAIR)
    return raw


def _merged(said: list[_Said]) -> Config:
    namespaces: dict[str, Namespace] = {}
    aliases: dict[str, str] = {}
    for one in said:
        namespaces |= one.namespaces
        aliases |= one.aliases
    helpers = next((one.helpers for one in reversed(said) if one.helpers is not None), ())
    return Config(
        registries=tuple(namespaces[prefix] for prefix in sorted(namespaces)),
        search=next((one.search for one in reversed(said) if one.search is not None), ()),
        short_name_mode=next((one.mode for one in reversed(said) if one.mode is not None), "permissive"),
        aliases={name: value for name, value in aliases.items() if value},
        credential_helpers=helpers or (AUTH_FILES,),
    )


# One file


def _parse(raw: bytes, what: str) -> _Said:
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise ConfigError(f"{what}: not UTF-8 at line {line}", hint=_REPAIR) from None
    except RecursionError:
        raise ConfigError(f"{what}: nested too deep", hint=_REPAIR) from None
    except ValueError as problem:  # with the line; also an integer of thousands of digits
        raise ConfigError(f"{what}: not TOML: {quoted(str(problem))}", hint=_REPAIR) from None
    top = _Table(document, what)
    _refuse_version_1(top)
    namespaces: dict[str, Namespace] = {}
    for n, table in enumerate(top.tables("registry"), 1):
        namespace = _namespace(_Table(table, f"{what}: registry {n}"), what)
        _check_agrees(namespace, namespaces.values())
        namespaces.setdefault(namespace.prefix, namespace)
    mode = top.choice("short-name-mode", get_args(ShortNameMode))
    aliases = _Table(top.value("aliases", dict, "a table") or {}, f"{what}: aliases")
    return _Said(
        namespaces,
        None if (search := top.texts("unqualified-search-registries")) is None else _hosts(search, what),
        mode,
        top.texts("credential-helpers"),
        dict(_aliases(aliases)),
    )


def _refuse_version_1(top: _Table) -> None:
    old = top.folded.get("registries")
    kinds = [kind for kind in ("search", "insecure", "block") if isinstance(old, dict) and kind in old]
    if kinds:
        raise UnsupportedError(
            f"{top.what}: [registries.{kinds[0]}] is version 1 of this format, which is not read",
            hint="write unqualified-search-registries and [[registry]] tables with location, insecure and blocked",
        )


def _namespace(table: _Table, file: str) -> Namespace:
    location = _location(table, "location")
    prefix = _location(table, "prefix") or location
    table = _Table(table.folded, f"{table.what} ({quoted(prefix)})") if prefix else table
    if not prefix:
        table.fail("has neither prefix nor location")
    if prefix.startswith("*."):
        if any(mark in prefix for mark in "/@:"):
            table.fail("a wildcard stands before a bare host name, as in *.example.com")
    elif not location:
        table.fail("has no location")
    if table.choice("pull-from-mirror", get_args(Pull)) is not None:
        table.fail("pull-from-mirror belongs to a mirror")
    digests_only = table.flag("mirror-by-digest-only")
    mirrors = [_Table(mirror, f"{table.what}: mirror {n}") for n, mirror in enumerate(table.tables("mirror"), 1)]
    return Namespace(
        prefix,
        location,
        table.flag("insecure"),
        table.flag("blocked"),
        tuple(_mirror(mirror, digests_only=digests_only) for mirror in mirrors),
        file,
    )


def _mirror(table: _Table, *, digests_only: bool) -> Mirror:
    location = _location(table, "location")
    if not location:
        table.fail("has no location")
    pull: Pull | None = table.choice("pull-from-mirror", get_args(Pull))
    if digests_only and pull is not None:
        table.fail("pull-from-mirror can't be set beside mirror-by-digest-only")
    return Mirror(location, table.flag("insecure"), "digest-only" if digests_only else pull or "all")


def _location(table: _Table, name: str) -> str:
    text = (table.value(name, str, "text") or "").rstrip("/")
    if text.startswith(("http://", "https://")):
        table.fail(f"{name} {quoted(text)!r} must be without http:// or https://")
    return text


def _check_agrees(new: Namespace, others: Iterable[Namespace]) -> None:
    """The same place can't be allowed in one table and not in another."""
    place = new.location or new.prefix
    for other in others:
        if (other.location or other.prefix) == place and (other.insecure, other.blocked) != (new.insecure, new.blocked):
            name = "insecure" if other.insecure != new.insecure else "blocked"
            raise ConfigError(f"{new.file}: {quoted(place)!r} is given twice, with different {name!r}", hint=_REPAIR)


def _hosts(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    found = tuple(name.rstrip("/") for name in names)
    for name in found:
        if not _HOST.fullmatch(name):
            raise ConfigError(
                f"{what}: unqualified-search-registries: {quoted(name)!r} is not a host[:port]", hint=_REPAIR
            )
    return found


def _aliases(table: _Table) -> Iterator[tuple[str, str]]:
    for name, value in table.original.items():
        what = f"{table.what}: {quoted(name)}"
        head, slash, _ = name.partition("/")
        if slash and (any(mark in head for mark in ".:") or head == "localhost"):
            raise ConfigError(f"{what}: a short name has no registry", hint=_REPAIR)
        check_repository(name, what=what)
        if not isinstance(value, str):
            raise ConfigError(f"{what}: must be text", hint=_REPAIR)
        if not value:
            yield name, ""
            continue
        host, slash, _ = value.partition("/")
        full = parse_reference(value, what=what, default_tag="")
        if not slash or not (any(mark in host for mark in ".:") or host == "localhost") or full.tag or full.digest:
            raise ConfigError(f"{what}: {quoted(value)!r} must be registry/repository alone", hint=_REPAIR)
        yield name, full.name


class _Table:
    """Typed access to a TOML table, whose keys fit in any case, as they do in the programs that share the file."""

    __slots__ = ("folded", "original", "what")

    def __init__(self, original: Mapping[str, Any], what: str) -> None:
        self.original = original
        self.what = what
        self.folded: dict[str, Any] = {}
        for key, value in original.items():
            if key.lower() in self.folded and key.lower() in _KEYS:
                self.fail(f"{quoted(key)!r} is there twice, in different cases")
            self.folded[key.lower()] = value

    def fail(self, problem: str) -> NoReturn:
        """Refuse the table."""
        raise ConfigError(f"{self.what}: {problem}", hint=_REPAIR)

    def value(self, name: str, kind: type, wanted: str) -> Any:
        """What is under a key, None if nothing is."""
        value = self.folded.get(name)
        if value is not None and not isinstance(value, kind):
            self.fail(f"{name} must be {wanted}")
        return value

    def flag(self, name: str) -> bool:
        """True or false, which is what is meant where nothing is said."""
        return bool(self.value(name, bool, "true or false"))

    def choice(self, name: str, choices: tuple[Any, ...]) -> Any:
        """One of a few words, None if there is none."""
        value = self.value(name, str, "text")
        if value and value not in choices:
            self.fail(f"{name} is {quoted(value)!r}, not one of {', '.join(choices)}")
        return value or None

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts, None if there is none."""
        values = self.value(name, list, "a list")
        if values is None:
            return None
        if not all(isinstance(value, str) for value in values):
            self.fail(f"{name} must hold only text")
        return tuple(values)

    def tables(self, name: str) -> list[dict[str, Any]]:
        """An array of tables."""
        values = self.value(name, list, "an array of tables, written [[…]]") or []
        if not all(isinstance(value, dict) for value in values):
            self.fail(f"{name} must hold only tables")
        return list(values)


_KEYS = frozenset({
    "registry", "registries", "unqualified-search-registries", "credential-helpers", "short-name-mode", "aliases",
    "prefix", "location", "insecure", "blocked", "mirror", "mirror-by-digest-only", "pull-from-mirror",
})  # fmt: skip
