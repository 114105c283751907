"""The receipt of a push: what landed where. Carried back, it is the base of the next differential bundle.

Its format is specified in ``schemas/receipt/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bundler.content import Outcome
from bundler.oci.digest import Digest
from bundler.oci.strict_json import canonical

API_VERSION = "bundler/v1"
KIND = "Receipt"


@dataclass(frozen=True, slots=True)
class Landed:
    """One image at the destination: its name in the bundle, its reference there, and its digest."""

    name: str
    reference: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Receipt:
    """A finished push. ``outcomes`` counts contents that were uploaded, mounted and already present.

    ``signers`` are the ids of the keys that the bundle was taken on; none means that no signature was checked.
    """

    bundle_id: str
    name: str
    channel: str
    serial: int
    pushed: datetime
    destination: str
    images: tuple[Landed, ...]
    outcomes: Mapping[Outcome, int]
    signers: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The receipt as JSON values."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "bundleId": self.bundle_id,
            "name": self.name,
            "channel": self.channel,
            "serial": self.serial,
            "pushed": self.pushed.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "destination": self.destination,
            "signed": bool(self.signers),
            "signers": list(self.signers),
            "images": [{"name": i.name, "reference": i.reference, "digest": i.digest} for i in self.images],
            "blobs": {
                "uploaded": self.outcomes.get(Outcome.COPIED, 0),
                "mounted": self.outcomes.get(Outcome.MOUNTED, 0),
                "present": self.outcomes.get(Outcome.PRESENT, 0),
            },
        }

    def serialised(self) -> bytes:
        """The bytes of ``receipt.json``."""
        return canonical(self.document())
