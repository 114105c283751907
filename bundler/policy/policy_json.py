"""``policy.json``, read without leniency, and which of its requirements hold for an image.

    {"default": [{"type": "reject"}],
     "transports": {"docker": {"registry.example/team": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k.gpg"}],
                               "": [{"type": "insecureAcceptAnything"}]}}}

A member that nobody knows, one that is there twice or in another case, a null and an empty list are errors: whoever
misspelled a requirement must hear of it, and not have it ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bundler.errors import BundlerError, ConfigError, PolicyError, quoted
from bundler.oci.strict_json import Fields, loads
from bundler.policy.places import Place, scope_fault
from bundler.policy.requirements import Accept, Requirement, read_requirement

CAP = 4 << 20
MAX_REQUIREMENTS = 1000
_HINT = "see containers-policy.json(5)"
_FULL_NAME = (
    "name the image in full, containers-storage:[DRIVER@ROOT]HOST/NAME:TAG as `podman info` tells driver and root; "
    'or say in the policy by the scope "" what holds for all of them'
)

Requirements = tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """``transports`` by name, then by scope; ``source`` is the file that it came from."""

    source: str
    default: Requirements
    transports: Mapping[str, Mapping[str, Requirements]] = field(default_factory=dict)

    def requirements(self, place: Place) -> tuple[str, Requirements]:
        """The requirements for an image from ``place``, and where in the policy they are written.

        Raises :class:`PolicyError` where that depends on what is not known here.
        """
        scopes = self.transports.get(place.transport, {})
        doubtful = place.doubtful(scopes)
        if doubtful is not None:
            raise PolicyError(
                f"{self.source}, transports.{place.transport}[{quoted(doubtful, 500)!r}]: "
                "it can't be told whether this scope speaks of the image",
                hint=_FULL_NAME,
            )
        for scope in (*place.scopes, ""):
            if scope in scopes:
                return f"transports.{place.transport}[{quoted(scope, 500)!r}]", scopes[scope]
        return "default", self.default

    def accepts_all(self, place: Place) -> bool:
        """Whether nothing is required of an image from ``place``."""
        return all(isinstance(each, Accept) for each in self.requirements(place)[1])


def read_policy(raw: bytes, *, source: str = "policy.json") -> Policy:
    """The policy in a file; ``source`` names it. Raises :class:`ConfigError` for anything unexpected in it."""
    document = loads(raw, what=source, cap=CAP, error=_wrong)
    _check_no_null(document, source)
    top = Fields(document, what=source, error=_wrong)
    if "default" not in top:
        raise top.fail("default", "is missing")
    default = _requirements(top, "default")
    transports: dict[str, dict[str, Requirements]] = {}
    if "transports" in top:
        found = top.object("transports")
        for transport in document["transports"]:
            if not transport.isprintable():
                raise found.fail(quoted(transport), "is not the name of a transport")
            scopes = found.object(transport)
            for scope in document["transports"][transport]:
                fault = scope_fault(transport, scope)
                if fault:
                    raise scopes.fail(f"scope {quoted(scope)!r}", fault)
            transports[transport] = {scope: _requirements(scopes, scope) for scope in document["transports"][transport]}
    top.done()
    return Policy(source, default, transports)


def _requirements(fields: Fields, name: str) -> Requirements:
    found = fields.array(name)
    if not 0 < len(found) <= MAX_REQUIREMENTS:
        raise fields.fail(quoted(name), f"must hold from 1 to {MAX_REQUIREMENTS} requirements, not {len(found)}")
    return tuple(read_requirement(each) for each in fields.objects(name))


def _check_no_null(node: Any, source: str) -> None:
    if node is None:
        raise _wrong(f"{source}: holds a null, which means nothing there")
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _check_no_null(child, source)


def _wrong(message: str) -> BundlerError:
    return ConfigError(message, hint=_HINT)
