"""What a sync is about: every image that a source names, and what it will be called.

--src     SOURCE names …
docker    a repository (all its tags) or one image
yaml      a file of skopeo's sync YAML, or any other list that bundler reads
dir       a directory below which each dir: image is one
oci       an OCI layout, with its named images
bundle    a bundle's directory, with its images
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.content import Source, Tagged
from bundler.errors import BundlerError, ConfigError, NotFoundError, disk_error, quoted
from bundler.journey.access import Access
from bundler.journey.ends import Ends, check_one_origin
from bundler.journey.files import read_file
from bundler.oci.digest import Digest, is_digest
from bundler.oci.reference import Reference, check_repository, check_tag, parse_reference
from bundler.selection import read_wishes
from bundler.selection.expand import expand
from bundler.selection.wishes import Wish, Wishes

SourceKind = Literal["docker", "yaml", "dir", "oci", "bundle"]
SOURCE_KINDS: tuple[SourceKind, ...] = ("docker", "yaml", "dir", "oci", "bundle")
MOST_DIRECTORIES = 100_000


@dataclass(frozen=True, slots=True)
class Item:
    """One image: ``image`` is its name with the transport, ``name`` what ``source`` calls it.

    ``host`` and ``path`` make up its name without a tag; ``tag`` is None where it is known by its ``digest``.
    ``reference`` is its name at a registry, if it is at one.
    """

    image: str
    source: Source
    name: str
    host: str
    path: str
    tag: str | None
    digest: Digest | None = None
    reference: Reference | None = None

    def landing(self, *, scoped: bool, suffix: str, colons: bool) -> tuple[str, str | None]:
        """``(path, tag)`` below the destination. ``colons`` says whether a path may hold a port's.

        Raises :class:`ConfigError` for a name that no registry would take, as it becomes a path at the destination, and for
        a suffix where there is no tag to put it to.
        """
        what = quoted(self.image)
        check_repository(self.path, what=what)
        if self.host:
            parse_reference(f"{self.host}/x/y", what=what)
        if self.tag is not None:
            check_tag(f"{self.tag}{suffix}", what=what)
        path = self.path.rpartition("/")[2]
        if scoped:
            path = "/".join(part for part in (self.host if colons else self.host.replace(":", "-"), self.path) if part)
        if suffix and self.tag is None:
            raise ConfigError(f"{quoted(self.image)}: --append-suffix needs a tag, and this image has none")
        return path, None if self.tag is None else f"{self.tag}{suffix}"


def items_of(kind: SourceKind, source: str, ends: Ends, wishes: Wishes | None, executor: Executor) -> list[Item]:
    """Every image that the source names, each once. ``wishes`` is what a list says, for ``kind`` yaml.

    Raises :class:`NotFoundError` where it names none, and what reading raises.
    """
    if wishes is not None:
        found = _listed(wishes, ends, executor)
    elif kind == "docker":
        found = _repository(source.removeprefix("docker://"), ends)
    elif kind == "dir":
        found = list(_directories(Path(source.removeprefix("dir:")), ends))
    else:
        found = list(_named(kind, source.removeprefix(f"{kind}:"), ends))
    unique = {item.image: item for item in found}
    if not unique:
        raise NotFoundError(f"{quoted(source)}: names no image", hint="check the path, and what is there")
    return list(unique.values())


def _repository(text: str, ends: Ends) -> list[Item]:
    reference = parse_reference(text, what="source", default_tag="")
    source = ends.reading(reference)
    if reference.identifier:
        return [_of_reference(reference, source)]
    assert isinstance(source, Tagged)
    return [_of_reference(reference.at(tag=tag), source) for tag in source.tags()]


def _listed(wishes: Wishes, ends: Ends, executor: Executor) -> list[Item]:
    def items(wish: Wish) -> list[Item]:
        try:
            source, name = ends.source_of(wish)
            if wish.transport != "docker":
                return [_of_name(str(wish), source, name, expand(wish)[0].target)]
            tags = source.tags() if wish.rule is not None and isinstance(source, Tagged) else None
            references = [named.reference for named in expand(wish, tags)]
            return [_of_reference(each, ends.reading(each)) for each in references if each is not None]
        except BundlerError as problem:
            raise problem.about(f"{wish.where}: {quoted(str(wish))}") from problem

    return [item for found in executor.map(items, wishes.wishes) for item in found]


def _of_reference(reference: Reference, source: Source) -> Item:
    return Item(
        f"docker://{reference}",
        source,
        reference.identifier,
        reference.registry,
        reference.repository,
        reference.tag or None,
        reference.digest,
        reference,
    )


def _of_name(image: str, source: Source, name: str, called: str) -> Item:
    """An image that is called ``called``: ``[host/]path[:tag|@digest]``; a bare word is the last part of a path."""
    path, _, digest = called.partition("@")
    head, slash, tail = path.partition("/")
    host = head if slash and ("." in head or ":" in head or head == "localhost") else ""
    path, _, tag = (tail if host else path).partition(":")
    if is_digest(digest):
        return Item(image, source, name, host, path, None, Digest(digest))
    return Item(image, source, name, host, path, tag or "latest")


def _directories(base: Path, ends: Ends) -> Iterator[Item]:
    """Every directory below ``base`` that is a ``dir:`` image, in order; links are not followed."""
    seen = 0
    try:
        if not base.is_dir():
            raise NotFoundError(f"{quoted(str(base))}: no such directory")
        for folder, below, files in os.walk(base, followlinks=False):
            below.sort()
            seen += 1
            if seen > MOST_DIRECTORIES:
                raise ConfigError(f"{quoted(str(base))}: more than {MOST_DIRECTORIES} directories")
            if "manifest.json" not in files:
                continue
            below.clear()
            place = Path(folder)
            source, name = ends.source(f"dir:{place}")
            called = place.relative_to(base).as_posix() if place != base else place.absolute().name
            yield _of_name(f"dir:{place}", source, name, called)
    except OSError as problem:
        raise disk_error(problem, f"read {base}") from problem


def _named(kind: str, place: str, ends: Ends) -> Iterable[Item]:
    source, name = ends.source(f"{kind}:{place}")
    if name:
        raise ConfigError(f"{kind}:{quoted(place)}: give the {kind} alone, without an image's name")
    assert isinstance(source, Tagged)
    for each in source.tags():
        yield _of_name(f"{kind}:{place}:{each}", source, each, each)


def read_list(path: Path, access: Access) -> Wishes:
    """The list of ``--src yaml``: skopeo's sync YAML, bundle.yaml, or a plain list."""
    wishes = read_wishes(read_file(path, what="list of images"), str(path))
    hosts = {parse_reference(wish.name).registry for wish in wishes.wishes if wish.transport == "docker"}
    check_one_origin(access, hosts)
    return wishes
