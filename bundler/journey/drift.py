"""A receipt held against its destination: what is not as it was left, and the command that puts it back.

drift.drifted          rows that are not ``ok``         drift.added     tags that nobody accounts for
drift.again            bundler push OUT --to … --image …
drift.document()       as JSON; schemas/receipt-check/
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bundler.bundle.members import format_time
from bundler.errors import PolicyError, first_of, quoted
from bundler.oci.digest import Digest
from bundler.push.receipt import Receipt

API_VERSION = "bundler/v1"
KIND = "ReceiptCheck"
BY_KEY = ("--key", "PUB")
"""What says whose bundles to trust, where it is not known how the site does it."""
_IN_NAMES = re.compile(r"(sha(?:256|512)[-:][0-9a-f]{12})[0-9a-f]{52,}")
_NEWER = "unless a newer bundle went there since, whose receipt is the one to look at"

State = Literal["ok", "moved", "missing", "incomplete", "unlisted", "unreadable"]
"""``unlisted`` is there by its digest, and can't be found by what it is about; ``unreadable`` is no manifest, or another
one than the registry says."""


@dataclass(frozen=True, slots=True)
class Row:
    """Something that was pushed: ``image`` is the name of the image it is or belongs to, ``digest`` what was left there.

    ``now`` is the digest that its tag stands for, empty if that is none; ``problem`` says more in words.
    """

    image: str
    reference: str
    digest: Digest
    state: State
    now: str = ""
    problem: str = ""
    attached: bool = False

    def document(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {
            "name": self.image,
            "reference": self.reference,
            "attached": self.attached,
            "digest": self.digest,
            "state": self.state,
            "now": self.now or None,
            "problem": self.problem or None,
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """A receipt held against its destination. ``signer`` is the key whose signature held, empty if none was looked at.

    ``added`` are references in the receipt's repositories that it knows nothing of. ``options`` are those of `push` that
    the receipt doesn't hold: whom to trust, and how to reach the registry.
    """

    receipt: Receipt
    now: datetime
    signer: str
    rows: tuple[Row, ...]
    added: tuple[str, ...] = ()
    options: tuple[str, ...] = BY_KEY

    @property
    def drifted(self) -> tuple[Row, ...]:
        """What is not as it was left."""
        return tuple(row for row in self.rows if row.state != "ok")

    @property
    def again(self) -> str:
        """The command line that puts back what drifted; empty if nothing did.

        OUT, PUB, LOOKASIDE and KEY stand for the bundle's directory, the builder's public key, the directory of GPG
        signatures, and the file of cosign's key.
        """
        if not self.drifted:
            return ""
        taken = self.receipt.taken
        words = ["bundler", "push", "OUT", *self.options, "--to", taken.to, *(["--scoped"] if taken.scoped else [])]
        for rename in taken.renames:
            words += ["--map", rename]
        names = {row.image for row in self.drifted}
        everything = names == {image.name for image in self.receipt.images}
        for pattern in taken.patterns if everything else sorted(map(_literal, names)):
            words += ["--image", pattern]
        if any(row.state == "incomplete" for row in self.drifted):
            words.append("--repair")
        for signer in self.receipt.image_signers:
            how, _, key = signer.partition(":")
            words += ["--sign-by", key, "--lookaside", "LOOKASIDE"] if how == "gpg" else ["--sign-cosign-key", "KEY"]
        return shlex.join(words)

    def document(self) -> dict[str, Any]:
        """The outcome as JSON values; only ``time`` says when."""
        receipt = self.receipt
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "time": format_time(self.now),
            "verdict": "drifted" if self.drifted else "unchanged",
            "signed": bool(self.signer),
            "signer": self.signer or None,
            "bundleId": receipt.bundle_id,
            "name": receipt.name,
            "channel": receipt.channel,
            "serial": receipt.serial,
            "pushed": format_time(receipt.pushed),
            "destination": receipt.destination,
            "images": [row.document() for row in self.rows],
            "added": list(self.added),
            "again": self.again or None,
        }

    def figures(self) -> list[tuple[str, str]]:
        """The receipt as lines of a table."""
        receipt = self.receipt
        return [
            ("bundle", f"{receipt.name} {receipt.channel} serial {receipt.serial}"),
            ("id", receipt.bundle_id),
            ("pushed", f"{format_time(receipt.pushed)} to {receipt.destination}"),
            ("receipt", f"signed by {self.signer}" if self.signer else "its signature was NOT CHECKED (no --key)"),
        ]

    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows of a table, what was added last: state, reference, the digest that was left there, and that of now."""
        rows = [(r.state, _shown(r.reference), r.digest[:19], r.now[:19] or "-") for r in self.rows]
        return rows + [("added", _shown(reference), "-", "-") for reference in self.added]

    def problems(self) -> list[str]:
        """What is wrong, and the command that puts it back, a line each."""
        told = [f"{row.state}: {quoted(row.reference, 1024)}: {quoted(row.problem, 500)}" for row in self.drifted]
        return [*told, f"push again: {self.again}"] if told else []

    @property
    def conclusion(self) -> str:
        """The last line."""
        return (
            f"DRIFTED: {len(self.drifted)} of {len(self.rows)}" if self.drifted else f"UNCHANGED: all {len(self.rows)}"
        )

    def raise_for_drift(self) -> None:
        """Raise :class:`PolicyError` if anything is not as it was left."""
        if self.drifted:
            names = first_of([quoted(row.reference) for row in self.drifted])
            raise PolicyError(f"drifted from the receipt: {names}", hint=f"push again, {_NEWER}: {self.again}")


def _shown(reference: str) -> str:
    return _IN_NAMES.sub(r"\1…", quoted(reference, 1024))


def _literal(name: str) -> str:
    """A pattern that matches just this name."""
    pattern = re.sub(r"([*?[])", r"[\1]", name)
    assert fnmatch.fnmatchcase(name, pattern)
    return pattern
