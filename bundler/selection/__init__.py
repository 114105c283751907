"""The operator's wishes: what to carry, which tags and platforms of it, and the lock that leaves no choice.

Pure: documents and tag lists in, frozen values out. :func:`read_wishes` takes bundler's own ``bundle.yaml``, skopeo's sync
YAML and plain lists, and tells them apart by what is in them.
"""

from __future__ import annotations

from bundler.errors import ConfigError
from bundler.selection.wishes import Wish, Wishes

__all__ = ["Wish", "Wishes", "read_wishes"]


def read_wishes(raw: bytes, filename: str) -> Wishes:
    """The wishes in a document; ``filename`` is for errors and, where the document has no name, for the bundle's name.

    Raises :class:`ConfigError` with file, line and path, or :class:`bundler.errors.LimitError` for a document that is too
    large, too deep or expands to too much.
    """
    from bundler.selection.bundle_yaml import read_bundle_yaml
    from bundler.selection.plain_list import looks_like_list, read_plain_list
    from bundler.selection.sync_yaml import read_sync_yaml
    from bundler.selection.yaml_load import SIZE_CAP, load_yaml

    name = filename.replace("\\", "/").rpartition("/")[2]
    text = raw.decode("utf-8-sig", "replace")
    if len(raw) <= SIZE_CAP and "\ufffd" not in text and looks_like_list(text):
        return read_plain_list(text, name)
    top = load_yaml(raw, name)
    if top.kind == "text":
        return read_plain_list(text, name)
    if top.kind != "mapping":
        raise ConfigError(
            f"{top.where}: holds {'nothing' if top.kind == 'nothing' else 'a list'} at its top",
            hint="`bundler init` writes a commented bundle.yaml; a plain list has no dashes",
        )
    keys = {key.casefold() for key in top.entries()}
    return read_bundle_yaml(top) if keys & {"apiversion", "kind", "images"} else read_sync_yaml(top)
