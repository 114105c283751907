"""Makes an image what is asked for and what its destination can hold; what needs no change keeps every byte.

reasons(…)    what would change and why, from manifests alone
convert(…)    does it: layers into a scratch, then manifests from the bottom up, each with its new digests
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field, replace

from bundler.content import Buffer, Note, Observer, Ranged, Source, read, silent, verified
from bundler.convert import formats
from bundler.convert.compression import recompressed, sniffed, started
from bundler.convert.recipe import Recipe, compression_of, format_of, wanted_compression, wanted_format
from bundler.convert.schema1 import from_schema1
from bundler.convert.scratch import Scratch
from bundler.convert.together import Running, together
from bundler.errors import ConfigError, DigestError, ProtocolError, UnsupportedError, quoted
from bundler.graph import Graph, walk
from bundler.medium import COMPRESSIONS, Compression, Format, Holds
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.strict_json import Fields, loads

FORMAT_NAMES: Mapping[Format, str] = {"oci": "OCI", "v2s2": "Docker schema 2"}


@dataclass(frozen=True, slots=True)
class Converted:
    """``source`` gives every content of the graph from ``root``. ``changes`` has a line for each; none, if nothing did."""

    source: Source
    root: Descriptor
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rules:
    """What every manifest and layer is held against."""

    recipe: Recipe
    holds: Holds
    remade: bool
    actual: Mapping[Digest, str] = field(default_factory=dict)
    """What layers were seen to be that are not what their media types say."""

    @property
    def demanding(self) -> bool:
        """Whether layers must have a certain compression, so that their media types' word is not enough."""
        return self.recipe.compression is not None or not self.holds.compressions.issuperset(COMPRESSIONS)

    def layer(self, layer: Descriptor, format_: Format, *, what: str) -> tuple[str, Compression | None]:
        """A layer's media type in a format, and its new compression: None if its bytes stay."""
        if not formats.is_layer(layer.media_type):
            same = format_of_layer(layer.media_type) in (None, format_)
            return (
                layer.media_type if same else formats.layer_type(layer.media_type, format_, "none", what=what)
            ), None
        wanted = wanted_compression(layer.media_type, self.recipe, self.holds, format_=format_, remade=self.remade)
        name = formats.layer_type(layer.media_type, format_, wanted, what=what)
        return name, None if wanted == self.actual.get(layer.digest, compression_of(layer.media_type)) else wanted


def format_of_layer(media_type: str) -> Format | None:
    """The format that a layer's media type belongs to; None for one that no format knows."""
    if media_type.startswith("application/vnd.oci.image.layer."):
        return "oci"
    return "v2s2" if media_type.startswith("application/vnd.docker.image.rootfs.") else None


def reasons(
    source: Source,
    root: Descriptor,
    recipe: Recipe,
    holds: Holds,
    *,
    chosen: frozenset[Digest] | None = None,
    remade: bool = False,
) -> tuple[str, ...]:
    """What would have to change; no layer is read. Raises :class:`UnsupportedError` where nothing would help."""
    if root.media_type in mediatype.SCHEMA1:
        return (f"{root.digest}: Docker schema 1 would become Docker schema 2",)
    return _reasons(walk(source, root, chosen=chosen), _Rules(recipe, holds, remade))


def _reasons(graph: Graph, rules: _Rules) -> tuple[str, ...]:
    found = []
    for node in _manifests(graph):
        manifest = graph.manifests[node.digest][1]
        wanted = _format(node, manifest, rules)
        if wanted != format_of(node.media_type):
            found.append(f"{node.digest}: would become {FORMAT_NAMES[wanted]}")
        for layer in manifest.layers if formats.is_image(manifest.config) else ():
            name, compression = rules.layer(layer, wanted, what=str(node.digest))
            if compression is not None:
                done = "be decompressed" if compression == "none" else f"be compressed with {compression}"
                found.append(f"{node.digest}: its layer {layer.digest} would {done}")
            elif name != layer.media_type and wanted == format_of(node.media_type):
                found.append(f"{node.digest}: its layer {layer.digest} would be called {name}")
    return tuple(found)


def _manifests(graph: Graph) -> list[Descriptor]:
    """Children before parents."""
    return [node for node in graph.nodes if node.is_manifest]


def _format(node: Descriptor, manifest: Manifest, rules: _Rules) -> Format:
    holds = rules.holds
    if manifest.is_index:
        if not holds.indexes:
            raise UnsupportedError(f"{node.digest}: {holds.medium} can't hold an index of several images")
        return wanted_format(node.media_type, rules.recipe, holds)
    if formats.is_image(manifest.config):
        return wanted_format(node.media_type, rules.recipe, holds)
    own = format_of(node.media_type)
    assert own is not None, "the graph holds manifests of known formats only"
    if not holds.artifacts or own not in holds.formats:
        raise UnsupportedError(
            f"{node.digest}: is an artifact, not an image, and {holds.medium} holds images only",
            hint="copy it to a registry, an oci: layout, an oci-archive: or a dir:",
        )
    if rules.recipe.format not in (None, own):
        raise UnsupportedError(
            f"{node.digest}: is an artifact, not an image, and artifacts can't be converted", hint="leave --format out"
        )
    return own


