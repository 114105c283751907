"""The machine that bundler runs on, as far as images care: its platform, unless the operator says another."""

from __future__ import annotations

import platform as machine
import sys

from bundler.errors import ConfigError, quoted
from bundler.oci.platform import Platform, parse_platform


def running_platform() -> Platform:
    """The platform of this machine. Containers run Linux wherever a virtual machine stands in for it."""
    system = "windows" if sys.platform == "win32" else "linux"
    return parse_platform(f"{system}/{machine.machine().lower() or 'amd64'}")


def overridden(os: str | None, architecture: str | None, variant: str | None) -> Platform | None:
    """The platform of ``--override-os``, ``-arch`` and ``-variant``, completed by this machine's; None if none is given.

    Raises :class:`ConfigError` for a word that is no part of a platform.
    """
    if not (os or architecture or variant):
        return None
    here = running_platform()
    architecture = architecture or here.architecture
    if variant is None:
        variant = here.variant if architecture == here.architecture else ""
    parts = [os or here.os, architecture, *([variant] if variant else [])]
    if any("/" in part for part in parts):
        raise ConfigError(
            f"{quoted('/'.join(parts))!r} is not a platform", hint="write one word in each --override option"
        )
    return parse_platform("/".join(parts), what="--override-os, -arch, -variant")
