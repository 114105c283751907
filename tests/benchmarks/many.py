"""``python -m tests.benchmarks.many N``: plan N images over 200 shared blobs, from manifests in memory; prints seconds.

Making the manifests is not measured; reading them, walking the graphs, merging them and laying out volumes is.
"""

from __future__ import annotations

import random
import sys
import time

from bundler.bundle.layout import layout
from bundler.content import Held
from bundler.graph import walk
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.plan import Item, make_plan
from tests.images import as_json

BLOBS = 200
LAYERS = 6


def images(count: int) -> tuple[dict[Digest, bytes], list[Descriptor]]:
    """Manifests of ``count`` images whose layers come from the shared blobs."""
    choice = random.Random(1)
    layers = [
        Descriptor(mediatype.OCI_LAYER_GZIP, digest_of(str(n).encode()), 1_000 + choice.randrange(50_000_000))
        for n in range(BLOBS)
    ]
    contents: dict[Digest, bytes] = {}
    roots = []
    for n in range(count):
        config = Descriptor(mediatype.OCI_CONFIG, digest_of(f"config {n}".encode()), 2_000)
        document = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "config": config.document(),
            "layers": [layer.document() for layer in choice.sample(layers, LAYERS)],
        }
        raw = as_json(document)
        root = Descriptor(mediatype.OCI_MANIFEST, digest_of(raw), len(raw))
        contents[root.digest] = raw
        roots.append(root)
    return contents, roots


def main(count: int) -> float:
    """Seconds for the plan of ``count`` images."""
    contents, roots = images(count)
    source = Held(contents)
    begin = time.monotonic()
    plan = make_plan(Item(f"image-{n}", walk(source, root)) for n, root in enumerate(roots))
    plan.shares()
    layout(plan.order, 4 << 30, index_size=300 * count)
    seconds = time.monotonic() - begin
    assert len(plan.blobs) == count + min(BLOBS, count * LAYERS), len(plan.blobs)
    return seconds


if __name__ == "__main__":
    sys.stdout.write(f"{main(int(sys.argv[1])):.3f}\n")
