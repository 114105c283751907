"""What a simple signature says: the payload of containers-signature(5), written and read without leniency.

    {"critical": {"identity": {"docker-reference": "registry.example/app:1"},
                  "image": {"docker-manifest-digest": "sha256:…"},
                  "type": "atomic container signature"},
     "optional": {"creator": "bundler 1.0", "timestamp": 1700000000}}

Nothing may be missing from the critical part or stand in it besides; what is optional is told, and never decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundler.errors import BundlerError, SignatureError, quoted
from bundler.oci.digest import Digest, is_digest
from bundler.oci.strict_json import Fields, canonical, loads

TYPE = "atomic container signature"
CAP = 64 << 10


@dataclass(frozen=True, slots=True)
class Payload:
    """``reference`` is the name that the signer gave the image, as it was written; ``timestamp`` in seconds since 1970."""

    digest: Digest
    reference: str
    creator: str = ""
    timestamp: int | None = None

    def serialised(self) -> bytes:
        """The bytes to sign."""
        optional: dict[str, object] = {}
        if self.creator:
            optional["creator"] = self.creator
        if self.timestamp is not None:
            optional["timestamp"] = self.timestamp
        return canonical(
            {
                "critical": {
                    "identity": {"docker-reference": self.reference},
                    "image": {"docker-manifest-digest": self.digest},
                    "type": TYPE,
                },
                "optional": optional,
            }
        )


def parse_payload(raw: bytes) -> Payload:
    """The payload of a signature that held. Raises :class:`SignatureError` for anything unexpected in its critical part."""
    what = "signed payload"
    top = Fields(loads(raw, what=what, cap=CAP, error=_wrong), what=what, error=_wrong)
    critical = top.object("critical")
    identity, image = critical.object("identity"), critical.object("image")
    if critical.text("type") != TYPE:
        raise _wrong(f"{what}: its type is {quoted(critical.text('type'))!r}, not {TYPE!r}")
    digest, reference = image.text("docker-manifest-digest"), identity.text("docker-reference")
    if not is_digest(digest):
        raise _wrong(f"{what}: {quoted(digest)!r} is not a digest")
    if not reference:
        raise _wrong(f"{what}: names no image")
    optional = top.object("optional")
    creator = optional.text("creator") if "creator" in optional else ""
    timestamp = optional.size("timestamp") if "timestamp" in optional else None
    for closed in (top, critical, identity, image):
        closed.done()
    return Payload(Digest(digest), reference, creator, timestamp)


def _wrong(message: str) -> BundlerError:
    return SignatureError(message, hint="do not trust this image; ask its signer for a new signature")
