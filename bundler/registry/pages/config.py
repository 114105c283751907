"""What an image's config says, for the page of the image (image-spec 1.1, config.md).

    read_config(raw, what="the config").labels        # {'org.opencontainers.image.title': 'app', …}

Strict in what it takes, since whoever made the image wrote it: one field of a wrong type, and none of it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bundler.oci.platform import Platform
from bundler.oci.strict_json import Fields, loads

CONFIG_VALUES = 1 << 16

_STEP = ("created", "created_by", "comment", "author")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an image's history; a layer unless ``empty``."""

    created: str
    created_by: str
    comment: str
    author: str
    empty: bool


@dataclass(frozen=True, slots=True)
class Config:
    """What is there; empty is what was not said."""

    platform: str = ""
    created: str = ""
    author: str = ""
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Step, ...] = ()


def read_config(raw: bytes, *, what: str) -> Config:
    """The config of a blob; :class:`bundler.errors.ProtocolError` and its like for what is none."""
    value = loads(raw, what=what, values=CONFIG_VALUES)
    fields = Fields(value, what=what)
    run = fields.object("config") if "config" in fields else Fields({}, what=what)
    return Config(
        platform=_platform(fields),
        created=_text(fields, "created"),
        author=_text(fields, "author"),
        user=_text(run, "User"),
        working_dir=_text(run, "WorkingDir"),
        stop_signal=_text(run, "StopSignal"),
        entrypoint=_texts(run, "Entrypoint"),
        command=_texts(run, "Cmd"),
        env=_texts(run, "Env"),
        ports=_names(run, "ExposedPorts", value.get("config")),
        volumes=_names(run, "Volumes", value.get("config")),
        labels=run.text_map("Labels"),
        history=_history(fields),
    )


def _platform(fields: Fields) -> str:
    variant, version = _text(fields, "variant"), _text(fields, "os.version")
    said = str(Platform(_text(fields, "os"), _text(fields, "architecture"), variant))
    return f"{said} {version}" if version else said


def _history(fields: Fields) -> tuple[Step, ...]:
    steps = fields.array("history") if "history" in fields else []
    return tuple(_step(Fields(step, what=f"{fields.what}: history[{n}]"), step) for n, step in enumerate(steps))


def _step(fields: Fields, value: Mapping[str, Any]) -> Step:
    empty = value.get("empty_layer")
    if empty is not None and not isinstance(empty, bool):
        raise fields.fail("empty_layer", "must be true or false")
    created, created_by, comment, author = (_text(fields, name) for name in _STEP)
    return Step(created, created_by, comment, author, empty is True)


def _text(fields: Fields, name: str) -> str:
    return fields.text(name) if name in fields else ""


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    return fields.texts(name) if name in fields else ()


def _names(fields: Fields, name: str, value: Any) -> tuple[str, ...]:
    """A set, which is written as an object of empty objects."""
    if name not in fields:
        return ()
    if not isinstance(value[name], dict):
        raise fields.fail(name, "must be an object of empty objects")
    return tuple(sorted(value[name]))
