"""bundler carries container images across an air gap.

On the connected side it pulls the images that a manifest names into a deduplicated OCI layout and writes signed,
compressed volumes; on the far side it verifies them and pushes the images into a local registry.

Programs do what the command line does with the functions of :mod:`bundler.journey`:

    from bundler.journey.near import ensure_lock, open_run, pull     # a manifest, its lock, the store
    from bundler.journey.packing import Shape, pack                  # the store, a bundle
    from bundler.journey.demand import Demand
    from bundler.journey.far import Route, push, verify              # a bundle, trust, the far registry

Each takes an executor to work with and an observer to report to, raises the classes of :mod:`bundler.errors`, and neither
prints nor exits.
"""

__version__ = "0.1.0"
BUILD_DATE = "2026-11-24T00:00:00Z"
"""When this release was made: no clock that says less is believed."""
