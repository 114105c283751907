r"""Tag rules: which of a repository's tags are meant.

A tag is taken if it meets every condition that the rule has: a regular expression (RE2, so linear in time; it may match
anywhere, as in skopeo, unless anchored), a semantic version constraint (see :mod:`bundler.selection.semver`), none of the
excluding expressions; of those the ``newest`` N by version order. A rule that cannot be evaluated fails; so does one that
takes nothing, unless that was allowed.

A suffix that the expression insists on is a flavour, not a pre-release: with ``regex: '^2\.4\.[0-9]+-alpine$'`` the tag
``2.4.58-alpine`` counts as version 2.4.58 for the constraint, because the expression would not match without the suffix.
Such a tag is a version for ``newest`` too, even if its suffix could not be part of one (``4.16.3-x86_64``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundler.errors import ConfigError, NotFoundError, quoted

if TYPE_CHECKING:
    from semantic_version import Version

    from bundler.selection.semver import Constraint

Search = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class TagRule:
    """The conditions, all of which must hold; without any, every tag is meant.

    ``regex`` and ``exclude`` are RE2 expressions, ``semver`` a constraint, ``newest`` a count from 1 up.
    """

    regex: str | None = None
    semver: str | None = None
    newest: int | None = None
    exclude: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = {"regex": self.regex, "semver": self.semver, "newest": self.newest, "exclude": ", ".join(self.exclude)}
        return "{" + ", ".join(f"{name}: {value}" for name, value in said.items() if value) + "}"

    def document(self) -> dict[str, Any]:
        """The rule as JSON values, only what is set."""
        value: dict[str, Any] = {"regex": self.regex, "semver": self.semver, "newest": self.newest}
        value["exclude"] = list(self.exclude) or None
        return {name: item for name, item in value.items() if item is not None}


def compile_regex(pattern: str, *, what: str) -> Search:
    """A test for whether RE2 finds ``pattern`` in a text, or :class:`ConfigError` with RE2's reason."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as problem:
        reason = problem.args[0] if problem.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ConfigError(
            f"{what}: '{quoted(pattern)}' is not a regular expression: {quoted(reason)}",
            hint="RE2's syntax, which has no look-around and no back-references",
        ) from None
    return lambda text: compiled.search(text) is not None


def choose(rule: TagRule, tags: Iterable[str], *, what: str, optional: bool = False) -> list[str]:
    """Those of ``tags`` that ``rule`` means, each once, in their given order; with ``newest`` the highest version first.

    Raises :class:`NotFoundError` if there is none and that is not ``optional``; :class:`ConfigError` if the rule cannot be
    evaluated, which includes ``newest`` among tags that are no versions.
    """
    listed = list(dict.fromkeys(tags))
    compiled = _Compiled(rule, what)
    chosen = [tag for tag in listed if compiled.takes(tag)]
    if rule.newest is not None:
        chosen = _newest(chosen, rule.newest, compiled.version, what)
    if not chosen and not optional:
        near = ", ".join(quoted(tag, 40) for tag in listed[-3:])
        raise NotFoundError(
            f"{what}: none of {len(listed)} tags is meant by {quoted(str(rule))}"
            + (f" (there are {near})" if near else ""),
            hint="change the rule, or say `optional: true` if nothing is fine too",
        )
    return chosen


class _Compiled:
    """A rule ready to be asked."""

    def __init__(self, rule: TagRule, what: str) -> None:
        self.regex = None if rule.regex is None else compile_regex(rule.regex, what=f"{what}: regex")
        self.excluding = [compile_regex(pattern, what=f"{what}: exclude") for pattern in rule.exclude]
        self.constraint: Constraint | None = None
        if rule.semver is not None:
            from bundler.selection.semver import parse_constraint

            self.constraint = parse_constraint(rule.semver, what=f"{what}: semver")

    def takes(self, tag: str) -> bool:
        if self.regex is not None and not self.regex(tag):
            return False
        if any(found(tag) for found in self.excluding):
            return False
        return self.constraint is None or self._satisfies(tag, self.constraint)

    def _satisfies(self, tag: str, constraint: Constraint) -> bool:
        flavoured = None if constraint.wants_prereleases else self._core(tag)
        version = flavoured or self.version(tag)
        return version is not None and constraint.check(version)

    def version(self, tag: str) -> Version | None:
        """What version order makes of ``tag``."""
        from bundler.selection.semver import parse_version

        return parse_version(tag) or self._core(tag)

    def _core(self, tag: str) -> Version | None:
        """The version before a suffix that is a flavour."""
        from bundler.selection.semver import parse_version

        core, dash, _ = tag.partition("-")
        if self.regex is None or not dash or self.regex(core):
            return None
        return parse_version(core)


def _newest(tags: list[str], count: int, version_of: Callable[[str], Version | None], what: str) -> list[str]:
    versions: list[tuple[Version, str]] = []
    strangers = []
    for tag in tags:
        version = version_of(tag)
        if version is None:
            strangers.append(tag)
        else:
            versions.append((version, tag))
    if strangers:
        some = ", ".join(repr(quoted(tag, 40)) for tag in strangers[:3])
        raise ConfigError(
            f"{what}: newest: {len(strangers)} of {len(tags)} tags are no versions, such as {some}",
            hint="leave them out with a regex, a semver constraint or exclude",
        )
    # One version may have several tags (1.2, 1.2.0): the text decides then, so that the result is the same every time.
    versions.sort(key=lambda pair: (pair[0].precedence_key, pair[1]), reverse=True)
    return [tag for _, tag in versions[:count]]
