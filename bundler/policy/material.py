"""Keys and certificates that a requirement names: files by path, or their content as base64, and the keyring that reads them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bundler.errors import quoted
from bundler.oci.strict_json import Fields

MAX_FILES = 1000


class Keyring(Protocol):
    """What judging needs of the world."""

    def read(self, path: str) -> bytes:
        """The content of a key file. Raises :class:`ConfigError` if it can't be read."""
        ...

    def opened(self, message: bytes, keys: Sequence[bytes]) -> bytes:
        """What a GPG message says, if its one signature is good and made by one of ``keys``, else :class:`SignatureError`."""
        ...

    def now(self) -> datetime:
        """When certificates must be valid whose use no log has dated."""
        ...


@dataclass(frozen=True, slots=True)
class Material:
    """Keys or certificates: files by their ``paths``, or the content itself."""

    paths: tuple[str, ...] = ()
    contents: tuple[bytes, ...] = field(default=(), repr=False)

    def read(self, keyring: Keyring) -> list[tuple[str, bytes]]:
        """Each of them with the name that errors give it."""
        found = [(quoted(path, 200), keyring.read(path)) for path in self.paths]
        return found + [(f"number {n} in the policy", raw) for n, raw in enumerate(self.contents, 1)]


def one_of(fields: Fields, *names: str) -> Material | None:
    """The one of these members that is there; each kind of them is known by how its name ends."""
    given = [name for name in names if name in fields]
    if len(given) > 1:
        raise fields.fail(" and ".join(given), "exclude each other")
    if not given:
        return None
    (name,) = given
    if name.endswith("Path"):
        return Material(paths=(filled(fields, name),))
    if name.endswith("Paths"):
        return Material(paths=_bounded(fields, name, fields.texts(name)))
    if name.endswith("Data"):
        return Material(contents=(_decoded(fields, name, fields.text(name)),))
    return Material(contents=tuple(_decoded(fields, name, text) for text in _bounded(fields, name, fields.texts(name))))


def filled(fields: Fields, name: str) -> str:
    """A text that says something."""
    text = fields.text(name)
    if not text:
        raise fields.fail(name, "is empty")
    if "\0" in text:
        raise fields.fail(name, f"{quoted(text)!r} holds a null byte")
    return text


def _bounded(fields: Fields, name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) > MAX_FILES:
        raise fields.fail(name, f"holds more than the {MAX_FILES} keys allowed")
    if not texts:
        raise fields.fail(name, "is an empty list, by which nothing could ever be accepted")
    if any(not text or "\0" in text for text in texts):
        raise fields.fail(name, "holds an empty text, or one with a null byte")
    return texts


def _decoded(fields: Fields, name: str, text: str) -> bytes:
    try:
        found = base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise fields.fail(name, "is not base64") from None
    if not found:
        raise fields.fail(name, "is empty")
    return found
