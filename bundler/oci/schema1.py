"""Docker's schema 1, read only: what a registry of old may still hold, and nobody writes any more.

The document is JSON in a JSON Web Signature whose ``protected`` header says how to get the signed payload back: its first
``formatLength`` bytes, followed by ``formatTail``. The digest is that of the payload, without the signatures. Layers are
listed from the top down, each beside its ``v1Compatibility`` record.

Nobody checks these signatures any more, so the header could name any payload: one that says something else than the
document around it is refused, for the digest of one image must not vouch for another.

A record has an id and names its parent, the record below it. Docker itself wrote some records twice, one after the other,
and only the older one of such a pair counts.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from bundler.errors import LimitError, ProtocolError, quoted
from bundler.oci import mediatype
from bundler.oci.digest import Digest, digest_of, parse_digest
from bundler.oci.strict_json import MANIFEST_CAP, Fields, canonical, loads, spellings

MAX_LAYERS = 4096
UNKNOWN_SIZE = 1 << 62
"""The size of a layer's descriptor, as schema 1 names none: whoever fetches it takes what comes, and hashes it."""
_MEMBERS = spellings("schemaVersion", "name", "tag", "architecture", "fsLayers", "history", "signatures")
_OF_OTHERS = ("config", "layers", "manifests")
_ID = re.compile(r"[0-9a-f]{64}")
_LATER = (mediatype.DOCKER_MANIFEST, mediatype.DOCKER_INDEX, mediatype.OCI_MANIFEST, mediatype.OCI_INDEX)


@dataclass(frozen=True, slots=True)
class Schema1:
    """``layers`` and ``history`` in the order of the build, the base first; a record is the parsed ``v1Compatibility``."""

    name: str
    tag: str
    architecture: str
    layers: tuple[Digest, ...]
    history: tuple[dict[str, Any], ...]


def payload(raw: bytes, *, what: str) -> bytes:
    """What was signed: the document itself where there are no signatures. Raises :class:`ProtocolError`."""
    document = loads(raw, what=what, cap=MANIFEST_CAP)
    fields = Fields(document, what=what)
    if "signatures" not in fields:
        return raw
    found: set[tuple[int, bytes]] = set()
    for signature in fields.objects("signatures"):
        header = loads(_base64(signature.text("protected"), what), what=f"{what}: protected")
        protected = Fields(header, what=f"{what}: protected")
        found.add((protected.size("formatLength"), _base64(protected.text("formatTail"), what)))
    if len(found) != 1:
        raise ProtocolError(f"{what}: its signatures are about different payloads, or there are none")
    ((length, tail),) = found
    if length > len(raw):
        raise ProtocolError(f"{what}: formatLength is more than the document has")
    signed = raw[:length] + tail
    unsigned = {name: value for name, value in document.items() if name != "signatures"}
    if canonical(loads(signed, what=f"{what}: signed payload", cap=MANIFEST_CAP)) != canonical(unsigned):
        raise ProtocolError(f"{what}: its signed payload is another document than the one around it")
    return signed


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"{what}: is not base64url where it must be") from None


def digest(raw: bytes, *, what: str = "manifest") -> Digest:
    """The digest by which registries know a manifest of any kind: of its payload if it is a signed one of schema 1."""
    return digest_of(payload(raw, what=what) if _is_signed(raw, what) else raw)


def _is_signed(raw: bytes, what: str) -> bool:
    """Whether the document, which may be anything, is of schema 1 and signed."""
    if len(raw) > MANIFEST_CAP:
        raise LimitError(f"{what}: {len(raw)} bytes, more than a manifest may have")
    try:
        document = loads(raw, what=what, cap=MANIFEST_CAP)
    except ProtocolError:
        return False
    if not isinstance(document, dict) or document.get("signatures") is None:
        return False
    return document.get("schemaVersion") == 1 and document.get("mediaType") not in _LATER


def parse_schema1(raw: bytes, *, what: str) -> Schema1:
    """The manifest's content. Raises :class:`ProtocolError` for anything malformed or ambiguous."""
    fields = Fields(loads(payload(raw, what=what), what=what, cap=MANIFEST_CAP), what=what)
    fields.spelled(_MEMBERS)
    for name in _OF_OTHERS:
        if name in fields:
            raise fields.fail(name, "belongs to a manifest of another kind")
    if fields.size("schemaVersion") != 1:
        raise ProtocolError(f"{what}: schemaVersion must be 1")
    layers = [parse_digest(each.text("blobSum"), what=what) for each in fields.objects("fsLayers")]
    records = [loads(each.text("v1Compatibility").encode(), what=what) for each in fields.objects("history")]
    if not layers or len(layers) != len(records) or len(layers) > MAX_LAYERS:
        raise ProtocolError(f"{what}: has {len(layers)} layers and {len(records)} records of their history")
    kept = _linked([Fields(record, what=f"{what}: history[{n}]") for n, record in enumerate(records)], what)
    return Schema1(
        fields.text("name") if "name" in fields else "",
        fields.text("tag") if "tag" in fields else "",
        fields.text("architecture") if "architecture" in fields else "",
        tuple(layers[n] for n in reversed(kept)),
        tuple(records[n] for n in reversed(kept)),
    )


def _linked(records: list[Fields], what: str) -> list[int]:
    """Which records count, from the top down, if each names the one below it as its parent."""
    ids = [record.text("id") for record in records]
    for n, own in enumerate(ids):
        if not _ID.fullmatch(own):
            raise ProtocolError(f"{what}: history[{n}]: {quoted(own)!r} is not an id")
    kept = [n for n in range(len(ids)) if n + 1 == len(ids) or ids[n] != ids[n + 1]]
    if len({ids[n] for n in kept}) < len(kept):
        raise ProtocolError(f"{what}: has an id twice in its history")
    for n, below in zip(kept, [*kept[1:], None], strict=True):
        parent = records[n].text("parent") if "parent" in records[n] else ""
        wanted = "" if below is None else ids[below]
        if parent != wanted:
            raise ProtocolError(f"{what}: history[{n}]: its parent is {quoted(parent)!r} and must be {wanted!r}")
    return kept
