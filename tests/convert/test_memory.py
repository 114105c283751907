"""A large layer is converted in bounded memory, whatever it becomes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundler.content import CHUNK, Buffer
from bundler.convert import Recipe, convert
from bundler.graph import walk
from bundler.medium import EVERYTHING
from bundler.oci import mediatype as mt
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, hasher
from bundler.scratch import Spool
from tests.images import Image, image, part
from tests.memory import Memory

SIZE = 200 << 20
NOISE = random.Random(1).randbytes(2 * CHUNK)


def content() -> Generator[Buffer, None, None]:
    """200 MB that are neither all noise nor all zeros, made as they are read."""
    for n in range(SIZE // CHUNK):
        start = n * 7919 % CHUNK
        yield NOISE[start : start + CHUNK // 4] + bytes(CHUNK - CHUNK // 4)


class Large(Memory):
    """A repository whose one layer is made as it is read."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        state = hasher("sha256")
        for chunk in content():
            state.update(chunk)
        self.layer = Descriptor(mt.OCI_LAYER, Digest(f"sha256:{state.hexdigest()}"), SIZE)
        small = part(b"", mt.OCI_LAYER, diff_id=self.layer.digest)
        held: Image = image(small)
        raw = held.raw.replace(small.descriptor.digest.encode(), self.layer.digest.encode())
        raw = raw.replace(b'"size":0', b'"size":%d' % SIZE)
        self.put(held.parts[1].raw, mt.OCI_CONFIG)
        self.root = self.put(raw, mt.OCI_MANIFEST)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        if want.digest == self.layer.digest:
            assert offset == 0
            return content()
        return super().fetch_from(want, offset)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_layer_of_200_mb(tmp_path: Path, compression: Any) -> None:
    source = Large()
    tracemalloc.start()
    try:
        with Spool.open(tmp_path) as scratch, ThreadPoolExecutor(2) as executor:
            packed = convert(
                source,
                source.root,
                Recipe(compression=compression, level=1),
                EVERYTHING,
                scratch=scratch,
                executor=executor,
            )
            (layer,) = walk(packed.source, packed.root).manifests[packed.root.digest][1].layers
            assert layer.media_type.endswith(compression)
            assert layer.size < SIZE
            again = convert(
                packed.source,
                packed.root,
                Recipe(compression="none"),
                EVERYTHING,
                scratch=scratch,
                executor=executor,
            )
            (layer,) = walk(again.source, again.root).manifests[again.root.digest][1].layers
            assert (layer.digest, layer.size) == (source.layer.digest, SIZE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
