"""Signing in rounds: who of the signers has signed a bundle, and who is still missing. A view, never a verdict.

    round = survey(documents, [("ann.pub", ann), ("bob.pub", bob)], threshold=2)
    round.valid, round.complete, [seat.name for seat in round.seats if seat.state == "missing"]

A signer has signed if both signatures are there and right: the one over the statement and the one over SHA256SUMS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bundler.errors import ConfigError, SignatureError
from bundler.trust.dsse import Envelope, parse_envelope
from bundler.trust.keys import PublicKey
from bundler.trust.sums import signature_name
from bundler.trust.verify import Documents

State = Literal["valid", "wrong", "missing", "denied"]


@dataclass(frozen=True, slots=True)
class Seat:
    """One who may sign. ``detail`` says what is wrong with a signature that is ``wrong``."""

    name: str
    key_id: str
    algorithm: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """How far a bundle's signing has come; ``strangers`` are the ids under which others have signed, as they claim."""

    seats: tuple[Seat, ...]
    strangers: tuple[str, ...]
    threshold: int

    @property
    def valid(self) -> int:
        """How many have signed."""
        return sum(seat.state == "valid" for seat in self.seats)

    @property
    def complete(self) -> bool:
        """Whether enough have signed, and nobody wrongly: one wrong signature fails verification."""
        return self.valid >= self.threshold and all(seat.state != "wrong" for seat in self.seats)

    def document(self) -> dict[str, Any]:
        """The view as JSON values."""
        return {
            "threshold": self.threshold,
            "valid": self.valid,
            "complete": self.complete,
            "signers": [
                {
                    "name": seat.name,
                    "keyId": seat.key_id,
                    "algorithm": seat.algorithm,
                    "state": seat.state,
                    "detail": seat.detail,
                }
                for seat in self.seats
            ],
            "others": list(self.strangers),
        }


def survey(
    documents: Documents,
    signers: Sequence[tuple[str, PublicKey]],
    *,
    threshold: int,
    denied: frozenset[str] = frozenset(),
) -> Round:
    """Who has signed. One key under two names is one signer, by its first name; ``denied`` are ids that never count.

    Raises :class:`ConfigError` for a threshold that can't be met, and what :func:`parse_envelope` raises.
    """
    known: dict[str, tuple[str, PublicKey]] = {}
    for name, key in signers:
        known.setdefault(key.key_id, (name, key))
    if known and not 1 <= threshold <= len(known):
        raise ConfigError(
            f"a threshold of {threshold}, where {len(known)} different keys are given",
            hint=f"give a --threshold from 1 to {len(known)}; the same key given twice counts once",
        )
    envelope = parse_envelope(documents.envelope)
    seats = tuple(
        Seat(name, key.key_id, key.algorithm, "denied", "this key is on the deny list")
        if key.key_id in denied
        else _seat(name, key, envelope, documents)
        for name, key in known.values()
    )
    claimed = {each.key_id for each in envelope.signatures}
    return Round(seats, tuple(sorted(claimed - known.keys())), threshold)


def has_signed(envelope: Envelope, key: PublicKey) -> bool:
    """Whether a right signature of the key is in the envelope, under whatever id."""
    return any(_holds(key, envelope.signed_bytes, each.value) for each in envelope.signatures)


def _seat(name: str, key: PublicKey, envelope: Envelope, documents: Documents) -> Seat:
    own = [each for each in envelope.signatures if each.key_id == key.key_id]
    file = signature_name(key.key_id)
    state: State = "valid"
    detail = ""
    if any(not _holds(key, envelope.signed_bytes, each.value) for each in own):
        state, detail = "wrong", "the signature under this key's id is not one over the statement"
    elif not own and not has_signed(envelope, key):
        state = "missing"
    elif file not in documents.signatures:
        state, detail = "wrong", f"{file} is missing"
    elif not _holds(key, documents.sums, documents.signatures[file]):
        state, detail = "wrong", f"{file} is not one over SHA256SUMS"
    return Seat(name, key.key_id, key.algorithm, state, detail)


def _holds(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(message, signature)
    except SignatureError:
        return False
    return True
