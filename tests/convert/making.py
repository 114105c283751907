"""What the tests of conversions share: conversions of a Memory's images, and a look at what came of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bundler.content import Event, Note, read
from bundler.convert import Converted, Recipe, convert
from bundler.convert.compression import plain
from bundler.graph import Graph, walk
from bundler.medium import EVERYTHING, Holds
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.scratch import Spool
from tests.images import Image, Part, load
from tests.memory import Memory


def memory(*images: Image) -> Memory:
    """A repository with these images."""
    held = Memory(strict=False)
    load(held, {str(n): image for n, image in enumerate(images)})
    return held


@contextmanager
def converted(
    image: Image | Descriptor,
    recipe: Recipe | None = None,
    holds: Holds = EVERYTHING,
    *,
    source: Memory | None = None,
    said: list[str] | None = None,
    chosen: frozenset[Digest] | None = None,
    remade: bool = False,
) -> Iterator[Converted]:
    """An image as a recipe makes it."""
    below = source if source is not None else memory(image)  # type: ignore[arg-type]
    root = image.root if isinstance(image, Image) else image

    def observe(event: Event) -> None:
        if said is not None and isinstance(event, Note):
            said.append(event.text)

    with Spool.open() as scratch, ThreadPoolExecutor(3) as executor:
        yield convert(
            below,
            root,
            recipe or Recipe(),
            holds,
            chosen=chosen,
            remade=remade,
            scratch=scratch,
            executor=executor,
            observer=observe,
        )


def whole(made: Converted) -> Graph:
    """The new graph, every content of which was read and verified; the layers are those that the configs name."""
    graph = walk(made.source, made.root)
    for node in graph.blobs:
        read(made.source, node, cap=1 << 30)
    for _, manifest in graph.manifests.values():
        if manifest.config is None or "container.image" not in manifest.config.media_type.replace("oci.", "container."):
            continue
        config = json.loads(read(made.source, manifest.config))
        ids = config["rootfs"]["diff_ids"]
        assert [
            opened(made, layer)
            for layer in manifest.layers
            if "rootfs" in layer.media_type or "oci" in layer.media_type
        ] == ids
    return graph


def opened(made: Converted, layer: Descriptor) -> str:
    """The digest of a layer without its compression."""
    return digest_of(b"".join(bytes(chunk) for chunk in plain(made.source.fetch(layer), what="layer")))


def document(made: Converted, root: Descriptor | None = None) -> dict[str, Any]:
    """A manifest's values."""
    value: dict[str, Any] = json.loads(read(made.source, root or made.root))
    return value


def changed(image: Image, change: Callable[[dict[str, Any]], None], media_type: str = "") -> Image:
    """The image with another root."""
    values = json.loads(image.raw)
    change(values)
    raw = json.dumps(values, separators=(",", ":")).encode()
    kind = media_type or image.root.media_type
    return Image(
        Descriptor(kind, digest_of(raw), len(raw)),
        (*image.parts[:-1], Part(Descriptor(kind, digest_of(raw), len(raw)), raw)),
    )
