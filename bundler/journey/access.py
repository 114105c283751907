"""How one side of a copy is reached: what the command line said, which overrules files and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.oci.platform import Platform

if TYPE_CHECKING:
    from bundler.journey.demand import Demand
    from bundler.transports.docker.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Access:
    """What one side's media need.

    ``attempts`` is how often a request is tried, ``delay`` the seconds between two tries; None leaves both to the client.
    ``anonymous`` looks for no credentials at all. ``demand`` is what a bundle that is a source must satisfy.
    """

    authfile: Path | None = None
    credentials: Credentials | None = field(default=None, repr=False)
    cert_dir: Path | None = None
    tls_verify: bool | None = None
    token_hosts: tuple[str, ...] = ()
    anonymous: bool = False
    attempts: int | None = None
    delay: float | None = None
    shared_blob_dir: Path | None = None
    daemon_host: str | None = None
    demand: Demand | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What holds for a whole run: the platform to take where a name stands for several, and where to look and to write.

    ``registries_conf``, ``registries_d`` and ``policy`` are the files and the directory to read in place of the usual ones;
    ``insecure_policy`` reads no policy at all. ``tmp`` is where large temporary files go, the system's own place if None.
    """

    platform: Platform | None = None
    registries_conf: Path | None = None
    tmp: Path | None = None
    registries_d: Path | None = None
    policy: Path | None = None
    insecure_policy: bool = False
