"""The file of rights: who may do what in which repositories. The schema is ``schemas/registry-rights/``.

    apiVersion: bundler/v1
    kind: RegistryRights
    rights:
      - {users: [ann, bob], repositories: ["team/**"], may: [pull, push, delete]}
      - {users: ["*"], repositories: ["**"], may: [pull]}              # everybody with a password
      - {anonymous: true, repositories: ["public/**"], may: [pull]}    # everybody at all

Rules only grant, and each right stands for itself: who may push may not pull unless a rule says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from bundler.errors import ConfigError, LimitError, UnsupportedError, quoted
from bundler.registry.access.files import LiveFile
from bundler.registry.access.htpasswd import user_problem
from bundler.registry.access.patterns import EVERY, Matches, compile_patterns, is_pattern
from bundler.selection.yaml_load import load_yaml
from bundler.selection.yaml_tree import Value, suggestion

WHAT = "file of rights"
API_VERSION = "bundler/v1"
KIND = "RegistryRights"
KEYS = ("apiVersion", "kind", "rights")
RULE_KEYS = ("users", "anonymous", "repositories", "may")
MOST_RULES = 1000
EVERYBODY = "*"


class Right(Enum):
    """What can be allowed. ADMIN is of the registry as a whole."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Rule:
    """One grant. ``users`` is None for everybody with a password; ``named`` says where in the file each user stands."""

    users: frozenset[str] | None
    anonymous: bool
    may: frozenset[Right]
    matches: Matches
    named: tuple[tuple[str, str], ...] = ()

    def grants(self, user: str | None, right: Right, repository: str) -> bool:
        """Whether this rule allows it; a visitor without a password is None."""
        if right not in self.may:
            return False
        if not self.anonymous and (user is None or (self.users is not None and user not in self.users)):
            return False
        return right is Right.ADMIN or self.matches(repository)


_SITE = Rule(None, False, frozenset({Right.PULL, Right.PUSH, Right.DELETE}), lambda _: True)  # noqa: FBT003


class Rights:
    """Rules, read again when their file changes. Threads may share one."""

    def __init__(self, current: Callable[[], Sequence[Rule]], name: str = "") -> None:
        self._current = current
        self.name = name

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Rights:
        """Read and check a file; :class:`ConfigError` and its like naming the line otherwise."""
        file = LiveFile(path, parse_rights, what=WHAT)
        return cls(file.current, file.name)

    @classmethod
    def of_a_site(cls) -> Rights:
        """What holds without a file: everybody with a password may pull, push and delete, and nobody is admin."""
        return cls(lambda: (_SITE,))

    def may(self, user: str | None, right: Right, repository: str) -> bool:
        """Whether a user, or a visitor without a password (None), has the right. ADMIN is asked with repository ""."""
        return any(rule.grants(user, right, repository) for rule in self._current())

    def check_users(self, known: Collection[str], *, of: str) -> None:
        """Raise :class:`ConfigError` for a user who isn't among those that have a password in the file ``of``."""
        for rule in self._current():
            for user, where in rule.named:
                if user not in known:
                    raise ConfigError(
                        f"{where}: user {quoted(user)!r} has no password in {of}",
                        hint=f"{suggestion(user, sorted(known)[:20])}; or give one with `bundler registry passwd`",
                    )


def parse_rights(raw: bytes, name: str) -> tuple[Rule, ...]:
    """The rules of a document; every error names file, line and path."""
    top = load_yaml(raw, name)
    fields = top.fields(KEYS)
    for key in KEYS:
        if key not in fields:
            raise top.fail(f"`{key}` is missing", hint=f"it starts with `apiVersion: {API_VERSION}`, `kind: {KIND}`")
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        value = fields[key]
        if value.text() != wanted:
            raise UnsupportedError(
                f"{value.what}: {quoted(value.text())!r} is not supported", hint=f"write `{key}: {wanted}`"
            )
    rules = _items(fields["rights"])
    if len(rules) > MOST_RULES:
        raise LimitError(f"{fields['rights'].what}: {len(rules)} rules, more than the {MOST_RULES} allowed")
    return tuple(map(_rule, rules))


def _items(value: Value) -> list[Value]:
    items = value.items()
    if not items:
        raise value.fail("is empty")
    return items


def _rule(value: Value) -> Rule:
    fields = value.fields(RULE_KEYS)
    for key in ("repositories", "may"):
        if key not in fields:
            raise value.fail(f"`{key}` is missing")
    if ("users" in fields) == ("anonymous" in fields):
        raise value.fail("needs either `users` or `anonymous: true`")
    anonymous = "anonymous" in fields
    if anonymous and not fields["anonymous"].boolean():
        raise fields["anonymous"].fail("can only be true", hint="name `users` instead")
    named = () if anonymous else tuple(_user(each) for each in _items(fields["users"]))
    patterns = [_pattern(each) for each in _items(fields["repositories"])]
    may = _may(fields["may"])
    if Right.ADMIN in may and (anonymous or EVERY not in patterns):
        raise fields["may"].fail(
            "admin is a right over the whole registry",
            hint='give it to users, in a rule with `repositories: ["**"]`',
        )
    users = {user for user, _ in named}
    try:
        matches = compile_patterns(patterns)
    except ConfigError as problem:
        raise fields["repositories"].fail(str(problem), hint=problem.hint) from None
    return Rule(
        None if anonymous or EVERYBODY in users else frozenset(users),
        anonymous,
        may,
        matches,
        tuple(each for each in named if each[0] != EVERYBODY),
    )


def _user(value: Value) -> tuple[str, str]:
    user = value.text()
    if user != EVERYBODY and (problem := user_problem(user)):
        raise value.fail(problem)
    return user, value.what


def _pattern(value: Value) -> str:
    text = value.text()
    if not is_pattern(text):
        raise value.fail(
            f"{quoted(text)!r} is not a pattern of repositories",
            hint="lower-case components between slashes; * within a component, ** alone for any number of them",
        )
    return text


def _may(value: Value) -> frozenset[Right]:
    rights: set[Right] = set()
    for each in _items(value):
        right = Right(each.choice([right.value for right in Right]))
        if right in rights:
            raise each.fail(f"{right.value} was given before")
        rights.add(right)
    return frozenset(rights)
