"""A socket from the service manager, and word back to it: the protocols of sd_listen_fds(3) and sd_notify(3).

    taken = inherited_socket()          # None, unless the unit has a socket unit
    ...
    notify("READY=1")
    ...
    notify("STOPPING=1")

With a socket unit the manager listens before the registry starts and while it restarts: clients wait in its queue instead
of being refused. Both protocols are a few lines over environment variables, so no library is needed.
"""

from __future__ import annotations

import logging
import os
import socket

from bundler.errors import ConfigError, quoted

FIRST = 3
"""The number of the first descriptor that is handed over."""

_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_HINT = "give the socket unit one ListenStream= and leave Accept=no"
_log = logging.getLogger(__name__)


def inherited_socket() -> socket.socket | None:
    """The listening socket that was handed over to this very process; nothing if there is none.

    It does not block and is not passed on to other programs; nor are the variables, which are removed. Raises
    :class:`ConfigError` for several, or for something that is not a listening stream socket.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise ConfigError(f"{quoted(count)} sockets were handed over, and only one can be used", hint=_HINT)
    try:
        taken = socket.socket(fileno=FIRST)
    except OSError as error:
        raise ConfigError(f"what was handed over is not a socket: {error.strerror}", hint=_HINT) from error
    listens = taken.type == socket.SOCK_STREAM and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if taken.family not in _FAMILIES or not listens:
        taken.detach()  # it is not ours
        raise ConfigError("the socket that was handed over does not listen for connections", hint=_HINT)
    taken.settimeout(0)
    taken.set_inheritable(False)
    return taken


def notify(*states: str) -> bool:
    """Tell the service manager, e.g. ``READY=1``; whether there was one that took it. Never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    where = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(1)
            channel.sendto("\n".join(states).encode(), where)
    except OSError as error:
        _log.warning("the service manager could not be told %s: %s", quoted(" ".join(states)), error)
        return False
    return True
