"""What a Docker before 1.10 looks for in an archive: a folder for each layer of an image, linked to the real one.

    ID/layer.tar    -> ../HEX.tar
    ID/VERSION      1.0
    ID/json         what the image is up to this layer; in full for its last one

Nothing newer reads it, but the archive of other tools has it, and what compares archives expects it. An ID is the digest
of what it stands for, found as those tools find it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.oci.strict_json import loads

VERSION = b"1.0"
_OF_THE_LAST = ("architecture", "config", "container", "container_config", "created", "docker_version", "os")


@dataclass(frozen=True, slots=True)
class LegacyLayer:
    """A layer's folder: ``id`` is its name, ``about`` its ``json``."""

    id: str
    layer: Digest
    about: bytes


def legacy_layers(config: bytes, layers: Sequence[Digest], *, what: str) -> Iterator[LegacyLayer]:
    """The folders of an image's layers, from the base up; ``config`` is the image's."""
    chain: Digest | None = None
    parent = ""
    for number, layer in enumerate(layers, 1):
        about: dict[str, Any] = {"parent": parent} if parent else {}
        if number == len(layers):
            document = loads(config, what=what)
            about.update({name: document.get(name) for name in _OF_THE_LAST})
        chain = layer if chain is None else digest_of(f"{chain} {layer}".encode())
        parent = hex_of(digest_of(go_json({**about, "layer_id": chain})))
        yield LegacyLayer(parent, layer, go_json({**about, "id": parent}))


def go_json(document: dict[str, Any]) -> bytes:
    """JSON as Go writes a map: the keys of the outermost object sorted, and three signs escaped that HTML knows."""
    text = json.dumps(dict(sorted(document.items())), separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()
