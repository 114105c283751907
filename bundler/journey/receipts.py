"""Receipts after the push: signed, and held against what the destination has now.

    check_receipt_place(Path("receipt.json"))                      # before the push
    write_receipt(Path("receipt.json"), receipt, signer)           # after it; and receipt.json.sig, which openssl verifies
    drift = recheck(Path("receipt.json"), keys, ends, now=now, executor=executor)
    drift.raise_for_drift()                                        # PolicyError, if anything is not as it was left

For each image and attachment: what does its tag stand for, and is everything there that its manifest lists? What has no
tag is looked for by its digest, and where it is about another manifest, among what refers to that. The registry's word
is enough for blobs, and for nothing else: manifests are read and hashed. Tags that the receipt knows nothing of are
listed too; they are nobody's fault, and no error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import ConfigError, SignatureError, disk_error
from bundler.journey.drift import BY_KEY, Drift, Row, State
from bundler.journey.ends import Ends
from bundler.journey.files import check_writable, read_file, write_over
from bundler.journey.receipt_places import UNREADABLE, Listing, Places, places_of
from bundler.oci.descriptor import Descriptor
from bundler.oci.digest import Digest
from bundler.push.receipt import CAP, SIGNATURE_SUFFIX, Receipt, parse_receipt

if TYPE_CHECKING:
    from bundler.trust.keys import PublicKey
    from bundler.trust.signing import Signer

PRIVATE_KEY = "receipt.key"
PUBLIC_KEY = "receipt.pub"
"""In a site's trust directory: the pair that receipts are signed and verified with."""
_SIGNATURE_CAP = 2048


def check_receipt_place(path: Path) -> None:
    """Raise what :func:`write_receipt` would, before the long work that the receipt is about."""
    check_writable(path, what="--receipt")
    check_writable(signature_path(path), what="--receipt")


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


def recheck(
    path: Path,
    keys: Sequence[PublicKey],
    ends: Ends,
    *,
    now: datetime,
    executor: Executor,
    options: Sequence[str] = BY_KEY,
) -> Drift:
    """Hold a receipt against its destination, which is only read. ``options`` are as for :class:`Drift`.

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
    listings = list(executor.map(lambda each: _listing(places, each), wanted))
    rows = tuple(executor.map(lambda each, listing: _row(places, each, listing), wanted, listings))
    # 4  What nobody accounts for
    known = {each.reference for each in wanted} | {each.reference for each in listings if each}
    added = {reference for reference in places.listed(known, executor) if reference not in known}
    return Drift(
        receipt,
        now,
        signer,
        tuple(sorted(rows, key=lambda r: (r.attached, r.reference))),
        tuple(sorted(added)),
        tuple(options),
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


def _listing(places: Places, wanted: _Wanted) -> Listing | None:
    """By which what has no tag itself is found, if it is about something."""
    return None if wanted.is_tagged else places.listing(wanted.reference, wanted.root)


def _row(places: Places, wanted: _Wanted, listing: Listing | None) -> Row:
    state, now, problem = _looked_at(places, wanted, listing)
    return Row(wanted.image, wanted.reference, wanted.root.digest, state, now, problem, attached=wanted.attached)


def _looked_at(places: Places, wanted: _Wanted, listing: Listing | None) -> tuple[State, str, str]:
    """The state, the digest that is there now, and what is wrong in words."""
    try:
        found = places.found(wanted.reference)
    except UNREADABLE as problem:
        return "unreadable", "", str(problem)
    now = "" if found is None else found.digest
    lacks = places.lacks(wanted.reference, wanted.root, wanted.chosen)
    if wanted.is_tagged and now != wanted.root.digest:
        rest = f"its content is incomplete: {lacks}" if lacks else "its content is still there, by digest"
        return ("moved" if now else "missing"), now, f"{f'now {now}' if now else 'the tag is gone'}; {rest}"
    if not now:
        return "missing", now, lacks or "not found by its digest"
    if lacks:
        return "incomplete", now, lacks
    unlisted = listing.lacks(wanted.root) if listing else ""
    return ("unlisted" if unlisted else "ok"), now, unlisted


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


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise disk_error(problem, f"remove {path}") from problem
