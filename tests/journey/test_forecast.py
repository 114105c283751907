"""What a bundle will cost: the figures are those of the bundle that is built then, and no layer is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.bundle.layout import MIN_LIMIT
from bundler.cli.sizes import human
from bundler.errors import ConfigError
from bundler.journey.forecast import Forecast, forecast
from bundler.plan import Share
from tests.images import image, layer
from tests.workshop import IMAGES, NOW, WEB, Workshop

BIG = {f"big{n}:1": image(layer(f"fore {n}", 700_000)) for n in range(3)}


def expected(place: Workshop, limit: int = MIN_LIMIT, store: Path | None = None) -> Forecast:
    with place.run() as run:
        return forecast(run, limit=limit, store=store or place.store, now=NOW)


def test_the_figures_are_those_of_the_bundle(tmp_path: Path) -> None:
    place = Workshop(tmp_path, "".join(f"  - oci:upstream:{name}\n" for name in BIG), upstream=BIG)
    before = expected(place)
    assert place.lock_path.exists()
    place.pull()
    packed = place.pack()
    assert before.size == before.missing == sum(len(part.raw) for held in BIG.values() for part in held.parts)
    assert len(before.volumes) == packed.volumes == 3
    sizes = sorted(path.stat().st_size for path in packed.directory.glob("volume-*"))
    assert all(size <= bound <= MIN_LIMIT for size, bound in zip(sizes, sorted(before.volumes), strict=True))
    assert sum(before.volumes) <= packed.size * 1.01 + 1000
    assert expected(place).missing == 0


def test_sharing(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    found = expected(place)
    assert found.naive == sum(len(part.raw) for held in IMAGES.values() for part in held.parts)
    assert found.size == sum(len(raw) for raw in {p.raw for held in IMAGES.values() for p in held.parts})
    assert {share.name: share.size for share in found.shares} == {
        f"oci:upstream:{name}": sum(len(part.raw) for part in held.parts) for name, held in IMAGES.items()
    }
    assert found.pulls == {}
    assert found.largest == max(len(part.raw) for held in IMAGES.values() for part in held.parts)


def test_what_is_in_the_store_is_not_fetched_again(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    place.pull()
    blob = WEB.blobs[1]
    (place.store / "blobs" / "sha256" / blob.descriptor.digest.partition(":")[2]).unlink()
    assert expected(place).missing == len(blob.raw)


def test_no_layer_is_read(tmp_path: Path) -> None:
    place = Workshop(tmp_path)
    for held in IMAGES.values():
        for part in held.blobs:
            if "layer" in part.descriptor.media_type:
                (place.upstream / "blobs" / "sha256" / part.descriptor.digest.partition(":")[2]).unlink(missing_ok=True)
    assert expected(place).size > 0


def test_volumes_that_are_too_small(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too small"):
        expected(Workshop(tmp_path), limit=1000)


SAMPLE = Forecast(
    shares=(Share("a:1", 5000, 2000),),
    size=5000,
    naive=9000,
    missing=4000,
    largest=3000,
    volumes=(4096, 2048),
    pulls={"docker.io": 7, "quay.io": 2},
    limits={"docker.io": (93, 21600)},
)


def test_as_json() -> None:
    assert SAMPLE.document() == {
        "images": [{"name": "a:1", "size": 5000, "unique": 2000}],
        "attachments": [],
        "size": 5000,
        "savedBySharing": 4000,
        "toFetch": 4000,
        "largestBlob": 3000,
        "volumes": [4096, 2048],
        "disk": {"near": 10144, "far": 5000},
        "registries": {
            "docker.io": {"pulls": 7, "remaining": 93, "windowSeconds": 21600},
            "quay.io": {"pulls": 2},
        },
    }


def test_as_lines() -> None:
    lines = dict(SAMPLE.figures(human))
    assert lines["saved by sharing"] == "3.9 KiB"
    assert lines["volumes"] == "2, at most 4.0 KiB"
    assert lines["pulls from docker.io"] == "7, 93 left in 6 h"
    assert lines["pulls from quay.io"] == "2"
    assert lines["largest blob"] == "2.9 KiB"


def test_a_giant_is_announced() -> None:
    from dataclasses import replace

    lines = dict(replace(SAMPLE, largest=9000, limits={"quay.io": (1, 0)}).figures(human))
    assert lines["largest blob"].endswith("larger than a volume: cut into parts")
    assert lines["pulls from quay.io"] == "2, 1 left"
