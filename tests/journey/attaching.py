"""Images with things attached, in one repository in memory, as a bundle carries them.

place = Attaching()
place.attach(WEB, signature(...))                 # under cosign's tag
place.refer(WEB, bundle(...))                     # as a referrer
place.carried("reg.io/team/web:1.0", WEB)         # as the statement names it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bundler.bundle.statement import Attachment, CarriedImage
from bundler.oci import mediatype
from bundler.oci.attached import SIMPLE_SIGNATURES
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.trust.images.evidence import Evidence
from tests.images import EMPTY_JSON, Image, as_json, manifest_document, part
from tests.memory import Memory

_SUFFIX = {"cosign": ".sig", "attestation": ".att"}


class Attaching:
    """The repository, and what is attached in it so far."""

    def __init__(self) -> None:
        self.memory = Memory(strict=False)
        self.attachments: list[Attachment] = []

    def load(self, image: Image) -> None:
        """Hold an image."""
        for each in image.parts:
            self.memory.push(each.descriptor, iter([each.raw]))

    def attach(self, digest: Digest, *pieces: Evidence, tag: str | None = None) -> Attachment:
        """Put pieces into one manifest under cosign's tag for ``digest``."""
        root = self._manifest(pieces)
        tag = digest.replace(":", "-") + _SUFFIX[pieces[0].kind] if tag is None else tag
        return self._keep(Attachment(tag, root))

    def refer(self, subject: Descriptor, *pieces: Evidence) -> Attachment:
        """Put pieces into a manifest that refers to ``subject``."""
        kind = SIMPLE_SIGNATURES if pieces[0].kind == "gpg" else pieces[0].media_type
        return self._keep(Attachment("", self._manifest(pieces, subject=subject, artifactType=kind)))

    def fallback(self, digest: Digest, roots: Iterable[Descriptor]) -> Attachment:
        """An index under the referrers tag, in place of a registry's API."""
        document = {"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [r.document() for r in roots]}
        index = self.memory.put(as_json(document), mediatype.OCI_INDEX)
        return self._keep(Attachment(digest.replace(":", "-"), index))

    def carried(self, name: str, image: Image, **more: Any) -> CarriedImage:
        """The image as a statement names it, with all that was attached so far."""
        self.load(image)
        target = name.partition("/")[2].partition("@")[0]
        return CarriedImage(name, target, image.root, attachments=tuple(self.attachments), **more)

    def _keep(self, attachment: Attachment) -> Attachment:
        self.attachments.append(attachment)
        return attachment

    def _manifest(self, pieces: Iterable[Evidence], *, subject: Descriptor | None = None, **more: Any) -> Descriptor:
        parts = [part(each.content, each.media_type, annotations=dict(each.annotations)) for each in pieces]
        empty = part(EMPTY_JSON, mediatype.OCI_EMPTY)
        document = {**manifest_document(mediatype.OCI_MANIFEST, empty, parts), **more}
        if subject is not None:
            document["subject"] = {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size}
        for each in (empty, *parts):
            self.memory.put(each.raw, each.descriptor.media_type)
        return self.memory.put(as_json(document), mediatype.OCI_MANIFEST)
