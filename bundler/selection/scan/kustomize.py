"""Kustomize: what a ``kustomization.yaml`` says of images, which is not all that its output will hold.

Only ``kustomize build`` knows what comes out; its output is plain resources, to be scanned as such. What ``images:`` puts
in place of other images is likely to be among it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from bundler.errors import quoted
from bundler.selection.scan.finding import Found, Undecided, named
from bundler.selection.scan.tree import get, items, members, word
from bundler.selection.yaml_tree import Value

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
GROUP = "kustomize.config.k8s.io"
_KEYS = frozenset({"resources", "bases", "components", "images", "patches", "generators", "helmCharts"})


def is_kustomization(top: Value) -> bool:
    """Whether a document is a kustomization; type and version may be missing if its file has the right name."""
    if word(top, "apiVersion").partition("/")[0] == GROUP:
        return True
    return posixpath.basename(top.source) in FILES and not word(top, "kind") and not _KEYS.isdisjoint(members(top))


def read_kustomization(top: Value) -> Iterator[Found]:
    """What it puts in place of other images, and how to get the rest."""
    folder = quoted(posixpath.dirname(top.source) or ".")
    yield Undecided(top.where, f"a kustomization: run `kustomize build {folder} | bundler scan -` for what comes out")
    for entry in items(get(top, "images")):
        old = word(entry, "name")
        tag, digest = word(entry, "newTag"), word(entry, "digest")
        name = (word(entry, "newName") or old) + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
        if tag or digest:
            reason = f"what a kustomization puts in place of {quoted(old, 80)!r}"
            yield named(name, entry.what, certain=False, reason=reason)
        else:
            yield Undecided(entry.what, f"{quoted(name)!r} takes the tag of what it is put in place of")
