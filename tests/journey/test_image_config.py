"""Configs as container tools read them, and those that they can't."""

from __future__ import annotations

from typing import Any

import pytest

from bundler.errors import BundlerError
from bundler.journey.image_config import read_config
from tests.images import as_json

FULL: dict[str, Any] = {
    "history": [
        {"comment": "c", "created": "2020-01-02T03:04:05+05:30", "empty_layer": True, "created_by": "x", "author": "q"},
        {},
        {"empty_layer": False, "created_by": ""},
    ],
    "rootfs": {"diff_ids": ["sha256:a"], "type": "layers"},
    "variant": "v7",
    "os.features": ["x"],
    "config": {
        "ArgsEscaped": True,
        "Labels": {"z": "1", "a": "2"},
        "ExposedPorts": {"80/tcp": {}, "443/tcp": None},
        "Volumes": {"/z": {}, "/a": {}},
        "Hostname": "unknown to the specification",
        "Env": ["Z=1", "A=2"],
        "Cmd": [],
        "User": "",
        "StopSignal": "SIGINT",
    },
    "os": "linux",
    "os.version": "10",
    "architecture": "arm",
    "docker_version": "20",
    "created": "2020-01-02T03:04:05.100+00:00",
    "author": "me",
    "container_config": {"anything": 1},
}


def test_everything_in_the_order_of_the_specification() -> None:
    said = read_config(as_json(FULL), what="x").document()
    assert as_json(said) == as_json(
        {
            "created": "2020-01-02T03:04:05.1Z",
            "author": "me",
            "architecture": "arm",
            "os": "linux",
            "os.version": "10",
            "os.features": ["x"],
            "variant": "v7",
            "config": {
                "ExposedPorts": {"443/tcp": {}, "80/tcp": {}},
                "Env": ["Z=1", "A=2"],
                "Volumes": {"/a": {}, "/z": {}},
                "Labels": {"a": "2", "z": "1"},
                "StopSignal": "SIGINT",
                "ArgsEscaped": True,
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:a"]},
            "history": [
                {
                    "created": "2020-01-02T03:04:05+05:30",
                    "created_by": "x",
                    "author": "q",
                    "comment": "c",
                    "empty_layer": True,
                },
                {},
                {},
            ],
        }
    )


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"created":null,"architecture":null,"config":null,"rootfs":null,"history":null,"os":null}'],
    ids=["nothing", "nulls"],
)
def test_what_is_never_left_out(raw: bytes) -> None:
    said = read_config(raw, what="x").document()
    assert said == {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "", "diff_ids": None}}


def test_an_empty_map_is_not_a_missing_one() -> None:
    run = read_config(b'{"config":{"Labels":{},"Env":[]}}', what="x").run
    assert run == {"Labels": {}, "Env": []}
    assert read_config(b'{"config":{"Labels":null}}', what="x").run == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"),
        ("2020-01-02T03:04:05.500000000Z", "2020-01-02T03:04:05.5Z"),
        ("2020-01-02T03:04:05.000Z", "2020-01-02T03:04:05Z"),
        ("2020-01-02T03:04:05.123456789123Z", "2020-01-02T03:04:05.123456789Z"),
        ("2020-01-02T03:04:05.123456789+02:00", "2020-01-02T03:04:05.123456789+02:00"),
        ("2020-01-02T03:04:05-00:00", "2020-01-02T03:04:05Z"),
        ("2024-02-29T23:59:59-11:30", "2024-02-29T23:59:59-11:30"),
    ],
)
def test_times(given: str, said: str) -> None:
    assert read_config(as_json({"created": given}), what="x").created == said


WRONG: dict[str, Any] = {
    "not an object": [],
    "a month too many": {"created": "2020-13-01T00:00:00Z"},
    "a day too many": {"created": "2023-02-29T00:00:00Z"},
    "an hour too many": {"created": "2020-01-01T24:00:00Z"},
    "digits of another script": {"created": "٢٠٢٠-01-01T00:00:00Z"},
    "no zone": {"created": "2020-01-01T00:00:00"},
    "an empty time": {"created": ""},
    "a number for a time": {"created": 5},
    "another case, which Go would take": {"Architecture": "amd64"},
    "another case within": {"config": {"labels": {}}},
    "labels that are a list": {"config": {"Labels": ["a"]}},
    "a label that is a number": {"config": {"Labels": {"a": 1}}},
    "ports that are a list": {"config": {"ExposedPorts": ["80"]}},
    "volumes of texts": {"config": {"Volumes": {"/a": "b"}}},
    "a flag that is a text": {"config": {"ArgsEscaped": "yes"}},
    "a flag that is a number": {"history": [{"empty_layer": 1}]},
    "a step that is a text": {"history": ["x"]},
    "a step of another time": {"history": [{"created": "x"}]},
    "diff ids that are numbers": {"rootfs": {"diff_ids": [1]}},
    "a rootfs that is a list": {"rootfs": []},
    "features that are a text": {"os.features": "x"},
    "a command that is a text": {"config": {"Cmd": "x"}},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    with pytest.raises(BundlerError, match=r"^app\b"):
        read_config(as_json(WRONG[case]), what="app")
