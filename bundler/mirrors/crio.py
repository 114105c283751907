"""CRI-O: it finds images by registries.conf, as podman does; a drop-in of its own says the rest.

The pause image is one that the kubelet never names: CRI-O asks for the version that it was built with, which may not be the
one that was carried.
"""

from __future__ import annotations

from bundler.mirrors.moves import Moves
from bundler.mirrors.registries_conf import containers_files
from bundler.mirrors.site import Output, Site, toml_text, toml_texts

DROP_IN = "crio/etc/crio/crio.conf.d/50-bundler.conf"


def render(moves: Moves, site: Site) -> Output:
    """registries.conf, and CRI-O's drop-in where there is something to say in it."""
    files = {f"crio/{path}": text for path, text in containers_files(moves, site).items()}
    lines, notes = [], []
    pauses = sorted({f"{image.name}:{image.tag}" for image in moves.images if _pauses(image.repository) and image.tag})
    if len(pauses) == 1:
        lines.append(f"pause_image = {toml_text(pauses[0])}")
    elif pauses:
        notes.append(f"CRI-O: which of {', '.join(pauses)} to use as pause_image is for you to say")
    if site.insecure:
        lines.append(f"insecure_registries = {toml_texts((moves.far,))}")
    if lines:
        files[DROP_IN] = "\n".join(["[crio.image]", *lines, ""])
    return Output(files, tuple(notes))


def _pauses(repository: str) -> bool:
    return repository.rpartition("/")[2] == "pause"
