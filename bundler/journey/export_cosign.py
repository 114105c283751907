"""cosign's signatures at export: a ``.sig`` image for each manifest, as one more shipment of the push.

Its layers are those of the ``.sig`` that the registry has, then those of the one that the bundle carries, then ours: several
may sign one image, and a push takes nobody's signature away. A registry can't be told to change a tag only if it is as it was;
so before the first tag moves it is asked once more, and whoever signed during a long push stops it.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.content import Buffer, Source, read
from bundler.errors import NotFoundError, ProtocolError, PushError, UnsupportedError
from bundler.journey.cargo import Cargo
from bundler.journey.ends import Ends
from bundler.journey.export_names import Named
from bundler.oci.attached import companion_tags
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import is_index
from bundler.push import Shipment
from bundler.trust.image_signing import cosign_signature, joined, signature_image
from bundler.trust.signing import Signer

if TYPE_CHECKING:
    from bundler.transports.docker.repository import Repository


class _Joined:
    """Where the contents of a ``.sig`` image are: made here, or wherever each of the others lies."""

    def __init__(self, made: Mapping[Digest, bytes], others: Mapping[Digest, Source]) -> None:
        self._made, self._others = made, others

    def resolve(self, name: str) -> Descriptor:
        """Nothing here has a name."""
        raise NotFoundError(f"{name}: signatures that were made here have no names")

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The content."""
        if want.digest in self._made:
            yield self._made[want.digest]
        elif want.digest in self._others:
            yield from self._others[want.digest].fetch(want)
        else:
            raise NotFoundError(f"{want.digest}: no signature that was made here")


@dataclass(frozen=True, slots=True)
class Signed:
    """``cargo`` with a ``.sig`` image for each manifest, in place of one that it carried.

    ``attached`` are these by source. ``check`` raises :class:`PushError` if a ``.sig`` that is about to be replaced is not
    the one any more whose signatures the new one repeats.
    """

    cargo: Cargo
    attached: Mapping[str, frozenset[Digest]]
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Made:
    """A ``.sig`` image: its shipment, where its contents are, and what stood under its tag before, if anything did."""

    load: Shipment
    source: Source
    there: Repository
    before: Digest | None

    def check(self) -> None:
        tag = self.load.tag
        assert tag
        if self.before == self.load.root.digest:
            return
        try:
            now: Digest | None = self.there.peek(tag).digest
        except NotFoundError:
            now = None
        if now != self.before:
            raise PushError(
                f"{self.there.name}:{tag}: somebody else has signed this image while it was being pushed",
                hint="run the same command again: it takes the new signatures along",
            )


def with_signature_images(cargo: Cargo, named: Sequence[Named], key: Signer, ends: Ends, executor: Executor) -> Signed:
    """Sign every manifest; nothing is delivered yet."""
    carried = {(load.repository, load.tag): load for load in cargo.shipments if load.attached and load.tag}

    def make(each: Named) -> _Made:
        load = carried.get((each.repository, _tag(each.digest)))
        brought = None if load is None else (cargo.source_of(load), load.root)
        there = ends.repository(each.place)
        root, source, before = _signature_image(each, key, there, brought)
        name = min(each.sources)
        made = Shipment(name, root, each.repository, _tag(each.digest), attached=True, subject=each.digest)
        return _Made(made, source, there, before)

    images = list(executor.map(make, named))
    sources = {made.load: made.source for made in images}
    attached: dict[str, set[Digest]] = defaultdict(set)
    for each, load in zip(named, sources, strict=True):
        for name in each.sources:
            attached[name].add(load.root.digest)
    replaced = {(load.repository, load.tag) for load in sources}

    def kept(loads: Sequence[Shipment]) -> list[Shipment]:
        return [load for load in loads if not load.attached or (load.repository, load.tag) not in replaced]

    def source_of(load: Shipment) -> Source:
        return sources[load] if load in sources else cargo.source_of(load)

    def check() -> None:
        for _ in executor.map(_Made.check, images):
            pass

    return Signed(
        Cargo((*kept(cargo.shipments), *sources), (*kept(cargo.landed), *sources), source_of),
        {name: frozenset(roots) for name, roots in attached.items()},
        check,
    )


def _signature_image(
    each: Named, key: Signer, there: Repository, brought: tuple[Source, Descriptor] | None
) -> tuple[Descriptor, Source, Digest | None]:
    """The ``.sig`` image of a manifest: what ``there`` has of it, then what the bundle brings, then what is signed here.

    Its root and its contents; and the root of what ``there`` has, None if that is nothing.
    """
    tag = _tag(each.digest)
    what = f"{each.place.name}:{tag}"
    others: dict[Digest, Source] = {}
    layers: list[Descriptor] = []
    roots: list[tuple[Source, Descriptor]] = []
    before = None
    with contextlib.suppress(NotFoundError):
        root = there.resolve(tag)
        before = root.digest
        roots.append((there, root))
    if brought is not None:
        roots.append(brought)
    for source, root in roots:
        if is_index(root.media_type):
            raise ProtocolError(f"{what}: is an index, where an image with signatures is expected")
        found = parse_manifest(read(source, root), root.media_type, what=what).layers
        others |= {layer.digest: source for layer in found}
        layers += found
    signatures = [cosign_signature(each.digest, str(name), key) for name in each.names]
    image = signature_image(joined(layers, [layer for layer, _ in signatures], what=what))
    contents = {layer.digest: payload for layer, payload in signatures}
    contents |= {image.root.digest: image.manifest, image.config.digest: image.config_bytes}
    return image.root, _Joined(contents, others), before


def _tag(digest: Digest) -> str:
    if algorithm_of(digest) != "sha256":
        raise UnsupportedError(
            f"{digest}: cosign has no tag for signatures of such a digest, which is too long for one",
            hint="sign with --sign-by, or leave the image out",
        )
    return companion_tags(digest)["signature"]
