"""A bundle's small files without its volumes: what verification reads before anything else.

``Papers`` holds the parts before they are signed, so that a test can change one and sign, or sign and change one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache

from bundler.bundle.inventory import Inventory, write_inventory
from bundler.bundle.statement import CarriedImage, Statement, Subject, volume_name, write_statement
from bundler.oci import mediatype
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest, digest_of, hex_of
from bundler.trust.dsse import Envelope, serialise
from bundler.trust.signing import PrivateKey, generate, sign_envelope
from bundler.trust.sums import signature_name, write_sums
from bundler.trust.verify import Documents

NOW = datetime(2030, 6, 1, tzinfo=UTC)
BUNDLE_ID = digest_of(b"a bundle")
TEXT = b"how to"


@cache
def key(name: str, key_type: str = "ecdsa-p256") -> PrivateKey:
    """The test's key of that name, the same all through a run."""
    return generate(key_type)


@dataclass(frozen=True, slots=True)
class Papers:
    """``volumes`` are stand-ins: only their digests matter here."""

    serial: int = 7
    volumes: tuple[bytes, ...] = (b"volume one", b"volume two")
    expires: datetime | None = None
    inventory: bytes = field(default=b"")
    bundle_id: Digest = BUNDLE_ID

    def inventory_bytes(self) -> bytes:
        sizes = tuple(len(volume) for volume in self.volumes)
        return self.inventory or write_inventory(Inventory(self.bundle_id, 0, sizes, ()))

    def statement(self) -> Statement:
        files = {volume_name(n): volume for n, volume in enumerate(self.volumes, start=1)}
        files["inventory.json"] = self.inventory_bytes()
        root = Descriptor(mediatype.OCI_MANIFEST, digest_of(b"an image"), 8)
        return Statement(
            name="edge",
            channel="stable",
            serial=self.serial,
            epoch=0,
            bundle_id=BUNDLE_ID,
            issued=datetime(2030, 1, 1, tzinfo=UTC),
            expires=self.expires,
            images=(CarriedImage("docker.io/library/äpp:1", "library/app:1", root),),
            total_size=0,
            blob_count=0,
            subjects=tuple(Subject(name, hex_of(digest_of(content))) for name, content in files.items()),
        )

    def payload(self) -> bytes:
        return write_statement(self.statement())

    def sums(self) -> bytes:
        named = {subject.name: Digest(f"sha256:{subject.sha256}") for subject in self.statement().subjects}
        return write_sums({**named, "VERIFY.txt": digest_of(TEXT)})

    def signed_by(self, *signers: PrivateKey, sums: bytes | None = None) -> Documents:
        envelope = Envelope(self.payload())
        for signer in signers:
            envelope = sign_envelope(envelope, signer)
        return self.under(envelope, signers, sums=sums)

    def under(self, envelope: Envelope, signers: Sequence[PrivateKey], *, sums: bytes | None = None) -> Documents:
        """The documents with any envelope; ``signers`` sign SHA256SUMS."""
        sums = self.sums() if sums is None else sums
        signatures = {signature_name(signer.public.key_id): signer.sign(sums) for signer in signers}
        return Documents(serialise(envelope), self.inventory_bytes(), sums, TEXT, signatures)


def with_envelope(documents: Documents, raw: bytes) -> Documents:
    """The same bundle with another ``bundle.dsse.json``."""
    return replace(documents, envelope=raw)
