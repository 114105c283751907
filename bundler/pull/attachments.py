"""What is attached to an image: cosign's tags beside it, and the manifests that refer to it.

cosign puts signatures, attestations and SBOMs under tags made from the image's digest; distribution-spec 1.1 lists
referrers through an API, and keeps them in an index under a fallback tag where a registry lacks it ("Referrers Tag
Schema"). All of them are found here, for the image itself and for each child that is carried.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bundler.content import Referred, Source
from bundler.oci.digest import Digest, algorithm_of, hex_of
from bundler.selection.lock import Attachment
from bundler.selection.wishes import Attachments

SUFFIXES = {"signatures": ".sig", "attestations": ".att", "sboms": ".sbom"}


def find_attachments(
    source: Source, subjects: Sequence[Digest], tags: Collection[str], wanted: Attachments
) -> tuple[Attachment, ...]:
    """The attachments of ``subjects`` of the ``wanted`` kinds. ``tags`` are all that the repository has."""
    kinds = (*SUFFIXES, "referrers") if wanted == "all" else () if wanted == "none" else wanted
    there = set(tags)
    found: list[Attachment] = []
    for subject in subjects:
        base = f"{algorithm_of(subject)}-{hex_of(subject)}"
        names = [base + SUFFIXES[kind] for kind in kinds if kind in SUFFIXES]
        fallback = "referrers" in kinds and base in there
        found += [
            Attachment(name, source.resolve(name)) for name in (*names, *([base] if fallback else [])) if name in there
        ]
        if "referrers" in kinds and not fallback and isinstance(source, Referred):
            found += [Attachment("", referrer) for referrer in source.referrers(subject)]
    return tuple(dict.fromkeys(found))
