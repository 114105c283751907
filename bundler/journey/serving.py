"""Serving a store, bundles, or both as a registry; its passwords; its garbage.

serve([Path("/srv/store"), Path("/media/usb/edge-000007")], demand, Serving(door), on_ready=print)
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.content import Observer, silent
from bundler.errors import ConfigError, quoted
from bundler.registry.serve import Door, parse_listen
from bundler.trust.sums import ENVELOPE

if TYPE_CHECKING:
    from bundler.journey.access import Access, Surroundings
    from bundler.journey.demand import Demand
    from bundler.journey.gate import Findings
    from bundler.registry.certificate import SelfSigned
    from bundler.registry.upkeep import Collected
    from bundler.trust.verify import Trusted

GC_SECONDS = 3600.0
"""How long a registry may take to look through its store."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve. ``access_log`` is a file, or ``-`` for standard output.

    ``expects_bundle`` says that whom to trust was told, so that a place that is not there was meant to be a bundle.
    """

    door: Door
    read_only: bool = False
    allow_delete: bool = False
    self_signed: bool = False
    htpasswd: Path | None = None
    rights: Path | None = None
    access_log: str = ""
    expects_bundle: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A registry that answers at ``url``; ``certificate`` is set where it made its own."""

    url: str
    certificate: SelfSigned | None


def is_bundle(place: Path) -> bool:
    """Whether a directory is a bundle rather than a store."""
    return (place / ENVELOPE).is_file()


def serve(
    places: Sequence[Path],
    demand: Callable[[], Demand],
    serving: Serving,
    *,
    on_ready: Callable[[Started], None],
) -> None:
    """Serve until SIGTERM or SIGINT; call from the main thread.

    ``places`` are bundles, for which ``demand`` tells whom to trust, and at most one store, which is made if it isn't
    there. Every image of every bundle has what the site's policy says it must have, or nothing is served. Raises
    :class:`ConfigError` for what doesn't go together, and what :mod:`bundler.journey.gate` raises.
    """
    from bundler.registry.extra import require

    require()
    from bundler.journey.gate import Findings
    from bundler.registry.access import Access
    from bundler.registry.opening import opened
    from bundler.registry.operations.access_log import AccessLog
    from bundler.registry.serve import serve as run

    bundles = [place for place in places if is_bundle(place)]
    stores = [place for place in places if place not in bundles]
    if len(stores) > 1:
        listed = ", ".join(quoted(str(place)) for place in stores)
        raise ConfigError(
            f"{listed}: only one store can be served at a time", hint="a bundle's directory holds statement.dsse.json"
        )
    if serving.expects_bundle and not bundles and stores and not stores[0].exists():
        raise ConfigError(
            f"{quoted(str(stores[0]))}: is not there, and keys are for bundles",
            hint="check the path; to begin an empty store, leave out --key and --trust",
        )
    if serving.allow_delete and (serving.read_only or not stores):
        raise ConfigError("nothing can be deleted where nothing can be written", hint="leave out --allow-delete")
    access = Access.of_files(serving.htpasswd, serving.rights)
    found = [Findings() for _ in bundles]
    trusted = [(place, _let_in(place, demand(), each)) for place, each in zip(bundles, found, strict=True)]
    # Rules by target are about the names at this registry: then no other ones lead to the images that they are about.
    by_target = any(rule.target is not None for each in found if each.rules for rule in each.rules.rules)
    store = stores[0] if stores else None
    with opened(store, bundles=trusted, read_only=serving.read_only, full_names=not by_target) as (contents, writable):
        door, certificate = serving.door, None
        if serving.self_signed:
            certificate = _certificate(store, door)
            door = replace(door, tls_cert=certificate.cert, tls_key=certificate.key)
        with closing(AccessLog(serving.access_log)) if serving.access_log else nullcontext() as log:
            run(
                contents,
                writable,
                door,
                access=access,
                allow_delete=serving.allow_delete,
                log=log,
                on_ready=lambda url: on_ready(Started(url, certificate)),
            )


def _let_in(bundle: Path, demand: Demand, findings: Findings) -> Trusted:
    """A bundle that the gate let in; what is served is verified again, by the digests in it.

    Without a policy that is its signatures' business alone: of a bundle with a damaged content the others are served.
    """
    from bundler.bundle.unpack import Volumes
    from bundler.journey.gate import admit, judge_images

    trusted = admit(bundle, demand, findings=findings)
    if findings.rules is not None:
        with Volumes(bundle, trusted) as findings.volumes:
            judge_images(trusted.statement.images, demand, findings=findings)
    return trusted


def _certificate(store: Path | None, door: Door) -> SelfSigned:
    """A certificate for the address, kept beside the store, or in the user's data directory where there is none."""
    from platformdirs import user_data_path

    from bundler.registry.certificate import self_signed

    if door.tls_cert is not None or door.tls_key is not None:
        raise ConfigError("--self-signed and --tls-cert exclude each other")
    host = parse_listen(door.listen).host
    hosts = [socket.gethostname(), *([] if host in ("0.0.0.0", "::") else [host])]  # noqa: S104 - compared only
    return self_signed((store / ".bundler" if store else user_data_path("bundler")) / "tls", hosts)


def collect_garbage(store: Path, *, dry_run: bool, untagged: bool = False) -> Collected:
    """Collect garbage in a store, whether or not it is being served."""
    from bundler.registry.arrivals import Arrivals
    from bundler.registry.upkeep import collect
    from bundler.store import Store

    opened = Store.open(store)
    with closing(Arrivals(opened.private)) as arrivals:
        return collect(opened, arrivals, dry_run=dry_run, untagged=untagged)


def collect_garbage_at(
    registry: str,
    access: Access,
    *,
    dry_run: bool,
    untagged: bool = False,
    surroundings: Surroundings | None = None,
    observer: Observer = silent,
) -> Collected:
    """Have a registry of this kind at ``host[:port]`` collect its garbage, which only its admins may."""
    from urllib.parse import urlencode

    from bundler.journey.ends import Ends
    from bundler.oci.reference import Reference
    from bundler.registry.upkeep import PATH, parse_collected

    asked = urlencode({"dry-run": str(dry_run).lower(), "untagged": str(untagged).lower()})
    with Ends(access, surroundings=surroundings, observer=observer) as ends:
        credentials = ends.credentials(Reference(registry, ""))
        raw = ends.registry(registry).post(f"{PATH}?{asked}", credentials=credentials, seconds=GC_SECONDS)
    return parse_collected(raw, what=f"{registry}{PATH}")
