"""The layers of a registry, opened together: a store, bundles that were found worthy of trust, or both.

The store comes first, as what is pushed here is newer than what came on a truck; then the bundles, the newest first. So a
bundle that builds on another gives what is new, and that other one the rest.

    with opened("/srv/store", bundles=[(Path("edge-000007"), trusted)]) as (contents, writable):
        ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from bundler.bundle.unpack import Volumes
from bundler.registry.arrivals import Arrivals
from bundler.registry.bundle_layer import BundleLayer
from bundler.registry.contents import Contents
from bundler.registry.layers import Layer, Origin
from bundler.registry.store_layer import StoreLayer
from bundler.store import Store
from bundler.trust.verify import Trusted


@contextmanager
def opened(
    store: str | os.PathLike[str] | None = None,
    *,
    bundles: Sequence[tuple[Path, Trusted]] = (),
    read_only: bool = False,
    full_names: bool = True,
) -> Iterator[tuple[Contents, StoreLayer | None]]:
    """The contents, and the layer that can be written: none if there is no store, or with ``read_only``.

    ``full_names`` says whether a bundle's images are found under their full names as well as under their targets.
    A store is made if it isn't there, unless it is only to be read. Raises what opening a store and finding the volumes of
    a bundle raise.
    """
    layers: list[Layer] = []
    layer = None
    if store is not None:
        layer = StoreLayer(Store.open(os.fspath(store), create=not read_only))
        layers.append(layer)
        with layer.store.shared("registry serve"):  # or say now who holds it alone
            pass
    for directory, trusted in sorted(bundles, key=_age, reverse=True):
        layers.append(_bundle(directory, trusted, full_names=full_names))
    writable = None if read_only else layer
    arrivals = Arrivals(None if writable is None else writable.store.private)
    try:
        yield Contents(layers, arrivals), writable
    finally:
        arrivals.close()


def _bundle(directory: Path, trusted: Trusted, *, full_names: bool) -> BundleLayer:
    said = trusted.statement
    origin = Origin(
        str(directory),
        said.bundle_id,
        said.name,
        said.channel,
        said.serial,
        said.issued,
        trusted.signers,
        trusted.signed,
    )
    return BundleLayer(Volumes(directory, trusted), origin, full_names=full_names)


def _age(bundle: tuple[Path, Trusted]) -> tuple[datetime, int]:
    statement = bundle[1].statement
    return statement.issued, statement.serial
