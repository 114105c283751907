"""From wishes to locked images: every name becomes a digest, every choice is made, nothing is left to the day of the pull.

Images that an earlier lock holds for the same wish keep their digests, unless an update is asked for: one new image in the
manifest does not move the others, and touches only its own registry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from bundler.content import Source, Tagged, read
from bundler.errors import BundlerError, ConfigError, NotFoundError, quoted
from bundler.medium import Listing, Remade
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of, is_digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.platform import Platform
from bundler.pull.attachments import Subject, find_attachments
from bundler.pull.beside import SignedOf, own_signatures
from bundler.pull.listed import Listed
from bundler.selection.drift import is_match, locked_for
from bundler.selection.expand import Named, expand
from bundler.selection.lock import Lock, LockedImage
from bundler.selection.locked import LeftOut, Reason
from bundler.selection.platforms import REFERENCE_DIGEST, Choice, check_config, choose, is_attestation, strip
from bundler.selection.wishes import Wish, Wishes

OpenSource = Callable[[Wish], tuple[Source, str]]
"""The source that a wish names and, for media with one name per place, the name to resolve there."""

MOST_KNOWN = 32 << 20
"""Bytes of configs to remember; the rest is read again when it is carried."""
MOST_TAGS = 200_000
"""Entries of tag lists to remember; those of the repository that was asked first go first, and are asked for again."""

MOST_OTHERS = 200
"""Of what an index lists and is not carried, so many are looked at for what stays behind with them."""

_CONFIGS = (mediatype.OCI_CONFIG, mediatype.DOCKER_CONFIG)


@dataclass(frozen=True, slots=True)
class Resolved:
    """``images`` in the order of the wishes. ``known`` holds small contents that were read on the way, for reuse."""

    images: tuple[LockedImage, ...]
    known: Mapping[Digest, bytes] = field(default_factory=dict)


def resolve_wishes(
    wishes: Wishes,
    open_source: OpenSource,
    *,
    executor: Executor,
    previous: Lock | None = None,
    update: Sequence[str] = (),
    signed: SignedOf = own_signatures,
) -> Resolved:
    """Resolve all wishes, several at once.

    What ``previous`` holds for an unchanged wish is taken from there; ``update`` are patterns of images to ask for again.
    ``signed`` tells where simple signatures are kept: in the source itself, or nowhere, unless given.
    Raises :class:`bundler.errors.NotFoundError` and the sources' errors, with the image named.
    """
    lookup = _Lookup(open_source, signed)
    kept = {wish: _kept(wish, previous, update) for wish in wishes.wishes}
    fresh = [wish for wish in wishes.wishes if not kept[wish][0]]
    expanded = dict(zip(fresh, executor.map(lookup.names, fresh), strict=True))
    work: dict[tuple[object, ...], Named] = {}
    images: dict[tuple[object, ...], LockedImage] = {}
    order: list[tuple[object, ...]] = []
    for wish in wishes.wishes:
        whole, holds = kept[wish]
        for image in holds.values() if whole else ():
            key = (image.source, image.target, wish.options)
            images[key] = image
            order.append(key)
        for named in expanded.get(wish, ()):
            key = (named.source, named.target, wish.options)
            order.append(key)
            if (named.source, named.target) in holds:
                images[key] = holds[named.source, named.target]
            else:
                work.setdefault(key, named)
    located = zip(work, executor.map(lookup.locate, work.values()), strict=True)
    images.update((key, image) for key, image in located if image is not None)
    found = tuple(images[key] for key in dict.fromkeys(order) if key in images)
    if not found:
        raise ConfigError(f"{wishes.name}: no image is left; every wish is optional and none was met")
    return Resolved(found, lookup.known)


def _kept(wish: Wish, previous: Lock | None, update: Sequence[str]) -> tuple[bool, dict[tuple[str, str], LockedImage]]:
    """What need not be asked for again, by source and target; and whether that is all that the wish means."""
    locked = locked_for(previous, wish) if previous is not None else ()
    holds = {
        (image.source, image.target): image
        for image in locked
        if not any(is_match(image, pattern) for pattern in update)
    }
    return bool(locked) and len(holds) == len(locked), holds


class _Lookup:
    """Resolves names; threads share one."""

    def __init__(self, open_source: OpenSource, signed: SignedOf) -> None:
        self._open = open_source
        self._signed = signed
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}
        self._tags: dict[str, tuple[str, ...]] = {}
        self._listed: dict[int, Listed] = {}
        self._known = 0
        self.known: dict[Digest, bytes] = {}

    def names(self, wish: Wish) -> list[Named]:
        """What a wish means; asks for the tag list only where a rule needs it."""
        if wish.rule is None:
            return expand(wish)
        try:
            source, _ = self._open(wish)
            if not isinstance(source, Tagged):
                raise ConfigError("this transport has no list of tags to apply rules to")
            tags = self._tag_list(wish, source)
        except BundlerError as problem:
            raise problem.about(f"{wish.where}: {quoted(str(wish))}") from problem
        return expand(wish, tags)

    def _tag_list(self, wish: Wish, source: Tagged) -> tuple[str, ...]:
        """Every tag of the repository, asked for once: whoever comes second waits for it."""
        with self._lock:
            asking = self._asking.setdefault(str(wish), threading.Lock())
        with asking:
            tags = self._tags.get(str(wish))
            if tags is None:
                tags = tuple(source.tags())
                self._remember(str(wish), tags)
            return tags

    def _remember(self, name: str, tags: tuple[str, ...]) -> None:
        with self._lock:
            while self._tags and len(tags) + sum(map(len, self._tags.values())) > MOST_TAGS:
                del self._tags[next(iter(self._tags))]
            self._tags[name] = tags

    def locate(self, named: Named) -> LockedImage | None:
        """One image with no choice left; None for an optional one that is not there."""
        try:
            source, name = self._open(named.wish)
            if named.reference is not None:
                name = named.reference.identifier
            try:
                origin = source.resolve(name)
            except NotFoundError:
                if named.wish.optional:
                    return None
                raise
            return self._locate(named, source, name, origin)
        except BundlerError as problem:
            where = f"{named.wish.where}: " if named.wish.where else ""
            raise problem.about(f"{where}{quoted(named.source)}") from problem

    def _locate(self, named: Named, source: Source, name: str, origin: Descriptor) -> LockedImage:
        wish = named.wish
        raw = read(source, origin)
        manifest = parse_manifest(raw, origin.media_type, what=str(origin.digest))
        if manifest.is_index:
            image = _of_index(named, origin, raw, manifest)
        else:
            root = self._with_platform(source, origin, manifest, wish.platforms, named.source)
            image = LockedImage(named.source, named.target, root, root, wish=wish.fingerprint)
        return self._with_attachments(image, wish, source, name, manifest)

    def _with_platform(
        self, source: Source, origin: Descriptor, manifest: Manifest, wanted: Iterable[Platform] | None, what: str
    ) -> Descriptor:
        config = manifest.config
        if config is None or config.media_type not in _CONFIGS:
            return origin  # an artifact has no platform
        raw = read(source, config)
        with self._lock:
            if config.digest not in self.known and self._known + len(raw) <= MOST_KNOWN:
                self._known += len(raw)
                self.known[config.digest] = raw
        platform = check_config(raw, None if wanted is None else tuple(wanted), what=what)
        return Descriptor(origin.media_type, origin.digest, origin.size, platform=platform)

    def _with_attachments(
        self, image: LockedImage, wish: Wish, source: Source, name: str, manifest: Manifest
    ) -> LockedImage:
        if wish.attachments == "none":
            return replace(image, left_out=(LeftOut("unasked", image.origin.digest),))
        where, tags = self._where(wish, source, name, image.origin)
        keeper = self._signed(image.source, source)
        found = find_attachments(where, _subjects(image, manifest), tags, wish.attachments, signed=keeper)
        left_out = (*found.left_out, *_left_in_index(image, manifest))
        if _others(image, manifest)[MOST_OTHERS:]:
            left_out = (*left_out, LeftOut("cap", image.origin.digest))
        return replace(image, attachments=found.attachments, left_out=left_out)

    def _where(self, wish: Wish, source: Source, name: str, origin: Descriptor) -> tuple[Source, Collection[str]]:
        """Where to look for what is attached, and the tags there."""
        if wish.transport == "docker":
            return source, self._tag_list(wish, source) if isinstance(source, Tagged) else ()
        if isinstance(source, Remade) or not isinstance(source, Listing):
            return source, ()
        with self._lock:
            listed = self._listed.get(id(source)) or Listed(source)
            self._listed[id(source)] = listed
        beside = listed.beside(name, origin)
        return beside, beside.tags


def _subjects(image: LockedImage, manifest: Manifest) -> tuple[Subject, ...]:
    """What may have something attached: what is carried, what the name stood for, and the platforms that stay behind."""
    own = (image.origin,) if image.index == "strip" else (image.origin, image.root)
    others = [one for one in _others(image, manifest) if one.is_manifest and not is_attestation(one)]
    return (*map(Subject, (*own, *image.children)), *(Subject(one, "platform") for one in others[:MOST_OTHERS]))


def _others(image: LockedImage, manifest: Manifest) -> list[Descriptor]:
    """What an index lists and is not carried."""
    carried = {one.digest for one in (image.root, *image.children)}
    return [one for one in manifest.manifests if one.digest not in carried]


def _left_in_index(image: LockedImage, manifest: Manifest) -> Iterator[LeftOut]:
    """BuildKit's attestations that stay behind: an index lists them beside the images that they are about."""
    carried = {one.digest for one in (image.root, *image.children)}
    for child in filter(is_attestation, _others(image, manifest)[:MOST_OTHERS]):
        about = child.annotations[REFERENCE_DIGEST]
        reason: Reason = "index" if about in carried else "platform"
        subject = Digest(about) if is_digest(about) else image.origin.digest
        yield LeftOut(reason, subject, "attestation", root=Descriptor(child.media_type, child.digest, child.size))


def _of_index(named: Named, origin: Descriptor, raw: bytes, manifest: Manifest) -> LockedImage:
    wish = named.wish
    choice: Choice = choose(manifest, wish.platforms, wish.index, what=named.source)
    root, children = origin, choice.children
    if choice.shape == "single":
        (root,), children = choice.children, ()
    elif choice.shape == "strip":
        new = strip(raw, {child.digest for child in choice.children}, what=named.source)
        root = Descriptor(origin.media_type, digest_of(new), len(new))
    return LockedImage(named.source, named.target, origin, root, children, choice.shape, wish=wish.fingerprint)
