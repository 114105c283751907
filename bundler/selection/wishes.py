"""What the operator wishes for, read and checked, with nothing looked up yet.

The parts::

    Wishes ── name, channel, registries
    └── Wish ── one repository (or one file of another transport): listed tags and digests, or a rule over its tags
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.oci.platform import Platform
from bundler.oci.strict_json import canonical
from bundler.selection.settings import RegistrySettings
from bundler.selection.tags import TagRule

IndexMode = Literal["keep", "sparse", "strip"]
Attachments = tuple[str, ...] | Literal["all", "none"]

INDEX_MODES: tuple[IndexMode, ...] = ("keep", "sparse", "strip")
ATTACHMENT_KINDS = ("signatures", "sboms", "attestations", "referrers")
DEFAULT_CHANNEL = "stable"
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""What the name of a bundle and of a channel look like: they become part of a directory's name."""
NAME_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Wish:
    """Some images of one repository.

    For ``transport`` docker, ``name`` is ``registry/repository``; of any other transport it is all that follows the colon,
    and tags, digests and rule are empty. ``rule`` excludes ``tags`` and ``digests``. ``pin`` is the digest that the one tag
    must have, as in ``name:tag@digest``. ``platforms`` is ``None`` for all. ``target`` is the path at the far registry,
    without a tag, if it was given. ``where`` tells file and line; it is not part of what is wished for.
    """

    transport: str
    name: str
    tags: tuple[str, ...] = ()
    digests: tuple[Digest, ...] = ()
    rule: TagRule | None = None
    platforms: tuple[Platform, ...] | None = None
    index: IndexMode = "sparse"
    attachments: Attachments = "all"
    target: str | None = None
    optional: bool = False
    pin: Digest | None = None
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"docker://{self.name}" if self.transport == "docker" else f"{self.transport}:{self.name}"

    @property
    def options(self) -> tuple[object, ...]:
        """How its images are carried, whichever they are."""
        return (self.platforms, self.index, self.attachments)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal characters that change when the wish does; a lock remembers them."""
        value: dict[str, Any] = {
            "source": str(self),
            "tags": list(self.tags),
            "digests": list(self.digests),
            "rule": None if self.rule is None else self.rule.document(),
            "platforms": None if self.platforms is None else [str(platform) for platform in self.platforms],
            "index": self.index,
            "attachments": self.attachments if isinstance(self.attachments, str) else list(self.attachments),
            "target": self.target,
            "pin": self.pin,
        }
        return hex_of(digest_of(canonical(value)))[:16]


@dataclass(frozen=True, slots=True)
class Wishes:
    """A whole document. ``registries`` is keyed by ``host[:port]``."""

    name: str
    channel: str
    wishes: tuple[Wish, ...]
    registries: Mapping[str, RegistrySettings]


def is_name(text: str) -> bool:
    """Whether ``text`` can be the name of a bundle or a channel."""
    return len(text) <= NAME_LENGTH and NAME.fullmatch(text) is not None


def name_from(filename: str) -> str:
    """A bundle's name out of a file's, for documents that have no name of their own; ``bundle`` if nothing is left."""
    stem = filename.replace("\\", "/").rpartition("/")[2].partition(".")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:NAME_LENGTH].rstrip("-")
    return name or "bundle"
