"""How many connections may be open at once: as many as there are descriptors for.

A server that runs out of descriptors can't take a connection and can't tell its queue to wait either: it tries again and
again, and gets nothing else done. So the limit of the process is raised as far as it may be, and the number of connections
stays well below it: a connection may have a file of the store under way.

    Server(…, backlog=1024, backpressure=most_connections())
"""

from __future__ import annotations

import resource
from contextlib import suppress

MOST = 4096
SPARED = 384
"""Descriptors for upload sessions, volumes of bundles, and the rest of the process."""
LEAST = 16


def most_connections(wanted: int = MOST) -> int:
    """At most ``wanted``, and no more than there are descriptors for; raises the soft limit of the process for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 2 * wanted + SPARED
    if soft != resource.RLIM_INFINITY and soft < enough:
        better = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        with suppress(OSError, ValueError):  # where even this is not allowed
            resource.setrlimit(resource.RLIMIT_NOFILE, (better, hard))
            soft = better
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(LEAST, min(wanted, (soft - SPARED) // 2))
