"""An image's config as the container tools read it: every field of a type, times in one form, maps sorted.

    read_config(raw, what="app").document()        # the members and their order are image-spec 1.1's (config.md)

Nothing of it is believed before: whoever made the image wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bundler.errors import ProtocolError, quoted
from bundler.oci.strict_json import Fields, loads, spellings

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What Go writes for a time that was never set."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NAMES = (
    "created", "author", "architecture", "variant", "os", "os.version", "os.features", "docker_version", "config",
    "rootfs", "history",
)  # fmt: skip
RUN = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped",
)  # fmt: skip
"""The members of ``config``, in the specification's order."""
_LISTS, _SETS, _FLAGS = ("Env", "Entrypoint", "Cmd"), ("ExposedPorts", "Volumes"), ("ArgsEscaped",)
_KNOWN, _KNOWN_RUN = spellings(*_NAMES), spellings(*RUN)


@dataclass(frozen=True, slots=True)
class Config:
    """What an image is made to do. ``run`` has what is there of the inner ``config``; empty text is what was not said."""

    created: str | None = None
    author: str = ""
    architecture: str = ""
    os: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    variant: str = ""
    docker_version: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    rootfs_type: str = ""
    diff_ids: tuple[str, ...] | None = None
    history: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """The values as JSON has them: what is empty is left out where the specification says that it may be missing."""
        about = {"created": self.created, "author": self.author}
        more = {"os.version": self.os_version, "os.features": list(self.os_features), "variant": self.variant}
        value: dict[str, Any] = {
            **_told(about),
            "architecture": self.architecture,
            "os": self.os,
            **_told(more),
            "config": _told({name: self.run.get(name) for name in RUN}),
            "rootfs": {"type": self.rootfs_type, "diff_ids": None if self.diff_ids is None else list(self.diff_ids)},
        }
        if self.history:
            value["history"] = [dict(step) for step in self.history]
        return value


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def read_config(raw: bytes, *, what: str) -> Config:
    """The config of a blob. Raises :class:`ProtocolError` for one that container tools could not read either."""
    return config_of(loads(raw, what=what), what=what)


def config_of(value: Any, *, what: str) -> Config:
    """The config of an object, which may have any other members beside."""
    fields = Fields(value, what=what)
    fields.spelled(_KNOWN)
    rootfs = fields.object("rootfs") if "rootfs" in fields else None
    steps = fields.array("history") if "history" in fields else []
    return Config(
        created=time_of(fields, "created"),
        author=text_of(fields, "author"),
        architecture=text_of(fields, "architecture"),
        os=text_of(fields, "os"),
        os_version=text_of(fields, "os.version"),
        os_features=fields.texts("os.features") if "os.features" in fields else (),
        variant=text_of(fields, "variant"),
        docker_version=text_of(fields, "docker_version"),
        run=_run(value["config"], f"{what}: config") if "config" in fields else {},
        rootfs_type=text_of(rootfs, "type") if rootfs is not None else "",
        diff_ids=rootfs.texts("diff_ids") if rootfs is not None and "diff_ids" in rootfs else None,
        history=tuple(_step(step, f"{what}: history[{n}]") for n, step in enumerate(steps)),
    )


def _run(value: Any, what: str) -> dict[str, Any]:
    fields = Fields(value, what=what)
    fields.spelled(_KNOWN_RUN)
    run: dict[str, Any] = {}
    for name in RUN:
        if name not in fields:
            continue
        if name in _LISTS:
            run[name] = list(fields.texts(name))
        elif name in _SETS:
            run[name] = _set(fields, name, value[name])
        elif name == "Labels":
            run[name] = dict(sorted(fields.text_map(name).items()))
        elif name in _FLAGS:
            run[name] = _flag(fields, name, value)
        else:
            run[name] = fields.text(name)
    return run


def _set(fields: Fields, name: str, value: Any) -> dict[str, dict[str, Any]]:
    """A set, which is written as an object of empty objects."""
    if not isinstance(value, dict) or not all(each is None or isinstance(each, dict) for each in value.values()):
        raise fields.fail(name, "must be an object of empty objects")
    return {key: {} for key in sorted(value)}


def _flag(fields: Fields, name: str, value: Mapping[str, Any]) -> bool:
    found = value.get(name, False)
    if found is not None and not isinstance(found, bool):
        raise fields.fail(name, "must be true or false")
    return found is True


def _step(value: Any, what: str) -> dict[str, Any]:
    fields = Fields(value, what=what)
    return _told(
        {
            "created": time_of(fields, "created"),
            **{name: text_of(fields, name) for name in ("created_by", "author", "comment")},
            "empty_layer": _flag(fields, "empty_layer", value),
        }
    )


def text_of(fields: Fields, name: str) -> str:
    """A text, empty if absent."""
    return fields.text(name) if name in fields else ""


def time_of(fields: Fields, name: str) -> str | None:
    """A time as Go writes it: without zeros at the end of the fraction, and Z for no offset."""
    if name not in fields:
        return None
    text = fields.text(name)
    found = _TIME.fullmatch(text)
    if found is None:
        raise ProtocolError(f"{fields.what}: {name}: {quoted(text)!r} is not a time")
    zone = "Z" if found[3][1:] == "00:00" else found[3]
    try:
        datetime.fromisoformat(f"{found[1]}{zone}")
    except ValueError:
        raise ProtocolError(f"{fields.what}: {name}: {quoted(text)!r} is not a time") from None
    fraction = (found[2] or "").rstrip("0")
    return f"{found[1]}{'.' + fraction if fraction else ''}{zone}"
