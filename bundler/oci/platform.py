"""Platforms: ``os/architecture[/variant]``, normalised as containerd does, so that equal machines compare equal.

Follows image-spec 1.1, image-index.md, "platform". ``linux/aarch64`` and ``linux/arm64/v8`` are ``linux/arm64``;
``linux/arm`` is ``linux/arm/v7``; ``linux/x86_64`` is ``linux/amd64``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bundler.errors import ConfigError, quoted
from bundler.oci.strict_json import Fields, spellings

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_PART = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_TEXT = 255
_MEMBERS = spellings("os", "architecture", "variant", "os.version", "os.features", "features")


@dataclass(frozen=True, slots=True)
class Platform:
    """Where an image runs. ``os_version`` and ``os_features`` matter for Windows only."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def offers(self, wanted: Platform) -> bool:
        """Whether an image for this platform is what someone who wants ``wanted`` asked for.

        A wish without an OS version takes any version; a wish with one takes that version only.
        """
        return (self.os, self.architecture, self.variant) == (wanted.os, wanted.architecture, wanted.variant) and (
            not wanted.os_version or self.os_version == wanted.os_version
        )


def normalised(os: str, architecture: str, variant: str = "", **more: Any) -> Platform:
    """A platform with the usual aliases resolved."""
    architecture = architecture.lower()
    if architecture == "armel":
        architecture, variant = "arm", variant or "v6"
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if architecture == "arm64" and variant in ("v8", "8"):
        variant = ""
    elif architecture == "arm":
        variant = f"v{variant}" if variant.isdigit() else variant or "v7"
    elif architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(os.lower(), architecture, variant, **more)


def parse_platform(text: str, *, what: str = "platform") -> Platform:
    """``os/architecture[/variant]`` as an operator writes it."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(_PART.fullmatch(part) for part in parts):
        raise ConfigError(
            f"{what}: {quoted(text)!r} is not os/architecture[/variant]",
            hint="write it like linux/amd64 or linux/arm/v7",
        )
    return normalised(*parts)


def platform_of(fields: Fields) -> Platform:
    """The ``platform`` object of a descriptor: it may be empty, but what is there is as an operator may write it.

    It is a stranger's text that ends in locks, statements and on terminals.
    """
    fields.spelled(_MEMBERS)
    features = fields.texts("os.features") if "os.features" in fields else ()
    for feature in features:
        _check_text(fields, "os.features", feature)
    version = fields.text("os.version") if "os.version" in fields else ""
    _check_text(fields, "os.version", version)
    return normalised(
        _part(fields, "os"),
        _part(fields, "architecture"),
        _part(fields, "variant") if "variant" in fields else "",
        os_version=version,
        os_features=features,
    )


def _part(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if text and not _PART.fullmatch(text):
        raise fields.fail(name, f"must be at most 64 letters, digits and . _ -, not {quoted(text, 80)!r}")
    return text


def _check_text(fields: Fields, name: str, text: str) -> None:
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise fields.fail(name, f"must be at most {_MAX_TEXT} printable characters, not {quoted(text, 80)!r}")
