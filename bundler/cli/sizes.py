"""Sizes as people write and read them, in powers of 1024 with an ``i``, of 1000 without."""

from __future__ import annotations

import re

from bundler.errors import ConfigError, quoted

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
_UNITS["TI"] = 1 << 40
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGT]?I?)B?", re.IGNORECASE)


def parse_size(text: str, *, what: str) -> int:
    """``4GiB``, ``650MB``, ``40Mi`` or a number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise ConfigError(f"{what}: {quoted(text)!r} is not a size", hint="write it like 4GiB, 650MB or 40MiB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def human(size: int) -> str:
    """A size in bytes with three or four digits and a unit."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 999.95:  # rounded, that is the last with three digits before the point
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
