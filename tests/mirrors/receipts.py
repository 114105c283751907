"""Receipts for the tests of mirrors: names, and where they landed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bundler.mirrors.moves import Moves, read_moves

FAR = "far.site:5000"
DIGEST = "sha256:" + "a" * 64


def receipt(at: Mapping[str, str], /, *, far: str = FAR, name: str = "edge", **members: Any) -> bytes:
    """A receipt; ``at`` are paths at ``far`` by old names."""
    listed = [{"name": old, "reference": f"{far}/{path}", "digest": DIGEST} for old, path in at.items()]
    return json.dumps({"kind": "Receipt", "name": name, "destination": far, "images": listed, **members}).encode()


def moves(at: Mapping[str, str], /, **how: Any) -> Moves:
    """The same, read."""
    return read_moves(receipt(at, **how), "receipt.json")


KEPT = {
    "docker.io/library/nginx:1.27": "library/nginx:1.27",
    "docker.io/team/app:2": "team/app:2",
    "quay.io/site/tool:v1": "site/tool:v1",
}
SCOPED = {old: f"hub/{old.replace(':5000', '-5000', 1)}" for old in (*KEPT, "reg.example.com:5000/x/y:3")}
RENAMED = {**KEPT, "docker.io/library/redis:7": "cache/redis:7", "registry.k8s.io/pause:3.9": "k8s/pause:3.9"}
