"""One repository: its tags, and manifests that no tag stands for.

    repository_page(contents, "team/app", seen, asked="1", paths=True)     # None if there is no such repository

Tags that attach something to an image (cosign's, and the list of referrers) stand apart: an image has three of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest
from bundler.registry.contents import Found
from bundler.registry.pages.address import Seen, manifest_path, subject_of
from bundler.registry.pages.commands import Commands, pull_commands
from bundler.registry.pages.overview import Place, place_of
from bundler.registry.pages.paging import Page, page_of
from bundler.registry.pages.reading import Reading, Shown, annotations_of, is_artifact
from bundler.registry.pages.text import size_text, time_text

LENGTH = 50
"""Tags on one page."""
MOST_UNTAGGED = 100
MOST_ATTACHED = 100
MOST_PLATFORMS = 12
CREATED = "org.opencontainers.image.created"

_DIGITS = re.compile(r"(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TagRow:
    """One tag; ``problem`` says why nothing more is known."""

    tag: str
    href: str
    kind: str = ""
    platforms: tuple[str, ...] = ()
    more_platforms: int = 0
    digest: Digest | None = None
    size: str = ""
    whole: bool = True
    created: str = ""
    place: Place | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A manifest by its digest or by a tag that attaches it: ``label`` is what it is."""

    name: str
    href: str
    label: str
    size: str = ""
    subject: Digest | None = None


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    """``attached`` and ``untagged`` are the first of so many."""

    name: str
    page: Page[TagRow]
    attached: tuple[LinkRow, ...]
    attached_count: int
    untagged: tuple[LinkRow, ...]
    untagged_count: int
    commands: Commands | None
    example: str


def repository_page(contents: Shown, repository: str, seen: Seen, *, asked: str, paths: bool) -> RepositoryPage | None:
    """The page ``asked`` for of a repository; ``None`` if there is none."""
    names = contents.tags(repository)
    if names is None:
        return None
    own = sorted((tag for tag in names if subject_of(tag) is None), key=_natural)
    attached = [tag for tag in names if subject_of(tag) is not None]
    untagged = contents.untagged(repository)
    tags = page_of(own, asked, length=LENGTH)
    reading = Reading(contents, repository)
    rows = [_tag_row(reading, tag, paths=paths) for tag in tags.items]
    example = next((row for row in rows if row.tag == "latest"), next((row for row in rows if not row.problem), None))
    return RepositoryPage(
        repository,
        Page(tuple(rows), tags.number, tags.count, tags.total, tags.first),
        tuple(_attached_row(repository, tag) for tag in attached[:MOST_ATTACHED]),
        len(attached),
        tuple(_untagged_row(repository, root) for root in untagged[:MOST_UNTAGGED]),
        len(untagged),
        None
        if example is None
        else pull_commands(seen, repository, [example.tag], artifact=example.kind == "artifact"),
        "" if example is None else example.tag,
    )


def _natural(tag: str) -> tuple[tuple[int, str], ...]:
    """1.9 before 1.10."""
    parts = _DIGITS.split(tag)
    return tuple((int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts))


def _tag_row(reading: Reading, tag: str, *, paths: bool) -> TagRow:
    href = manifest_path(reading.repository, tag)
    if reading.left <= 0:
        return TagRow(tag, href, problem="this page has read as much as it may; open the page of the tag")
    found = reading.contents.manifest(reading.repository, tag)
    if found is None:
        return TagRow(tag, href, problem="its manifest is missing or damaged")
    place = place_of(found.origin, paths=paths)
    manifest = reading.parsed(found.raw, found.root)
    if isinstance(manifest, str):
        return TagRow(tag, href, digest=found.root.digest, place=place, problem=manifest)
    size, whole = reading.total(found.root, manifest)
    platforms, created = _about(reading, found, manifest)
    return TagRow(
        tag,
        href,
        kind_of(manifest),
        tuple(platforms[:MOST_PLATFORMS]),
        max(0, len(platforms) - MOST_PLATFORMS),
        found.root.digest,
        size_text(size),
        whole,
        created,
        place,
    )


def kind_of(manifest: Manifest) -> str:
    """``index``, ``artifact`` or ``image``."""
    return "index" if manifest.is_index else "artifact" if is_artifact(manifest) else "image"


def _about(reading: Reading, found: Found, manifest: Manifest) -> tuple[Sequence[str], str]:
    """Platforms, and when it was made: by its own word, else by that of its first image."""
    created = time_text(annotations_of(found.raw).get(CREATED, ""))
    if manifest.is_index:
        children = [child for child in manifest.manifests if is_runnable(child)]
        platforms = list(dict.fromkeys(str(child.platform) for child in children))
        if not created and children:
            first = reading.manifest(children[0])
            if not isinstance(first, str):
                created = _config_facts(reading, first)[1]
        return platforms, created
    platform, made = _config_facts(reading, manifest)
    return [platform] if platform else [], created or made


def is_runnable(child: Descriptor) -> bool:
    """Whether a child of an index has a platform that exists; BuildKit puts attestations under ``unknown/unknown``."""
    return child.platform is not None and child.platform.os not in ("", "unknown")


def _config_facts(reading: Reading, manifest: Manifest) -> tuple[str, str]:
    if manifest.config is None or is_artifact(manifest):
        return "", ""
    config = reading.config(manifest.config)
    return ("", "") if isinstance(config, str) else (config.platform, time_text(config.created))


def _attached_row(repository: str, tag: str) -> LinkRow:
    found = subject_of(tag)
    subject, label = found if found is not None else (None, "")
    return LinkRow(tag, manifest_path(repository, tag), label, subject=subject)


def _untagged_row(repository: str, root: Descriptor) -> LinkRow:
    return LinkRow(root.digest, manifest_path(repository, root.digest), root.media_type, size_text(root.size))
