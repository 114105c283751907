"""Names of images by pattern: ``*`` within one component, ``**`` any number of components, all else as it is written.

    docker.io/library/nginx        every tag and digest of it
    docker.io/library/nginx:1.*    tags that begin so
    ghcr.io/acme/**                all of ghcr.io/acme and below
    **                             every image

A registry's host has no case and 443 is its usual port, so ``GHCR.io:443/acme/app`` is a name of ``ghcr.io/acme/app``, and
no way past a rule about it. RE2 does the matching, so its time grows with the name's length and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bundler.errors import ConfigError

LENGTH = 512
_HOST = re.compile(r"[A-Za-z0-9.*-]+(?::[0-9*]+)?|\[[0-9A-Fa-f:]+\](?::[0-9*]+)?")


@dataclass(frozen=True, slots=True)
class Patterns:
    """One or more patterns; ``matches`` is true where one of them fits."""

    texts: tuple[str, ...]
    _compiled: Any = field(compare=False, repr=False)

    def matches(self, name: str) -> bool:
        """Whether a name, the name without its digest, or without digest and tag, is one of the pattern."""
        return any(self._compiled.fullmatch(f"/{each}") is not None for each in _forms(_plain(name)))


def problem_of(text: str) -> str:
    """What is wrong with a pattern; empty if nothing is."""
    if not 0 < len(text) <= LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        return f"must be 1 to {LENGTH} printable ASCII characters without spaces"
    parts = text.split("/")
    if "" in parts:
        return "has an empty component"
    if any("**" in part and part != "**" for part in parts):
        return "** stands alone between slashes"
    return ""


def compiled(texts: Sequence[str]) -> Patterns:
    """Patterns in which :func:`problem_of` saw nothing. Raises :class:`ConfigError` if they are too large together."""
    import re2

    options: Any = re2.Options()
    options.log_errors = False
    try:
        expression = re2.compile("|".join(_expression(_plain(text)) for text in texts), options)
    except re2.error:
        raise ConfigError("too many patterns in one rule", hint="divide them among several rules") from None
    return Patterns(tuple(texts), expression)


def _plain(name: str) -> str:
    """A name, or a pattern, with its registry in the usual spelling."""
    host, slash, rest = name.partition("/")
    return f"{host.lower().removesuffix(':443')}/{rest}" if slash and _HOST.fullmatch(host) else name


def _forms(name: str) -> list[str]:
    undigested = name.partition("@")[0]
    head, colon, tag = undigested.rpartition(":")
    untagged = head if colon and "/" not in tag else undigested
    return list(dict.fromkeys((name, undigested, untagged)))


def _expression(pattern: str) -> str:
    # Every component starts with its slash, so that ** may be none of them.
    return "".join("(?:/[^/]*)*" if part == "**" else "/" + _component(part) for part in pattern.split("/"))


def _component(part: str) -> str:
    return "[^/]+" if part == "*" else "[^/]*".join(re.escape(literal) for literal in part.split("*"))
