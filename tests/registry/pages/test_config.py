"""What an image's config says."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.errors import LimitError, ProtocolError
from bundler.registry.pages.config import Config, Step, read_config
from tests.images import as_json, image, layer

FULL: dict[str, Any] = {
    "created": "2026-01-31T12:00:00Z",
    "author": "ann",
    "architecture": "arm",
    "variant": "v7",
    "os": "linux",
    "config": {
        "User": "app",
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
        "Entrypoint": ["/bin/app"],
        "Cmd": ["serve"],
        "Env": ["A=1"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"a": "b"},
    },
    "history": [{"created_by": "COPY . /", "comment": "buildkit"}, {"created_by": "ENV A=1", "empty_layer": True}],
}


def test_everything() -> None:
    assert read_config(as_json(FULL), what="config") == Config(
        platform="linux/arm/v7",
        created="2026-01-31T12:00:00Z",
        author="ann",
        user="app",
        working_dir="/srv",
        stop_signal="SIGQUIT",
        entrypoint=("/bin/app",),
        command=("serve",),
        env=("A=1",),
        ports=("53/udp", "80/tcp"),
        volumes=("/data",),
        labels={"a": "b"},
        history=(Step("", "COPY . /", "buildkit", "", empty=False), Step("", "ENV A=1", "", "", empty=True)),
    )


def test_generated_images() -> None:
    made = image(layer("a", 10), platform="linux/arm64")
    assert read_config(made.blobs[-1].raw, what="config").platform == "linux/arm64"


def test_null_is_nothing() -> None:
    config = {"config": dict.fromkeys(FULL["config"]), "history": None, "os": "windows", "os.version": "10.0.1"}
    assert read_config(as_json(config), what="config") == Config(platform="windows 10.0.1")


REFUSED = {
    "no JSON": b"\x1f\x8b",
    "a list": b"[]",
    "config is a list": b'{"config": []}',
    "labels with numbers": b'{"config": {"Labels": {"a": 1}}}',
    "env is text": b'{"config": {"Env": "A=1"}}',
    "ports are a list": b'{"config": {"ExposedPorts": ["80"]}}',
    "history is an object": b'{"history": {}}',
    "history of texts": b'{"history": ["RUN"]}',
    "empty_layer is text": b'{"history": [{"empty_layer": "no"}]}',
    "a key twice": b'{"os": "linux", "os": "windows"}',
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^the config: "):
        read_config(raw, what="the config")


def test_too_many_values() -> None:
    with pytest.raises(LimitError):
        read_config(b'{"history": [' + b",".join([b"{}"] * 70_000) + b"]}", what="config")
