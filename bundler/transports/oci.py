"""``oci:path[:name]``: an OCI layout made by any tool, as a source of images.

The text is split where skopeo splits it: at the first colon, so that a name may hold colons and a path may not. Beyond
that an image can be asked for by digest, which needs no name.

>>> split("build/app:docker.io/library/nginx:1.27")
('build/app', 'docker.io/library/nginx:1.27')
>>> split("build/app")
('build/app', '')
"""

from __future__ import annotations

from bundler.errors import ConfigError, quoted
from bundler.oci.digest import is_digest
from bundler.store.layout import Layout

__all__ = ["Layout", "open_layout", "split"]


def split(rest: str) -> tuple[str, str]:
    """``(path, name)`` of what follows ``oci:``. ``path@digest`` gives the digest as the name; without one it is empty."""
    before, at, digest = rest.rpartition("@")
    if at and is_digest(digest) and ":" not in before:
        path, name = before, digest
    else:
        path, _, name = rest.partition(":")
    if not path:
        raise ConfigError(f"oci:{quoted(rest)}: names no directory", hint="write oci:DIRECTORY[:NAME]")
    return path, name


def open_layout(rest: str) -> tuple[Layout, str]:
    """The layout and the name in it of what follows ``oci:``; give the name to :meth:`Layout.resolve`.

    Raises :class:`ConfigError` or its :class:`bundler.errors.NotFoundError` where the text or the directory is wrong, and
    :class:`bundler.errors.StoreError` for a directory that is no layout.
    """
    path, name = split(rest)
    return Layout.open(path), name
