"""One image as a document names it: the name, which tags of it, and how it is carried.

An entry is either a name alone, as in a plain list, or a mapping as in bundle.yaml's ``images``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.oci.digest import Digest, is_digest
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.reference import check_repository, check_tag, parse_reference, split_transport
from bundler.selection.tags import TagRule, compile_regex
from bundler.selection.wishes import ATTACHMENT_KINDS, INDEX_MODES, Attachments, IndexMode, Wish
from bundler.selection.yaml_tree import Value

IMAGE_KEYS = ("image", "tags", "platforms", "attachments", "index", "as", "optional")
RULE_KEYS = ("regex", "semver", "newest", "exclude")
_EVERY_TAG = "for every tag write {regex: '.*'}"


@dataclass(frozen=True, slots=True)
class Options:
    """How an image is carried: the document's defaults, then each image's own."""

    platforms: tuple[Platform, ...] | None = None
    attachments: Attachments = "all"
    index: IndexMode = "sparse"

    def overridden(self, fields: dict[str, Value]) -> Options:
        """These, with what ``fields`` says put in their place."""
        return Options(
            _platforms(fields["platforms"]) if "platforms" in fields else self.platforms,
            _attachments(fields["attachments"]) if "attachments" in fields else self.attachments,
            _index(fields["index"]) if "index" in fields else self.index,
        )


@dataclass(frozen=True, slots=True)
class _Tags:
    """What an entry says about tags; nothing, if all three are empty."""

    tags: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()
    rule: TagRule | None = None
    pin: Digest | None = None


def read_entry(item: Value, defaults: Options) -> Wish:
    """The wish of one item of ``images``; raises :class:`ConfigError` naming file, line and path."""
    if item.kind == "text":
        return wish_of(item.text(), what=item.what, where=item.where, options=defaults)
    fields = item.fields(IMAGE_KEYS)
    if "image" not in fields:
        raise item.fail("`image` is missing")
    image = fields["image"]
    return wish_of(
        image.text(),
        what=image.what,
        where=image.where,
        tags=fields.get("tags"),
        target=_target(fields["as"]) if "as" in fields else None,
        options=defaults.overridden(fields),
        optional=fields["optional"].boolean() if "optional" in fields else False,
    )


def wish_of(
    text: str,
    *,
    what: str,
    where: str,
    options: Options,
    tags: Value | None = None,
    target: str | None = None,
    optional: bool = False,
) -> Wish:
    """The wish for an image name, with or without a transport, and what was said beside it.

    ``what`` starts errors. A name of a registry without tag and digest means ``latest``, unless ``tags`` says otherwise.
    """
    try:
        transport, name = split_transport(text)
    except ConfigError as error:
        raise error.about(what) from None
    chosen = _Tags()
    if transport == "docker":
        name, chosen = _at_registry(name, tags, what)
    elif transport == "ostree":
        raise UnsupportedError(f"{what}: {quoted(text)!r}: {transport}: was removed upstream, and is no source here")
    elif not name:
        raise ConfigError(f"{what}: {quoted(text)!r} names no image")
    elif tags is not None:
        raise tags.fail(f"only images of a registry have tags to choose from, not {transport}:")
    return Wish(
        transport,
        name,
        tags=chosen.tags,
        digests=chosen.digests,
        rule=chosen.rule,
        platforms=options.platforms,
        index=options.index,
        attachments=options.attachments,
        target=target,
        optional=optional,
        pin=chosen.pin,
        where=where,
    )


def _at_registry(name: str, tags: Value | None, what: str) -> tuple[str, _Tags]:
    reference = parse_reference(name, what=what, default_tag="")
    if tags is None:
        if reference.digest and not reference.tag:
            return reference.name, _Tags(digests=(reference.digest,))
        return reference.name, _Tags(tags=(reference.tag or "latest",), pin=reference.digest)
    if reference.identifier:
        raise tags.fail(f"{quoted(name)!r} names a tag or digest already", hint="leave one of the two out")
    if tags.kind == "mapping":
        return reference.name, _Tags(rule=_rule(tags))
    items = tags.items(hint='a list such as ["1.4", "1.5"], or a rule such as {regex: \'^1\\.\', newest: 3}')
    if not items:
        raise tags.fail("chooses no tag", hint=_EVERY_TAG)
    listed, digests = tags_and_digests(items)
    return reference.name, _Tags(tags=listed, digests=digests)


def tags_and_digests(items: list[Value]) -> tuple[tuple[str, ...], tuple[Digest, ...]]:
    """A list that holds both, told apart as skopeo does: what parses as a digest is one."""
    texts = {item.text(): item for item in items}
    tags = tuple(check_tag(text, what=item.what) for text, item in texts.items() if not is_digest(text))
    return tags, tuple(Digest(text) for text in texts if is_digest(text))


def _rule(value: Value) -> TagRule:
    fields = value.fields(RULE_KEYS)
    if not fields:
        raise value.fail("is a rule without conditions", hint=_EVERY_TAG)
    return TagRule(
        regex=regex_of(fields["regex"]) if "regex" in fields else None,
        semver=semver_of(fields["semver"]) if "semver" in fields else None,
        newest=fields["newest"].whole(least=1) if "newest" in fields else None,
        exclude=tuple(regex_of(item) for item in fields["exclude"].items()) if "exclude" in fields else (),
    )


def regex_of(value: Value) -> str:
    """A regular expression that can be used and says something."""
    text = value.text()
    if not text:
        raise value.fail("is an empty expression, which would match everything", hint="if that is meant, write '.*'")
    compile_regex(text, what=value.what)
    return text


def semver_of(value: Value) -> str:
    """A version constraint that can be used."""
    from bundler.selection.semver import parse_constraint

    text = value.text()
    parse_constraint(text, what=value.what)
    return text


def _platforms(value: Value) -> tuple[Platform, ...] | None:
    if value.kind == "text":
        text = value.text()
        if text == "all":
            return None
        raise value.fail(f"must be a list or `all`, not {quoted(text)!r}", hint=f"write [{quoted(text)}]")
    platforms = [parse_platform(item.text(), what=item.what) for item in value.items(hint="a list, or `all`")]
    if not platforms:
        raise value.fail("chooses no platform", hint="write `all`, or leave it out")
    return tuple(dict.fromkeys(platforms))


def _attachments(value: Value) -> Attachments:
    if value.kind == "text":
        return "all" if value.choice(("all", "none")) == "all" else "none"
    kinds = [item.choice(ATTACHMENT_KINDS) for item in value.items(hint="`all`, `none` or a list")]
    return tuple(kind for kind in ATTACHMENT_KINDS if kind in kinds) or "none"


def _index(value: Value) -> IndexMode:
    text = value.choice(INDEX_MODES)
    return next(mode for mode in INDEX_MODES if mode == text)


def _target(value: Value) -> str:
    text = value.text()
    if ":" in text or "@" in text:
        hint = "the tag or digest stays; the registry is given when pushing"
        raise value.fail(f"{quoted(text)!r} is more than a path", hint=hint)
    return check_repository(text, what=value.what)
