"""What is attached to an image, found and accounted for: each comes along, or stays behind for a reason that is told.

    image ◀── sha256-….sig               cosign's tags, of every kind
          ◀── sbom ◀── its signature     referrers, and what refers to those
          ◀── signature files            beside the registry: bundler makes one artifact of them

Looked at are the image that the name stood for, what is carried in its place and each child that is carried; and, to say
what is missing, the children that are not. A list of referrers is read and not carried: the far side makes its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bundler.content import Referred, Source, read
from bundler.errors import AuthError, LimitError, NotFoundError, ProtocolError, UnsupportedError
from bundler.medium import Signed
from bundler.oci.attached import Attached, Kind, attached, companion_tags, listed, referrers_tag
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.oci.manifest import parse_manifest
from bundler.oci.mediatype import OCI_INDEX
from bundler.oci.simple_signatures import signature_layers, write_simple_signatures
from bundler.selection.locked import Attachment, LeftOut, Reason
from bundler.selection.wishes import Attachments

MAX_ATTACHED = 1000
"""Of one image, its children and its other attachments included."""
MAX_DEPTH = 8
"""Of what is attached to what is attached."""
MAX_SIGNATURES = 128
"""Simple signatures of one manifest."""
SIGNATURE_CAP = 64 << 10
"""Bytes of one of them."""

_WORDS: dict[Kind, str] = {"signature": "signatures", "attestation": "attestations", "sbom": "sboms"}
_REFUSALS = (AuthError, ProtocolError, UnsupportedError, LimitError)
"""Answers that will be the same tomorrow. What may pass, a broken connection, ends the search: nothing may be missed."""
_MAX_TYPE = 255


@dataclass(frozen=True, slots=True)
class Subject:
    """A manifest to look at. ``lost`` says why what is about it can't come along, if so."""

    manifest: Descriptor
    lost: Reason | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All that is attached: what comes along, and what stays behind."""

    attachments: tuple[Attachment, ...]
    left_out: tuple[LeftOut, ...]


def find_attachments(
    source: Source,
    subjects: Sequence[Subject],
    tags: Collection[str],
    wanted: Attachments,
    *,
    signed: Signed | None = None,
) -> Found:
    """What is attached to ``subjects``, and to that in turn.

    ``tags`` are all that the repository has; ``signed`` is what keeps simple signatures of its images, if anything does.

    Raises what reading raises where it may be otherwise the next time; what is malformed or refused for good is left out.
    """
    search = _Search(source, frozenset(tags), wanted, signed)
    for subject in subjects:
        search.look(subject)
    return Found(tuple(search.found.values()), tuple(search.left_out))


@dataclass(slots=True)
class _Search:
    source: Source
    tags: frozenset[str]
    wanted: Attachments
    signed: Signed | None
    found: dict[tuple[str, Digest], Attachment] = field(default_factory=dict)
    left_out: dict[LeftOut, None] = field(default_factory=dict)
    looked_at: set[Digest] = field(default_factory=set)

    def look(self, start: Subject) -> None:
        """Find what is about ``start``, and what is about that."""
        todo = [(start, 1)]
        while todo:
            subject, depth = todo.pop()
            if subject.manifest.digest in self.looked_at:
                continue
            self.looked_at.add(subject.manifest.digest)
            if depth > MAX_DEPTH and subject.lost is None:
                subject = replace(subject, lost="cap")
            todo += [(Subject(one), depth + 1) for one in self._about(subject, is_image=depth == 1)]

    def _about(self, subject: Subject, *, is_image: bool) -> Iterator[Descriptor]:
        digest = subject.manifest.digest
        for kind, tag in companion_tags(digest).items():
            if tag in self.tags:
                yield from self._tagged(subject, kind, tag)
        for entry in self._referrers(subject):
            yield from self._referrer(subject, entry)
        if is_image and self.signed is not None:
            self._simple_signatures(self.signed, subject)

    def _tagged(self, subject: Subject, kind: Kind, tag: str) -> Iterator[Descriptor]:
        try:
            root = self.source.resolve(tag)
        except NotFoundError:
            self._leave("missing", subject, kind, tag)
            return
        except (ProtocolError, UnsupportedError, LimitError):
            self._leave("unreadable", subject, kind, tag)
            return
        if (tag, root.digest) in self.found:
            return
        reason = self._refusal(subject, kind, is_referrer=False)
        said = None if reason else self._read(root, kind)
        if reason or said is None:
            self._leave(reason or "unreadable", subject, kind, tag, root)
            return
        yield self._take(tag, root, subject, said)

    def _referrer(self, subject: Subject, entry: Descriptor) -> Iterator[Descriptor]:
        if ("", entry.digest) in self.found:
            return
        guess = listed(entry)
        if not entry.is_manifest:
            self._leave("unreadable", subject, guess.kind, root=entry)
            return
        if reason := self._refusal(subject, None, is_referrer=True):
            self._leave(reason, subject, guess.kind, root=entry)
            return
        try:
            said = self._read(entry, None)
        except NotFoundError:
            self._leave("missing", subject, guess.kind, root=entry)
            return
        reason = self._objection(subject, said)
        if reason or said is None:
            self._leave(reason or "unreadable", subject, guess.kind if said is None else said.kind, root=entry)
            return
        yield self._take("", entry, subject, said)

    def _objection(self, subject: Subject, said: Attached | None) -> Reason | None:
        if said is None:
            return "unreadable"
        if said.subject != subject.manifest.digest:
            return "foreign"
        return self._refusal(subject, said.kind, is_referrer=True)

    def _simple_signatures(self, signed: Signed, subject: Subject) -> None:
        try:
            kept = signed.signatures(subject.manifest)
        except _REFUSALS:
            self._leave("unanswered", subject, "signature")
            return
        # What begins with a zero byte is another format in the same place, which simple signing's readers pass over too.
        signatures = [raw for raw in kept if not raw.startswith(b"\0")]
        fitting = [raw for raw in signatures if len(raw) <= SIGNATURE_CAP]
        layers = signature_layers(fitting)
        if len(fitting) < len(signatures) or len(layers) > MAX_SIGNATURES:
            self._leave("cap", subject, "signature")
        if not layers:
            return
        layers = layers[:MAX_SIGNATURES]
        root, _ = write_simple_signatures(subject.manifest, layers)
        reason = self._refusal(subject, "signature", is_referrer=False)
        if reason:
            self._leave(reason, subject, "signature", root=root)
            return
        self.found["", root.digest] = Attachment("", root, subject.manifest.digest, "signature", layers=layers)

    def _referrers(self, subject: Subject) -> Iterable[Descriptor]:
        """By the source's own list, and by the one that clients keep under a tag: a registry may have both."""
        digest, tag = subject.manifest.digest, referrers_tag(subject.manifest.digest)
        entries: list[Descriptor] = []
        refused = False
        if isinstance(self.source, Referred):
            try:
                entries += self.source.referrers(digest)
            except (NotFoundError, *_REFUSALS):
                refused = True
        if tag in self.tags:
            try:
                entries += parse_manifest(read(self.source, self.source.resolve(tag)), OCI_INDEX, what=tag).manifests
                refused = False
            except (NotFoundError, *_REFUSALS):
                self._leave("unreadable", subject, tag=tag)
        if refused:
            self._leave("unanswered", subject)
        return {entry.digest: entry for entry in entries}.values()

    def _refusal(self, subject: Subject, kind: Kind | None, *, is_referrer: bool) -> Reason | None:
        """Why something of this kind, None if it is not known yet, stays behind."""
        if subject.lost is not None:
            return subject.lost
        if len(self.found) >= MAX_ATTACHED:
            return "cap"
        words = self.wanted
        if kind is None or isinstance(words, str) or (is_referrer and "referrers" in words):
            return None
        return None if _WORDS.get(kind) in words else "unwanted"

    def _read(self, root: Descriptor, kind: Kind | None) -> Attached | None:
        try:
            return attached(read(self.source, root), root, what=str(root.digest), kind=kind)
        except (ProtocolError, UnsupportedError, LimitError):
            return None

    def _take(self, tag: str, root: Descriptor, subject: Subject, said: Attached) -> Descriptor:
        bare = Descriptor(root.media_type, root.digest, root.size, artifact_type=said.artifact_type)
        taken = Attachment(tag, bare, subject.manifest.digest, said.kind, said.predicates)
        self.found[tag, root.digest] = taken
        return bare

    def _leave(
        self,
        reason: Reason,
        subject: Subject,
        kind: Kind | Literal[""] = "",
        tag: str = "",
        root: Descriptor | None = None,
    ) -> None:
        if len(self.left_out) >= MAX_ATTACHED:
            reason, kind, tag, root = "cap", "", "", None  # one entry for all the rest of them
        bare = None
        if root is not None and root.media_type.isprintable() and 0 < len(root.media_type) <= _MAX_TYPE:
            bare = Descriptor(root.media_type, root.digest, root.size, artifact_type=listed(root).artifact_type)
        self.left_out[LeftOut(reason, subject.manifest.digest, kind, tag, bare)] = None
