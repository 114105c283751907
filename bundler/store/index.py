"""``index.json``: which names a layout has, and how a name is added without disturbing the others.

Pure: bytes in, bytes out. What other tools wrote is kept as it was, unknown members included; an entry of ours carries
the full name twice, for skopeo and for containerd, and for an index the children that were left out when it was tagged:

    {"mediaType": …, "digest": …, "size": …, "annotations": {
        "org.opencontainers.image.ref.name": "docker.io/library/nginx:1.27",
        "io.containerd.image.name": "docker.io/library/nginx:1.27",
        "bundler.left-out": "sha256:… sha256:…"}}
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bundler.errors import BundlerError, ConfigError, ProtocolError, StoreError, quoted
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor, descriptor_of
from bundler.oci.digest import Digest, is_digest, parse_digest
from bundler.oci.strict_json import Fields, canonical, loads

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
LEFT_OUT = "bundler.left-out"
_OWN = frozenset({REF_NAME, CONTAINERD_NAME, LEFT_OUT})
INDEX_CAP = 16 << 20
EMPTY: Mapping[str, Any] = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": []}
"""The document of a layout without images."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One root. ``left_out`` is known for an index that we tagged, and ``None`` where another tool wrote the entry."""

    root: Descriptor
    names: tuple[str, ...]
    left_out: frozenset[Digest] | None
    raw: Mapping[str, Any] = field(hash=False)

    @property
    def name(self) -> str:
        """What it is called; empty if nobody named it."""
        return self.names[0] if self.names else ""

    def goes_by(self, names: Collection[str]) -> bool:
        """Whether one of ``names`` is a name of it, or its digest where it has none."""
        return any(name in names for name in self.names or (self.root.digest,))

    @property
    def label(self) -> str:
        """The name or else the digest, fit to print."""
        return quoted(self.name) or self.root.digest


@dataclass(frozen=True, slots=True)
class Index:
    """A parsed ``index.json``. ``entries`` are in the file's order."""

    document: Mapping[str, Any]
    entries: tuple[Entry, ...]
    named: Mapping[str, tuple[Entry, ...]] = field(compare=False)
    """By every name; an entry whose ``ref.name`` is the key comes before one that only containerd calls so."""
    written: dict[Entry, str] = field(default_factory=dict, compare=False, repr=False)
    """Entries as they stood in the file before: a registry writes it again for each manifest that is pushed."""

    @classmethod
    def new(cls) -> Index:
        """One without images."""
        return cls(EMPTY, (), {})

    def tagged(self, entries: Iterable[Entry]) -> Index:
        """With ``entries`` added, each replacing those of its name; one without a name, that of its digest."""
        fresh = {entry.name or entry.root.digest: entry for entry in entries}
        kept = [entry for entry in self.entries if fresh.keys().isdisjoint(entry.names or (entry.root.digest,))]
        return self._with([*kept, *fresh.values()])

    def without(self, names: Collection[str]) -> Index:
        """Without the entries that go by one of these names."""
        if not any(
            name in self.named or is_digest(name) for name in names
        ):  # an entry that nobody named goes by its digest
            return self
        return self._with(entry for entry in self.entries if not entry.goes_by(names))

    def _with(self, entries: Iterable[Entry]) -> Index:
        # Sorted, so that the same tags give the same file whatever order they were written in.
        ordered = tuple(sorted(entries, key=lambda entry: (entry.name, entry.root.digest)))
        document = {**self.document, "manifests": [entry.raw for entry in ordered]}
        return Index(document, ordered, _by_name(ordered), self.written)

    def serialised(self) -> bytes:
        """The file's new content: what :func:`bundler.oci.strict_json.canonical` makes of the document."""
        texts = {each: self.written.get(each) or _indented(each.raw, "    ") for each in self.entries}
        self.written.clear()
        self.written.update(texts)
        members = {key: _indented(value, "  ") for key, value in self.document.items() if key != "manifests"}
        listed = ",\n    ".join(texts[each] for each in self.entries)
        members["manifests"] = f"[\n    {listed}\n  ]" if listed else "[]"
        lines = ",\n".join(f"  {json.dumps(key, ensure_ascii=False)}: {members[key]}" for key in sorted(members))
        return f"{{\n{lines}\n}}\n".encode()


