"""What the operator says about one registry, and the limits within which it is spoken to.

Plain values: nothing here looks at files or the environment. Who starts from ``auth.json`` and ``bundle.yaml`` fills a
:class:`Settings` in and gives it to :class:`bundler.transports.docker.registry.Registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.transports.docker.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often. Times are in seconds."""

    connect: float = 15
    """To open a connection, the TLS handshake included."""
    read: float = 60
    """Between two packets of an answer, and for each piece of an upload to be taken off our hands."""
    answer: float = 600
    """For the head of an answer as a whole: a registry may take minutes to commit a large upload."""
    rate: float = 1024
    """Bytes per second below which a body is given up."""
    window: float = 30
    """Over how long that rate is measured."""
    attempts: int = 5
    """Tries of one request, the first included."""
    backoff: float = 0.25
    """The second retry waits twice this, the third four times, and so on, with jitter."""
    retry_after: int = 60
    """The longest wait that a registry may ask for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One registry. ``tls_verify=False`` allows certificates that don't verify, and plain HTTP where TLS fails.

    ``ca`` is a PEM file of further authorities, ``cert_dir`` a folder as in ``certs.d``. ``token_hosts`` are host names
    (``auth.example.com`` or ``auth.example.com:8443``) that may see the credentials besides the registry itself.
    ``proxies`` is what :func:`urllib.request.getproxies` gives, which is asked if it is ``None``; ``home`` is where the
    user's own ``certs.d`` is looked for. ``connections`` are kept open per origin; more are made if more are needed.
    """

    tls_verify: bool = True
    ca: Path | None = None
    cert_dir: Path | None = None
    credentials: Credentials | None = None
    token_hosts: frozenset[str] = frozenset()
    proxies: Mapping[str, str] | None = None
    connections: int = 16
    home: Path = field(default_factory=Path.home)
    limits: Limits = field(default_factory=Limits)
