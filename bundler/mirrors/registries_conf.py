"""registries.conf for podman, buildah and skopeo (containers-registries.conf(5)): a mirror before each old prefix.

[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = "far:5000/hub"
"""

from __future__ import annotations

from collections.abc import Iterator

from bundler.mirrors.mapping import Rule, joined
from bundler.mirrors.moves import Moves
from bundler.mirrors.site import Output, Site, toml_text

DROP_IN = "etc/containers/registries.conf.d/50-bundler.conf"


def render(moves: Moves, site: Site) -> Output:
    """The drop-in, and the authority where these programs look for it."""
    files = {f"podman/{path}": text for path, text in containers_files(moves, site).items()}
    return Output(files)


def containers_files(moves: Moves, site: Site) -> dict[str, str]:
    """The same by paths under ``/``."""
    files = {DROP_IN: conf(moves, site)}
    if site.ca:
        files[f"etc/containers/certs.d/{moves.far}/ca.crt"] = site.ca
    return files


def conf(moves: Moves, site: Site) -> str:
    """The text of the file."""
    head = (
        f"# The images of {moves.name} at {moves.far}, for podman, buildah, skopeo and CRI-O.\n"
        "# The old registry is asked last; `blocked = true` beside a prefix keeps everyone from asking it at all.\n"
    )
    return head + "".join(f"\n{line}\n" for rule in moves.rules for line in _tables(rule, moves.far, site))


def _tables(rule: Rule, far: str, site: Site) -> Iterator[str]:
    yield f"[[registry]]\nprefix = {toml_text(rule.prefix)}\nlocation = {toml_text(rule.prefix)}"
    for place in rule.places:
        lines = ["[[registry.mirror]]", f"location = {toml_text(joined(far, place))}"]
        if site.insecure:
            lines.append("insecure = true")
        if not rule.tagged:
            lines.append('pull-from-mirror = "digest-only"')
        yield "\n".join(lines)
