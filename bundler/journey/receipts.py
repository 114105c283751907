"""Receipts after the push: signed, and held against what the destination has now.

    write_receipt(Path("receipt.json"), receipt, signer)          # and receipt.json.sig, which openssl verifies
    drift = recheck(Path("receipt.json"), keys, ends, now=now, executor=executor)
    drift.raise_for_drift()                                        # PolicyError, if anything is not as it was left

For each image and attachment: what does its tag stand for, and is everything there that its manifest lists? Tags that the
receipt knows nothing of are listed too; they are nobody's fault, and no error.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bundler.bundle.statement import format_time
from bundler.errors import (
    ConfigError,
    PolicyError,
    SignatureError,
    quoted,
)
from bundler.journey.ends import Ends
from bundler.journey.files import read_file, write_over
from bundler.journey.receipt_places import Places, places_of
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.push.receipt import CAP, SIGNATURE_SUFFIX, Receipt, parse_receipt

if TYPE_CHECKING:
    from bundler.trust.keys import PublicKey
    from bundler.trust.signing import Signer

API_VERSION = "bundler/v1"
KIND = "ReceiptCheck"
PRIVATE_KEY = "receipt.key"
PUBLIC_KEY = "receipt.pub"
"""In a site's trust directory: the pair that receipts are signed and verified with."""
_SIGNATURE_CAP = 2048
_IN_NAMES = re.compile(r"(sha(?:256|512)[-:][0-9a-f]{12})[0-9a-f]{52,}")

State = Literal["ok", "moved", "missing", "incomplete"]


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

    ``added`` are references in the receipt's repositories that it knows nothing of.
    """

    receipt: Receipt
    now: datetime
    signer: str
    rows: tuple[Row, ...]
    added: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[Row, ...]:
        """What is not as it was left."""
        return tuple(row for row in self.rows if row.state != "ok")

    @property
    def again(self) -> str:
        """The command line that puts back what drifted; empty if nothing did.

        OUT, LOOKASIDE and KEY stand for the bundle's directory, that of GPG signatures, and the file of cosign's key.
        """
        if not self.drifted:
            return ""
        taken = self.receipt.taken
        words = ["bundler", "push", "OUT", "--to", taken.to, *(["--scoped"] if taken.scoped else [])]
        for rename in taken.renames:
            words += ["--map", rename]
        for name in sorted({row.image for row in self.drifted}):
            words += ["--image", _literal(name)]
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
            names = ", ".join(quoted(row.reference) for row in self.drifted[:10])
            more = f" and {len(self.drifted) - 10} more" if len(self.drifted) > 10 else ""
            raise PolicyError(f"drifted from the receipt: {names}{more}", hint=f"push again: {self.again}")


def write_receipt(path: Path, receipt: Receipt, signer: Signer | None) -> None:
    """Write a receipt and, if there is a signer, its signature beside it: a stale one of an earlier run goes first."""
    raw = receipt.serialised()
    beside = signature_path(path)
    if signer is None:
        _remove(beside)
        write_over(path, raw)
        return
    signature = signer.sign(raw, purpose="receipt")
    _remove(beside)
    write_over(path, raw)
    write_over(beside, signature)


def signature_path(path: Path) -> Path:
    """Where the signature of a receipt's file lies."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def recheck(path: Path, keys: Sequence[PublicKey], ends: Ends, *, now: datetime, executor: Executor) -> Drift:
    """Hold a receipt against its destination, which is only read; blobs are there if it says so.

    Raises :class:`SignatureError` unless one of ``keys`` signed it, if any are given; :class:`ConfigError` for what is no
    receipt, and :class:`UnsupportedError` for destinations other than registries and OCI layouts.
    """
    # 1  The signature, over the exact bytes
    raw = read_file(path, what="receipt", cap=CAP)
    signer = _signer(path, raw, keys) if keys else ""
    if not signer and ends.access.credentials is not None:
        raise ConfigError(
            f"{path}: nobody has checked which registry it names, and credentials would go there",
            hint="give --key, or log in to the registry instead of giving credentials by hand",
        )
    # 2  The receipt, strictly parsed
    receipt = parse_receipt(raw, str(path))
    places = places_of(receipt, ends)
    # 3  Each name and all that is below it, as they are now
    wanted = list(dict.fromkeys(_wanted(receipt)))
    rows = executor.map(lambda each: _row(places, each), wanted)
    # 4  What nobody accounts for
    known = {each.reference for each in wanted}
    added = {reference for reference in places.listed(known, executor) if reference not in known}
    return Drift(
        receipt, now, signer, tuple(sorted(rows, key=lambda r: (r.attached, r.reference))), tuple(sorted(added))
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Something that a receipt says is there; see :class:`Row`."""

    image: str
    reference: str
    root: Descriptor
    chosen: frozenset[Digest] | None = None
    attached: bool = False

    @property
    def is_tagged(self) -> bool:
        return ":" in self.reference.rpartition("/")[2].partition("@")[0]


def _wanted(receipt: Receipt) -> Iterator[_Wanted]:
    for image in receipt.images:
        chosen = None if image.children is None else frozenset(image.children)
        yield _Wanted(image.name, image.reference, image.root, chosen)
        for beside in image.attachments:
            yield _Wanted(image.name, beside.reference, beside.root, attached=True)


def _row(places: Places, wanted: _Wanted) -> Row:
    lacks = places.lacks(wanted.reference, wanted.root, wanted.chosen)
    found = places.found(wanted.reference)
    now = "" if found is None else found.digest
    state: State = "ok"
    problem = ""
    if wanted.is_tagged and now != wanted.root.digest:
        state = "moved" if now else "missing"
        rest = f"its content is incomplete: {lacks}" if lacks else "its content is still there, by digest"
        problem = f"{f'now {now}' if now else 'the tag is gone'}; {rest}"
    elif not now:
        state, problem = "missing", lacks or "not found by its digest"
    elif lacks:
        state, problem = "incomplete", lacks
    return Row(wanted.image, wanted.reference, wanted.root.digest, state, now, problem, attached=wanted.attached)


def _signer(path: Path, raw: bytes, keys: Sequence[PublicKey]) -> str:
    beside = signature_path(path)
    if not beside.exists():
        raise SignatureError(
            f"{beside}: missing: the receipt is not signed", hint="leave --key out to take it unsigned"
        )
    signature = read_file(beside, what="signature", cap=_SIGNATURE_CAP)
    for key in keys:
        try:
            key.verify(raw, signature)
        except SignatureError:
            continue
        return key.key_id
    raise SignatureError(
        f"{beside}: not a signature over {path.name} by any of the given keys",
        hint="the receipt was changed, or signed by another key",
    )


def _shown(reference: str) -> str:
    return _IN_NAMES.sub(r"\1…", quoted(reference, 1024))


def _literal(name: str) -> str:
    """A pattern that matches just this name."""
    pattern = re.sub(r"([*?[])", r"[\1]", name)
    assert fnmatch.fnmatchcase(name, pattern)
    return pattern


def _remove(path: Path) -> None:
    from bundler.errors import disk_error

    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise disk_error(problem, f"remove {path}") from problem
