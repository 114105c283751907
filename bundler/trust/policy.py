"""``trust.yaml``: what a site lets in. The schema is ``schemas/trust-yaml/``.

    apiVersion: bundler/v1
    kind: TrustPolicy
    channels: [stable, "lts-*"]       # of bundles; any, if left out
    expiry: error                     # or warn
    images:                           # the first rule that fits decides, and an image that none fits is refused
      - match: docker.io/library/**
        cosign: {keys: [keys/hub.pub]}
      - match: "**"
        nothing: true

Names are matched as a bundle carries them (``docker.io/library/nginx:1.27``), and where a rule has ``target`` as well,
so is the name at the far registry, after a push has rewritten it. The builder says the first, and most of the second: where
builders aren't trusted with that, write rules by target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bundler.errors import ConfigError, LimitError, UnsupportedError, quoted
from bundler.oci.digest import digest_of
from bundler.selection.yaml_load import load_yaml
from bundler.selection.yaml_tree import Value
from bundler.trust.images.pattern import Patterns, compiled, problem_of
from bundler.trust.images.requirement import Requirement
from bundler.trust.policy_rules import REQUIREMENTS, Keyfiles, read_requirement

API_VERSION = "bundler/v1"
KIND = "TrustPolicy"
KEYS = ("apiVersion", "kind", "channels", "expiry", "images")
RULE_KEYS = ("match", "target", "children", *REQUIREMENTS)
MOST_RULES = 1000
EXPIRY = ("error", "warn")
CHILDREN = ("listed", "own")

ReadFile = Callable[[str], bytes]
"""From the name of a key file, as it is written in the policy, to its bytes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What images of some names must have. With ``children`` own, each chosen child of an index needs its own signatures.

    ``where`` is the rule's file and line.
    """

    match: Patterns
    requirement: Requirement
    target: Patterns | None = None
    children: Literal["listed", "own"] = "listed"
    where: str = ""


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """A site's policy; ``channels`` is None where all are accepted, and ``digest`` is that of the file."""

    rules: tuple[Rule, ...]
    channels: Patterns | None = None
    expiry: Literal["error", "warn"] = "error"
    name: str = "trust.yaml"
    digest: str = ""

    def accepts(self, channel: str) -> bool:
        """Whether bundles of a channel are let in."""
        return self.channels is None or self.channels.matches(channel)

    def rule_for(self, name: str, target: str) -> Rule | None:
        """The first rule that fits an image's full name and its name at the far registry; None refuses it."""
        return next(
            (
                rule
                for rule in self.rules
                if rule.match.matches(name) and (rule.target is None or rule.target.matches(target))
            ),
            None,
        )


def parse_policy(raw: bytes, name: str, read_file: ReadFile) -> TrustPolicy:
    """The policy in a document. ``read_file`` is asked for each key file once.

    Raises :class:`ConfigError` naming line and path, :class:`UnsupportedError` for another version, and what
    ``read_file`` raises.
    """
    top = load_yaml(raw, name)
    fields = top.fields(KEYS)
    for key in ("apiVersion", "kind", "images"):
        if key not in fields:
            raise top.fail(f"`{key}` is missing", hint=f"it starts with `apiVersion: {API_VERSION}`, `kind: {KIND}`")
    for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND)):
        value = fields[key]
        if value.text() != wanted:
            raise UnsupportedError(
                f"{value.what}: {quoted(value.text())!r} is not supported", hint=f"write `{key}: {wanted}`"
            )
    rules = fields["images"].items()
    if not rules:
        raise fields["images"].fail(
            "is empty, so every image would be refused",
            hint='to let in all of them unsigned, say so: `- {match: "**", nothing: true}`',
        )
    if len(rules) > MOST_RULES:
        raise LimitError(f"{fields['images'].what}: {len(rules)} rules, more than the {MOST_RULES} allowed")
    files = Keyfiles(read_file)
    return TrustPolicy(
        rules=tuple(_rule(value, files) for value in rules),
        channels=_patterns(fields["channels"]) if "channels" in fields else None,
        expiry="warn" if "expiry" in fields and fields["expiry"].choice(EXPIRY) == "warn" else "error",
        name=name,
        digest=digest_of(raw),
    )


def _rule(value: Value, files: Keyfiles) -> Rule:
    fields = value.fields(RULE_KEYS)
    if "match" not in fields:
        raise value.fail("`match` is missing", hint='`match: "**"` fits every image')
    return Rule(
        match=_patterns(fields["match"]),
        requirement=read_requirement(value, fields, files),
        target=_patterns(fields["target"]) if "target" in fields else None,
        children="own" if "children" in fields and fields["children"].choice(CHILDREN) == "own" else "listed",
        where=value.where,
    )


def _patterns(value: Value) -> Patterns:
    values = value.items() if value.kind == "list" else [value]
    if not values:
        raise value.fail("is empty")
    for each in values:
        if problem := problem_of(each.text()):
            raise each.fail(f"{quoted(each.text())!r} {problem}")
    try:
        return compiled([each.text() for each in values])
    except ConfigError as problem:
        raise value.fail(str(problem), hint=problem.hint) from None
