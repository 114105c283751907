"""The documents of ``inspect`` as templates see them: skopeo's and the specification's structs, by their fields in Go.

reported("{{.Os}} {{.Created}}", inspected(document))
reported("{{.Config.Labels}}", configured(document))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundler.cli.gotemplate.values import NilList, Struct, listed, mapped, timed

_LISTS, _SETS = ("Env", "Entrypoint", "Cmd"), ("ExposedPorts", "Volumes")
_RUN = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
_PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")
_NOTHING = Struct({}, {})


def inspected(document: Mapping[str, Any]) -> Struct:
    """What ``inspect`` prints; the fields that its JSON leaves out when they are empty are there all the same."""
    layers = [
        Struct({**each, "Annotations": mapped(each["Annotations"])}, each) for each in document.get("LayersData", ())
    ]
    fields = {
        "Name": document.get("Name", ""),
        "Tag": document.get("Tag", ""),
        "Digest": document["Digest"],
        "RepoTags": listed(document["RepoTags"]),
        "Created": timed(document["Created"]),
        "DockerVersion": document["DockerVersion"],
        "Labels": mapped(document["Labels"]),
        "Architecture": document["Architecture"],
        "Os": document["Os"],
        "Layers": listed(document["Layers"]),
        "LayersData": layers,
        "Env": listed(document["Env"]),
    }
    return Struct(fields, document)


def configured(document: Mapping[str, Any]) -> Struct:
    """What ``inspect --config`` prints (image-spec 1.1, config.md)."""
    run, rootfs = document["config"], document["rootfs"]
    platform = Struct(
        {
            "Architecture": document["architecture"],
            "OS": document["os"],
            "OSVersion": document.get("os.version", ""),
            "OSFeatures": listed(document.get("os.features")),
            "Variant": document.get("variant", ""),
        },
        {name: document[name] for name in _PLATFORM if name in document},
    )
    config = {name: _part(name, run.get(name)) for name in _RUN}
    fields = {
        "Created": timed(document.get("created")),
        "Author": document.get("author", ""),
        "Platform": platform,
        "Config": Struct({**config, "ArgsEscaped": run.get("ArgsEscaped", False)}, run),
        "RootFS": Struct({"Type": rootfs["type"], "DiffIDs": listed(rootfs["diff_ids"])}, rootfs),
        "History": [_step(each) for each in document["history"]] if "history" in document else NilList(),
    }
    return Struct(fields, document, platform.fields)


def _part(name: str, value: Any) -> Any:
    if name in _LISTS:
        return listed(value)
    if name == "Labels":
        return mapped(value)
    if name in _SETS:
        return mapped(value and dict.fromkeys(value, _NOTHING))
    return "" if value is None else value


def _step(each: Mapping[str, Any]) -> Struct:
    fields = {
        "Created": timed(each.get("created")),
        "CreatedBy": each.get("created_by", ""),
        "Author": each.get("author", ""),
        "Comment": each.get("comment", ""),
        "EmptyLayer": each.get("empty_layer", False),
    }
    return Struct(fields, each)
