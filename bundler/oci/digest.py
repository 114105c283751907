"""Digests: parsed before any path or URL is built from them (image-spec, descriptor.md, "Digests").

Only the registered algorithms sha256 and sha512 are taken, with lower-case hexadecimal of exactly the right length, so a
:data:`Digest` can be used as a file name and as a path segment without a further look.

>>> digest_of(b"")
'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NewType

from bundler.errors import ProtocolError, quoted

if TYPE_CHECKING:
    from hashlib import _Hash

Digest = NewType("Digest", str)

HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


def parse_digest(text: object, *, what: str = "digest") -> Digest:
    """``text`` as a digest, or :class:`ProtocolError` naming ``what``."""
    if not isinstance(text, str):
        raise ProtocolError(f"{what}: a digest must be text, not {type(text).__name__}")
    algorithm, colon, value = text.partition(":")
    length = HEX_LENGTHS.get(algorithm)
    if not colon or length is None:
        raise ProtocolError(f"{what}: {quoted(text)!r} is not a sha256 or sha512 digest")
    if len(value) != length or not _HEX.issuperset(value):
        raise ProtocolError(f"{what}: {quoted(text)!r} needs {length} lower-case hexadecimal characters")
    return Digest(text)


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest that :func:`parse_digest` takes."""
    algorithm, _, value = text.partition(":")
    return len(value) == HEX_LENGTHS.get(algorithm, -1) and _HEX.issuperset(value)


def algorithm_of(digest: Digest) -> str:
    """``sha256`` or ``sha512``."""
    return digest.partition(":")[0]


def hex_of(digest: Digest) -> str:
    """The hexadecimal part."""
    return digest.partition(":")[2]


def hasher(algorithm: str) -> _Hash:
    """A fresh hash object for a registered algorithm."""
    return hashlib.new(algorithm, usedforsecurity=True)


def digest_of(content: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
    """The digest of bytes in memory."""
    state = hasher(algorithm)
    state.update(content)
    return Digest(f"{algorithm}:{state.hexdigest()}")
