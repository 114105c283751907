"""What an image is, told field for field as ``skopeo inspect`` tells it.

The digest is that of what the name stands for, an index included; everything else is of the one image that was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from bundler.content import Source, Tagged, read
from bundler.convert.formats import is_image
from bundler.errors import UnsupportedError, quoted
from bundler.journey.fitting import Wanted, choose
from bundler.journey.image_config import ZERO_TIME, Config, config_of, read_config
from bundler.oci import mediatype, schema1
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.platform import Platform
from bundler.oci.strict_json import loads


@dataclass(frozen=True, slots=True)
class Seen:
    """An image that was looked at: ``top`` is what the name stands for, ``root`` the one image of it."""

    top: Descriptor
    digest: Digest
    root: Descriptor
    raw: bytes

    @property
    def is_schema1(self) -> bool:
        """Whether there is no config, but a history."""
        return self.root.media_type in mediatype.SCHEMA1


@runtime_checkable
class Keeping(Protocol):
    """A medium that made something else of an image, and still knows its manifest and config as they came."""

    def as_kept(self, name: str) -> Source:
        """A source of these two alone."""
        ...


def as_kept(source: Source, name: str) -> Source:
    """Where to look at an image: at what the medium was given, if it knows that, without a copy of layers."""
    return source.as_kept(name) if isinstance(source, Keeping) else source


def look(source: Source, name: str, platform: Platform, *, what: str) -> Seen:
    """Resolve a name and choose the image for ``platform``."""
    top = source.resolve(name)
    raw = read(source, top)
    digest = schema1.digest(raw, what=what) if top.media_type in mediatype.SCHEMA1 else top.digest
    root = choose(source, top, Wanted(platform), what=what).root
    return Seen(top, digest, root, raw if root == top else read(source, root))


def raw_manifest(source: Source, name: str) -> bytes:
    """The bytes of what a name stands for."""
    return read(source, source.resolve(name))


def raw_config(source: Source, seen: Seen, *, what: str) -> bytes:
    """The bytes of the image's config. Raises :class:`UnsupportedError` for an image that has none."""
    if seen.is_schema1:
        raise UnsupportedError(
            f"{quoted(what)}: Docker schema 1 has no config", hint="leave --raw out to see what it says instead"
        )
    config = _manifest(seen, what).config
    if config is None:
        raise UnsupportedError(f"{quoted(what)}: has no config")
    return read(source, config)


def config_document(source: Source, seen: Seen, *, what: str) -> dict[str, Any]:
    """The config as OCI knows it (image-spec 1.1, config.md), in the order of the specification."""
    return (_schema1_config(seen, what) if seen.is_schema1 else _image_config(source, seen, what)).document()


def inspect(
    source: Source, seen: Seen, *, name: str = "", tags: Sequence[str] | None = (), what: str
) -> dict[str, Any]:
    """Skopeo's document.

    ``name`` is the repository's, empty for what has none; ``tags`` are all of its tags, None where they may not be known.
    """
    old = schema1.parse_schema1(seen.raw, what=what) if seen.is_schema1 else None
    config = _image_config(source, seen, what) if old is None else config_of(old.history[-1], what=what)
    never = None if seen.root.media_type == mediatype.OCI_MANIFEST else ZERO_TIME
    layers = _layers(seen, what) if old is None else [_layer("", digest, -1) for digest in old.layers]
    return {
        **({"Name": name} if name else {}),
        **({"Tag": old.tag} if old is not None and old.tag else {}),
        "Digest": seen.digest,
        "RepoTags": None if tags is None else list(tags),
        "Created": config.created or never,
        "DockerVersion": config.docker_version,
        "Labels": config.run.get("Labels"),
        "Architecture": config.architecture,
        "Os": config.os,
        "Layers": [layer["Digest"] for layer in layers],
        "LayersData": layers,
        "Env": config.run.get("Env"),
    }


def tags_of(source: Source) -> list[str]:
    """All tags, sorted as the medium sorts them."""
    return list(source.tags()) if isinstance(source, Tagged) else []


def _layers(seen: Seen, what: str) -> list[dict[str, Any]]:
    """The layers; whether one has no annotations or an empty object of them is told apart, as Go does."""
    layers = _manifest(seen, what).layers
    annotated = seen.root.media_type == mediatype.OCI_MANIFEST
    written = loads(seen.raw, what=what).get("layers") or [] if annotated else [{}] * len(layers)
    return [
        _layer(layer.media_type, layer.digest, layer.size, each.get("annotations"))
        for layer, each in zip(layers, written, strict=True)
    ]


def _layer(media_type: str, digest: Digest, size: int, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {
        "MIMEType": media_type,
        "Digest": digest,
        "Size": size,
        "Annotations": None if annotations is None else dict(sorted(annotations.items())),
    }


def _manifest(seen: Seen, what: str) -> Manifest:
    return parse_manifest(seen.raw, seen.root.media_type, what=what)


def _image_config(source: Source, seen: Seen, what: str) -> Config:
    manifest = _manifest(seen, what)
    if not is_image(manifest.config):
        kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
        raise UnsupportedError(
            f"{quoted(what)}: is an artifact ({quoted(kind)}), not an image", hint="--raw prints its manifest"
        )
    return read_config(raw_config(source, seen, what=what), what=f"{quoted(what)}: config")


def _schema1_config(seen: Seen, what: str) -> Config:
    """What the history says. The digests of plain layers are not known, and left empty."""
    old = schema1.parse_schema1(seen.raw, what=what)
    steps = []
    for record in old.history:
        (step,) = config_of({"history": [record]}, what=what).history
        container = record.get("container_config")
        command = config_of({"config": container}, what=what).run.get("Cmd", ())
        about = {"created": step.get("created", ZERO_TIME), "created_by": " ".join(command)}
        about |= {name: step.get(name) for name in ("author", "comment")}
        about["empty_layer"] = record.get("throwaway") is True
        steps.append({name: value for name, value in about.items() if value})
    kept = sum("empty_layer" not in step for step in steps)
    newest = {name: value for name, value in old.history[-1].items() if name not in ("rootfs", "history")}
    config = config_of(newest, what=what)
    return replace(config, rootfs_type="layers", diff_ids=("",) * kept, history=tuple(steps))