def convert(
    source: Source,
    root: Descriptor,
    recipe: Recipe,
    holds: Holds,
    *,
    chosen: frozenset[Digest] | None = None,
    remade: bool = False,
    scratch: Scratch,
    executor: Executor,
    observer: Observer = silent,
) -> Converted:
    """Convert what has to be; ``chosen`` limits the children of an index at the root.

    ``remade`` says that the source made its manifests up. Raises what reading raises, :class:`UnsupportedError` where the
    image can't become what is wanted, :class:`ConfigError` where an index would change whose images are not all carried,
    and :class:`DigestError` or :class:`bundler.errors.ProtocolError` for a damaged layer.
    """
    changes: list[str] = []
    if root.media_type in mediatype.SCHEMA1:
        made = from_schema1(source, root, scratch=scratch, executor=executor)
        changes.append(f"{root.digest}: Docker schema 1 became Docker schema 2: {made.root.digest}")
        source, root = _Layered(made.contents, scratch, source), made.root
    graph = walk(source, root, chosen=chosen)
    rules = _Rules(recipe, holds, remade)
    rules = replace(rules, actual=_seen(graph, rules, source, executor))
    if not _reasons(graph, rules):
        return Converted(source, root, tuple(changes))
    _check_whole(graph, chosen)
    layers = _layers(graph, rules, source, _Hands(scratch, executor, observer))
    contents: dict[Digest, bytes] = {}
    became: dict[Digest, Descriptor] = {}
    for node in _manifests(graph):
        raw, manifest = graph.manifests[node.digest]
        wanted = _format(node, manifest, rules)
        if manifest.is_index:
            new = _index(raw, node, wanted, became)
        elif formats.is_image(manifest.config):
            new = _image(raw, node, wanted, rules, layers)
            if new is not raw:
                _check_plain(parse_manifest(raw, node.media_type, what=node.digest), new, wanted, source)
        else:
            new = raw
        if new is raw or new == raw:
            became[node.digest] = node
            continue
        media_type = _media_type(wanted, index=manifest.is_index)
        became[node.digest] = replace(node, media_type=media_type, digest=digest_of(new), size=len(new))
        contents[became[node.digest].digest] = new
        changes.append(_told(node, became[node.digest], raw, wanted))
    return Converted(_Layered(contents, scratch, source), became[root.digest], tuple(changes))


def _media_type(format_: Format, *, index: bool) -> str:
    if format_ == "oci":
        return mediatype.OCI_INDEX if index else mediatype.OCI_MANIFEST
    return mediatype.DOCKER_INDEX if index else mediatype.DOCKER_MANIFEST


def _told(old: Descriptor, new: Descriptor, raw: bytes, wanted: Format) -> str:
    how = "changed, as what it lists did"
    if wanted != format_of(old.media_type):
        how = f"became {FORMAT_NAMES[wanted]}"
    lost = formats.dropped(loads(raw, what=old.digest), wanted)
    told = f"; lost are its {' and its '.join(lost)}, which this format has no place for" if lost else ""
    return f"{old.digest}: {how}, so its digest is {new.digest} now{told}"


# Layers

_Key = tuple[Digest, Compression]


@dataclass(frozen=True, slots=True)
class _Hands:
    scratch: Scratch
    executor: Executor
    observer: Observer


def _seen(graph: Graph, rules: _Rules, source: Source, executor: Executor) -> Mapping[Digest, str]:
    """Those layers that begin otherwise than they are called, among those that would stay for what they are called."""
    named: dict[Digest, Descriptor] = {}
    for node in _manifests(graph) if rules.demanding else ():
        manifest = graph.manifests[node.digest][1]
        for layer in manifest.layers if formats.is_image(manifest.config) else ():
            _, compression = rules.layer(layer, _format(node, manifest, rules), what=str(node.digest))
            if compression is None and formats.is_layer(layer.media_type):
                named.setdefault(layer.digest, layer)

    def look(layer: Descriptor, running: Running) -> str:
        with closing(source.fetch(layer)) as chunks:
            return sniffed(started(running(chunks))[0])

    found = zip(named.values(), together(look, list(named.values()), executor), strict=True)
    return {layer.digest: seen for layer, seen in found if seen != compression_of(layer.media_type)}


