"""Which names a signature may give an image: the six kinds of ``signedIdentity``.

matchExact               the image's own name, tag or digest included
matchRepoDigestOrExact   the same; for an image named by digest, any name of its repository (the default)
matchRepository          any name of the image's repository
exactReference           the name that the policy gives
exactRepository          any name of the repository that the policy gives
remapIdentity            as matchRepoDigestOrExact, after a prefix of the image's name was replaced
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import Reference, parse_reference
from bundler.oci.strict_json import Fields

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PREFIX = re.compile(rf"{_DOMAIN}(?:/{_COMPONENT})*")
_MOST = 512


class Identity(Protocol):
    """What a signature may call an image."""

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """Whether ``signed``, of a signature that held, is a right name for the image asked for as ``intended``."""
        ...


def named(text: str) -> Reference | None:
    """A name as it was signed, no tag made up for it; nothing if it is none."""
    try:
        found = parse_reference(text, default_tag="")
    except ConfigError:
        return None
    # Docker Hub's API is at another name than its images: a name given so is none of theirs.
    return None if text.partition("/")[0] == "registry-1.docker.io" else found


@dataclass(frozen=True, slots=True)
class MatchExact:
    """The name that the image was asked for by."""

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """As the class says."""
        found = named(signed)
        return found is not None and intended is not None and _has_identifier(found) and found == intended


@dataclass(frozen=True, slots=True)
class MatchRepoDigestOrExact:
    """The same; where the image was asked for by digest, its repository."""

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """As the class says."""
        return _repo_digest_or_exact(intended, signed)


@dataclass(frozen=True, slots=True)
class MatchRepository:
    """The repository that the image was asked for from."""

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """As the class says."""
        found = named(signed)
        return found is not None and intended is not None and found.name == intended.name


@dataclass(frozen=True, slots=True)
class ExactReference:
    """One name, whatever the image was asked for by."""

    reference: Reference

    def accepts(self, intended: Reference | None, signed: str) -> bool:  # noqa: ARG002  # a protocol's
        """As the class says."""
        return named(signed) == self.reference


@dataclass(frozen=True, slots=True)
class ExactRepository:
    """Any name of one repository, whatever the image was asked for by."""

    name: str

    def accepts(self, intended: Reference | None, signed: str) -> bool:  # noqa: ARG002  # a protocol's
        """As the class says."""
        found = named(signed)
        return found is not None and found.name == self.name


@dataclass(frozen=True, slots=True)
class RemapIdentity:
    """As :class:`MatchRepoDigestOrExact`, for a copy of a repository elsewhere: ``prefix`` is read as ``signed_prefix``.

    A name outside of ``prefix`` is compared as it is.
    """

    prefix: str
    signed_prefix: str

    def accepts(self, intended: Reference | None, signed: str) -> bool:
        """As the class says."""
        if intended is None:
            return False
        if intended.name == self.prefix or intended.name.startswith(f"{self.prefix}/"):
            text = self.signed_prefix + str(intended)[len(self.prefix) :]
            intended = named(text)
            if intended is None or str(intended) != text:  # a short name, which has no place here
                return False
        return _repo_digest_or_exact(intended, signed)


DEFAULT = MatchRepoDigestOrExact()


def _has_identifier(reference: Reference) -> bool:
    return bool(reference.identifier)


def _repo_digest_or_exact(intended: Reference | None, signed: str) -> bool:
    found = named(signed)
    if found is None or intended is None or not _has_identifier(found) or not _has_identifier(intended):
        return False
    if intended.tag:
        return found == intended
    return found.name == intended.name


def read_identity(fields: Fields) -> Identity:
    """The identity in a ``signedIdentity``. Raises :class:`ConfigError` for an unknown type, and for members not its own."""
    kind = fields.text("type")
    found: Identity
    match kind:
        case "matchExact":
            found = MatchExact()
        case "matchRepoDigestOrExact":
            found = MatchRepoDigestOrExact()
        case "matchRepository":
            found = MatchRepository()
        case "exactReference":
            reference = _reference(fields, "dockerReference")
            if not reference.identifier:
                raise fields.fail("dockerReference", "has neither a tag nor a digest")
            found = ExactReference(reference)
        case "exactRepository":
            found = ExactRepository(_reference(fields, "dockerRepository").name)
        case "remapIdentity":
            found = RemapIdentity(_prefix(fields, "prefix"), _prefix(fields, "signedPrefix"))
        case _:
            raise fields.fail("type", f"{quoted(kind)!r} is not a kind of identity")
    fields.done()
    return found


def _reference(fields: Fields, name: str) -> Reference:
    found = named(fields.text(name))
    if found is None:
        raise fields.fail(name, f"{quoted(fields.text(name))!r} is not an image's name")
    return found


def _prefix(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if len(text) > _MOST or not _PREFIX.fullmatch(text):
        raise fields.fail(
            name, f"{quoted(text)!r} is neither a HOST[:PORT] nor a repository's name that starts with one"
        )
    return text
