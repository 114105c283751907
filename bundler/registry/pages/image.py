"""One manifest: an image, an index or an artifact; what it consists of, what refers to it, where it came from.

    image_page(contents, "team/app", "1.0", seen, paths=True)      # None if it is not there

Long lists are cut, and how long they are is said. Whatever can't be read is a text that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, is_digest
from bundler.oci.manifest import Manifest
from bundler.registry.pages.address import Seen, manifest_path
from bundler.registry.pages.attached import Attachments, attachments, pairs
from bundler.registry.pages.commands import Commands, pull_commands
from bundler.registry.pages.config import Config, Step
from bundler.registry.pages.overview import Place, place_of
from bundler.registry.pages.paging import First, first_of
from bundler.registry.pages.reading import Reading, Shown, annotations_of
from bundler.registry.pages.repository import CREATED, is_runnable, kind_of
from bundler.registry.pages.text import size_text, time_text

MOST_ROWS = 300
"""Of one list."""
REFERENCE_TYPE = "vnd.docker.reference.type"


@dataclass(frozen=True, slots=True)
class Child:
    """A manifest of an index. ``href`` is empty if it is not here."""

    digest: Digest
    href: str
    platform: str
    media_type: str
    size: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer or a blob. ``step`` is the line of the history that made it, empty if that can't be told."""

    number: int
    media_type: str
    digest: Digest
    size: str
    step: str = ""
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A step of the history. ``layer`` is the number of the layer that it made; 0 for none, or if that can't be told."""

    created: str
    created_by: str
    comment: str
    layer: int
    empty: bool


@dataclass(frozen=True, slots=True)
class Runs:
    """What an image is made to do, in the order of a page: one value, or several."""

    facts: tuple[tuple[str, First[str]], ...]
    labels: First[tuple[str, str]]
    history: First[Line]


@dataclass(frozen=True, slots=True)
class ImagePage:
    """``kind`` is index, image or artifact, and empty if the manifest can't be understood; ``problem`` says why."""

    repository: str
    reference: str
    by_tag: bool
    digest: Digest
    media_type: str
    size: str
    place: Place
    kind: str = ""
    problem: str = ""
    platform: str = ""
    created: str = ""
    author: str = ""
    artifact_type: str = ""
    total: str = ""
    whole: bool = True
    subject: tuple[Digest, str] | None = None
    children: First[Child] = field(default_factory=First)
    missing: int = 0
    parts: First[Part] = field(default_factory=First)
    config: Descriptor | None = None
    config_problem: str = ""
    runs: Runs | None = None
    annotations: First[tuple[str, str]] = field(default_factory=First)
    attached: Attachments = field(default_factory=Attachments)
    commands: Commands | None = None


def image_page(contents: Shown, repository: str, reference: str, seen: Seen, *, paths: bool) -> ImagePage | None:
    """The page of a tag or digest; ``None`` if it is not in the repository, or its manifest is damaged."""
    found = contents.manifest(repository, reference)
    if found is None:
        return None
    root, by_tag = found.root, not is_digest(reference)
    head = (repository, reference, by_tag, root.digest, root.media_type, size_text(root.size))
    place = place_of(found.origin, paths=paths)
    reading = Reading(contents, repository)
    manifest = reading.parsed(found.raw, root)
    attached = attachments(contents, repository, root.digest)
    if isinstance(manifest, str):
        return ImagePage(*head, place, problem=manifest, attached=attached)
    kind = kind_of(manifest)
    size, whole = reading.total(root, manifest)
    children = tuple(_child(reading, each) for each in manifest.manifests[:MOST_ROWS])
    config = reading.config(manifest.config) if kind == "image" and manifest.config is not None else None
    known = config if isinstance(config, Config) else None
    annotations = annotations_of(found.raw)
    references = [reference, root.digest] if by_tag else [root.digest]
    return ImagePage(
        *head,
        place,
        kind,
        platform=known.platform if known else "",
        created=time_text(annotations.get(CREATED, "") or (known.created if known else "")),
        author=known.author if known else "",
        artifact_type=_artifact_type(manifest) if kind == "artifact" else manifest.artifact_type,
        total=size_text(size),
        whole=whole,
        subject=_subject(repository, manifest),
        children=First(children, len(manifest.manifests)),
        missing=sum(1 for child in children if not child.href),
        parts=_parts(manifest, known),
        config=manifest.config,
        config_problem=config if isinstance(config, str) else "",
        runs=_runs(known) if known else None,
        annotations=pairs(annotations, MOST_ROWS),
        attached=attached,
        commands=pull_commands(seen, repository, references, artifact=kind == "artifact"),
    )


def _artifact_type(manifest: Manifest) -> str:
    return manifest.artifact_type or ("" if manifest.config is None else manifest.config.media_type)


def _subject(repository: str, manifest: Manifest) -> tuple[Digest, str] | None:
    if manifest.subject is None:
        return None
    return manifest.subject.digest, manifest_path(repository, manifest.subject.digest)


def _child(reading: Reading, child: Descriptor) -> Child:
    here = reading.contents.manifest(reading.repository, child.digest) is not None
    platform = "" if child.platform is None or not is_runnable(child) else str(child.platform)
    if platform and child.platform is not None and child.platform.os_version:
        platform = f"{platform} {child.platform.os_version}"
    return Child(
        child.digest,
        manifest_path(reading.repository, child.digest) if here else "",
        platform,
        child.media_type,
        size_text(child.size),
        child.artifact_type or child.annotations.get(REFERENCE_TYPE, ""),
    )


def _parts(manifest: Manifest, config: Config | None) -> First[Part]:
    steps = [step for step in config.history if not step.empty] if config else []
    told = len(steps) == len(manifest.layers)
    parts = [
        Part(
            n + 1,
            layer.media_type,
            layer.digest,
            size_text(layer.size),
            steps[n].created_by if told else "",
            mediatype.is_foreign(layer.media_type),
        )
        for n, layer in enumerate(manifest.layers[:MOST_ROWS])
    ]
    return First(tuple(parts), len(manifest.layers))


def _runs(config: Config) -> Runs:
    facts = {
        "Entrypoint": config.entrypoint,
        "Command": config.command,
        "User": (config.user,) if config.user else (),
        "Working directory": (config.working_dir,) if config.working_dir else (),
        "Exposed ports": config.ports,
        "Volumes": config.volumes,
        "Stop signal": (config.stop_signal,) if config.stop_signal else (),
        "Environment": config.env,
    }
    shown = tuple((name, first_of(values, MOST_ROWS)) for name, values in facts.items() if values)
    return Runs(shown, pairs(config.labels, MOST_ROWS), first_of(_lines(config.history), MOST_ROWS))


def _lines(history: tuple[Step, ...]) -> list[Line]:
    lines = []
    layer = 0
    for step in history:
        layer += not step.empty
        lines.append(
            Line(time_text(step.created), step.created_by, step.comment, 0 if step.empty else layer, step.empty)
        )
    return lines