def _indented(value: Any, by: str) -> str:
    """A value as it stands in the file, but for the first line's indent. No text in JSON has a line end in it."""
    return canonical(value).decode().rstrip("\n").replace("\n", f"\n{by}")


def entry(name: str, root: Descriptor, left_out: Collection[Digest]) -> Entry:
    """An entry of ours: the full ``name`` for ``root``, of whose children ``left_out`` are not carried."""
    if not name or len(name) > 1024 or not name.isprintable():
        raise ConfigError(f"{quoted(name)!r} cannot be the name of an image")
    return _new({REF_NAME: name, CONTAINERD_NAME: name}, root, left_out)


def unnamed(root: Descriptor, left_out: Collection[Digest] = ()) -> Entry:
    """An entry of ours for an image without a name."""
    return _new({}, root, left_out)


def _new(names: Mapping[str, str], root: Descriptor, left_out: Collection[Digest]) -> Entry:
    raw = root.document()
    annotations = {key: text for key, text in root.annotations.items() if key not in _OWN}
    annotations.update(names)
    if mediatype.is_index(root.media_type):
        annotations[LEFT_OUT] = " ".join(sorted(left_out))
    raw.pop("annotations", None)
    if annotations:
        raw["annotations"] = annotations
    return _entry(Fields(raw, what="index.json"), raw)


def parse_index(raw: bytes, *, what: str) -> Index:
    """The content of an ``index.json`` (image-spec 1.1, image-layout.md); :class:`StoreError` says what is wrong.

    Every entry must be well formed: a layout that can be read only in part is not read at all.
    """
    try:
        document = loads(raw, what=what, cap=INDEX_CAP, error=_damaged)
        fields = Fields(document, what=what, error=_damaged)
        if fields.size("schemaVersion") != 2:
            raise fields.fail("schemaVersion", "must be 2")
        if "mediaType" in fields and fields.text("mediaType") != mediatype.OCI_INDEX:
            raise fields.fail("mediaType", f"must be {mediatype.OCI_INDEX}")
        values = fields.array("manifests") if "manifests" in fields else []
        entries = tuple(
            _entry(Fields(value, what=f"{what}: manifests[{n}]", error=_damaged), value)
            for n, value in enumerate(values)
        )
    except ProtocolError as error:  # from a digest or a platform, which know no store
        raise _damaged(str(error)) from None
    return Index(document, entries, _by_name(entries))


def _damaged(message: str) -> BundlerError:
    return StoreError(message, hint="the layout's index.json is damaged or was not written by an OCI tool")


def _entry(fields: Fields, raw: Mapping[str, Any]) -> Entry:
    root = descriptor_of(fields)
    said = root.annotations
    names = dict.fromkeys(said.get(key, "") for key in (REF_NAME, CONTAINERD_NAME))
    left_out = said.get(LEFT_OUT)
    return Entry(
        # What a layout says about its entry is not said about the content.
        replace(root, annotations={key: text for key, text in said.items() if key not in _OWN}),
        tuple(name for name in names if name),
        None
        if left_out is None
        else frozenset(parse_digest(text, what=f"{fields.what}: {LEFT_OUT}") for text in left_out.split()),
        raw,
    )


def _by_name(entries: Iterable[Entry]) -> Mapping[str, tuple[Entry, ...]]:
    found: dict[str, tuple[Entry, ...]] = {}
    listed = tuple(entries)
    for rank in range(2):
        for each in listed:
            if len(each.names) > rank:
                found[each.names[rank]] = (*found.get(each.names[rank], ()), each)
    return found
