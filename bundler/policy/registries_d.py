"""``registries.d``: where signatures of a registry's images are kept (containers-registries.d(5)).

    default-docker: {lookaside-staging: file:///var/lib/containers/sigstore}
    docker:
      registry.example/team: {lookaside: https://signatures.example, use-sigstore-attachments: true}

Each setting is looked up by itself, from the most specific namespace that has it to ``default-docker``. ``sigstore`` and
``sigstore-staging`` are the older names of ``lookaside`` and ``lookaside-staging``. What newer programs may add is passed
over, as these files are theirs too; but not what differs from a known name by case alone, which some programs obey.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import Reference
from bundler.oci.strict_json import spellings
from bundler.policy.places import docker_place
from bundler.selection.yaml_load import load_yaml
from bundler.selection.yaml_tree import Value

_NOTHING = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*|---[ \t]*|)(?:\r?\n|\Z))*")
_TOP = spellings("default-docker", "docker")
_SPACE = spellings("lookaside", "lookaside-staging", "sigstore", "sigstore-staging", "use-sigstore-attachments")


@dataclass(frozen=True, slots=True)
class Namespace:
    """What is said of one namespace; ``attachments`` is None where nothing is."""

    lookaside: str = ""
    staging: str = ""
    attachments: bool | None = None


@dataclass(frozen=True, slots=True)
class RegistriesD:
    """All files together: ``default`` holds for what no namespace of ``docker`` speaks of."""

    default: Namespace = field(default_factory=Namespace)
    docker: Mapping[str, Namespace] = field(default_factory=dict)

    def lookaside(self, reference: Reference, *, writing: bool = False) -> str:
        """The URL below which signatures of the image are; empty where nothing is said."""
        for each in self._about(reference):
            found = (each.staging or each.lookaside) if writing else each.lookaside
            if found:
                return found
        return ""

    def attachments(self, reference: Reference) -> bool:
        """Whether sigstore signatures of the image are kept in its repository."""
        said = (each.attachments for each in self._about(reference))
        return next((each for each in said if each is not None), False)

    def _about(self, reference: Reference) -> Iterator[Namespace]:
        for scope in docker_place(reference).scopes:
            if scope in self.docker:
                yield self.docker[scope]
        yield self.default


def read_registries_d(files: Iterable[tuple[str, bytes]]) -> RegistriesD:
    """The files of the directory, given as name and content.

    Raises :class:`ConfigError` for what is malformed, and where two files speak of the same namespace.
    """
    default: Namespace | None = None
    docker: dict[str, Namespace] = {}
    origin: dict[str, str] = {}
    for name, raw in files:
        if _NOTHING.fullmatch(raw):
            continue
        top = load_yaml(raw, name)
        if top.kind == "nothing":
            continue
        members = _spelled(top, _TOP)
        said = members.get("default-docker")
        if said is not None and said.kind != "nothing":
            _once(origin, "default-docker", said, name)
            default = _namespace(said)
        spaces = members.get("docker")
        if spaces is not None and spaces.kind != "nothing":
            for space, value in spaces.entries().items():
                _once(origin, f"docker: {space}", value, name)
                docker[space] = _namespace(value)
    return RegistriesD(default or Namespace(), docker)


def _spelled(value: Value, names: Mapping[str, str]) -> Mapping[str, Value]:
    members = value.entries()
    for key, member in members.items():
        name = names.get(key.casefold(), key)
        if name != key:
            raise ConfigError(
                f"{member.where}: {quoted(key)} must be spelled {name}", hint="see containers-registries.d(5)"
            )
    return members


def _once(origin: dict[str, str], what: str, value: Value, name: str) -> None:
    if what in origin:
        raise ConfigError(
            f"{value.where}: {quoted(what)} is defined in {quoted(origin[what])} as well", hint="keep one of the two"
        )
    origin[what] = name


def _namespace(value: Value) -> Namespace:
    if value.kind == "nothing":
        return Namespace()
    members = _spelled(value, _SPACE)
    said = members.get("use-sigstore-attachments")
    return Namespace(
        _text(members, "lookaside") or _text(members, "sigstore"),
        _text(members, "lookaside-staging") or _text(members, "sigstore-staging"),
        None if said is None or said.kind == "nothing" else said.boolean(loose=True),
    )


def _text(members: Mapping[str, Value], name: str) -> str:
    value = members.get(name)
    return "" if value is None or value.kind == "nothing" else value.text()
