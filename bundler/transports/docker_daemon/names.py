"""The text after ``docker-daemon:``: a name with a tag, or an image's ID.

>>> split("nginx")
('', 'docker.io/library/nginx:latest')
"""

from __future__ import annotations

from bundler.errors import ConfigError, quoted
from bundler.oci.digest import is_digest
from bundler.oci.reference import parse_reference


def split(rest: str) -> tuple[str, str]:
    """``("", name)``: which daemon is meant is said elsewhere. A name is a full reference, an ID as ``sha256:HEX``, or empty."""
    what = f"docker-daemon:{quoted(rest)}"
    if not rest:
        return "", ""
    if is_digest(rest):
        if not rest.startswith("sha256:"):
            raise ConfigError(f"{what}: the IDs of images are SHA-256 digests")
        return "", rest
    if rest.partition(":")[0] == "sha256":
        raise ConfigError(f"{what}: an image's ID has 64 hexadecimal digits", hint="see `docker images --no-trunc`")
    reference = parse_reference(rest, what="docker-daemon")
    if reference.tag and reference.digest:
        raise ConfigError(f"{what}: has a tag and a digest", hint="leave one of them out")
    return "", str(reference)
