"""``docker-daemon:name[:tag]`` and ``docker-daemon:sha256:ID``: the images of Docker's daemon, or of podman's service.

An image is read as the archive that the daemon saves, and written as one that it loads: see
:mod:`bundler.transports.docker_archive`. A daemon listens at a Unix socket, or at a port with TLS.
"""

from bundler.transports.docker_daemon.images import DaemonImages, NewImages, open_source, open_target, remove
from bundler.transports.docker_daemon.names import split

__all__ = ["DaemonImages", "NewImages", "open_source", "open_target", "remove", "split"]
