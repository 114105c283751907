"""The tags of a repository or archive, and the deletion of an image."""

from __future__ import annotations

from typing import Any

from bundler.content import Tagged
from bundler.errors import ConfigError, UnsupportedError, quoted
from bundler.journey.ends import Ends, split_of
from bundler.journey.inspecting import as_kept
from bundler.journey.landing import open_target
from bundler.medium import Deleter
from bundler.oci.digest import is_digest
from bundler.oci.reference import Reference, parse_reference, split_transport

LISTABLE = ("docker", "docker-archive", "oci", "oci-archive", "bundle")
_NAMED = ("docker-archive", "docker-daemon", "containers-storage")


def repository_of(image: str) -> tuple[str, Reference | None]:
    """The repository that an image's name tells, empty if none, and the reference if it is at a registry.

    An archive for Docker, a daemon and a storage know images by the names that registries give them, or by number and ID.
    """
    transport, rest = split_transport(image)
    if transport == "docker":
        reference = parse_reference(rest)
        return reference.name, reference
    if transport not in _NAMED:
        return "", None
    _, name = split_of(transport)(rest)
    if not name or name.startswith("@") or is_digest(name):
        return "", None
    return parse_reference(name.partition("@")[0]).name, None


def list_tags(name: str, ends: Ends) -> dict[str, Any]:
    """Skopeo's document: the repository, where there is one, and its tags.

    Raises :class:`ConfigError` for a name with a tag, and :class:`UnsupportedError` where nothing has tags.
    """
    transport, rest = split_transport(name)
    if transport not in LISTABLE:
        raise UnsupportedError(
            f"{transport}: has no tags to list", hint=f"these have: {', '.join(each + ':' for each in LISTABLE)}"
        )
    if transport == "docker":
        reference = parse_reference(rest, default_tag="")
        if reference.identifier:
            raise ConfigError(f"{quoted(name)}: names an image, and tags are a repository's", hint="leave the tag out")
        return {"Repository": reference.name, "Tags": list(ends.repository(reference).tags())}
    source, _ = ends.source(name)
    if transport == "docker-archive":
        from bundler.transports.docker_archive import Archive

        assert isinstance(source, Archive)
        return {"Tags": source.listing()}
    assert isinstance(source, Tagged)
    return {"Tags": list(source.tags())}


def delete(name: str, ends: Ends) -> str:
    """Delete an image, and with it every name that stands for it; the digest that was deleted.

    Raises :class:`UnsupportedError` where a medium can't, a registry that has deletion switched off included.
    """
    transport, rest = split_transport(name)
    if transport == "docker":
        repository = ends.repository(parse_reference(rest))
        root = repository.peek(parse_reference(rest).identifier)
        repository.delete(root.digest)
        return root.digest
    source, called = ends.source(name)
    root = as_kept(source, called).resolve(called)
    if transport == "oci":
        with open_target(transport, split_of(transport)(rest)[0], ends) as target:
            assert isinstance(target, Deleter)
            target.delete(root)
        return root.digest
    if transport == "dir":
        from bundler.transports.dir import remove

        remove(rest)
        return root.digest
    if not isinstance(source, Deleter):
        raise UnsupportedError(
            f"{transport}: images can't be deleted there", hint="remove the file or directory itself"
        )
    source.delete(root)
    return root.digest
