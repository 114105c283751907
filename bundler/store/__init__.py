"""Where images lie on this side: a deduplicated OCI layout with the one crash-safe write.

Every OCI tool reads a store as it stands. Each module holds one idea:

    layout      reading any OCI layout          incoming    the crash-safe write
    index       names in index.json             journal     which blobs were verified
    closure     what an image needs             locks       who is at work
    check, gc   soundness and room              leases      what a pull will need
    store       all of it together              directory   open directories, no links followed
"""

from bundler.store.incoming import Incoming
from bundler.store.layout import Layout
from bundler.store.store import Store

__all__ = ["Incoming", "Layout", "Store"]
