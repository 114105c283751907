"""Docker's daemon.json: mirrors of Docker Hub, at the root of a registry, and nothing for anyone else.

{"registry-mirrors": ["https://far:5000"]}
"""

from __future__ import annotations

import json
from typing import Any

from bundler.mirrors.moves import Moves, summary
from bundler.mirrors.site import Output, Site, urls
from bundler.oci.reference import DOCKER_HUB


def render(moves: Moves, site: Site) -> Output:
    """The file, and notes on what docker has to be asked for by its new name."""
    document: dict[str, Any] = {}
    found = [image for image in moves.of(DOCKER_HUB) if image.place == ""]
    if found:
        document["registry-mirrors"] = list(urls(moves.far, site))
    if site.insecure:
        document["insecure-registries"] = [moves.far]
    notes = []
    moved = [image for image in moves.of(DOCKER_HUB) if image.place != ""]
    if moved:
        notes.append(f"docker knows no mirrors below a path; ask for the new names: {summary(moved, moves.far)}")
    others = [image for image in moves.images if image.host != DOCKER_HUB]
    if others:
        hosts = ", ".join(host for host in moves.hosts if host != DOCKER_HUB)
        notes.append(
            f"docker has mirrors of Docker Hub only, none of {hosts}; ask for the new names: {summary(others, moves.far)}"
        )
    files = {"docker/etc/docker/daemon.json": json.dumps(document, indent=2) + "\n"}
    if site.ca:
        files[f"docker/etc/docker/certs.d/{moves.far}/ca.crt"] = site.ca
    return Output(files, tuple(notes))
