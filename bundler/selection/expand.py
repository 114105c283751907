"""From a wish to concrete names: pure, given the repository's tags where a rule needs them.

    Wish + tags ──▶ Named: what to resolve, the source as the lock writes it, the path at the far registry

The far path is the repository without its registry (``docker.io/library/nginx:1.27`` becomes ``library/nginx:1.27``), or
what ``as:`` says in its place; tag and digest stay. An image known only by its digest keeps it: ``acme/api@sha256:…``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.errors import ConfigError, ProtocolError, quoted
from bundler.oci.reference import Reference, check_repository, check_tag, parse_reference
from bundler.selection.tags import choose
from bundler.selection.wishes import Wish

_NAMED = ("docker-daemon", "containers-storage")


@dataclass(frozen=True, slots=True)
class Named:
    """One image to resolve, on behalf of a wish.

    ``source`` is ``docker://registry/repository:tag``, or ``transport:rest``. ``reference`` is set for transport docker
    and says what to ask the registry for; otherwise the transport understands ``wish.name``.
    """

    wish: Wish
    source: str
    target: str
    reference: Reference | None = None


def expand(wish: Wish, tags: Sequence[str] | None = None) -> list[Named]:
    """The images that ``wish`` means, each once. ``tags`` are all of the repository's, needed if the wish has a rule.

    Raises :class:`NotFoundError` if a rule means none of them and the wish is not optional.
    """
    if wish.transport != "docker":
        return [Named(wish, str(wish), _foreign_target(wish))]
    repository = parse_reference(wish.name, what=wish.where, default_tag="")
    references = [repository.at(tag=tag, digest=wish.pin) for tag in _tags(wish, tags)]
    references += [repository.at(digest=digest) for digest in wish.digests]
    path = wish.target or repository.repository
    return [
        Named(wish, f"docker://{reference}", target_of(path, reference), reference)
        for reference in dict.fromkeys(references)
    ]


def target_of(path: str, reference: Reference) -> str:
    """``path`` with the tag of ``reference``, or with its digest if it has no tag."""
    return f"{path}:{reference.tag}" if reference.tag else f"{path}@{reference.digest}"


def _tags(wish: Wish, tags: Sequence[str] | None) -> Sequence[str]:
    if wish.rule is None:
        return wish.tags
    what = f"{wish.where}: {wish.name}" if wish.where else wish.name
    assert tags is not None, "a rule needs the tag list"
    chosen = choose(wish.rule, tags, what=what, optional=wish.optional)
    for tag in chosen:
        try:
            check_tag(tag, what=what)
        except ConfigError as error:
            raise ProtocolError(f"{error}; the registry listed it") from None
    return chosen


def _foreign_target(wish: Wish) -> str:
    """The far path of an image from a file, a directory or a daemon: its own full name if it has one, else the file's."""
    what = f"{wish.where}: {quoted(str(wish))}" if wish.where else quoted(str(wish))
    if wish.transport in _NAMED:
        path, name = "", wish.name.rpartition("]")[2]
    elif wish.transport == "dir":
        path, name = wish.name, ""
    else:
        path, _, name = wish.name.partition(":")
    try:
        if wish.transport in _NAMED or "/" in name or ":" in name:
            reference = parse_reference(name, what=what)
            return target_of(wish.target or reference.repository, reference)
        stem = path.rstrip("/").rpartition("/")[2]
        for suffix in (".tar", ".oci", ".tgz"):
            stem = stem.removesuffix(suffix)
        repository = wish.target or check_repository(stem.lower(), what=what)
        return f"{repository}:{check_tag(name or 'latest', what=what)}"
    except ConfigError as error:
        hint = "say with `as:` what it is called at the far registry" if wish.target is None else error.hint
        raise ConfigError(str(error), hint=hint) from None
