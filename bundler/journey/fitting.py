"""Makes an image fit what is asked for and what its destination can hold: which of its platforms, in which form.

    instances        of an index is carried
    SYSTEM           the image for one platform, in the index's place
    ALL              everything
    INDEX_ONLY       the index alone; its images must be at the destination already
    (platforms…)     the index as it is, with the images for these platforms (a sparse index)

Nothing is converted without being told: :attr:`Fitted.changes` says what was and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from enum import Enum

from bundler.content import Observer, Source, read, silent
from bundler.convert import Recipe, Scratch
from bundler.errors import ConfigError, LimitError, UnsupportedError, quoted
from bundler.graph import MAX_DEPTH
from bundler.medium import EVERYTHING, Holds, Remade
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.platform import Platform
from bundler.selection.instance import choose_instance


class Instances(Enum):
    """Which images of an index are meant."""

    SYSTEM = "system"
    ALL = "all"
    INDEX_ONLY = "index-only"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. ``platform`` is the one that :attr:`Instances.SYSTEM` means."""

    platform: Platform
    instances: Instances | tuple[Platform, ...] = Instances.SYSTEM
    recipe: Recipe = field(default_factory=Recipe)
    preserve_digests: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """A root, and which children of it are carried (None for all)."""

    root: Descriptor
    children: frozenset[Digest] | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """An image ready to be carried: ``source`` gives every content of the graph from ``root``."""

    source: Source
    root: Descriptor
    children: frozenset[Digest] | None = None
    changes: tuple[str, ...] = ()


def choose(source: Source, root: Descriptor, wanted: Wanted, *, what: str) -> Chosen:
    """Which contents are meant. Raises :class:`bundler.errors.NotFoundError` for a platform that is not there."""
    if not mediatype.is_index(root.media_type) or wanted.instances is Instances.ALL:
        return Chosen(root)
    if wanted.instances is Instances.INDEX_ONLY:
        return Chosen(root, frozenset())
    if wanted.instances is Instances.SYSTEM:
        for _ in range(MAX_DEPTH):
            root = choose_instance(_index(source, root, what), wanted.platform, what=what)
            if not mediatype.is_index(root.media_type):
                return Chosen(root)
        raise LimitError(f"{quoted(what)}: indexes nested more than {MAX_DEPTH} deep")
    index = _index(source, root, what)
    picked = [choose_instance(index, platform, what=what).digest for platform in wanted.instances]
    return Chosen(root, frozenset(picked))


def _index(source: Source, root: Descriptor, what: str) -> Manifest:
    return parse_manifest(read(source, root), root.media_type, what=quoted(what))


def fit(
    source: Source,
    chosen: Chosen,
    wanted: Wanted,
    holds: Holds,
    *,
    scratch: Scratch,
    executor: Executor,
    observer: Observer = silent,
    what: str = "",
) -> Fitted:
    """The image as the destination can hold it and the operator asked for.

    Raises :class:`UnsupportedError` where that can't be, and :class:`ConfigError` where it needs a change that
    ``preserve_digests`` forbids.
    """
    remade = isinstance(source, Remade) and source.remade
    root, children = chosen.root, chosen.children
    if (
        root.media_type not in mediatype.SCHEMA1
        and _changes_nothing(wanted.recipe)
        and holds == EVERYTHING
        and not remade
    ):
        return Fitted(source, root, children)
    if mediatype.is_index(root.media_type) and not holds.indexes:
        raise UnsupportedError(
            f"{quoted(what)}: {holds.medium} holds images for one platform, and this is an index of several",
            hint="leave --all and --multi-arch out, and choose with --override-os and --override-arch",
        )
    from bundler.convert import convert, reasons

    if wanted.preserve_digests:
        needed = reasons(source, root, wanted.recipe, holds, chosen=children, remade=remade)
        if needed:
            raise ConfigError(
                f"{quoted(what)}: --preserve-digests, but {'; '.join(needed)}",
                hint="leave --preserve-digests out, or choose a destination that can hold the image as it is",
            )
        return Fitted(source, root, children)
    made = convert(
        source,
        root,
        wanted.recipe,
        holds,
        chosen=children,
        remade=remade,
        scratch=scratch,
        executor=executor,
        observer=observer,
    )
    return Fitted(made.source, made.root, children, made.changes)


def _changes_nothing(recipe: Recipe) -> bool:
    return recipe.format is None and recipe.usual is None and recipe.compression is None and not recipe.compress_plain


def as_usual(wanted: Wanted, transport: str) -> Wanted:
    """The same, with what is usual for a transport where nothing else is asked for.

    OCI layouts get OCI manifests: the specification lets them hold Docker's, but most of their readers find OCI images
    only. A directory keeps layers without compression as they are.
    """
    recipe = wanted.recipe
    if transport in ("oci", "oci-archive") and not wanted.preserve_digests and recipe.format is None:
        recipe = replace(recipe, usual="oci")
    if transport == "dir" and recipe.compress_plain is None:
        recipe = replace(recipe, compress_plain=False)
    return replace(wanted, recipe=recipe)


def parse_instances(text: str | None, *, all_of_them: bool) -> Instances | tuple[Platform, ...]:
    """``--multi-arch`` and ``--all`` as one choice. Raises :class:`ConfigError` for both at once, or for another word."""
    from bundler.oci.platform import parse_platform

    if all_of_them and text is not None:
        raise ConfigError("--all and --multi-arch exclude each other")
    if all_of_them:
        return Instances.ALL
    if text is None:
        return Instances.SYSTEM
    for instances in Instances:
        if text == instances.value:
            return instances
    if "/" not in text:
        raise ConfigError(
            f"--multi-arch {quoted(text)!r}: must be system, all, index-only or platforms",
            hint="platforms are written as linux/amd64,linux/arm64",
        )
    platforms: Sequence[Platform] = [parse_platform(part.strip(), what="--multi-arch") for part in text.split(",")]
    return tuple(dict.fromkeys(platforms))
