"""containerd's certs.d: a folder for each old registry, with a hosts.toml that names the far one first.

It knows prefixes in front of a whole registry, and no more: an image that was renamed can't be found by it.

    server = "https://registry-1.docker.io"

    [host."https://far:5000/v2/hub"]
      capabilities = ["pull", "resolve"]
      override_path = true
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bundler.mirrors.mapping import Moved, joined
from bundler.mirrors.moves import Moves, summary, upstream
from bundler.mirrors.site import Output, Site, toml_text, urls

FOLDER = "containerd/etc/containerd/certs.d"


def render(moves: Moves, site: Site) -> Output:
    """A file for each registry; notes on images that moved to another path."""
    files: dict[str, str] = {}
    notes: list[str] = []
    for host in moves.hosts:
        images = moves.of(host)
        counts = Counter(image.place for image in images if image.place is not None)
        places = sorted(counts, key=lambda place: (-counts[place], place))
        lost = [image for image in images if image.place is None]
        if lost:
            notes.append(f"containerd can't rename images; ask for the new names: {summary(lost, moves.far)}")
        notes += _shadowed(images, places, moves)
        if places:
            files[f"{FOLDER}/{host}/hosts.toml"] = _hosts(host, places, moves, site)
            if site.ca:
                files[f"{FOLDER}/{host}/ca.crt"] = site.ca
    return Output(files, tuple(notes))


def _hosts(host: str, places: Sequence[str], moves: Moves, site: Site) -> str:
    lines = [f"server = {toml_text(upstream(host))}"]
    for place in places:
        for url in urls(moves.far, site, f"/v2/{place}" if place else ""):
            lines += ["", f"[host.{toml_text(url)}]", '  capabilities = ["pull", "resolve"]']
            if place:
                lines.append("  override_path = true")
            if site.ca:
                lines.append('  ca = "ca.crt"')
            if site.insecure and url.startswith("https:"):
                lines.append("  skip_verify = true")
    return "\n".join([*lines, ""])


def _shadowed(images: Sequence[Moved], places: Sequence[str], moves: Moves) -> Iterator[str]:
    """Images before which another one of the same name would be found."""
    there = {(image.far, image.tag): image.digest for image in moves.images if image.tag}
    for image in images:
        if image.place is None:
            continue
        for place in places[: places.index(image.place)]:
            other = joined(place, image.repository)
            if there.get((other, image.tag), image.digest) != image.digest:
                yield f"containerd: {image.name}:{image.tag} would be {moves.far}/{other}; ask for {moves.far}/{image.far}"
