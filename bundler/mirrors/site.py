"""How the far registry is reached, and what a format makes of the moves: files by their paths, and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Site:
    """``insecure`` allows certificates that don't verify and plain HTTP; ``ca`` is an authority's certificate in PEM."""

    insecure: bool = False
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """The texts of files by their relative paths, and what the format can't say."""

    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def urls(far: str, site: Site, path: str = "") -> tuple[str, ...]:
    """Where the far registry may be, for formats that want URLs: without TLS as well, where that is allowed."""
    return tuple(f"{scheme}://{far}{path}" for scheme in (("https", "http") if site.insecure else ("https",)))


def toml_text(text: str) -> str:
    """A basic string of TOML: JSON's are that too, but for two characters that hosts and paths never hold."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def toml_texts(texts: tuple[str, ...]) -> str:
    """An array of them."""
    return f"[{', '.join(map(toml_text, texts))}]"
