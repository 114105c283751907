"""Repositories by pattern: ``*`` within one component, ``**`` any number of components, all else as it is written.

    team/**        team, team/app, team/app/tools
    library/*      library/nginx, but not library/nginx/old
    **/cache       cache, team/cache, team/app/cache
    team/app-*     team/app-1, and team/app- alone

``**`` stands alone between slashes. RE2 does the matching, so its time grows with the name's length and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from bundler.errors import ConfigError

PATTERN_LENGTH = 255
EVERY = "**"

_COMPONENT = re.compile(r"\*\*|\*?[a-z0-9._-]+(?:\*[a-z0-9._-]+)*\*?|\*")

Matches = Callable[[str], bool]


def is_pattern(text: str) -> bool:
    """Whether ``text`` could match a repository at all: its letters are a repository's, and no component is empty."""
    return len(text) <= PATTERN_LENGTH and all(_COMPONENT.fullmatch(part) for part in text.split("/"))


def compile_patterns(patterns: Iterable[str]) -> Matches:
    """A test for whether any of the patterns matches a whole repository path. Raises :class:`ConfigError` if too large."""
    import re2

    options: Any = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile("|".join(map(_expression, patterns)), options)
    except re2.error:
        raise ConfigError("too many patterns in one rule", hint="divide them among several rules") from None
    # Every component starts with its slash, so that ** may be none of them.
    return lambda repository: repository.isascii() and compiled.fullmatch(f"/{repository}") is not None


def _expression(pattern: str) -> str:
    return "".join("(?:/[^/]+)*" if part == EVERY else "/" + _component(part) for part in pattern.split("/"))


def _component(part: str) -> str:
    return "[^/]+" if part == "*" else "[^/]*".join(re.escape(literal) for literal in part.split("*"))
