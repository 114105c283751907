"""Manifests of Docker's schema 1 as registries of old hold them: signed in form, by nobody in particular.

old = signed(document([layer_digest], [{"id": "a", "os": "linux"}]))
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any


def document(layers: Sequence[str], records: Sequence[Any], **more: Any) -> dict[str, Any]:
    """The values, layers and records given from the base up; ``more`` replaces members.

    A record that is an object gets an id, and the one below it as its parent.
    """
    linked = [
        {"id": id_of(n), **({"parent": id_of(n - 1)} if n else {}), **each} if isinstance(each, dict) else each
        for n, each in enumerate(records)
    ]
    value: dict[str, Any] = {
        "schemaVersion": 1,
        "name": "acme/app",
        "tag": "1",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": digest} for digest in reversed(layers)],
        "history": [
            {"v1Compatibility": each if isinstance(each, str) else json.dumps(each)} for each in reversed(linked)
        ],
    }
    value.update(more)
    return {key: each for key, each in value.items() if each is not None}


def id_of(number: int) -> str:
    """The id of a record, counted from the base."""
    return f"{number:064x}"


def base64url(raw: bytes) -> str:
    """Without padding, as JSON Web Signatures have it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def payload_of(value: dict[str, Any]) -> bytes:
    """What is signed: indented by three, as docker-registry writes it."""
    return json.dumps(value, indent=3).encode()


def signed(value: dict[str, Any], **protected: Any) -> bytes:
    """The document with a signature; ``protected`` replaces members of its header."""
    payload = payload_of(value)
    header = {"formatLength": len(payload) - 2, "formatTail": base64url(payload[-2:]), "time": "2015-01-01T00:00:00Z"}
    header.update(protected)
    signature = {
        "header": {"jwk": {"crv": "P-256", "kty": "EC", "x": "x", "y": "y"}, "alg": "ES256"},
        "signature": base64url(b"signature"),
        "protected": base64url(json.dumps(header).encode()),
    }
    return payload[:-2] + b',\n   "signatures": ' + json.dumps([signature]).encode() + payload[-2:]
