"""Manifests and configs of one page, read within a budget: a page costs no more than that, whatever the images are.

What can't be read is a text that says why, since a page must tell, and go on.

    reading = Reading(contents, "team/app")
    found = reading.manifest(descriptor)       # a Manifest, or why not
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bundler.errors import BundlerError
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.strict_json import MANIFEST_CAP, Fields, loads
from bundler.registry.contents import Found
from bundler.registry.pages.config import Config, read_config

CONFIG_CAP = 1 << 20
BUDGET = 16 << 20
"""Bytes of documents for one page."""
CONFIGS = frozenset({mediatype.OCI_CONFIG, mediatype.DOCKER_CONFIG})


class Shown(Protocol):
    """What the pages ask of :class:`bundler.registry.contents.Contents`."""

    def repositories(self) -> list[str]:
        """Every repository."""
        ...

    def tags(self, repository: str) -> list[str] | None:
        """Its tags; ``None`` if there is no such repository."""
        ...

    def untagged(self, repository: str) -> list[Descriptor]:
        """Manifests that no tag stands for."""
        ...

    def manifest(self, repository: str, reference: str) -> Found | None:
        """By tag or digest."""
        ...

    def read(self, repository: str, want: Descriptor, *, cap: int) -> bytes | None:
        """A small content."""
        ...

    def referrers(self, repository: str, subject: Digest) -> list[Descriptor]:
        """What refers to a manifest."""
        ...


@dataclass(slots=True)
class Reading:
    """The documents of one page about one repository."""

    contents: Shown
    repository: str
    left: int = BUDGET

    def manifest(self, want: Descriptor) -> Manifest | str:
        """A manifest by its descriptor, or why it can't be shown."""
        raw = self._bytes(want, MANIFEST_CAP)
        return raw if isinstance(raw, str) else self.parsed(raw, want)

    def parsed(self, raw: bytes, root: Descriptor) -> Manifest | str:
        """A manifest whose bytes are there, or why they can't be understood."""
        self.left -= len(raw)
        try:
            return parse_manifest(raw, root.media_type, what="the manifest")
        except BundlerError as error:
            return str(error)

    def config(self, want: Descriptor) -> Config | str:
        """An image's config, or why it can't be shown."""
        raw = self._bytes(want, CONFIG_CAP)
        if isinstance(raw, str):
            return raw
        try:
            return read_config(raw, what="the config")
        except BundlerError as error:
            return str(error)

    def total(self, root: Descriptor, manifest: Manifest) -> tuple[int, bool]:
        """What all of an image takes, each content once, and whether that is all of it: an index may be sparse."""
        sizes = {root.key: root.size}
        whole = True
        stack = [manifest]
        while stack:
            for child in stack.pop().children():
                if child.key in sizes:
                    continue
                below = self.manifest(child) if child.is_manifest else None
                if isinstance(below, str):
                    whole = False
                    continue
                sizes[child.key] = child.size
                if below is not None:
                    stack.append(below)
        return sum(sizes.values()), whole

    def _bytes(self, want: Descriptor, cap: int) -> bytes | str:
        if want.size > cap:
            return f"it says that it has {want.size:,} bytes, more than the {cap:,} that are read for a page"
        if want.size > self.left:
            return "this page has read as much as it may; open the page of the image itself"
        try:
            raw = self.contents.read(self.repository, want, cap=cap)
        except BundlerError as error:
            return str(error)
        if raw is None:
            return "it is not here, or damaged"
        self.left -= len(raw)
        return raw


def is_artifact(manifest: Manifest) -> bool:
    """Whether this is something else than an image: by its artifact type, or a config that no image has."""
    if manifest.is_index:
        return False
    return bool(manifest.artifact_type) or manifest.config is None or manifest.config.media_type not in CONFIGS


def annotations_of(raw: bytes) -> dict[str, str]:
    """What a manifest says about itself, if it says it by the specification."""
    try:
        fields = Fields(loads(raw, what="the manifest"), what="the manifest")
        return fields.text_map("annotations") if "annotations" in fields else {}
    except BundlerError:
        return {}
