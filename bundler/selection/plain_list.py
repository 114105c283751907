"""A plain list: one image name per line, ``#`` starts a comment, blank lines are fine.

For example::

    # what the edge needs
    docker.io/library/nginx:1.27
    quay.io/coreos/etcd:v3.5.9     # pinned by the platform team
"""

from __future__ import annotations

import re

from bundler.errors import ConfigError, quoted
from bundler.selection.entry import Options, wish_of
from bundler.selection.wishes import DEFAULT_CHANNEL, Wishes, name_from

_LINE = re.compile(r"[A-Za-z0-9./][^\s]*")


def lines_of(text: str) -> list[tuple[int, str]]:
    """Line numbers from 1, and what is left of each line without its comment, if anything is."""
    lines = ((number, re.split(r"(?:^|\s)#", line)[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line]


def looks_like_list(text: str) -> bool:
    """Whether every line could be an image name, and none a key of YAML."""
    lines = lines_of(text)
    return bool(lines) and all(_LINE.fullmatch(line) and not line.endswith(":") for _, line in lines)


def read_plain_list(text: str, filename: str) -> Wishes:
    """The wishes of a list; raises :class:`ConfigError` naming file and line."""
    wishes = []
    for number, line in lines_of(text):
        where = f"{filename}:{number}"
        if len(line.split()) > 1:
            raise ConfigError(f"{where}: {quoted(line)!r}: one image name per line", hint="a comment starts with #")
        wishes.append(wish_of(line, what=where, where=where, options=Options()))
    if not wishes:
        raise ConfigError(f"{filename}: holds no image")
    return Wishes(name_from(filename), DEFAULT_CHANNEL, tuple(wishes), {})
