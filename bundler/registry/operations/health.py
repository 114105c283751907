"""Whether the registry lives, and whether it can do its work: ``/healthz`` and ``/readyz``.

``/healthz`` answers ``ok`` as long as the process answers at all. ``/readyz`` answers 200 with ``[]``, or 503 with a list
of what is wrong. Anybody may ask, so the list names no path, and the checks run once a second at most, however often
they are asked for; a disk that does not answer holds up one thread and is one more thing that is wrong.

    checks = [readable("store", store.images), writable(directory), going_on(draining)]
    Starlette(routes=health_routes(checks))
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bundler.errors import BundlerError, quoted
from bundler.registry.operations.draining import Draining

Check = Callable[[], str]
"""Says what is wrong, for anybody to read, or nothing. It may block."""

LEAST_FREE_BYTES = 64 << 20
KEPT_SECONDS = 1.0
MOST_SECONDS = 5.0

_NEVER = {"Cache-Control": "no-store"}
_log = logging.getLogger(__name__)


def readable(name: str, look: Callable[[], object]) -> Check:
    """A check that ``look`` does not fail; ``name`` is for anybody to read, and why it failed for the log alone."""

    def check() -> str:
        try:
            look()
        except (BundlerError, OSError) as error:
            _log.warning("%s can't be read: %s", name, quoted(str(error)))
            return f"{name} can't be read"
        return ""

    return check


def writable(
    directory: str | os.PathLike[str], *, least_free: int = LEAST_FREE_BYTES, name: str = "the store"
) -> Check:
    """A check that ``directory`` may be written and its file system has room. It writes nothing."""

    def check() -> str:
        try:
            found = os.statvfs(directory)
        except OSError as error:
            _log.warning("%s can't be looked at: %s", name, error)
            return f"{name} can't be written"
        if found.f_flag & os.ST_RDONLY or not os.access(directory, os.W_OK | os.X_OK):
            return f"{name} can't be written"
        if found.f_bavail * found.f_frsize < least_free or (found.f_files and not found.f_favail):
            return f"{name} is almost full"
        return ""

    return check


def going_on(draining: Draining) -> Check:
    """A check that the registry is not about to stop.."""
    return lambda: "about to stop" if draining.draining else ""


def health_routes(checks: Sequence[Check]) -> list[Route]:
    """The two routes; neither asks who is asking."""
    readiness = Readiness(checks)

    async def ready(_request: Request) -> Response:
        problems = await readiness.problems()
        return JSONResponse(problems, status_code=503 if problems else 200, headers=_NEVER)

    return [Route("/healthz", _alive), Route("/readyz", ready)]


class Readiness:
    """What the checks said last, and when."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = tuple(checks)
        self._turn = anyio.CapacityLimiter(1)
        self._looking: asyncio.Task[list[str]] | None = None
        self._until = 0.0
        self._problems: list[str] = []

    async def problems(self) -> list[str]:
        """All that is wrong; at most :data:`KEPT_SECONDS` old, and within :data:`MOST_SECONDS`."""
        looking = self._looking
        if looking is None or looking.done():
            # Who asks may give up, but never the look itself: an abandoned thread would stay, and the next one join it.
            look = anyio.to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._turn)
            self._looking = looking = asyncio.ensure_future(look)
        done, _ = await asyncio.wait([looking], timeout=MOST_SECONDS)
        return looking.result() if done else [f"the checks take longer than {MOST_SECONDS:g} s"]

    def _look(self) -> list[str]:
        if time.monotonic() >= self._until:
            self._problems = [problem for check in self._checks if (problem := check())]
            self._until = time.monotonic() + KEPT_SECONDS
        return self._problems


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok\n", headers=_NEVER)
