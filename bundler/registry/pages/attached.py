"""What is attached to a manifest: what refers to it, and to that in turn; and what cosign attached by a tag.

image ◀── signature                     subject: the image (distribution-spec 1.1, "Listing Referrers")
◀── SBOM ◀── its signature        one level more
◁── sha256-<hex>.att              by the name of a tag alone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundler.errors import BundlerError
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.registry.pages.address import KINDS, manifest_path
from bundler.registry.pages.paging import First, first_of
from bundler.registry.pages.reading import Shown
from bundler.registry.pages.text import size_text

MOST_REFERRERS = 100
MOST_BELOW = 10
"""Of what refers to one referrer."""
MOST_ANNOTATIONS = 10
WORDS = (
    ("sigstore.bundle", "Sigstore bundle"),
    ("spdx", "SBOM"), ("cyclonedx", "SBOM"), ("syft", "SBOM"), ("sbom", "SBOM"),
    ("in-toto", "attestation"), ("attestation", "attestation"), ("provenance", "attestation"), ("dsse", "attestation"),
    ("signature", "signature"), ("simplesigning", "signature"), (".sig.", "signature"),
)  # fmt: skip
"""What artifact types are called, by a part of their name."""


@dataclass(frozen=True, slots=True)
class Attached:
    """One of them, with what refers to it in turn. ``kind`` is its artifact type, ``label`` a word for that if known."""

    label: str
    kind: str
    digest: Digest
    href: str
    size: str
    annotations: First[tuple[str, str]]
    below: First[Attached]


@dataclass(frozen=True, slots=True)
class Attachments:
    """``tags`` are (tag, what it brings, address). ``problem`` says why there may be more than can be shown."""

    referrers: First[Attached] = field(default_factory=First)
    tags: tuple[tuple[str, str, str], ...] = ()
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.referrers.total or self.tags or self.problem)


def attachments(contents: Shown, repository: str, subject: Digest) -> Attachments:
    """Everything that is about ``subject``."""
    problem = ""
    referrers: First[Attached] = First()
    try:
        found = first_of(contents.referrers(repository, subject), MOST_REFERRERS)
        referrers = First(tuple(_attached(contents, repository, each) for each in found.items), found.total)
    except BundlerError as error:
        problem = str(error)
    stem = f"{algorithm_of(subject)}-{hex_of(subject)}"
    names = {f"{stem}.{suffix}": kind for suffix, kind in KINDS.items() if suffix}
    here = set(contents.tags(repository) or ())
    tags = tuple((name, kind, manifest_path(repository, name)) for name, kind in names.items() if name in here)
    return Attachments(referrers, tags, problem)


def _attached(contents: Shown, repository: str, root: Descriptor) -> Attached:
    below = first_of(contents.referrers(repository, root.digest), MOST_BELOW)
    return Attached(
        *_itself(repository, root), First(tuple(_leaf(repository, each) for each in below.items), below.total)
    )


def _leaf(repository: str, root: Descriptor) -> Attached:
    return Attached(*_itself(repository, root), First())


def _itself(repository: str, root: Descriptor) -> tuple[str, str, Digest, str, str, First[tuple[str, str]]]:
    kind = root.artifact_type or root.media_type
    href = manifest_path(repository, root.digest)
    return label_of(kind), kind, root.digest, href, size_text(root.size), pairs(root.annotations, MOST_ANNOTATIONS)


def label_of(kind: str) -> str:
    """A word for an artifact type; empty for one that is not known."""
    return next((word for part, word in WORDS if part in kind.lower()), "")


def pairs(values: Mapping[str, str], most: int) -> First[tuple[str, str]]:
    """Labels or annotations by name."""
    return first_of(sorted(values.items()), most)
