"""Numbers for Prometheus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse

import bundler
from bundler.registry.operations.metrics import Metrics, Readings, free
from bundler.registry.operations.watch import Watch
from tests.registry.caller import Caller
from tests.registry.operations.seen import done


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Name and label values, and the value; without the times at which counters were made."""
    text = metrics.render()[0].decode()
    return {
        (sample.name.removeprefix("bundler_registry_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_requests() -> None:
    metrics = Metrics()
    metrics.begun("manifest")
    metrics.begun("manifest")
    metrics.begun("blob")
    metrics.finished(done(seconds=0.3))
    metrics.finished(done(method="PUT", status=201, received=900, sent=0))
    said = samples(metrics)
    assert said["requests_total", "manifest", "GET", "200"] == 1
    assert said["requests_total", "manifest", "PUT", "201"] == 1
    assert said["sent_bytes_total", "manifest"] == 1187
    assert said["received_bytes_total", "manifest"] == 900
    assert (said["requests_under_way", "manifest"], said["requests_under_way", "blob"]) == (0, 1)
    assert (said["request_seconds_bucket", "manifest", "0.1"], said["request_seconds_bucket", "manifest", "0.5"]) == (
        1,
        2,
    )
    assert said["request_seconds_count", "manifest"] == 2
    assert ("requests_aborted_total", "manifest") not in said


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"method": "BREW"}, ("manifest", "other", "200")),
        ({"method": "get"}, ("manifest", "other", "200")),
        ({"family": "/v2/secret"}, ("other", "GET", "200")),
        ({"status": None}, ("manifest", "GET", "none")),
        ({"status": 99999}, ("manifest", "GET", "599")),
    ],
)
def test_labels_are_few(changes: dict[str, Any], labels: tuple[str, ...]) -> None:
    metrics = Metrics()
    metrics.finished(done(**changes))
    assert samples(metrics)["requests_total", *labels] == 1


def test_a_scan_adds_no_series() -> None:
    metrics = Metrics()
    caller = Caller(Watch(PlainTextResponse("hello"), [metrics]))
    sizes = set()
    for n in range(50):
        caller.call(f"M{n}", f"/v2/r{n}/tags/list?n={n}")
        sizes.add(len(samples(metrics)))
    assert len(sizes) == 1
    assert samples(metrics)["requests_total", "tags", "other", "200"] == 50


def test_what_it_is_told() -> None:
    metrics = Metrics()
    before = samples(metrics)
    assert before["gc_freed_bytes_total",] == 0
    metrics.collected(4096)
    metrics.collected(1)
    metrics.collection_failed()
    metrics.finished(done(ended="aborted"))
    said = samples(metrics)
    assert (said["gc_runs_total", "ok"], said["gc_runs_total", "failed"], said["gc_freed_bytes_total",]) == (2, 1, 4097)
    assert said["requests_aborted_total", "manifest"] == 1
    assert said["build_info", bundler.__version__] == 1


def test_readings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fails() -> float:
        raise OSError("the disk is gone")

    def uploads() -> int:
        calls.append(1)
        return 3

    metrics = Metrics(Readings(uploads_open=uploads, repositories=fails, tags=lambda: None, free_bytes=free(tmp_path)))
    assert calls == []
    said = samples(metrics)
    assert said["uploads_open",] == 3
    assert said["free_bytes",] > 0
    assert not said.keys() & {("repositories",), ("tags",), ("log_lines_lost",)}
    assert [record.message for record in caplog.records] == ["repositories could not be read: the disk is gone"]
    assert calls == [1]


def test_one_registry_for_each() -> None:
    one, other = Metrics(), Metrics()
    one.collected(5)
    assert (samples(one)["gc_freed_bytes_total",], samples(other)["gc_freed_bytes_total",]) == (5, 0)
    assert not [family for family in REGISTRY.collect() if family.name.startswith("bundler")]


def test_formats() -> None:
    metrics = Metrics()
    metrics.finished(done())
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain; version=")
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "bundler_registry_requests" in {family.name for family in openmetrics(body.decode())}


def test_importing_the_rest_loads_it_not() -> None:
    names = "access_log, activation, draining, families, health, stopping, watch"
    code = f"import sys; from bundler.registry.operations import {names}; print('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"
