"""What Prometheus may ask: numbers about requests, uploads, the store, garbage collection and refused visitors.

Each application has a registry of its own, so that two in one process don't count together. Labels come from fixed
lists: no path, repository, user or address is ever one.

    metrics = Metrics(Readings(uploads_open=uploads.count, free_bytes=free(directory)))
    app = Watch(application(store), [metrics])
    body, content_type = metrics.render()            # blocks: call it in a worker thread
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import bundler
from bundler.registry.operations.families import FAMILIES
from bundler.registry.operations.watch import Request

PREFIX = "bundler_registry"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0)

Reading = Callable[[], float | None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read when somebody asks. They may block; one that fails or answers None is left out that time."""

    uploads_open: Reading | None = None
    repositories: Reading | None = None
    tags: Reading | None = None
    damaged_contents: Reading | None = None
    free_bytes: Reading | None = None
    log_lines_lost: Reading | None = None


_ABOUT = {
    "uploads_open": "Upload sessions that are open",
    "repositories": "Repositories that are served",
    "tags": "Tags of all repositories",
    "damaged_contents": "Contents that were found damaged, and are not served",
    "free_bytes": "Bytes that can still be written to the file system of the store",
    "log_lines_lost": "Lines of the access log that could not be written",
}


class Metrics:
    """An observer of :class:`bundler.registry.operations.watch.Watch`, told of the rest by its methods."""

    def __init__(self, readings: Readings | None = None, *, version: str = bundler.__version__) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}_requests",
            "Requests that were answered or broke off",
            ["method", "family", "status"],
            registry=registry,
        )
        self._aborted = Counter(f"{PREFIX}_requests_aborted", "Requests that broke off", ["family"], registry=registry)
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds", "How long requests took", ["family"], buckets=SECONDS, registry=registry
        )
        self._under_way = Gauge(f"{PREFIX}_requests_under_way", "Requests under way", ["family"], registry=registry)
        self._received = Counter(f"{PREFIX}_received_bytes", "Bytes of bodies received", ["family"], registry=registry)
        self._sent = Counter(f"{PREFIX}_sent_bytes", "Bytes of bodies sent", ["family"], registry=registry)
        self._gc_runs = Counter(f"{PREFIX}_gc_runs", "Garbage collections", ["result"], registry=registry)
        self._gc_freed = Counter(f"{PREFIX}_gc_freed_bytes", "Bytes freed by garbage collection", registry=registry)
        Info(f"{PREFIX}_build", "What is running", registry=registry).info({"version": version})
        ProcessCollector(registry=registry)
        registry.register(_Read(readings or Readings()))

    def begun(self, family: str) -> None:
        """A request has come."""
        self._under_way.labels(_one_of(family, FAMILIES)).inc()

    def finished(self, request: Request) -> None:
        """A request was answered, or not."""
        family = _one_of(request.family, FAMILIES)
        status = "none" if request.status is None else str(min(max(request.status, 100), 599))
        self._under_way.labels(family).dec()
        self._requests.labels(_one_of(request.method, METHODS), family, status).inc()
        self._seconds.labels(family).observe(request.seconds)
        self._received.labels(family).inc(request.received)
        self._sent.labels(family).inc(request.sent)
        if request.ended == "aborted":
            self._aborted.labels(family).inc()

    def collected(self, freed: int) -> None:
        """A garbage collection freed so many bytes."""
        self._gc_runs.labels("ok").inc()
        self._gc_freed.inc(freed)

    def collection_failed(self) -> None:
        """A garbage collection ended with an error."""
        self._gc_runs.labels("failed").inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All of it in the format that the ``Accept`` header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def free(directory: str | os.PathLike[str]) -> Reading:
    """A reading of the bytes that can still be written to the file system of ``directory``."""

    def read() -> float:
        found = os.statvfs(directory)
        return float(found.f_bavail * found.f_frsize)

    return read


class _Read(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def describe(self) -> list[Metric]:
        return []  # nothing is read before somebody asks

    def collect(self) -> Iterator[Metric]:
        for field in fields(self._readings):
            reading: Reading | None = getattr(self._readings, field.name)
            try:
                value = reading() if reading else None
            except Exception as error:  # noqa: BLE001 - the other numbers are wanted all the same
                _log.warning("%s could not be read: %s", field.name, error)
                continue
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{field.name}", _ABOUT[field.name], value=value)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    return text if text in known else "other"
