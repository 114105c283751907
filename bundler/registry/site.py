"""The registry with all that it is run with: the application, pages for people, health, metrics, an orderly end.

Requests come in through these, one inside the other:

    Lingering ── takes what is left of a body that was refused
      └── Watch ── measures, and tells the access log and the metrics
            └── Draining ── refuses new work once the registry is about to stop
                  └── application ── the endpoints, /healthz, /readyz, /metrics, and the pages
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from bundler.registry.access import Access, Right
from bundler.registry.application import application
from bundler.registry.contents import Contents
from bundler.registry.operations.access_log import AccessLog
from bundler.registry.operations.draining import Draining
from bundler.registry.operations.health import going_on, health_routes, readable
from bundler.registry.operations.health import writable as can_write
from bundler.registry.operations.lingering import Lingering
from bundler.registry.operations.metrics import Metrics, Readings, free
from bundler.registry.operations.watch import Observer, Watch
from bundler.registry.pages.address import Seen
from bundler.registry.pages.routes import page_routes
from bundler.registry.routes.endpoint import Asked, endpoint
from bundler.registry.store_layer import StoreLayer
from bundler.registry.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Site:
    """``app`` is what a server is given; ``uploads`` are there if anything can be pushed."""

    app: ASGIApp
    draining: Draining
    uploads: Uploads | None


def build(
    contents: Contents,
    writable: StoreLayer | None,
    *,
    access: Access,
    allow_delete: bool,
    log: AccessLog | None = None,
    public: Seen | None = None,
) -> Site:
    """The site over ``contents``; ``writable`` is their first layer if anything may be changed.

    ``public`` is how people reach it, if that is not what their requests say.
    """
    uploads = None if writable is None else Uploads(writable.store)

    def open_sessions() -> int:
        return 0 if uploads is None else len(uploads)

    def stopping() -> str:
        return going_on(draining)()

    metrics = Metrics(
        Readings(
            uploads_open=open_sessions,
            repositories=lambda: len(contents.repositories()),
            tags=lambda: sum(len(contents.tags(path) or ()) for path in contents.repositories()),
            damaged_contents=lambda: sum(layer.damaged for layer in contents.layers),
            free_bytes=None if writable is None else free(writable.store.path),
            log_lines_lost=None if log is None else lambda: log.lost,
        )
    )
    checks = [readable(f"layer {n}", layer.names) for n, layer in enumerate(contents.layers, 1)]
    if writable is not None:
        checks.append(can_write(writable.store.path))
    app = application(
        contents,
        writable,
        uploads,
        access=access,
        allow_delete=allow_delete,
        told=metrics,
        more=[
            *health_routes([*checks, stopping]),
            _metrics(metrics, access),
            *page_routes(contents, access, read_only=writable is None, deletion=allow_delete, public=public),
        ],
    )
    draining = Draining(app, open_sessions=open_sessions)
    observers: list[Observer] = [metrics] if log is None else [metrics, log]
    return Site(Lingering(Watch(draining, observers), stopping=lambda: draining.draining), draining, uploads)


def _metrics(metrics: Metrics, access: Access) -> BaseRoute:
    def scrape(asked: Asked) -> Response:
        body, content_type = metrics.render(asked.request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return endpoint("/metrics", access, {"GET": (Right.ADMIN, scrape)})