def _layers(graph: Graph, rules: _Rules, source: Source, hands: _Hands) -> Mapping[_Key, Descriptor]:
    """Every layer that must change, changed; each once, several at once."""
    wanted: dict[_Key, Descriptor] = {}
    for node in _manifests(graph):
        manifest = graph.manifests[node.digest][1]
        for layer in manifest.layers if formats.is_image(manifest.config) else ():
            _, compression = rules.layer(layer, _format(node, manifest, rules), what=str(node.digest))
            if compression is not None:
                wanted.setdefault((layer.digest, compression), layer)
    if wanted:
        total = sum(layer.size for layer in wanted.values())
        hands.observer(Note(f"{len(wanted)} layers of {total} bytes are being converted"))

    def change(item: tuple[_Key, Descriptor], running: Running) -> Descriptor:
        (_, compression), layer = item
        try:
            with closing(source.fetch(layer)) as chunks:
                head, checked = started(running(verified(layer, chunks)))
                if sniffed(head) == compression:
                    return layer  # what it is called is all that was wrong
                digest, size = hands.scratch.keep(
                    recompressed(checked, compression, rules.recipe.level, what=f"layer {layer.digest}")
                )
        except ProtocolError:
            with closing(source.fetch(layer)) as chunks:
                for _ in running(verified(layer, chunks)):
                    pass  # wrong bytes are a worse fault than a layer that was made badly, and another one's
            raise
        return Descriptor(layer.media_type, digest, size)

    return dict(zip(wanted, together(change, list(wanted.items()), hands.executor), strict=True))


# Manifests


def _image(
    raw: bytes,
    node: Descriptor,
    wanted: Format,
    rules: _Rules,
    layers: Mapping[_Key, Descriptor],
) -> bytes:
    manifest = parse_manifest(raw, node.media_type, what=str(node.digest))  # with annotations, unlike the graph's
    assert manifest.config is not None
    new: list[Descriptor] = []
    changed = wanted != format_of(node.media_type)
    for layer in manifest.layers:
        name, compression = rules.layer(layer, wanted, what=str(node.digest))
        made = layer if compression is None else layers[layer.digest, compression]
        changed = changed or name != layer.media_type or made.digest != layer.digest
        new.append(replace(layer, media_type=name, digest=made.digest, size=made.size))
    if not changed:
        return raw
    return formats.written_manifest(loads(raw, what=str(node.digest)), wanted, manifest.config, new)


def _check_plain(manifest: Manifest, raw: bytes, format_: Format, source: Source) -> None:
    """A layer that lost its compression must be the one that the config names (image-spec, config.md, "rootfs")."""
    new: Sequence[Descriptor] = parse_manifest(raw, _media_type(format_, index=False), what="new manifest").layers
    pairs = zip(manifest.layers, new, strict=True)
    plain = [
        n
        for n, (old, made) in enumerate(pairs)
        if _is_plain(made) and (old.digest != made.digest or not _is_plain(old))
    ]
    if not plain or manifest.config is None:
        return
    what = f"config {manifest.config.digest}"
    fields = Fields(loads(read(source, manifest.config), what=what), what=what)
    ids = fields.object("rootfs").texts("diff_ids") if "rootfs" in fields else ()
    for n in plain:
        said = quoted(ids[n]) if len(ids) == len(new) else f"{len(ids)} layers where there are {len(new)}"
        if said != new[n].digest:
            raise DigestError(
                f"layer {manifest.layers[n].digest}: holds {new[n].digest} without its compression, and the image's config "
                f"names {said}"
            )


def _is_plain(layer: Descriptor) -> bool:
    return layer.media_type in (mediatype.OCI_LAYER, mediatype.DOCKER_LAYER)


def _index(
    raw: bytes,
    node: Descriptor,
    wanted: Format,
    became: Mapping[Digest, Descriptor],
) -> bytes:
    manifest = parse_manifest(raw, node.media_type, what=str(node.digest))
    children = {child.digest: became.get(child.digest, child) for child in manifest.manifests}
    if wanted == format_of(node.media_type) and all(old == new.digest for old, new in children.items()):
        return raw
    return formats.written_index(loads(raw, what=str(node.digest)), wanted, children)


def _check_whole(graph: Graph, chosen: frozenset[Digest] | None) -> None:
    """What changes below an index changes the index, and what is left out can't be known in its new form."""
    manifest = graph.manifests[graph.root.digest][1]
    if chosen is not None and not {child.digest for child in manifest.manifests} <= chosen:
        raise ConfigError(
            f"{graph.root.digest}: an index can't be converted while some of its images are left out",
            hint="copy all of them with --all, or one of them, or convert nothing (--preserve-digests)",
        )


class _Layered:
    """New manifests from memory, new layers from the scratch, everything else from where it was."""

    def __init__(self, contents: Mapping[Digest, bytes], scratch: Scratch, below: Source) -> None:
        self._contents, self._scratch, self._below = contents, scratch, below

    def resolve(self, name: str) -> Descriptor:
        """As the source below."""
        return self._below.resolve(name)

    def fetch(self, want: Descriptor) -> Generator[Buffer, None, None]:
        """The bytes."""
        return self.fetch_from(want, 0)

    def fetch_from(self, want: Descriptor, offset: int) -> Generator[Buffer, None, None]:
        """The bytes from ``offset`` on."""
        if want.digest in self._contents:
            yield memoryview(self._contents[want.digest])[offset:]
        elif self._scratch.has(want.digest):
            yield from self._scratch.fetch_from(want, offset)
        elif isinstance(self._below, Ranged):
            yield from self._below.fetch_from(want, offset)
        else:
            with closing(self._below.fetch(want)) as chunks:
                for chunk in chunks:
                    yield memoryview(chunk)[offset:]
                    offset = max(0, offset - len(chunk))
