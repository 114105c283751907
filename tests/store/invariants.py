"""What must hold of a store's directory after every run, however it ended; read with nothing of bundler's store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def blobs(folder: Path) -> dict[str, Path]:
    """Every blob by its digest."""
    return {f"{path.parent.name}:{path.name}": path for path in folder.glob("blobs/*/*")}


def assert_sound(folder: Path, *, damaged: frozenset[str] = frozenset()) -> dict[str, str]:
    """I2 and I3: blobs hash to their names, but for those that the test ``damaged``; the index leads to nothing missing.

    What it names, by name.
    """
    # The index first: a server may be at the last request of a client that was killed.
    written = (folder / "index.json").read_text() if (folder / "index.json").exists() else ""
    found = blobs(folder)
    for digest, path in found.items():
        algorithm, _, wanted = digest.partition(":")
        assert digest in damaged or hashlib.new(algorithm, path.read_bytes()).hexdigest() == wanted, digest
    if not written:  # killed while it was being laid out
        assert not found
        return {}
    index = json.loads(written)
    named = {}
    for entry in index["manifests"]:
        left_out = entry["annotations"].get("bundler.left-out", "").split()
        _assert_closed(found, entry, frozenset(left_out) | damaged)
        named[entry["annotations"]["org.opencontainers.image.ref.name"]] = entry["digest"]
    return named


def _assert_closed(found: dict[str, Path], descriptor: dict[str, Any], excused: frozenset[str]) -> None:
    if descriptor["digest"] in excused:
        return
    assert descriptor["digest"] in found, descriptor
    raw = found[descriptor["digest"]].read_bytes()
    assert len(raw) == descriptor["size"]
    if "manifest" in descriptor["mediaType"] or "image.index" in descriptor["mediaType"]:
        document = json.loads(raw)
        for child in [*document.get("manifests", []), *document.get("layers", []), document.get("config")]:
            if child:
                _assert_closed(found, child, excused)
