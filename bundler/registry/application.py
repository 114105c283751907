"""The registry as an ASGI application, for granian or any other server.

    layer = StoreLayer(store)
    contents = Contents([layer], Arrivals(store.private))
    app = application(contents, layer, Uploads(store), access=Access.everyone())

Endpoints are in :mod:`bundler.registry.routes`, one module per family; what holds for every answer is in
:mod:`bundler.registry.answers`. Without a store to write to, or in read-only mode, there are no endpoints that change
anything, and every such request is answered by 405.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from bundler.registry.access import Access
from bundler.registry.answers import HANDLERS, Guard
from bundler.registry.changes import Changes
from bundler.registry.contents import Contents
from bundler.registry.routes.blobs import Blobs
from bundler.registry.routes.listing import Listing
from bundler.registry.routes.manifests import Manifests
from bundler.registry.routes.upkeep import Told, Upkeep
from bundler.registry.routes.uploading import Uploading
from bundler.registry.store_layer import StoreLayer
from bundler.registry.uploads import Uploads


def application(
    contents: Contents,
    writable: StoreLayer | None,
    uploads: Uploads | None,
    *,
    access: Access,
    allow_delete: bool = False,
    told: Told | None = None,
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """The registry over ``contents``; ``writable`` is their first layer if anything may be changed, through ``uploads``.

    ``told`` hears of garbage that was collected; ``more`` are routes that belong to it besides. Layers and uploads stay
    the caller's to close.
    """
    changes = None if writable is None else Changes(contents, writable)
    routes: list[BaseRoute] = [*Listing(contents, access).routes()]
    routes += Manifests(contents, changes, access).routes(deletion=allow_delete)
    if writable is not None and changes is not None and uploads is not None:
        routes += Uploading(contents, changes, uploads, access).routes()
        routes += Upkeep(contents, writable.store, access, told).routes()
    routes += Blobs(contents, changes, access).routes(deletion=allow_delete)
    app = Starlette(
        routes=[*routes, *more],
        middleware=[Middleware(Guard, read_only=writable is None)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    return app
