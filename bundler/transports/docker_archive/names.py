"""Names of images in an archive, and the text after ``docker-archive:``.

>>> split("save.tar:nginx")
('save.tar', 'docker.io/library/nginx:latest')
>>> split("save.tar:@1")
('save.tar', '@1')
"""

from __future__ import annotations

import re

from bundler.errors import ConfigError, quoted
from bundler.oci.reference import parse_reference

_INDEX = re.compile(r"@\d{1,6}")


def split(rest: str) -> tuple[str, str]:
    """``(path, name)``, divided at the first colon; a name is a full reference, ``@index``, or empty."""
    path, _, name = rest.partition(":")
    if not path:
        raise ConfigError(f"docker-archive:{quoted(rest)}: names no file", hint="docker-archive:FILE[:REFERENCE]")
    if not name or _INDEX.fullmatch(name):
        return path, name
    if name.startswith("@"):
        raise ConfigError(
            f"docker-archive:{quoted(rest)}: {quoted(name)!r} is no index of an image", hint="the first image is @0"
        )
    reference = parse_reference(name, what=f"docker-archive:{quoted(path)}")
    if reference.digest:
        raise ConfigError(
            f"docker-archive:{quoted(rest)}: images in an archive have tags, not digests",
            hint="write NAME:TAG or @INDEX",
        )
    return path, str(reference)
